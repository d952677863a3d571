"""Facts from YAML, strictly: a misspelt fact or field is an error that names the nearest one.

A file states only what differs from `defaults.yaml`. `{unknown: why}` stands for an Unknown wherever one is legal.
"""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec
import yaml

from gpuready.model.facts.agent import AgentReport
from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.facts.compute import ComputeReport
from gpuready.model.facts.host import HostFacts, HostReport
from gpuready.model.facts.said import Said
from gpuready.model.journal import Inventory
from gpuready.model.spec import Setup
from gpuready.model.unknown import Unknown

KINDS: dict[str, Any] = {
    "cluster": ClusterFacts,
    "setup": Setup,
    "looks": Mapping[str, HostReport | Unknown],
    "inventory": Inventory,
    "chosen": tuple[str, ...],
    "probes": Mapping[str, ComputeReport | Unknown],
    "agents": Mapping[str, AgentReport | Unknown],
    "hosts": Mapping[str, HostFacts | Unknown],
    "nonce": str,
    "said": Said,
}


@cache
def load_yaml(path: Path) -> Any:
    """Once a file, by the loader in C: the one in Python takes ten times as long."""
    return yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)


DEFAULTS = load_yaml(Path(__file__).parent / "defaults.yaml")
hints_of = cache(get_type_hints)  # it evaluates every annotation anew at each call


class BadFacts(Exception):
    pass


def build(raw: Mapping[str, Any]) -> dict[str, Any]:
    """All fact families; those that `raw` leaves out are the healthy ones of defaults.yaml."""
    _known_names("fact", raw, KINDS, "")
    return {n: _family(n, _merge(DEFAULTS["facts"][n], raw[n])) if n in raw else _healthy(n) for n in KINDS}


def _family(name: str, raw: Any) -> Any:
    return convert(Union[KINDS[name], Unknown], raw, name)  # noqa: UP007


@cache
def _healthy(name: str) -> Any:
    return _family(name, DEFAULTS["facts"][name])


def merge_facts(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Family by family: what `change` does not name stays as it is in `base`."""
    return {**base, **{name: _merge(base.get(name), value) for name, value in change.items()}}


def _merge(base: Any, change: Any) -> Any:
    """Mappings are merged key by key, everything else is replaced; so is what an empty mapping or an Unknown meets."""
    if not (isinstance(base, Mapping) and isinstance(change, Mapping)) or not change:
        return change
    if "unknown" in base or "unknown" in change:
        return change
    return {**base, **{key: _merge(base.get(key), value) for key, value in change.items()}}


def convert(kind: Any, value: Any, path: str) -> Any:
    options = get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)
    if isinstance(value, Mapping) and set(value) <= {"unknown", "ask"} and "unknown" in value:
        if Unknown not in options:
            raise BadFacts(f"{path} may not be Unknown")
        return Unknown(value["unknown"], value.get("ask", ""))
    plain = [option for option in options if option is not Unknown]
    if value is None and type(None) in plain:
        return None
    return _plain(next(option for option in plain if option is not type(None)), value, path)


def _plain(kind: Any, value: Any, path: str) -> Any:
    origin = get_origin(kind)
    if origin is tuple:
        _is(value, list, path)
        return tuple(convert(get_args(kind)[0], item, f"{path}[{i}]") for i, item in enumerate(value))
    if origin is Mapping:
        _is(value, Mapping, path)
        return {key: convert(get_args(kind)[1], item, f"{path}.{key}") for key, item in value.items()}
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _struct(kind, value, path)
    try:
        return value if kind is Any else msgspec.convert(value, kind, strict=True)
    except msgspec.ValidationError as error:
        raise BadFacts(f"{path}: {error}") from error


def _struct(kind: type[msgspec.Struct], value: Any, path: str) -> msgspec.Struct:
    _is(value, Mapping, path)
    hints = hints_of(kind)
    _known_names("field", value, hints, path)
    value = {**DEFAULTS["elements"].get(kind.__name__, {}), **value}
    try:
        return kind(**{name: convert(hints[name], item, f"{path}.{name}") for name, item in value.items()})
    except TypeError as error:
        raise BadFacts(f"{path}: {error}") from error


def _known_names(what: str, given: Mapping[str, Any], known: Mapping[str, Any], path: str) -> None:
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise BadFacts(f"unknown {what} {name!r}{f' in {path}' if path else ''}{hint}")


def _is(value: Any, kind: type, path: str) -> None:
    if not isinstance(value, kind):
        raise BadFacts(f"{path}: expected {kind.__name__}, got {value!r}")


def hidings(facts: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(what is hidden, facts without it) for every fact family that is there and every field that may be Unknown."""
    for name, kind in KINDS.items():
        if name not in facts:
            continue
        yield name, {**facts, name: Unknown("hidden")}
        for path, hidden in _hidings(kind, facts[name], name):
            yield path, {**facts, name: hidden}


def _hidings(kind: Any, value: Any, path: str) -> Iterator[tuple[str, Any]]:
    options = get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)
    if Unknown in options and not isinstance(value, Unknown):
        yield path, Unknown(f"hidden: {path}")
    inner = next((o for o in options if o not in (Unknown, type(None))), None)
    if isinstance(value, tuple):
        for i, item in enumerate(value):
            for where, hidden in _hidings(get_args(inner)[0], item, f"{path}[{i}]"):
                yield where, (*value[:i], hidden, *value[i + 1 :])
    elif isinstance(value, Mapping):
        for key, item in value.items():
            for where, hidden in _hidings(get_args(inner)[1], item, f"{path}.{key}"):
                yield where, {**value, key: hidden}
    elif isinstance(value, msgspec.Struct) and not isinstance(value, Unknown):
        for name, hint in hints_of(type(value)).items():
            for where, hidden in _hidings(hint, getattr(value, name), f"{path}.{name}"):
                yield where, msgspec.structs.replace(value, **{name: hidden})
