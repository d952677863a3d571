"""Text that somebody pasted, in any mix: objects as YAML or JSON, kubectl's tables and descriptions, logs, kernel
messages, output of tools, with prompts, quotes and timestamps around them.

Objects become objects of the API again; every line is kept as a statement, with what the text around it tells of who
said it and about what.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import yaml

from gpuready.knowledge.speakers import family
from gpuready.model.facts.said import Line, Said
from gpuready.model.redact import redact
from gpuready.model.unknown import Unknown
from gpuready.texts.logline import ANSI, statement

Json = dict[str, Any]

MAX_LINES = 200_000
MAX_OBJECT = 4 << 20  # characters of one YAML or JSON document
MAX_DEPTH = 64
MAX_FAILED = 4 * MAX_OBJECT  # characters of what looks like documents and is none
MAX_TEXT = 200  # characters of what is no text in an object
INVISIBLE = dict.fromkeys((0, 0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF))
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
ONLY_PASTED = Unknown("only the pasted text was read", ask="gpuready doctor, on the cluster itself")

PROMPT = re.compile(r"^\s*(?:[\w.-]+@[\w.-]+[:~\s][^$#]{0,80}[$#]|\[[\w.-]+@[^\]]{1,80}\][$#]|[$#])\s+(?=[a-z./])")
QUOTE = re.compile(r"^(?:>\s?)+")
FENCE = re.compile(r"^\s*```\w*\s*$")
YAML_START = re.compile(r"^(?:apiVersion|kind): ?\S")
YAML_LINE = re.compile(r"^(?:\s+\S|- |-$|[\w.\"'/-]+:(?:\s|$)|#|\s*$|---|\.\.\.)")
DESCRIBED = re.compile(r"^(Name|Namespace|Node|Controlled By|Type):\s+(\S+)")
CONTAINER = re.compile(r"^  ([a-z0-9][a-z0-9.-]*):$")
EVENT = re.compile(r"^\s*(?:Normal|Warning)\s+(\S+)\s+(.{1,60}?)\s{2,}(\S+)\s{2,}(.+)$")
LIST_EVENT = re.compile(r"^(?:(\S+)\s+)?\S+\s+(?:Normal|Warning)\s+\S+\s+(\w+/\S+)\s+(.+)$")
LOGS = re.compile(r"\b(?:kubectl|oc)\b.*\blogs?\b[^|;&]*")
TOOLS = {"nvidia-smi": "nvidia-smi", "dmesg": "kernel", "journalctl": "log"}


class Pasted(NamedTuple):
    objects: tuple[Json, ...]
    said: Said


class Around(NamedTuple):
    """What the text before a line tells of it."""

    who: str = ""
    about: str = ""
    node: str = ""
    source: str = "text"
    described: str = ""  # kind of the description that it stands in: "pod", "node"


def read(text: str) -> Pasted:
    """Never fails: what is not understood is kept as lines. Secrets go first, but after what could stand in them."""
    cut = text.replace("\r\n", "\n").replace("\r", "\n").split("\n", MAX_LINES)
    lines = redact("\n".join(map(_bare, cut[:MAX_LINES]))).split("\n")
    objects: list[Json] = []
    taken: set[int] = set()
    for first, last, found in _documents(lines):
        objects += found
        taken.update(range(first, last))
    said = (*_statements(lines, taken), *(line for obj in objects for line in messages(obj)))
    missing = [ONLY_PASTED]
    if len(cut) > MAX_LINES:
        missing.append(Unknown(f"the text has more than {MAX_LINES} lines; the rest was not read", "paste less"))
    return Pasted(tuple(objects), Said(lines=said, missing=tuple(missing)))


def _bare(line: str) -> str:
    """Without what is not seen and what mail puts before it. Most lines have none of it: that is asked first."""
    if not line.isascii() or "\0" in line:
        line = line.translate(INVISIBLE)
    if "\x1b" in line:
        line = ANSI.sub("", line)
    return QUOTE.sub("", line) if line.startswith(">") else line


# -- objects


def _documents(lines: list[str]) -> Iterator[tuple[int, int, list[Json]]]:
    """(first line, line after the last, objects) of every JSON or YAML document that is an object of the API."""
    at, failed = 0, 0
    while at < len(lines) and failed < MAX_FAILED:
        end: int = at
        found: list[Json] = []
        if lines[at].startswith(("{", "[")):
            end = _json_end(lines, at)
            found = _parsed(lines[at:end], _json)
        elif YAML_START.match(lines[at]):
            end = _yaml_end(lines, at)
            found = _parsed(lines[at:end], _yaml)
        if found:
            yield at, end, found
        elif end > at + 1:
            failed += sum(map(len, lines[at:end]))
            end = at  # one may begin within it
        at = max(end, at + 1)


def _parsed(lines: list[str], parse: Callable[[str], list[Json]]) -> list[Json]:
    text = "\n".join(lines)
    try:
        return parse(text) if len(text) <= MAX_OBJECT else []
    except (yaml.YAMLError, ValueError, RecursionError):
        return []


def _json_end(lines: list[str], at: int) -> int:
    """One on a line of its own, or one that kubectl indented: from a line that is a brace to the one that closes it."""
    if lines[at].rstrip() not in ("{", "["):
        return at + 1
    close = "}" if lines[at].startswith("{") else "]"
    return next((n + 1 for n in range(at + 1, len(lines)) if lines[n].rstrip() == close), len(lines))


def _yaml_end(lines: list[str], at: int) -> int:
    end = at + 1
    while end < len(lines) and YAML_LINE.match(lines[end]) and not lines[end].startswith("---"):
        end += 1
    return end


def _json(text: str) -> list[Json]:
    return _objects(json.loads(text)) if '"kind"' in text else []


def _yaml(text: str) -> list[Json]:
    return _objects(yaml.load(text, Loader=LOADER)) if _harmless(text) else []


def _harmless(text: str) -> bool:
    """No aliases, which kubectl does not write and which are bombs in hostile text; not deep, which libyaml dies of."""
    depth = 0
    if len(text) > MAX_OBJECT:
        return False
    for event in yaml.parse(text, Loader=LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent) or depth > MAX_DEPTH:
            return False
    return True


def _objects(value: Any) -> list[Json]:
    """What has a kind and is no line of a log; the items of a List."""
    if isinstance(value, list):
        return [one for item in value for one in _objects(item)]
    if not isinstance(value, dict) or not isinstance(value.get("kind"), str) or "msg" in value:
        return []
    if value["kind"].endswith("List") and isinstance(value.get("items"), list):
        kind = value["kind"].removesuffix("List")
        items = [{"kind": kind, **item} if kind else item for item in value["items"] if isinstance(item, dict)]
        return [one for item in items for one in _objects(item)]
    return [_plain(value, 0)]


def _plain(value: Any, depth: int) -> Any:
    """As the API could have sent it: YAML and JSON can say more (dates, halves of characters, endless numbers)."""
    if isinstance(value, dict) and depth < MAX_DEPTH:
        return {str(_plain(key, MAX_DEPTH)): _plain(inner, depth + 1) for key, inner in value.items()}
    if isinstance(value, list) and depth < MAX_DEPTH:
        return [_plain(inner, depth + 1) for inner in value]
    if value is None or isinstance(value, bool) or (isinstance(value, int) and abs(value) < 1 << 63):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    text = value if isinstance(value, str) else str(value)[:MAX_TEXT]
    return text.encode("utf-8", "replace").decode()


def messages(obj: Json) -> Iterator[Line]:
    """What an object's status says, or an Event itself."""
    meta, spec = _map(obj.get("metadata")), _map(obj.get("spec"))
    kind, name, namespace = str(obj["kind"]).lower(), str(meta.get("name", "")), meta.get("namespace")
    about = f"{kind}/{namespace}/{name}" if namespace else f"{kind}/{name}"
    node = name if kind == "node" else str(spec.get("nodeName") or "")
    if kind == "event":
        yield from _event(obj)
        return
    if kind == "status":  # what the API server answers; it is about no object of its own
        yield Line(text=str(obj.get("message") or obj.get("reason") or ""), source="status", who="apiserver")
        return
    for path, reason, text in _told(obj.get("status"), "status", 0):
        said = f"{reason}: {text}" if reason and text else reason or text
        yield Line(text=said, source="status", about=about, node=node, where=f"{about} {path}")


