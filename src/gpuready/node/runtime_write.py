"""A handler's entry in a container runtime's configuration: which files change, and how, to put it in or out. Pure.

What is ours names itself in the files, so that it is found again by whoever comes later, also after a lost answer:
a file of our own per handler, one import in containerd's config.toml, or a marked block. Nothing else is touched.

How runtimes read more than one file (each tried with the binary named):
- containerd 2.x merges an imported file key by key (containerd/containerd#9982; 2.0.7, 2.1.5, 2.2.9). It must have the
  version of config.toml: after one of another version the whole is migrated, or not, by the last one's.
- containerd 1.x puts an imported file's plugin section in the place of the whole one before (#5837; 1.6.20, 1.7.29): a
  file of our own would take every other setting away. There the entry is a block in the file whose section counts. It
  also forgets its own runc as soon as any handler is named.
- containerd 2.2 shows an import of conf.d in `config dump` that it does not read unless config.toml names it.
- A file named in `imports` must be there or containerd does not start; a pattern that matches nothing does no harm.
- CRI-O merges what lies in crio.conf.d by itself.
"""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from gpuready.model.errors import UserError
from gpuready.node.runtime_marks import block_of, insert_member, is_ours, offset_inside, own_text, toml
from gpuready.node.runtime_read import (
    CRI_IN,
    Document,
    Files,
    Unreadable,
    containerd_documents,
    cri_section,
    parse_json,
    parse_toml,
    runtimes_in,
    table,
)

CONTAINERD, CRIO, DOCKER = "/etc/containerd/config.toml", "/etc/crio/crio.conf", "/etc/docker/daemon.json"
CONFIG = {"containerd": CONTAINERD, "cri-o": CRIO, "docker": DOCKER}
FOLDER = {"containerd": "/etc/containerd/conf.d", "cri-o": "/etc/crio/crio.conf.d"}
SUFFIX = {"containerd": "toml", "cri-o": "conf"}
IMPORT = f"{FOLDER['containerd']}/99-gpuready*.toml"
FIRST_IMPORT = f'imports = ["{IMPORT}"]  # gpuready\n'
HEAD = re.compile(r"version = \d  # gpuready(?P<made> made this file)?\n")
MORE_IMPORT = f'"{IMPORT}", '
HANDLER = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")  # as RuntimeClass.handler: a DNS label
IMPORTS = re.compile(r"^[ \t]*imports[ \t]*=[ \t]*\[", re.MULTILINE)
DOCKER_MADE = "{ }"  # a daemon.json that was not there before; nobody else writes it so


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """The entry: the handler's name, the runtime binary on the node, whether pods that name no class get it too."""

    handler: str
    binary: str
    default: bool = False


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One file of the node. None: there is no such file."""

    path: str
    before: str | None
    after: str | None


class CannotWrite(UserError):
    """These files do not take the entry; nothing was changed."""


def put_in(runtime: str, version: tuple[int, int], files: Mapping[str, str], wanted: Wanted) -> tuple[Change, ...]:
    """What to change so that the runtime knows the handler; empty when it does already.

    `files`: host path -> text of the runtime's configuration files. `version`: the runtime's own, (2, 2).
    Raises CannotWrite, also where the handler is there with another binary: that entry is somebody's.
    """
    if not HANDLER.fullmatch(wanted.handler) or not wanted.binary.startswith("/") or not wanted.binary.isprintable():
        raise CannotWrite(f"{wanted.handler!r} with binary {wanted.binary!r} is no entry", "name an absolute path")
    if runtime == "containerd":
        changes = _containerd(version, files, wanted)
    elif runtime == "cri-o":
        changes = _crio(files, wanted)
    elif runtime == "docker":
        changes = _docker(files, wanted)
    else:
        raise CannotWrite(f"the runtime {runtime!r} is not known", "containerd, cri-o and docker are")
    return _different(files, changes)


def take_out(runtime: str, files: Mapping[str, str], handler: str) -> tuple[tuple[Change, ...], tuple[str, ...]]:
    """What to change so that nothing of ours is left for the handler, and which files stay as somebody has since
    changed what is ours in them."""
    if runtime == "docker":
        return _different(files, _docker_out(files, handler)), ()
    own, after, left = _own_file(runtime, handler), dict[str, str | None](), []
    others = [p for p in files if fnmatch.fnmatchcase(p, IMPORT) and (p != own or not is_ours(files[p]))]
    for path, text in files.items():
        block = block_of(text, handler)
        ours = path == own or block
        if ours and not is_ours(block.group("body") if block else text):
            left.append(path)
        elif path == own:
            after[path] = None
        else:
            text = text[: block.start()] + text[block.end() :] if block else text
            after[path] = _without_import(text) if path == CONTAINERD and not others else text
    return _different(files, after), tuple(left)


def handlers_of(dump: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The handlers' tables of a whole configuration as the runtime prints it, whatever its version."""
    return {name: entry for runtimes in _runtimes_tables(dump) for name, entry in runtimes.items()}


