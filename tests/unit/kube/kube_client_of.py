"""A client of the test server with a clock of its own, without kubeconfig or TLS, and what it reads."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

import msgspec
from kube_double import Answer, Asked

from gpuready.adapters.kube import Client
from gpuready.adapters.kube_connection import Connection
from gpuready.adapters.kube_http import Transport
from gpuready.adapters.kubeconfig import User
from gpuready.model.plan import Ref

POD = Ref(api_version="v1", kind="Pod", name="p", namespace="ns")
NODE = Ref(api_version="v1", kind="Node", name="n")
OK = Answer(200, {"kind": "Pod", "metadata": {"name": "p"}})


class Clock:
    """Time passes only by sleeping."""

    def __init__(self) -> None:
        self.time = 0.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds


def client_of(url: str, clock: Clock, **more: Any) -> Client:
    connection = Connection(
        server=url, context="c", cluster="k", user_name="u", user=User(token="tok"), namespace="default",
        source="/k/config", **more,
    )  # fmt: skip
    return Client(Transport(connection, now=clock.now, sleep=clock.sleep))


class Name(msgspec.Struct, frozen=True):
    name: str


class Named(msgspec.Struct, frozen=True):
    metadata: Name


def pod(name: str, version: int = 0, **more: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "resourceVersion": str(version)}, **more}


def query(asked: Asked) -> dict[str, str]:
    return {key: values[0] for key, values in parse_qs(asked.query, keep_blank_values=True).items()}