def _map(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def _event(obj: Json) -> Iterator[Line]:
    of, source = _map(obj.get("involvedObject") or obj.get("regarding")), _map(obj.get("source"))
    who = _from(str(source.get("component") or obj.get("reportingComponent") or ""))
    kind, name = str(of.get("kind", "")).lower(), str(of.get("name", ""))
    about = f"node/{name}" if kind == "node" else f"{kind}/{of.get('namespace', 'default')}/{name}"
    text = str(obj.get("message") or obj.get("note") or "")
    node = name if kind == "node" else str(source.get("host") or "")
    yield Line(text=text, source="event", who=who, about=about, node=node, where=f"event of {about}")


def _told(value: Any, path: str, depth: int) -> Iterator[tuple[str, str, str]]:
    """(path, reason, message) wherever an object says why."""
    if depth > MAX_DEPTH:
        return
    if isinstance(value, dict):
        reason, text = value.get("reason"), value.get("message")
        if isinstance(text, str) or isinstance(reason, str):
            yield path, reason if isinstance(reason, str) else "", text if isinstance(text, str) else ""
        for key, inner in value.items():
            yield from _told(inner, f"{path}.{key}", depth + 1)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _told(inner, f"{path}[{number}]", depth + 1)


# -- lines


def _statements(lines: list[str], taken: set[int]) -> Iterator[Line]:
    around = Around()
    for number, line in enumerate(lines, 1):
        if number - 1 in taken or not line.strip() or FENCE.match(line):
            continue
        if match := PROMPT.match(line):
            around = _command(line[match.end() :])
            continue
        around = _described(line, around)
        yield _line(line, number, around)


def _command(command: str) -> Around:
    """What a shell command tells of the lines after it: whose log they are, which tool speaks."""
    if match := LOGS.search(command):
        return _whose_log(re.sub(r"(?<= )(-\S+?)=", r"\1 ", match[0]).split())
    tool = next((t for t in TOOLS if t in command.split()), "")
    return Around(source=TOOLS.get(tool, "text"), who="kernel" if tool == "dmesg" else "")


WITH_VALUE = {"-n": "n", "--namespace": "n", "-c": "c", "--container": "c", "--tail": "", "--since": "", "-l": ""}


def _whose_log(words: list[str]) -> Around:
    """kubectl -n gpu-operator logs -f POD CONTAINER --previous: flags in any place, some of them with a value."""
    told: dict[str, str] = {}
    names: list[str] = []
    rest = iter(words)
    for word in rest:
        if word in WITH_VALUE:
            told[WITH_VALUE[word]] = next(rest, "")
        elif not word.startswith("-"):
            names.append(word)
    names = names[next(i for i, name in enumerate(names) if name in ("log", "logs")) + 1 :]
    pod = names[0].removeprefix("pod/") if names else ""
    container = told.get("c") or (names[1] if len(names) > 1 else "")
    who = family(container) or family(pod) or "workload"
    return Around(who=who, about=f"pod/{told.get('n', 'default')}/{pod}" if pod else "", source="log")


def _described(line: str, around: Around) -> Around:
    """`kubectl describe` names the object at the left edge, and its containers two columns in."""
    if match := DESCRIBED.match(line):
        key, value = match.groups()
        if key == "Name":
            return Around(about=f"node/{value}", node=value, described="node")
        if key == "Namespace" and around.described:
            name = around.about.partition("/")[2]
            return around._replace(about=f"pod/{value}/{name}", node="", described="pod")
        if key == "Node" and around.described == "pod" and value != "<none>":
            return around._replace(node=value.partition("/")[0])
    if around.described == "pod" and (match := CONTAINER.match(line)):
        return around._replace(who=family(match[1]) or "workload")
    return around


def _line(line: str, number: int, around: Around) -> Line:
    where = f"line {number}"
    if match := EVENT.match(line):
        return Line(
            text=match[4].strip(),
            source="event",
            who=_from(match[3]),
            about=around.about,
            node=around.node,
            where=where,
        )
    if match := LIST_EVENT.match(line):
        kind, _, name = match[2].partition("/")
        about = f"node/{name}" if kind.lower() == "node" else f"{kind.lower()}/{match[1] or 'default'}/{name}"
        return Line(text=match[3].strip(), source="event", about=about, where=where)
    said = statement(line)
    source = said.source if said.source != "text" else around.source
    return Line(
        text=said.text,
        source=source,  # type: ignore[arg-type]
        who=said.who or around.who,
        about=around.about,
        node=around.node,
        where=where,
        at=said.at,
    )


def _from(component: str) -> str:
    """The column From of an event: kubelet, default-scheduler, job-controller."""
    return family(component.partition(",")[0]) or "apiserver"
