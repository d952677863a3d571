"""What the configuration files of a container runtime say, read as the runtime would. Pure: opens no file itself.

How to use it: give `Files`, two functions that answer for host paths (`read` the text of a file, `names` the entries of
a folder), and the path that the runtime begins with:

    config = read_containerd("/etc/containerd/config.toml", files)   # RuntimeConfig, or None: there is no such file

or go step by step, as a writer does:

    documents = containerd_documents(path, files)      # the root file and what it imports, in the order that counts
    section = cri_section(documents[0])                # the table of the CRI plugin, by the version of the file
    runtimes = runtimes_in(section)                    # handler -> its table

Facts: containerd's cmd/containerd/server/config/config.go (order of imports, merging, versions) and docs/cri/config.md;
crio.conf(5), crio.conf.d(5); dockerd's daemon.json. Texts are hostile: they are of bounded size, and nothing in them
raises anything but `Unreadable`.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from posixpath import normpath
from typing import Any, NamedTuple

from gpuready.model.facts.host import RuntimeConfig
from gpuready.model.unknown import Unknown

Table = Mapping[str, Any]
LARGEST = 256 << 10  # characters of one file; a full `containerd config dump` has 20,000
MOST_FILES = 32
MOST_NAMES = 256  # handlers of one configuration
LONGEST_NAME = 128

# The table of the CRI plugin by the version of the file (containerd 1.0, 1.3, 2.0).
CRI_IN = {1: "cri", 2: "io.containerd.grpc.v1.cri", 3: "io.containerd.cri.v1.runtime"}
# tomllib keeps every beginning of a dotted key, so that a key of 100,000 parts would take all memory.
DEEP_KEY = re.compile(r"""(?<![\w-])(?:(?:[\w-]+|"[^"\n]*"|'[^'\n]*')[ \t]*\.[ \t]*){32}""")
DEFAULT_HANDLER = "runc"  # containerd and docker have it without being told


class Unreadable(Exception):
    """A file that the runtime itself would refuse, in words: "line 12: ..."."""


class Files(NamedTuple):
    """How host paths are asked. None: not there. Unknown: it could not be seen from here."""

    read: Callable[[str], str | Unknown | None]
    names: Callable[[str], tuple[str, ...] | Unknown | None]


class Document(NamedTuple):
    path: str
    version: int  # of containerd's format
    tables: Table


class Documents(NamedTuple):
    found: tuple[Document, ...] = ()
    unread: tuple[str, ...] = ()  # named by an import, and not to be seen from here
    problem: str = ""  # why the runtime would not start with them


def parse_toml(text: str) -> Table:
    """Raises Unreadable."""
    if DEEP_KEY.search(text[: LARGEST + 1]):
        raise Unreadable("a key in it has too many parts")
    try:
        return tomllib.loads(_bounded(text))
    except (tomllib.TOMLDecodeError, ValueError) as error:
        raise Unreadable(_words(error)) from None
    except RecursionError:
        raise Unreadable("it is nested too deeply") from None


def parse_json(text: str) -> Table:
    """The object of a JSON file. Raises Unreadable."""
    try:
        found = json.loads(_bounded(text))
    except ValueError as error:
        raise Unreadable(_words(error)) from None
    except RecursionError:
        raise Unreadable("it is nested too deeply") from None
    if not isinstance(found, dict):
        raise Unreadable("it is no JSON object")
    return found


def table(value: Any, *path: str) -> Table:
    """The table at the end of this path; empty where there is none."""
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}


# -- containerd


def containerd_documents(path: str, files: Files) -> Documents | None:
    """The root file and all that is imported from it, breadth first as containerd reads them. None: no root file."""
    found: list[Document] = []
    unread: list[str] = []
    pending = [path]
    for place in pending:
        if place in [document.path for document in found] or place in unread:
            continue
        if len(found) + len(unread) >= MOST_FILES:
            return Documents(tuple(found), tuple(unread), f"more than {MOST_FILES} files are imported")
        text = files.read(place)
        if text is None and place == path:
            return None
        if isinstance(text, Unknown):
            unread.append(place)
            continue
        if text is None:
            return Documents(tuple(found), tuple(unread), f"it imports {_shown(place)}, which is not there")
        try:
            document = _document(place, text)
        except Unreadable as problem:
            where = "" if place == path else f"{_shown(place)}: "
            return Documents(tuple(found), tuple(unread), f"{where}{problem}")
        found.append(document)
        if document.version > found[0].version:
            why = f"{_shown(place)} is of version {document.version}, the root file of {found[0].version}"
            return Documents(tuple(found), tuple(unread), why)
        imported, unseen = _imports(document, files)
        pending += imported
        unread += unseen
    return Documents(tuple(found), tuple(unread))


