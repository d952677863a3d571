"""Releases of NVIDIA's GPU Operator: which fits a cluster, and which values its chart has."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from functools import cache

import msgspec

from gpuready.knowledge import versions
from gpuready.knowledge._files import load

Order = tuple[int, int, int]
OPEN = ".*"


class Release(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: str  # 26.7.0
    tag: str  # v26.7.0, the chart's version
    kubernetes: str  # "1.33-1.36", ">=1.13"
    at: str  # commit of the page that says so
    driver: str  # that it brings

    @property
    def order(self) -> Order:
        return order_of(self.version)

    @property
    def window(self) -> tuple[versions.Version, versions.Version | None]:
        """Oldest and newest Kubernetes of its page; None: no newest is named."""
        low, _, high = self.kubernetes.removeprefix(">=").partition("-")
        oldest = versions.parse(low)
        assert oldest is not None, self.kubernetes
        return oldest, versions.parse(high)

    def fits(self, kubernetes: versions.Version) -> bool:
        oldest, newest = self.window
        return oldest <= kubernetes and (newest is None or kubernetes <= newest)

    def source(self) -> str:
        return f"platform-support.rst at {self.at}: Kubernetes {self.kubernetes}"


class OldCrds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    last: str
    kubernetes_below: str


class OperandsElsewhere(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    last: str
    namespace: str


class ContainerdElsewhere(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    env: dict[str, str]
    source: str
    kubelet: str = ""  # part of the kubelet's version
    label: str = ""  # of its nodes


class Operators(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    as_of: str
    sources: dict[str, str]
    releases: tuple[Release, ...]
    crds_v1beta1: OldCrds
    operands_elsewhere: OperandsElsewhere
    containerd_elsewhere: tuple[ContainerdElsewhere, ...]


class ChartValues(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    source: str
    releases: tuple[str, ...]
    values: dict[str, str]
    repositories: dict[str, dict[str, str]]


@cache
def data() -> Operators:
    """Read on first use: most runs have nothing to do with the operator."""
    return load("operator.yaml", Operators)


@cache
def _values() -> ChartValues:
    return load("operator_values.yaml", ChartValues)


def order_of(version: str) -> Order:
    """v26.7.0 -> (26, 7, 0). Raises ValueError for what is no such version."""
    major, minor, patch = (int(part) for part in version.removeprefix("v").split("."))
    return major, minor, patch


def release(version: str) -> Release | None:
    """By version, with or without its v; None for one that this table has not."""
    return next((r for r in data().releases if r.version == version.removeprefix("v")), None)


def newest() -> Release:
    return data().releases[-1]


def fitting(kubernetes: versions.Version) -> Release:
    """The newest release whose page names this Kubernetes version; where none does, the nearest one.

    Old pages name no newest Kubernetes: they count only for what is older than all that later pages name.
    """
    bounded = [r for r in data().releases if r.window[1] is not None]
    named = [r for r in bounded if r.fits(kubernetes)]
    if named:
        return named[-1]
    older = [r for r in data().releases if r.window[1] is None and r.fits(kubernetes)]
    return newest() if kubernetes > bounded[0].window[0] else (older or list(data().releases))[-1 if older else 0]


def read_release(version: str) -> str:
    """The release whose values were read for this one: itself, or the newest read before it."""
    wanted = order_of(version)
    read = [r for r in _values().releases if order_of(r) <= wanted]
    return read[-1] if read else _values().releases[0]


@cache
def known_values(version: str) -> frozenset[str]:
    """Paths of all values of this release's chart; one that ends in ".*" stands for all below it."""
    at = order_of(read_release(version))
    return frozenset(path for path, spans in _values().values.items() if _within(at, spans))


def _within(at: Order, spans: str) -> bool:
    for span in spans.split(", "):
        first, _, last = span.partition("-")
        if order_of(first) <= at and (not last or at <= order_of(last)):
            return True
    return False


def has_value(version: str, path: str) -> bool:
    known = known_values(version)
    parts = path.split(".")
    above = (".".join(parts[:i]) + OPEN for i in range(1, len(parts) + 1))
    return path in known or any(a in known for a in above)


def is_parent(version: str, path: str) -> bool:
    """Whether values lie below it, each known by its name."""
    return any(k.startswith(f"{path}.") and k != path + OPEN for k in known_values(version))


def nearest(version: str, path: str) -> str:
    """What was probably meant: the first part of the path that is not known, spelt as one that is; else what there is
    in its place, where that is little; empty where nothing can be said."""
    known = {p.removesuffix(OPEN) for p in known_values(version)}
    above = ""
    for part in path.split("."):
        beside = sorted({p.removeprefix(above).partition(".")[0] for p in known if p.startswith(above)})
        if part not in beside:
            found = get_close_matches(part, beside, 1)
            return "".join(above + f for f in found) or (
                ", ".join(above + b for b in beside) if len(beside) < 4 else ""
            )
        above += f"{part}."
    return ""


def components(version: str, key: str) -> tuple[str, ...]:
    """Paths of the parts of the chart that have this value: those of `repository` can come from a mirror."""
    suffix = f".{key}"
    return tuple(sorted(p.removesuffix(suffix) for p in known_values(version) if p.endswith(suffix)))


@cache
def repositories(version: str) -> dict[str, str]:
    """Where the images of each part of the chart come from by default."""
    at = order_of(read_release(version))
    places = _values().repositories.items()
    return {part: place for part, there in places for place, spans in there.items() if _within(at, spans)}


def elsewhere(kubelet: str, labels: Iterable[str]) -> ContainerdElsewhere | None:
    """The distribution of a node whose containerd the toolkit must be led to."""
    keys = frozenset(labels)
    for found in data().containerd_elsewhere:
        if (found.kubelet and found.kubelet in kubelet) or (found.label and found.label in keys):
            return found
    return None


def operand_namespace(version: str, namespace: str) -> str:
    """Where the operands of a release in `namespace` run."""
    fixed = data().operands_elsewhere
    return fixed.namespace if order_of(version) <= order_of(fixed.last) else namespace
