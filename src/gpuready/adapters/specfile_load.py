"""Reads gpuready.yaml: every fault with line and column, not only the first."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path

import msgspec

from gpuready.adapters.kube_words import clean
from gpuready.adapters.specfile_check import check, did_you_mean, model
from gpuready.adapters.specfile_meaning import contradictions, stranger
from gpuready.adapters.yamlfile import MAX_BYTES, Mapping, Node, NotYaml, Place, Problem, parse, plain
from gpuready.model.errors import UserError
from gpuready.model.spec import API_VERSION, KIND, GPUSetup

MAX_PROBLEMS = 20
FORMAT = "`gpuready schema` prints the format"
INIT = "`gpuready init` writes a spec"


class SpecError(UserError):
    """The spec is not one. `what` has one line for each fault: file:line:column: message."""


def load(text: str | bytes, name: str) -> GPUSetup:
    """The spec in `text`; `name` stands for it in messages. Raises SpecError with all faults, up to MAX_PROBLEMS."""
    try:
        root, problems = parse(text)
    except NotYaml as error:
        raise SpecError(
            _lines([error.problem], name), "correct the file, or write it anew with `gpuready init`"
        ) from None
    if root is None:
        raise SpecError(_lines([Problem(Place(1, 1), "nothing is in it")], name), INIT)
    foreign = stranger(root) if isinstance(root, Mapping) else None
    if foreign:
        raise SpecError(_lines([foreign.problem], name), foreign.next)
    found = list(islice(chain(problems, _faults(root)), MAX_PROBLEMS + 1))
    if found:
        raise SpecError(_lines(found, name), FORMAT)
    try:
        return msgspec.convert(plain(root), GPUSetup)
    except msgspec.ValidationError as error:  # the model has a constraint that `check` does not know
        raise SpecError(_lines([Problem(Place(1, 1), clean(str(error), 200))], name), FORMAT) from None


def load_file(path: Path) -> GPUSetup:
    """The spec in a regular file. Raises UserError when it cannot be read, SpecError when it is no spec."""
    shown = clean(str(path), 300)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # O_NONBLOCK: a FIFO must not hang us
    except FileNotFoundError:
        raise UserError(f"{shown}: no such file", INIT) from None
    except PermissionError:
        raise UserError(f"{shown}: permission denied", "make the file readable to you, or name another") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        why = error.strerror if isinstance(error, OSError) and error.strerror else "not a path"
        raise UserError(f"{shown} cannot be read: {why}", "check the path") from None
    try:
        return load(_contents(fd, shown), shown)
    finally:
        os.close(fd)


def check_names(setup: GPUSetup, platforms: Iterable[str], stacks: Iterable[str], name: str = "") -> None:
    """Are platform and stack among those that there are? `name` is the file's, for the message. Raises SpecError."""
    wrong = []
    for field, value, known in (
        ("platform", setup.spec.platform, sorted(platforms)),
        ("stack", setup.spec.stack, sorted(stacks)),
    ):
        if value not in known:
            hint = did_you_mean(value, known)
            wrong.append(f"spec.{field}: there is no {field} '{clean(value, 60)}', only {', '.join(known)}{hint}")
    if wrong:
        prefix = f"{clean(name, 300)}: " if name else ""
        raise SpecError("\n".join(prefix + line for line in wrong), "correct the spec; " + FORMAT)


def _faults(root: Node) -> Iterator[Problem]:
    if not isinstance(root, Mapping):
        yield Problem(root.place, f"expected a {KIND} of {API_VERSION}: fields apiVersion, kind, metadata, spec")
        return
    yield from check(root, model())
    yield from contradictions(root)


def _lines(problems: list[Problem], name: str) -> str:
    shown = clean(name, 300)
    lines = [f"{shown}:{p.place.line}:{p.place.column}: {p.message}" for p in sorted(problems[:MAX_PROBLEMS])]
    if len(problems) > MAX_PROBLEMS:
        lines.append(f"{shown}: there is more to correct than these {MAX_PROBLEMS}")
    return "\n".join(lines)


def _contents(fd: int, shown: str) -> bytes:
    kind = os.fstat(fd).st_mode
    if stat.S_ISDIR(kind):
        raise UserError(f"{shown} is a directory", "name the spec in it, such as gpuready.yaml")
    if not stat.S_ISREG(kind):
        raise UserError(f"{shown} is no regular file", "name `-` and give the spec on standard input")
    try:
        with os.fdopen(fd, "rb", closefd=False) as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UserError(f"{shown} cannot be read: {error.strerror}", "check the file system") from None
    if len(data) > MAX_BYTES:
        raise UserError(f"{shown} is larger than {MAX_BYTES >> 20} MiB", "name the spec, which is a small file")
    return data
