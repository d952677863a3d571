"""The Kubernetes releases that gpuready was run on."""

from __future__ import annotations

import re

import msgspec

from gpuready.knowledge._files import load

Version = tuple[int, int]


class Window(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    as_of: str
    sources: dict[str, str]
    oldest_api: Version
    oldest_node: Version
    newest: Version


WINDOW = load("versions.yaml", Window)


def parse(text: str) -> Version | None:
    """v1.34.4, v1.29.3-gke.1 -> (1, 34); None when it is no version."""
    match = re.match(r"^v?(\d{1,3})\.(\d{1,4})(?!\d)", text)
    return (int(match[1]), int(match[2])) if match else None


def show(version: Version) -> str:
    return f"{version[0]}.{version[1]}"
