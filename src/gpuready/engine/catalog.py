"""Finds rules and collectors by walking their folders, on first use. A duplicate or a stranger is an error."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from importlib.resources import files
from typing import TypeVar

from gpuready.model.collector import Collector
from gpuready.model.remedy import Remedy
from gpuready.model.rule import Rule

T = TypeVar("T")

RULES = "gpuready.rules"
COLLECTORS = "gpuready.collectors"
REMEDIES = "gpuready.remedies"


class CatalogueError(Exception):
    """A folder of the catalogue holds something that does not belong there: a fault of the program."""


def preflight_rules() -> tuple[Rule, ...]:
    return rules("preflight")


@cache
def layers() -> tuple[str, ...]:
    package = importlib.import_module(RULES)
    found = []
    for module in pkgutil.iter_modules(package.__path__):
        if not module.ispkg:
            raise CatalogueError(f"{RULES}.{module.name} is no layer: a rule lies in a folder of its layer")
        found.append(module.name)
    return tuple(sorted(found))


@cache
def rules(layer: str) -> tuple[Rule, ...]:
    """The rules of one layer, sorted by id."""
    if layer not in layers():
        raise CatalogueError(f"no layer {layer!r}; there are {', '.join(layers())}")
    package = f"{RULES}.{layer}"
    found = {name: _entry(f"{package}.{name}", "RULE", Rule) for name in _modules(package)}
    for name, rule in found.items():
        if rule.layer != layer or rule.id.replace("-", "_") != name:
            raise CatalogueError(f"{package}.{name} holds rule {rule.id!r} of layer {rule.layer!r}")
    return tuple(found[name] for name in sorted(found))


def all_rules() -> tuple[Rule, ...]:
    """Of every layer; an id is unique over all of them."""
    found: dict[str, Rule] = {}
    for layer in layers():
        for rule in rules(layer):
            if rule.id in found:
                raise CatalogueError(f"rule {rule.id!r} is in layer {layer!r} and in layer {found[rule.id].layer!r}")
            found[rule.id] = rule
    return tuple(found.values())


@cache
def collectors() -> tuple[Collector, ...]:
    found: dict[str, Collector] = {}
    for name in _modules(COLLECTORS):
        collector = _entry(f"{COLLECTORS}.{name}", "COLLECTOR", Collector)
        if collector.gives in found:
            raise CatalogueError(f"two collectors give {collector.gives!r}")
        found[collector.gives] = collector
    return tuple(found.values())


@cache
def remedies() -> dict[str, Remedy]:
    """By the id of the rule that each mends."""
    found = {name: _entry(f"{REMEDIES}.{name}", "REMEDY", Remedy) for name in _modules(REMEDIES)}
    for name, remedy in found.items():
        if remedy.rule.replace("-", "_") != name:
            raise CatalogueError(f"{REMEDIES}.{name} holds the remedy of rule {remedy.rule!r}")
    return {remedy.rule: remedy for remedy in found.values()}


def _modules(package: str) -> list[str]:
    """Names of the modules of a catalogue folder; one that begins with an underscore is shared by the others."""
    names = []
    for entry in files(package).iterdir():
        name = entry.name.removesuffix(".py")
        if name.startswith("_") or entry.name.endswith(".cases.yaml"):
            continue
        if name == entry.name:
            raise CatalogueError(f"{package}: {entry.name} does not belong there")
        names.append(name)
    return sorted(names)


def _entry(module: str, attribute: str, kind: type[T]) -> T:
    entry = getattr(importlib.import_module(module), attribute, None)
    if not isinstance(entry, kind):
        raise CatalogueError(f"{module} has no {attribute}")
    return entry