def _runtimes_tables(dump: Mapping[str, Any]) -> list[Any]:
    sections = [table(dump, "plugins", name, "containerd", "runtimes") for name in CRI_IN.values()]
    return [*sections, table(dump, "crio", "runtime", "runtimes")]


def rest_of(dump: Any, handler: str) -> Any:
    """A whole configuration, but for the handler and the list of its files: equal before and after, or something else
    has changed too. Defaults are left out: containerd 1.x prints them for what it was not told, and else does not."""
    bare = _set({k: v for k, v in dump.items() if k not in ("imports", "version")})
    for runtimes in _runtimes_tables(bare):
        runtimes.pop(handler, None)
    return _set(bare)


def _set(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    return {k: v for k, inner in value.items() if (v := _set(inner)) and (k, v) != ("sandbox_mode", "podsandbox")}


def _different(files: Mapping[str, str], after: Mapping[str, str | None]) -> tuple[Change, ...]:
    pairs = [(path, files.get(path), text) for path, text in after.items()]
    return tuple(Change(path=p, before=b, after=a) for p, b, a in pairs if b != a)


# -- containerd


def _containerd(version: tuple[int, int], files: Mapping[str, str], wanted: Wanted) -> dict[str, str | None]:
    found = _documents(files)
    schema = _schema(version, found)
    merged: Mapping[str, Any] = {}
    for document in found:
        part = cri_section(document)
        merged = _merged(merged, part) if version >= (2, 0) or not part else part
    if _has(runtimes_in(merged), wanted, ("options", "BinaryName")):
        return {}
    path = ["plugins", CRI_IN[min(schema, 3)], "containerd"]
    body = "".join(toml([*path, "runtimes", wanted.handler], _like_runc(merged, wanted)))
    if wanted.default:
        body = "".join(toml(path, {"default_runtime_name": wanted.handler})) + body
    if version < (2, 0):
        if not runtimes_in(merged):  # 1.x forgets its own runc as soon as any handler is named
            runc = {"runtime_type": "io.containerd.runc.v2", "options": {}}
            body = "".join(toml([*path, "runtimes", "runc"], runc)) + body
        return _marked_block(files, found, schema, wanted, body)
    own = _own_file("containerd", wanted.handler)
    after: dict[str, str | None] = {own: own_text(f"version = {schema}\n{body}")}
    if own not in [document.path for document in _documents({CONTAINERD: "", **files, **after})]:
        after[CONTAINERD] = _with_import(files, schema)
    return after


def _documents(files: Mapping[str, str | None]) -> tuple[Document, ...]:
    """config.toml and what it imports, in the order in which they count; empty where there is no config.toml."""
    found = containerd_documents(CONTAINERD, _as_files(files))
    if found is None:
        return ()
    if found.problem:
        raise CannotWrite(f"containerd does not take {CONTAINERD} as it is: {found.problem}", "mend it by hand first")
    return found.found


def _as_files(files: Mapping[str, str | None]) -> Files:
    def names(folder: str) -> tuple[str, ...]:
        return tuple(
            p.rpartition("/")[2] for p, text in files.items() if p.rpartition("/")[0] == folder and text is not None
        )

    return Files(files.get, names)


def _schema(version: tuple[int, int], found: tuple[Document, ...]) -> int:
    """Version of the files' format."""
    if not found or not found[0].tables:
        return 3 if version >= (2, 0) else 2
    if version >= (2, 0) and found[0].version < 2:
        # of such a file 2.x reads no CRI settings, unless an imported one is of version 2 (seen with 2.2.9)
        raise CannotWrite(
            f"{CONTAINERD} has no `version`, and containerd {version[0]}.x reads no CRI settings from it",
            "containerd config migrate shows it as this containerd would read it",
        )
    return found[0].version


def _merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**under, **{k: _merged(under[k], v) if _both_tables(under.get(k), v) else v for k, v in over.items()}}


