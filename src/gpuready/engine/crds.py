"""What differs between two versions of a CustomResourceDefinition, field by field of its schema. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gpuready.model.plan import FieldChange

Json = Mapping[str, Any]


def schema_changes(wanted: Json, live: Json | None) -> Iterator[FieldChange]:
    """Fields that objects of the kind may have more or less, and those whose type is another; by version of the API.

    A CRD that is not there yet is told by its versions alone: it has hundreds of fields.
    """
    if live is None:
        for version in wanted["spec"].get("versions") or ():
            yield FieldChange(path=f".spec.versions[{version['name']}]", after=f"{len(_fields(version))} fields")
        return
    before, after = _versions(live), _versions(wanted)
    for name in sorted({*before, *after}):
        if name not in before or name not in after:
            yield FieldChange(path=f".spec.versions[{name}]", before=_there(before, name), after=_there(after, name))
            continue
        old, new = _fields(before[name]), _fields(after[name])
        for path in sorted({*old, *new}):
            if old.get(path) != new.get(path):
                yield FieldChange(path=f"{name}: {path}", before=old.get(path), after=new.get(path))


def _versions(crd: Json) -> dict[str, Json]:
    return {v["name"]: v for v in crd["spec"].get("versions") or ()}


def _there(versions: Mapping[str, Json], name: str) -> str | None:
    return "served" if name in versions else None


def _fields(version: Json) -> dict[str, str]:
    """path -> type of every field of the schema, without what stands above others."""
    out: dict[str, str] = {}
    _walk((version.get("schema") or {}).get("openAPIV3Schema") or {}, "", out)
    return out


def _walk(schema: Json, path: str, out: dict[str, str]) -> None:
    below = schema.get("properties") or {}
    for name, inner in below.items():
        _walk(inner, f"{path}.{name}", out)
    items = schema.get("items")
    if isinstance(items, Mapping):
        _walk(items, f"{path}[]", out)
    elif not below and path:
        out[path] = str(schema.get("type") or "any")