def _document(path: str, text: str) -> Document:
    tables = parse_toml(text)
    version = tables.get("version", 2 if not tables else 1)
    if not isinstance(version, int) or isinstance(version, bool) or version < 0:
        raise Unreadable("version is no number")
    return Document(path, version or 1, tables)


def _imports(document: Document, files: Files) -> tuple[list[str], list[str]]:
    """(paths, folders that could not be seen). A path without * need not be there: that is for the reader to find."""
    paths: list[str] = []
    unseen: list[str] = []
    wanted = document.tables.get("imports")
    for one in wanted if isinstance(wanted, list) else ():
        if not isinstance(one, str) or "\0" in one:
            continue
        path = PurePosixPath(normpath(str(PurePosixPath(document.path).parent / one)))
        if "*" not in str(path):
            paths.append(str(path))
        elif "*" in str(path.parent):
            unseen.append(str(path))  # folders by pattern: nobody writes that; not followed
        else:
            names = files.names(str(path.parent))
            if isinstance(names, Unknown):
                unseen.append(str(path))
            else:
                paths += [str(path.parent / n) for n in sorted(names or ()) if _glob(n, path.name)]
    return paths[: MOST_FILES + 1], unseen


def _glob(name: str, pattern: str) -> bool:
    """As Go's filepath.Glob: a name that begins with a dot is matched too."""
    return fnmatchcase(name, pattern)


def cri_section(document: Document) -> Table:
    """The table that configures runtimes, by the version of the file; empty where it has none."""
    plugins = table(document.tables, "plugins")
    name = CRI_IN[min(document.version, 3)]
    return table(plugins, name) or (table(plugins, CRI_IN[2]) if document.version == 1 else {})


def runtimes_in(section: Table) -> dict[str, Table]:
    """Handler -> its table, of one CRI section."""
    runtimes = table(section, "containerd", "runtimes")
    return {name: table(runtimes, name) for name in list(runtimes)[:MOST_NAMES] if _is_name(name)}


def misplaced_in(document: Document) -> tuple[str, ...]:
    """Handlers in a section that belongs to another version of the format: containerd does not read it."""
    plugins = table(document.tables, "plugins")
    read = runtimes_in(cri_section(document))
    others = [name for name in runtimes_of_all(table(plugins, one) for one in CRI_IN.values()) if name not in read]
    return tuple(others)


def runtimes_of_all(sections: Iterable[Table]) -> dict[str, Table]:
    """Those of later sections beside, or in place of, those of earlier ones."""
    return {name: runtime for section in sections for name, runtime in runtimes_in(section).items()}


def read_containerd(path: str, files: Files) -> RuntimeConfig | None:
    """What containerd would have after its next start, from 2.0 on; `replaced` tells what an older one would lose."""
    documents = containerd_documents(path, files)
    if documents is None:
        return None
    sections = [section for document in documents.found if (section := cri_section(document))]
    runtimes = runtimes_of_all(sections)
    kept = runtimes_in(sections[-1]) if sections else {}
    misplaced = dict.fromkeys(name for document in documents.found for name in misplaced_in(document))
    return RuntimeConfig(
        runtime="containerd",
        path=path,
        files=tuple(document.path for document in documents.found),
        handlers=tuple(sorted({*runtimes, DEFAULT_HANDLER})),
        default_handler=_last_text(table(s, "containerd").get("default_runtime_name") for s in sections)
        or DEFAULT_HANDLER,
        cdi=_last_bool(section.get("enable_cdi") for section in sections),
        binaries={n: p for n, t in sorted(runtimes.items()) if (p := _text(table(t, "options").get("BinaryName")))},
        replaced=tuple(sorted(set(runtimes) - set(kept))),
        misplaced=tuple(sorted(set(misplaced) - set(runtimes))),
        unread=documents.unread,
        problem=documents.problem or _cri_off(documents.found),
    )