def _both_tables(one: Any, other: Any) -> bool:
    return isinstance(one, Mapping) and isinstance(other, Mapping)


def _has(runtimes: Mapping[str, Any], wanted: Wanted, where: tuple[str, ...]) -> bool:
    """Whether the very entry is there. Another one of that name is somebody's, and is not overwritten."""
    if wanted.handler not in runtimes:
        return False
    binary = table(runtimes, wanted.handler, *where[:-1]).get(where[-1])
    if binary != wanted.binary:
        raise CannotWrite(
            f"the handler {wanted.handler} is configured already, with the binary {binary or 'of its type'}",
            f"put {wanted.binary} there by hand, or install what is named there",
        )
    return True


def _like_runc(cri: Mapping[str, Any], wanted: Wanted) -> dict[str, Any]:
    """As the runtime that pods get today, with all its options (SystemdCgroup!), but for the binary."""
    runtimes = runtimes_in(cri)
    default = str(table(cri, "containerd").get("default_runtime_name") or "runc")
    base = runtimes.get("runc" if "nvidia" in default else default) or runtimes.get("runc") or {}
    kind = base.get("runtime_type") or "io.containerd.runc.v2"
    return {**base, "runtime_type": kind, "options": {**table(base, "options"), "BinaryName": wanted.binary}}


def _marked_block(
    files: Mapping[str, str], found: tuple[Document, ...], schema: int, wanted: Wanted, body: str
) -> dict[str, str | None]:
    """The entry at the end of the file whose section counts."""
    path = next((document.path for document in reversed(found) if cri_section(document)), CONTAINERD)
    text = files.get(path, "")
    if block_of(text, wanted.handler):
        raise CannotWrite(f"{path} has our block for {wanted.handler}, changed by somebody", "remove it by hand")
    text = (_head(files, schema) if not _parse(text, path) else "") + text
    new_line = bool(text) and not text.endswith("\n")
    begin = (
        f"\n# gpuready begin {wanted.handler}, on a new line\n" if new_line else f"# gpuready begin {wanted.handler}\n"
    )
    text += f"{begin}{own_text(body)}# gpuready end {wanted.handler}\n"
    _parse(text, path)  # refuses where the table above is written in another way: inline, or there already
    return {path: text}


def _head(files: Mapping[str, str], schema: int) -> str:
    """The first line of a config.toml that says nothing, or that is not there."""
    return f"version = {schema}  # gpuready{'' if CONTAINERD in files else ' made this file'}\n"


def _with_import(files: Mapping[str, str], schema: int) -> str:
    """config.toml with our pattern among its imports; every other byte as it was."""
    main = files.get(CONTAINERD, "")
    top = _parse(main, CONTAINERD)
    if not top:
        text, top = f"{_head(files, schema)}{FIRST_IMPORT}{main}", {"version": schema}
    elif "imports" not in top:
        text = FIRST_IMPORT + main
    else:
        text = IMPORTS.sub(lambda found: found[0] + MORE_IMPORT, main, count=1)
    if _parse(text, CONTAINERD) != {**top, "imports": [IMPORT, *(top.get("imports") or ())]}:
        why = f"the imports of {CONTAINERD} are written in a way that cannot be added to"
        raise CannotWrite(why, f"add {IMPORT} there by hand")
    return text


