"""What a node's labels, name and annotations tell: managed modes, pools that make nodes, GitOps owners."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from gpuready.knowledge._files import load


class Managed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    mode: str
    source: str
    label: str = ""
    value: str = ""
    name_prefix: str = ""


class PoolSign(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    kind: str
    source: str
    label: str = ""
    annotation: str = ""


class GitOps(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    keys: tuple[str, ...]
    managers: tuple[str, ...]
    source: str


class Data(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    sources: dict[str, str]
    managed: tuple[Managed, ...]
    pools: tuple[PoolSign, ...]
    gitops: tuple[GitOps, ...]


DATA = load("nodes.yaml", Data)


class Pool(msgspec.Struct, frozen=True, order=True):
    kind: str
    name: str
    sign: str  # "label karpenter.sh/nodepool"


def managed_mode(name: str, labels: Mapping[str, str]) -> tuple[str, str] | None:
    """(mode, the sign that tells) when the node's provider admits no privileged pod there."""
    for entry in DATA.managed:
        if entry.label and labels.get(entry.label) == entry.value:
            return entry.mode, f"label {entry.label}={entry.value}"
        if entry.name_prefix and name.startswith(entry.name_prefix):
            return entry.mode, f"the node's name begins with {entry.name_prefix}"
    return None


def pool(labels: Mapping[str, str], annotations: Mapping[str, str]) -> Pool | None:
    """The pool that makes such nodes from a template, by the first sign that is there."""
    for entry in DATA.pools:
        where, key = ("label", entry.label) if entry.label else ("annotation", entry.annotation)
        value = (labels if entry.label else annotations).get(key)
        if value:
            return Pool(entry.kind, value, f"{where} {key}")
    return None


def gitops_owners(keys: Iterable[str], managers: Iterable[str]) -> Iterator[tuple[str, str]]:
    """(controller, the sign that tells) for every GitOps controller that keeps an object."""
    keys, managers = frozenset(keys), frozenset(managers)
    for entry in DATA.gitops:
        for key in entry.keys:
            if key in keys:
                yield entry.name, key
        for manager in entry.managers:
            if manager in managers:
                yield entry.name, f"field manager {manager}"
