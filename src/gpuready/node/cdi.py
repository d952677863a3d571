"""The injection as a CDI document (https://github.com/cncf-tags/container-device-interface, SPEC.md 1.1.0)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from gpuready.node.injection import Injection

KIND = "gpuready.dev/gpu"
FILE = "gpuready.dev-gpu.json"
MOUNT_OPTIONS = ["ro", "nosuid", "nodev", "rbind", "rprivate"]  # those of NVIDIA's generator
Json = dict[str, Any]


def qualified(uuid: str) -> str:
    return f"{KIND}={uuid}"


def document(injection: Injection) -> Json:
    """The file's content. Call it only with at least one device: a CDI file without any is invalid."""
    devices = [device(uuid, [node]) for uuid, node in injection.devices.items()]
    devices.append(device("all", injection.devices.values()))
    common: Json = {
        "env": [f"{key}={value}" for key, value in injection.env],
        "deviceNodes": [node_edit(path) for path in injection.control],
        "mounts": [
            {"hostPath": mount.host, "containerPath": mount.container, "options": MOUNT_OPTIONS}
            for mount in injection.mounts
        ],
    }
    edits = {key: value for key, value in common.items() if value}
    return {"cdiVersion": minimum_version(devices), "kind": KIND, "devices": devices, "containerEdits": edits}


def device(name: str, nodes: Iterable[str]) -> Json:
    return {"name": name, "containerEdits": {"deviceNodes": [node_edit(path) for path in nodes]}}


def node_edit(path: str) -> Json:
    return {"path": path, "permissions": "rw"}


def minimum_version(devices: list[Json]) -> str:
    """Of what can occur here, only a device name that begins with a digit needs more than 0.3.0."""
    return "0.5.0" if any(re.match(r"\d", entry["name"]) for entry in devices) else "0.3.0"


def text(injection: Injection) -> str:
    return json.dumps(document(injection), indent=1) + "\n"