def _without_import(text: str) -> str | None:
    """config.toml without our import, and without our first line where nothing needs it any more."""
    text = text.replace(FIRST_IMPORT, "", 1).replace(MORE_IMPORT, "", 1)
    head = HEAD.match(text)
    if not head or _parse(text[head.end() :], CONTAINERD):
        return text
    return None if head["made"] and len(text) == head.end() else text[head.end() :]


# -- CRI-O and docker


def _crio(files: Mapping[str, str], wanted: Wanted) -> dict[str, str | None]:
    runtime: Mapping[str, Any] = {}
    for path in (CRIO, *sorted(p for p in files if p.startswith(f"{FOLDER['cri-o']}/"))):
        runtime = _merged(runtime, table(_parse(files.get(path, ""), path), "crio", "runtime"))
    runtimes = table(runtime, "runtimes")
    if _has(runtimes, wanted, ("runtime_path",)):
        return {}
    base = (
        table(runtimes, str(runtime.get("default_runtime") or "")) or table(runtimes, "runc") or table(runtimes, "crun")
    )
    entry = {**base, "runtime_path": wanted.binary, "runtime_type": "oci"}
    body = "".join(toml(["crio", "runtime", "runtimes", wanted.handler], entry))
    if wanted.default:
        body = "".join(toml(["crio", "runtime"], {"default_runtime": wanted.handler})) + body
    return {_own_file("cri-o", wanted.handler): own_text(body)}


def _docker(files: Mapping[str, str], wanted: Wanted) -> dict[str, str | None]:
    """JSON has no comments: the entry stands in words of our own, on one line, and is known by them."""
    text = files.get(DOCKER, DOCKER_MADE)
    daemon = _json(text)
    if _has(table(daemon, "runtimes"), wanted, ("path",)):
        return {}
    if wanted.default:
        raise CannotWrite("docker's default runtime is not changed", f"set default-runtime in {DOCKER} by hand")
    entry = {"path": wanted.binary, "runtimeArgs": []}
    member = f'"{wanted.handler}": {json.dumps(entry)}'
    if "runtimes" in daemon:
        after = insert_member(text, offset_inside(text, "runtimes"), member, bool(daemon["runtimes"]))
    else:
        after = insert_member(text, 1 + text.index("{"), f'"runtimes": {{ {member} }}', bool(daemon))
    if _json(after) != _merged(daemon, {"runtimes": {wanted.handler: entry}}):
        raise CannotWrite(f"{DOCKER} cannot be added to", "add the runtime by hand")
    return {DOCKER: after}


def _docker_out(files: Mapping[str, str], handler: str) -> dict[str, str | None]:
    text = files.get(DOCKER, "")
    member = rf'"{re.escape(handler)}": \{{"path": "[^"]*", "runtimeArgs": \[\]\}}'
    out = re.sub(rf'"runtimes": \{{ {member} \}}(, )?', "", text, count=1)
    out = re.sub(rf"{member}(, )?", "", out, count=1)
    return {DOCKER: None if out == DOCKER_MADE else out} if DOCKER in files else {}


# -- files


def _own_file(runtime: str, handler: str) -> str:
    return f"{FOLDER[runtime]}/99-gpuready-{handler}.{SUFFIX[runtime]}" if runtime in FOLDER else ""


def _parse(text: str, path: str) -> Mapping[str, Any]:
    try:
        return parse_toml(text)
    except Unreadable as error:
        raise CannotWrite(f"{path} cannot be read: {error}", "mend it by hand first") from None


def _json(text: str) -> Mapping[str, Any]:
    try:
        return parse_json(text or "{}")
    except Unreadable as error:
        raise CannotWrite(f"{DOCKER} cannot be read: {error}", "mend it by hand first") from None
