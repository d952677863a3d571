"""What types cannot say of a GPUSetup: whose document it is, and which fields contradict each other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from gpuready.adapters.kube_words import clean
from gpuready.adapters.yamlfile import Mapping, Node, Place, Problem, Scalar, Sequence
from gpuready.model.spec import API_VERSION, KIND, Agent

# What people give by mistake. https://docs.nvidia.com/datacenter/cloud-native/gpu-operator/latest/
OTHERS = {
    ("nvidia.com", "ClusterPolicy"): "it configures NVIDIA's GPU Operator",
    ("nvidia.com", "NVIDIADriver"): "it configures a driver of NVIDIA's GPU Operator",
    ("nvidia.com", "GPUCluster"): "it configures the DRA stack of NVIDIA's GPU Operator",
    ("", "Config"): "a kubeconfig, which is given with --kubeconfig",
}
VERSION = re.compile(r"v([1-9][0-9]{0,2})(?:(alpha|beta)([1-9][0-9]{0,2}))?")
# https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
SUFFIX = {"": 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30}
QUANTITY = re.compile(r"([0-9]{1,16}(?:\.[0-9]{1,16})?)(m|k|Ki|M|Mi|G|Gi)?")


class Stranger(NamedTuple):
    """The document is not one that this version reads; its fields need not be looked at."""

    problem: Problem
    next: str


def stranger(root: Mapping) -> Stranger | None:
    """Another kind of object, or a GPUSetup of another version. Slips of the pen are left to the check of types."""
    version, kind = _text(root, "apiVersion"), _text(root, "kind")
    group = version.rpartition("/")[0]
    ours = API_VERSION.partition("/")[0]
    if group == ours and kind in (KIND, "") and version != API_VERSION:
        return _other_version(version, root.items["apiVersion"].value.place)
    if not kind or kind.casefold() == KIND.casefold() or group == ours:
        return None
    place = root.items["kind"].value.place
    what = OTHERS.get((group, kind))
    source = f" of {clean(version, 60)}" if version else ""
    told = f"this is a {clean(kind, 60)}{source}{': ' + what if what else ''}; expected a {KIND} of {API_VERSION}"
    return Stranger(Problem(place, told), "name a file that `gpuready init` wrote")


def contradictions(root: Mapping) -> Iterator[Problem]:
    """Fields that are right one by one and wrong together."""
    spec = _at(root, "spec")
    nodes = _at(spec, "nodes")
    names, excluded = _texts(_at(nodes, "names")), _texts(_at(nodes, "exclude"))
    yield from _twice(names, "spec.nodes.names")
    yield from _twice(excluded, "spec.nodes.exclude")
    named = {text: place for place, text in reversed(names)}
    for place, text in excluded:
        if text in named:
            line = named[text].line
            yield Problem(place, f"spec.nodes.exclude: '{clean(text, 60)}' is in spec.nodes.names too (line {line})")
    tolerations = _at(nodes, "tolerations")
    for index, item in enumerate(tolerations.items if isinstance(tolerations, Sequence) else ()):
        yield from _toleration(item, f"spec.nodes.tolerations[{index}]")
    yield from _memory(_at(spec, "agent"))


def _other_version(version: str, place: Place) -> Stranger:
    theirs, ours = _order(version), _order(API_VERSION)
    if theirs is None or ours is None:
        told = f"apiVersion: must be {API_VERSION}, not '{clean(version, 60)}'"
        return Stranger(Problem(place, told), f"write apiVersion: {API_VERSION}")
    age = "newer" if theirs > ours else "older"
    told = f"apiVersion: {version} is {age} than {API_VERSION}, which this gpuready reads"
    if theirs > ours:
        return Stranger(Problem(place, told), "run the gpuready that the file was written for, or a newer one")
    return Stranger(Problem(place, told), "write the spec anew with `gpuready init`")


def _order(version: str) -> tuple[int, int, int] | None:
    match = VERSION.fullmatch(version.rpartition("/")[2])
    if not match:
        return None
    return int(match[1]), {"alpha": 0, "beta": 1, None: 2}[match[2]], int(match[3] or 0)


def _twice(items: list[tuple[Place, str]], path: str) -> Iterator[Problem]:
    first: dict[str, Place] = {}
    for place, text in items:
        if text in first:
            yield Problem(place, f"{path}: '{clean(text, 60)}' is there twice, first in line {first[text].line}")
        first.setdefault(text, place)


def _toleration(item: Node, path: str) -> Iterator[Problem]:
    """https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/: Exists has no value."""
    if not isinstance(item, Mapping):
        return
    operator, value = _text(item, "operator") or "Exists", _text(item, "value")
    if operator == "Equal" and not value:
        yield Problem(item.place, f"{path}: operator Equal needs a value; for any value write operator: Exists")
    if operator == "Exists" and value:
        default = "" if "operator" in item.items else ", which is the default,"
        told = f"operator Exists{default} takes no value; to compare it write operator: Equal"
        yield Problem(item.items["value"].place, f"{path}: {told}")


def _memory(agent: Node | None) -> Iterator[Problem]:
    """The API server refuses a request above the limit, but only when the DaemonSet makes its pods."""
    if not isinstance(agent, Mapping):
        return
    asked = _bytes(_text(agent, "memory") or Agent().memory)
    limit = _bytes(_text(agent, "memoryLimit") or Agent().memory_limit)
    if asked is not None and limit is not None and asked > limit:
        if _text(agent, "memory"):
            yield Problem(agent.items["memory"].value.place, "spec.agent.memory: more than memoryLimit")
        else:
            told = f"spec.agent.memoryLimit: less than memory, by default {Agent().memory}"
            yield Problem(agent.items["memoryLimit"].value.place, told)


def _bytes(quantity: str) -> float | None:
    match = QUANTITY.fullmatch(quantity)
    return float(match[1]) * SUFFIX[match[2] or ""] if match else None


def _at(node: Node | None, key: str) -> Node | None:
    entry = node.items.get(key) if isinstance(node, Mapping) else None
    return entry.value if entry else None


def _text(node: Mapping, key: str) -> str:
    found = _at(node, key)
    return found.value if isinstance(found, Scalar) and isinstance(found.value, str) else ""


def _texts(node: Node | None) -> list[tuple[Place, str]]:
    items = node.items if isinstance(node, Sequence) else ()
    return [(i.place, i.value) for i in items if isinstance(i, Scalar) and isinstance(i.value, str)]
