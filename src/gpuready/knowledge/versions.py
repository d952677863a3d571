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
    seen: tuple[tuple[int, int, int], ...]  # the very releases, oldest first; what lies between them was not run

    @property
    def oldest_node(self) -> Version:
        return self.seen[0][:2]

    @property
    def newest(self) -> Version:
        return self.seen[-1][:2]

    def told(self) -> str:
        releases = ", ".join(".".join(map(str, release)) for release in self.seen)
        return f"gpuready was run on {releases} as of {self.as_of}"


WINDOW = load("versions.yaml", Window)


def parse(text: str) -> Version | None:
    """v1.34.4, v1.29.3-gke.1 -> (1, 34); None when it is no version."""
    match = re.match(r"^v?(\d{1,3})\.(\d{1,4})(?!\d)", text)
    return (int(match[1]), int(match[2])) if match else None


def show(version: Version) -> str:
    return f"{version[0]}.{version[1]}"
