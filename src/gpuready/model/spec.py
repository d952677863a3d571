"""What the user asks for: GPUSetup in gpuready.dev/v1alpha1. Strict and typed; the one document for every platform."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

API_VERSION = "gpuready.dev/v1alpha1"
KIND = "GPUSetup"

DnsName = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)]
AbsolutePath = Annotated[str, msgspec.Meta(pattern=r"^/([A-Za-z0-9._+-]+(/[A-Za-z0-9._+-]+)*)?$", max_length=255)]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Quantity = Annotated[str, msgspec.Meta(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi)?$", max_length=16)]


class Strict(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True):
    """Base of every part of the spec: a key that is not known is an error, never ignored."""


class Metadata(Strict, frozen=True, kw_only=True):
    name: DnsName


class Cluster(Strict, frozen=True, kw_only=True):
    """The cluster this spec was written for. A run against another one is refused."""

    uid: Annotated[str, msgspec.Meta(max_length=64)]  # of namespace kube-system
    server: str = ""  # for the reader only; addresses change


class Image(Strict, frozen=True, kw_only=True):
    """The one image of agent and probes, as the nodes pull it."""

    reference: Annotated[str, msgspec.Meta(pattern=r"^[^\s@]+(@sha256:[0-9a-f]{64})?$", max_length=512)]
    pull_secret: DnsName | None = None  # a Secret of type dockerconfigjson in gpuready-system


class Toleration(Strict, frozen=True, kw_only=True):
    """As in a pod. A blanket Exists without a key is refused: it would put the agent on nodes being drained."""

    key: Annotated[str, msgspec.Meta(min_length=1, max_length=317)]
    operator: Literal["Exists", "Equal"] = "Exists"
    value: str = ""
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = ""


class NodeChoice(Strict, frozen=True, kw_only=True):
    """Which nodes: by name, by label, or both; neither means `look and take what has NVIDIA GPUs`."""

    names: tuple[DnsName, ...] = ()
    match_labels: Mapping[str, str] = {}
    exclude: tuple[DnsName, ...] = ()
    tolerations: tuple[Toleration, ...] = ()


class Driver(Strict, frozen=True, kw_only=True):
    """Where the NVIDIA driver's user space lies on the nodes, and who put it there."""

    owner: Literal["host"] = "host"
    root: AbsolutePath | None = None  # None: what the look at each node finds


class Agent(Strict, frozen=True, kw_only=True):
    """The node agent of stack `native`."""

    injection: Literal["auto", "cdi", "devices"] = "auto"
    metrics_port: Port = 9400
    hostname_label: Literal["Hostname", "hostname"] = "Hostname"  # dcgm-exporter up to 4.5.3 writes Hostname
    cpu: Quantity = "10m"
    memory: Quantity = "64Mi"
    memory_limit: Quantity = "128Mi"


class Setup(Strict, frozen=True, kw_only=True):
    cluster: Cluster | None = None
    platform: str = "generic"
    stack: str = "native"
    image: Image | None = None
    nodes: NodeChoice = NodeChoice()
    driver: Driver = Driver()
    agent: Agent = Agent()


class GPUSetup(Strict, frozen=True, kw_only=True):
    api_version: Literal["gpuready.dev/v1alpha1"]
    kind: Literal["GPUSetup"]
    metadata: Metadata
    spec: Setup
