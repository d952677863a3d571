"""Strict YAML: one bounded document in which every value keeps its line and column. YAML 1.1 as kubectl reads it.

Duplicate keys, keys that are no text, merge keys and tags of programming languages are problems, never guesses.
Dates stay text. Nothing here opens a file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

import msgspec
import yaml

from gpuready.adapters.kube_words import clean
from gpuready.model.errors import UserError

MAX_BYTES = (
    1 << 20
)  # a spec that names 5,000 nodes of 253 letters and as many exclusions does not fit, and needs labels
MAX_DEPTH = 32  # libyaml's composer recurses on the C stack; GPUSetup is 5 deep
MAX_NODES = 20_000  # an alias stands for as many nodes as what it repeats
MAX_NUMBER = 40  # characters; int() of a longer one costs time, and no field takes it

# https://yaml.org/spec/1.1/#c-printable, plus what UTF-8 cannot carry
FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
TAG = "tag:yaml.org,2002:"
TEXT = ("str", "timestamp", "value", "merge")  # the last two are the plain scalars `=` and `<<`
BOOLEANS = yaml.constructor.SafeConstructor.bool_values
WIDE = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16", b"\x00\x00\xfe\xff": "UTF-32"}


class Place(NamedTuple):
    """From 1, as editors count. Columns are characters."""

    line: int
    column: int


class Problem(NamedTuple):
    place: Place
    message: str


class Scalar(NamedTuple):
    place: Place
    value: str | bool | int | float | None


class Sequence(NamedTuple):
    place: Place
    items: tuple[Node, ...]


class Entry(NamedTuple):
    place: Place  # of the key
    value: Node


class Mapping(NamedTuple):
    place: Place
    items: dict[str, Entry]


class Unread(NamedTuple):
    """A value of which a problem was told."""

    place: Place


Node: TypeAlias = Scalar | Sequence | Mapping | Unread


class NotYaml(Exception):
    """The document cannot be read at all."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def parse(data: str | bytes) -> tuple[Node | None, list[Problem]]:
    """The document, None where there is none, and what is wrong with keys and values. Raises NotYaml for the rest."""
    if not yaml.__with_libyaml__:  # the pure parser has other messages, and takes 10 times as long
        raise UserError("this PyYAML was built without libyaml", "install PyYAML from its wheel: pip install PyYAML")
    text = _text(data)
    try:
        _check_shape(text)
        root = yaml.CSafeLoader(text).get_single_node()
    except yaml.MarkedYAMLError as error:
        raise NotYaml(_syntax_problem(error, text)) from None
    except yaml.YAMLError as error:
        raise NotYaml(Problem(Place(1, 1), f"not YAML: {clean(str(error), 200)}")) from None
    if root is None:
        return None, []
    builder = _Builder()
    return builder.node(root, 0), builder.problems


def plain(node: Node) -> Any:
    """Dicts, lists and scalars. Members without a value are left out: Kubernetes too takes null for absent."""
    if isinstance(node, Mapping):
        return {
            key: plain(entry.value)
            for key, entry in node.items.items()
            if not isinstance(entry.value, Scalar) or entry.value.value is not None
        }
    if isinstance(node, Sequence):
        return [plain(item) for item in node.items]
    return node.value if isinstance(node, Scalar) else None


def _text(data: str | bytes) -> str:
    if len(data) > MAX_BYTES:
        raise NotYaml(Problem(Place(1, 1), f"larger than {MAX_BYTES >> 20} MiB"))
    text = data if isinstance(data, str) else _decoded(data)
    text = text.removeprefix("\ufeff")
    bad = FORBIDDEN.search(text)
    if bad:
        what = "a NUL character" if bad[0] == "\0" else f"the character U+{ord(bad[0]):04X}"
        raise NotYaml(Problem(_place_of(text, bad.start()), f"{what}, which YAML does not allow"))
    return text.replace("\t", " ") if _is_json(text) else text


def _decoded(data: bytes) -> str:
    for mark, encoding in WIDE.items():
        if data.startswith(mark):
            raise NotYaml(Problem(Place(1, 1), f"{encoding} text; save the file as UTF-8"))
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8")
        raise NotYaml(Problem(_place_of(before, len(before)), "not UTF-8 text; save the file as UTF-8")) from None


def _is_json(text: str) -> bool:
    """JSON may be indented with tabs, which libyaml refuses; within its strings there are none."""
    if "\t" not in text or not text.lstrip().startswith("{"):
        return False
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _place_of(text: str, offset: int) -> Place:
    lines = re.split("\r\n?|\n", text[:offset])
    return Place(len(lines), len(lines[-1]) + 1)


