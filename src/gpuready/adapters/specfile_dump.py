"""Writes the commented gpuready.yaml: each value with its evidence, each default as a line to be uncommented."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Mapping
from typing import Any

import msgspec
import yaml
from msgspec import inspect

from gpuready.adapters.kube_words import clean
from gpuready.adapters.specfile_check import model, unwrap
from gpuready.adapters.specfile_load import SpecError, load
from gpuready.model.spec import GPU_OPERATOR, GPUSetup

WIDTH = 80
MAX_EVIDENCE = 400  # characters; five lines of comment
HEAD = (
    "What gpuready is asked to make of this cluster. `gpuready plan` shows what follows from it, "
    "`gpuready schema` prints the format.",
    "Lines such as #name: value show defaults, or examples where they say so; take away the # to set them.",
)


def dump(setup: GPUSetup, evidence: Mapping[str, str]) -> str:
    """The file's text, which loads to an equal setup. Raises SpecError where `setup` itself is not valid.

    Keys of `evidence` are paths: "spec.platform", "spec.nodes.names[gpu-1]". What looks like a secret in it is hidden.
    """
    writer = _Writer(evidence, _of_other_stacks(setup))
    for words in HEAD:
        writer.comment(words, "")
    writer.fields(setup, model(), "", "")
    writer.leftovers()
    text = "\n".join(writer.lines).rstrip() + "\n"
    if load(text, "the new spec") != setup:
        raise SpecError("the new spec cannot be written so that it reads as it was meant", "please report this")
    return text


def _of_other_stacks(setup: GPUSetup) -> tuple[str, ...]:
    """Parts that are as they are by default and have no meaning for this stack."""
    operator = setup.spec.stack == GPU_OPERATOR
    part, value = ("agent", setup.spec.agent) if operator else ("gpuOperator", setup.spec.gpu_operator)
    return (f"spec.{part}",) if value == type(value)() else ()


class _Writer:
    def __init__(self, evidence: Mapping[str, str], left_out: Collection[str] = ()) -> None:
        self.lines: list[str] = []
        self._left_out = left_out
        self._evidence = {path: f"detected: {clean(text, MAX_EVIDENCE)}" for path, text in evidence.items()}

    def fields(self, value: Any, kind: inspect.Type, path: str, indent: str) -> None:
        """All fields of one Struct; None stands for a Struct that is not there."""
        kind, _ = unwrap(kind)
        assert isinstance(kind, inspect.StructType)
        for field in kind.fields:
            here = f"{path}.{field.encode_name}" if path else field.encode_name
            inner, _ = unwrap(field.type)
            member = getattr(value, field.name, None)
            if here in self._left_out:
                continue
            if isinstance(inner, inspect.StructType):
                self._section(field, member, here, indent)
            elif value is None or (member == _default(field) and (not member or here not in self._evidence)):
                self._commented(field, here, indent)
            else:
                self._set(field, member, here, indent)

    def comment(self, words: str, indent: str) -> None:
        room = WIDTH - len(indent) - 2
        self.lines += [f"{indent}# {line}" for line in textwrap.wrap(words, room, break_on_hyphens=False)]

    def leftovers(self) -> None:
        """Evidence for what the setup has not: said all the same."""
        for path in list(self._evidence):
            self.comment(f"{clean(path, 200)}: {self._evidence.pop(path)}", "")

    def _section(self, field: inspect.Field, value: Any, path: str, indent: str) -> None:
        if indent:
            self._blank_line()
        self._above(field, path, indent)
        self.lines.append(f"{indent}{field.encode_name}:")
        self.fields(value, field.type, path, indent + "  ")
        self._blank_line()

    def _blank_line(self) -> None:
        if self.lines[-1] and not self.lines[-1].endswith("spec:"):
            self.lines.append("")

    def _commented(self, field: inspect.Field, path: str, indent: str) -> None:
        about, value = _notes(field, "description"), _default(field)
        default = bool(value) or value is False
        line = f"{indent}#{_member(field.encode_name, value if default else _example(field))}"
        if not default:
            self._above(field, path, indent)
        self._line(line, about if default else "example", indent)

    def _set(self, field: inspect.Field, value: Any, path: str, indent: str) -> None:
        value = msgspec.to_builtins(value)
        if isinstance(value, tuple | dict):
            self._above(field, path, indent)
            self.lines.append(f"{indent}{field.encode_name}:")
            self._members(value, path, indent + "  ")
            return
        about, found = _notes(field, "description"), self._evidence.pop(path, "")
        if found and about:
            self.comment(about, indent)
        self._line(f"{indent}{_member(field.encode_name, value)}", found or about, indent)

    def _members(self, value: Any, path: str, indent: str) -> None:
        for item in value:
            name = item["key"] if isinstance(item, dict) else item
            line = _member(item, value[item]) if isinstance(value, dict) else f"- {_yaml(item)}"
            self._line(indent + line, self._evidence.pop(f"{path}[{name}]", ""), indent)

    def _above(self, field: inspect.Field, path: str, indent: str) -> None:
        for words in (_notes(field, "description"), self._evidence.pop(path, "")):
            if words:
                self.comment(words, indent)

    def _line(self, line: str, words: str, indent: str) -> None:
        """`words` behind the line where that fits, else above it."""
        if words and len(line) + 4 + len(words) <= WIDTH:
            line += f"  # {words}"
        elif words:
            self.comment(words, indent)
        self.lines.append(line)


def _default(field: inspect.Field) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return None if field.default is msgspec.NODEFAULT else field.default


def _example(field: inspect.Field) -> Any:
    return (_notes(field, "examples") or [""])[0]


def _notes(field: inspect.Field, name: str) -> Any:
    kind = field.type
    return (kind.extra_json_schema or {}).get(name, "") if isinstance(kind, inspect.Metadata) else ""


def _member(name: str, value: Any) -> str:
    """`name: value` in one line. A name alone: PyYAML writes long keys over two lines, with question marks."""
    return f"{_yaml(name)}: {_yaml(value)}"


def _yaml(value: Any) -> str:
    """One line of YAML that reads back as `value`."""
    text = yaml.dump(value, Dumper=yaml.CSafeDumper, default_flow_style=True, sort_keys=False, width=1 << 30)
    return text.removesuffix("...\n").strip()
