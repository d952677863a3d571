"""What several collectors read of the Kubernetes wire format: lists, metadata, field managers, quantities."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


class Wire(msgspec.Struct, frozen=True, kw_only=True, rename="camel", gc=False):
    """Base of the narrow views: what is not named is skipped while decoding and never becomes an object."""


class LIST(msgspec.Struct, Generic[T], frozen=True, gc=False):
    """No default: an answer without items is no list. Older API servers write null for an empty one."""

    items: tuple[T, ...] | None

    def __iter__(self) -> Iterator[T]:
        return iter(self.items or ())


class Meta(Wire, frozen=True):
    name: str
    uid: str = ""
    namespace: str = ""
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}


class ManagedMeta(Wire, frozen=True):
    labels: Mapping[str, msgspec.Raw] = msgspec.field(name="f:labels", default_factory=dict)


class ManagedTree(Wire, frozen=True):
    metadata: ManagedMeta = msgspec.field(name="f:metadata", default=ManagedMeta())


class Managed(Wire, frozen=True):
    manager: str = ""
    subresource: str = ""
    fields: ManagedTree = msgspec.field(name="fieldsV1", default=ManagedTree())


def label_managers(entries: Iterable[Managed]) -> Mapping[str, str]:
    """Label key -> who owns it; several owners are joined with a comma."""
    owners: dict[str, str] = {}
    for entry in entries:
        for field in entry.fields.metadata.labels:
            if field.startswith("f:"):
                key = field[2:]
                owners[key] = f"{owners[key]},{entry.manager}" if key in owners else entry.manager
    return owners


def managers(entries: Iterable[Managed]) -> tuple[str, ...]:
    return tuple(sorted({entry.manager for entry in entries if entry.manager and not entry.subresource}))


SUFFIXES = {"k": 10**3, "M": 10**6, "G": 10**9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


def whole_number(text: str) -> int:
    """An extended resource: a whole number, which the API writes as 1k from 1000 on."""
    digits = text.rstrip("kMGi")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 18):
        raise msgspec.ValidationError(f"not a whole number: {text[:40]!r}")
    suffix = text[len(digits) :]
    if suffix and suffix not in SUFFIXES:
        raise msgspec.ValidationError(f"not a whole number: {text[:40]!r}")
    return int(digits) * SUFFIXES.get(suffix, 1)


def whole_numbers(quantities: Mapping[str, str]) -> Mapping[str, int]:
    """Only names with a slash: those are the extended resources."""
    return {name: whole_number(text) for name, text in quantities.items() if "/" in name}


class HostPath(Wire, frozen=True):
    path: str = ""


class Volume(Wire, frozen=True):
    host_path: HostPath | None = None


def mounts_device_plugin_dir(volumes: Iterable[Volume]) -> bool:
    """The kubelet's plugin directory, also of distributions that move the kubelet's root (k0s, MicroK8s)."""
    return any(v.host_path is not None and "/kubelet/device-plugins/" in f"{v.host_path.path}/" for v in volumes)
