"""Any struct of the model as JSON or YAML, with the schema's version and kind. ASCII only: no terminal codes."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from gpuready.model.redact import redact
from gpuready.model.spec import API_VERSION

# Names of documents that differ from the struct's name.
KINDS = {"StatusView": "Status", "SavedPlan": "Plan", "GpuVerdict": "Verification", "Verdict": "Findings"}


def to_json(value: Any, kind: str = "") -> str:
    """Indented JSON and a last newline. Keys stand in the struct's order, keys of maps are sorted."""
    text = msgspec.json.format(_encoded(value, kind), indent=2).decode()
    return re.sub(r"[^\x20-\x7e\n]", _json_escape, text) + "\n"


def to_yaml(value: Any, kind: str = "") -> str:
    """One YAML document, with the same keys in the same order as to_json."""
    import yaml  # 30 ms that text and JSON need not pay

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    data = msgspec.json.decode(_encoded(value, kind))
    return str(yaml.dump(data, Dumper=dumper, sort_keys=False, width=100_000))


def _encoded(value: Any, kind: str) -> bytes:
    """A list becomes {apiVersion, kind, items}; a document that names its kind already keeps it."""
    if isinstance(value, list | tuple):
        kind = kind or _kind_of(value[0] if value else None)
        value = {"items": value}
    else:
        kind = kind or _kind_of(value)
    body = msgspec.to_builtins(value, str_keys=True, order="deterministic")
    if not isinstance(body, dict):
        body = {"value": body}
    return msgspec.json.encode({"apiVersion": API_VERSION, "kind": kind, **_redacted(body)})


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {key: _redacted(inner) for key, inner in value.items()}
    return [_redacted(inner) for inner in value] if isinstance(value, list | tuple) else value


def _kind_of(value: Any) -> str:
    name = type(value).__name__
    return KINDS.get(name, name if isinstance(value, msgspec.Struct) else "List")


def _json_escape(match: re.Match[str]) -> str:
    """A character beyond ASCII as JSON writes it: one \\uNNNN, or two."""
    units = match[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))
