"""One line of a log without its frame: timestamps, levels, prefixes and JSON around the sentence are taken off."""

from __future__ import annotations

import re
from typing import NamedTuple

import msgspec

from gpuready.knowledge.speakers import family
from gpuready.model.facts.said import Source

LONGEST = 8000  # characters of a line that are kept

ANSI = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])")
CRI = re.compile(r"^(\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)) (stdout|stderr) [FP] ")
ISO = re.compile(r"^\[?(\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?)\]?:?\s+")
JOURNAL = re.compile(r"^[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \S+ ([\w.@-]+?)(?:\[\d+\])?: ")
DMESG = re.compile(r"^(?:<\d+>)?\[\s*(?:\d+\.\d+|[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d [\d: ]+)\] ")
KLOG = re.compile(r"^[IWEF]\d{4} \d\d:\d\d:\d\d\.\d+\s+\d+ (\S+?:\d+)\] ")
LEVEL = re.compile(r"^(?:\[?(?:INFO|WARN(?:ING)?|ERROR|ERRO|FATAL|DEBUG|TRACE)\]?[:\s]+)", re.I)
LOGFMT = re.compile(r"(?:^|\s)(msg|error|err|reason|message)=(\"(?:[^\"\\]|\\.)*\"|\S+)")
KERNEL_WORDS = ("nvrm:", "nouveau ", "nvidia-modeset:", "nvidia 0000:", "pci 0000:")
KEYS = ("msg", "message", "error", "err", "reason", "stacktrace")


class Statement(NamedTuple):
    text: str
    source: Source = "text"
    who: str = ""
    at: str = ""


def statement(raw: str) -> Statement:
    """What the line says. Never fails: a line that has no known frame is its own sentence."""
    line = ANSI.sub("", raw[:LONGEST]).rstrip()
    at, who, source = "", "", "text"
    if match := CRI.match(line) or ISO.match(line):
        at, line = match[1], line[match.end() :]
    if match := JOURNAL.match(line):
        line, who = line[match.end() :], family(match[1])
        source = "kernel" if match[1] == "kernel" else "log"
    if match := DMESG.match(line):
        line, who, source = line[match.end() :], "kernel", "kernel"
    if match := KLOG.match(line):
        line, source = line[match.end() :], "log"
    elif line.lstrip().startswith("{"):
        line = _json(line) or line
    elif "msg=" in line and "msg=audit(" not in line:
        line = _logfmt(line) or line
    line = LEVEL.sub("", line)
    if not who and line.lower().startswith(KERNEL_WORDS):
        who, source = "kernel", "kernel"
    return Statement(line.strip(), source, who, at)  # type: ignore[arg-type]


def _json(line: str) -> str:
    try:
        value = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    if not isinstance(value, dict):
        return ""
    return ": ".join(str(value[key]) for key in KEYS if value.get(key))


def _logfmt(line: str) -> str:
    found = [(key, text) for key, text in LOGFMT.findall(line)]
    return ": ".join(text.strip('"').replace('\\"', '"') for _, text in found)