def _place(mark: Any) -> Place:
    return Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)


def _check_shape(text: str) -> None:
    """Depth and size from the stream of events, which costs no stack, before anything is composed."""
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=yaml.CSafeLoader)):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise NotYaml(Problem(_place(event.start_mark), f"nested more than {MAX_DEPTH} deep"))
        if count > 2 * MAX_NODES:  # a collection makes two events
            raise NotYaml(Problem(_place(event.start_mark), f"more than {MAX_NODES} values"))


def _syntax_problem(error: yaml.MarkedYAMLError, text: str) -> Problem:
    place, began = _place(error.problem_mark or error.context_mark), error.context_mark
    lines = re.split("\r\n?|\n", text)
    rest = lines[place.line - 1][place.column - 1 :] if place.line <= len(lines) else ""
    words = error.problem or "not YAML"
    if rest.startswith("\t"):
        words = "a tab; YAML is indented with spaces"
    elif words == "found character that cannot start any token":
        words = f"a value cannot begin with {rest[:1]!r}; put it in quotes"
    elif words == "mapping values are not allowed in this context":
        words = "a ':' where none can be: indent the line as its neighbours, or put the value in quotes"
    elif words == "but found another document":
        words = "a second document begins here; one document to a file"
    elif began:
        beginning = f", which begins in line {began.line + 1}" if began.line + 1 != place.line else ""
        words = f"{words} {error.context}{beginning}"
    return Problem(place, clean(words, 200))


class _Builder:
    """From libyaml's nodes to ours. Aliases are followed, so it counts what it makes."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._left = MAX_NODES

    def node(self, node: yaml.Node, depth: int) -> Node:
        place = _place(node.start_mark)
        self._left -= 1
        if depth > MAX_DEPTH:  # only an alias within its own anchor comes here
            raise NotYaml(Problem(place, "holds an alias to itself"))
        if self._left < 0:
            raise NotYaml(Problem(place, f"more than {MAX_NODES} values, counting each use of an alias"))
        if isinstance(node, yaml.MappingNode) and node.tag == f"{TAG}map":
            return Mapping(place, dict(self._entries(node, depth)))
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{TAG}seq":
            return Sequence(place, tuple(self.node(item, depth + 1) for item in node.value))
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, place)
        return self._unread(place, f"the tag {_shown(node.tag)} is not taken")

    def _entries(self, node: yaml.MappingNode, depth: int) -> Iterator[tuple[str, Entry]]:
        seen: dict[str, Place] = {}
        for key, value in node.value:
            place = _place(key.start_mark)
            if key.tag == f"{TAG}merge":
                self._unread(place, "merge keys ('<<') are not taken; write the fields out")
            elif not isinstance(key, yaml.ScalarNode) or key.tag.removeprefix(TAG) not in TEXT:
                self._unread(place, "the name of a field must be text; put it in quotes")
            elif key.value in seen:
                self._unread(place, f"{_shown(key.value)} is there twice, first in line {seen[key.value].line}")
            else:
                seen[key.value] = place
                yield key.value, Entry(place, self.node(value, depth + 1))

    def _scalar(self, node: yaml.ScalarNode, place: Place) -> Node:
        kind = node.tag.removeprefix(TAG)
        if kind in TEXT:
            return Scalar(place, str(node.value))
        if kind == "null":
            return Scalar(place, None)
        if kind not in ("bool", "int", "float"):
            return self._unread(place, f"the tag {_shown(node.tag)} is not taken")
        try:
            return Scalar(place, BOOLEANS[node.value.lower()] if kind == "bool" else _number(node))
        except (ValueError, KeyError, IndexError, OverflowError):
            return self._unread(place, f"not {'a boolean' if kind == 'bool' else 'a number that can be read'}")

    def _unread(self, place: Place, message: str) -> Unread:
        self.problems.append(Problem(place, message))
        return Unread(place)


def _number(node: yaml.ScalarNode) -> int | float:
    if len(node.value) > MAX_NUMBER:
        raise ValueError("too long")
    read = yaml.constructor.SafeConstructor()
    if node.tag == f"{TAG}int":
        return int(read.construct_yaml_int(node))
    return float(read.construct_yaml_float(node))


def _shown(text: str) -> str:
    return f"'{clean(text, 60)}'"