def _cri_off(documents: Iterable[Document]) -> str:
    off = {name for d in documents for name in _texts(d.tables.get("disabled_plugins"))}
    named = sorted(off & set(CRI_IN.values()))
    return f"disabled_plugins has {named[0]}: the kubelet cannot use this containerd" if named else ""


# -- CRI-O


def read_crio(path: str, files: Files) -> RuntimeConfig | None:
    """crio.conf, then every file of crio.conf.d beside it in the order of their names. None: neither is there."""
    folder = f"{path}.d"
    names = files.names(folder)
    unread = [folder] if isinstance(names, Unknown) else []
    found: list[tuple[str, Table]] = []
    problem = ""
    places = [path, *(f"{folder}/{n}" for n in sorted(() if isinstance(names, Unknown) else names or ()))]
    for place in places[: MOST_FILES + 1]:
        text = files.read(place)
        if isinstance(text, Unknown):
            unread.append(place)
        elif text is not None:
            try:
                found.append((place, table(parse_toml(text), "crio", "runtime")))
            except Unreadable as why:
                problem = problem or (str(why) if place == path else f"{_shown(place)}: {why}")
    if not (found or unread or problem):
        return None
    runtimes: dict[str, Table] = {}
    for _, section in found:
        given = table(section, "runtimes")
        runtimes |= {name: table(given, name) for name in list(given)[:MOST_NAMES] if _is_name(name)}
    return RuntimeConfig(
        runtime="cri-o",
        path=path,
        files=tuple(place for place, _ in found),
        handlers=tuple(sorted(runtimes)),
        default_handler=_last_text(section.get("default_runtime") for _, section in found),
        binaries={n: p for n, t in sorted(runtimes.items()) if (p := _text(t.get("runtime_path")))},
        unread=tuple(unread),
        problem=problem,
    )


# -- docker


def read_docker(path: str, files: Files) -> RuntimeConfig | None:
    """daemon.json. None: it is not there."""
    text = files.read(path)
    if text is None:
        return None
    if isinstance(text, Unknown):
        return RuntimeConfig(runtime="docker", path=path, unread=(path,))
    try:
        daemon = parse_json(text) if text.strip() else {}
    except Unreadable as why:
        return RuntimeConfig(runtime="docker", path=path, files=(path,), problem=str(why))
    given = table(daemon, "runtimes")
    runtimes = {name: table(given, name) for name in list(given)[:MOST_NAMES] if _is_name(name)}
    cdi = table(daemon, "features").get("cdi")
    return RuntimeConfig(
        runtime="docker",
        path=path,
        files=(path,),
        handlers=tuple(sorted({*runtimes, DEFAULT_HANDLER})),
        default_handler=_text(daemon.get("default-runtime")) or DEFAULT_HANDLER,
        cdi=cdi if isinstance(cdi, bool) else None,
        binaries={n: p for n, t in sorted(runtimes.items()) if (p := _text(t.get("path")))},
    )


# -- pieces of hostile texts


def _bounded(text: str) -> str:
    if len(text) > LARGEST:
        raise Unreadable(f"it has more than {LARGEST} characters")
    return text


def _words(error: Exception) -> str:
    return _shown(str(error))


def _shown(text: str) -> str:
    """Short and printable."""
    return "".join(c if c.isprintable() else "?" for c in text[:160])


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and 0 < len(name) <= LONGEST_NAME and name.isprintable()


def _text(value: Any) -> str:
    return _shown(value) if isinstance(value, str) else ""


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(v for v in value if isinstance(v, str)) if isinstance(value, list) else ()


def _last_text(values: Iterable[Any]) -> str:
    return next((text for text in reversed([_text(v) for v in values]) if text), "")


def _last_bool(values: Iterable[Any]) -> bool | None:
    return next((v for v in reversed(list(values)) if isinstance(v, bool)), None)
