"""Holds a YAML document against a model of msgspec Structs: every fault with its place, not only the first.

msgspec itself stops at the first and knows no lines. What passes here passes msgspec.convert too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from functools import cache

from msgspec import inspect

from gpuready.adapters.kube_words import clean
from gpuready.adapters.yamlfile import Mapping, Node, Place, Problem, Scalar, Sequence, Unread
from gpuready.model.spec import GPUSetup

Leaf = inspect.StrType | inspect.IntType | inspect.LiteralType


@cache
def model() -> inspect.Type:
    """The types of GPUSetup; to take them apart costs as much as reading a spec."""
    return inspect.type_info(GPUSetup)


def check(node: Node, kind: inspect.Type, path: str = "") -> Iterator[Problem]:
    """What is wrong with `node`, in the order of the document. `path` is as in spec.nodes.names[0]."""
    kind, must = unwrap(kind)
    if isinstance(node, Unread):
        return
    if isinstance(kind, inspect.StructType):
        yield from _struct(node, kind, path)
    elif isinstance(kind, inspect.DictType):
        yield from _dict(node, kind, path)
    elif isinstance(kind, inspect.VarTupleType):
        yield from _items(node, kind, path)
    elif isinstance(kind, inspect.BoolType):
        if not (isinstance(node, Scalar) and isinstance(node.value, bool)):
            yield _problem(node.place, path, f"must be true or false, not {_got(node)}")
    elif isinstance(kind, inspect.AnyType):
        return
    elif isinstance(kind, Leaf):
        fault = _leaf(node, kind, must)
        if fault:
            yield _problem(node.place, path, fault)
    else:
        raise TypeError(f"{path}: the model uses {type(kind).__name__}, which nothing here checks")


def unwrap(kind: inspect.Type) -> tuple[inspect.Type, str]:
    """The type within Metadata and within `T | None`, and what its pattern asks for in words."""
    must = ""
    while True:
        if isinstance(kind, inspect.Metadata):
            must = str((kind.extra or {}).get("must", must))
            kind = kind.type
        elif isinstance(kind, inspect.UnionType) and len(kind.types) == 2 and kind.includes_none:
            kind = next(t for t in kind.types if not isinstance(t, inspect.NoneType))
        else:
            return kind, must


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'names'?`, or nothing."""
    by_fold = {k.casefold(): k for k in known}
    near = get_close_matches(word[:64].casefold(), by_fold, 1)
    return f"; did you mean '{by_fold[near[0]]}'?" if near else ""


def _struct(node: Node, kind: inspect.StructType, path: str) -> Iterator[Problem]:
    if not isinstance(node, Mapping):
        fields = ", ".join(f.encode_name for f in kind.fields)
        yield _problem(node.place, path, f"expected fields ({fields}), got {_got(node)}")
        return
    fields_by_name = {f.encode_name: f for f in kind.fields}
    for name, field in fields_by_name.items():
        if field.required and name not in node.items:
            yield _problem(node.place, path, f"'{name}' is missing")
    for key, (place, value) in node.items.items():
        known = fields_by_name.get(key)
        if known is None:
            yield _problem(place, path, _unknown_field(key, tuple(fields_by_name), path))
        elif not (isinstance(value, Scalar) and value.value is None):
            yield from check(value, known.type, f"{path}.{key}" if path else key)
        elif known.required:
            yield _problem(place, path, f"'{key}' has no value")


def _unknown_field(key: str, known: tuple[str, ...], path: str) -> str:
    hint = did_you_mean(key, known)
    elsewhere = [p for p in _paths_of_fields().get(key, ()) if p != path]
    if not hint and elsewhere:
        hint = f"; it belongs in {elsewhere[0] or 'the document itself'}"
    return f"unknown field '{clean(key, 60)}'{hint or '; there are ' + ', '.join(known)}"


@cache
def _paths_of_fields() -> dict[str, list[str]]:
    """Of each field's name in GPUSetup the places where it can be, outermost first."""
    found: dict[str, list[str]] = {}
    todo: list[tuple[str, inspect.Type]] = [("", model())]
    for path, kind in todo:
        kind, _ = unwrap(kind)
        if isinstance(kind, inspect.StructType):
            for field in kind.fields:
                found.setdefault(field.encode_name, []).append(path)
                todo.append((f"{path}.{field.encode_name}".lstrip("."), field.type))
    return found


def _dict(node: Node, kind: inspect.DictType, path: str) -> Iterator[Problem]:
    if not isinstance(node, Mapping):
        yield _problem(node.place, path, f"expected a mapping, got {_got(node)}")
        return
    for key, (place, value) in node.items.items():
        yield from check(Scalar(place, key), kind.key_type, path)
        yield from check(value, kind.value_type, f"{path}[{clean(key, 60)}]")


def _items(node: Node, kind: inspect.VarTupleType, path: str) -> Iterator[Problem]:
    if not isinstance(node, Sequence):
        yield _problem(node.place, path, f"expected a list, got {_got(node)}")
        return
    for index, item in enumerate(node.items):
        yield from check(item, kind.item_type, f"{path}[{index}]")


def _leaf(node: Node, kind: Leaf, must: str) -> str:
    """What is wrong, or nothing. Free text is not repeated: it could be a secret in the wrong place."""
    value = node.value if isinstance(node, Scalar) else None
    if isinstance(kind, inspect.LiteralType):
        return "" if value in kind.values and isinstance(value, str) else _not_among(node, kind)
    if isinstance(kind, inspect.IntType):
        return _int_fault(node, kind)
    if not isinstance(value, str):
        quotes = "; put it in quotes" if isinstance(value, bool | int | float) else ""
        return f"expected text, got {_got(node)}{quotes}"
    if not value.isprintable():
        return "holds a line break or another control character"
    if kind.max_length is not None and len(value) > kind.max_length:
        return f"longer than {kind.max_length} characters"
    if kind.pattern is not None and not re.search(kind.pattern, value):
        return f"must {must}"
    return ""


def _not_among(node: Node, kind: inspect.LiteralType) -> str:
    allowed = [str(v) for v in kind.values]
    choice = ", ".join(v or "''" for v in allowed)
    wanted = f"must be {choice}" if len(allowed) == 1 else f"must be one of {choice}"
    if not isinstance(node, Scalar) or not isinstance(node.value, str):
        return f"{wanted}, not {_got(node)}"
    return f"{wanted}, not '{clean(node.value, 60)}'{did_you_mean(node.value, allowed)}"


def _int_fault(node: Node, kind: inspect.IntType) -> str:
    value = node.value if isinstance(node, Scalar) else None
    if not isinstance(value, int) or isinstance(value, bool):
        quoted = isinstance(value, str) and value.isdecimal()
        return f"expected a whole number, got {_got(node)}{'; take away the quotes' if quoted else ''}"
    low, high = kind.ge, kind.le
    if (low is not None and value < low) or (high is not None and value > high):
        return f"must be {low} to {high}"
    return ""


def _got(node: Node) -> str:
    if isinstance(node, Mapping):
        return "a mapping"
    if isinstance(node, Sequence):
        return "a list"
    value = node.value if isinstance(node, Scalar) else None
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "a boolean"
    return "text" if isinstance(value, str) else "a number"


def _problem(place: Place, path: str, message: str) -> Problem:
    return Problem(place, f"{path}: {message}" if path else message)
