"""What server-side apply would change: desired fields against the live object, and fields we no longer want."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from gpuready.model.names import MANAGER
from gpuready.model.plan import FieldChange

# Lists that the API merges by key, so that another manager's items are left out of the comparison.
# Source: patchMergeKey and listMapKey of the Kubernetes API types.
MERGE_KEYS: Mapping[str, tuple[str, ...]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
    "ports": ("containerPort", "protocol"),
    "imagePullSecrets": ("name",),
    "conditions": ("type",),
}


def changes(desired: Mapping[str, Any], live: Mapping[str, Any] | None) -> tuple[FieldChange, ...]:
    """Every field that applying `desired` under our manager would set, change or remove. Empty: nothing to do."""
    if live is None:
        return tuple(FieldChange(path=p, after=v) for p, v in leaves(desired) if p not in IDENTITY)
    found = tuple(_compare(desired, live, ""))
    return found + tuple(_dropped(desired, live))


IDENTITY = (".apiVersion", ".kind", ".metadata.name", ".metadata.namespace")


def leaves(value: Any, path: str = "", field: str = "") -> Iterator[tuple[str, Any]]:
    """(path, value) of every scalar, empty collection or unkeyed list; keyed list items are named by their key."""
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from leaves(item, f"{path}{_segment(key)}", key)
        return
    keys = MERGE_KEYS.get(field)
    if isinstance(value, list | tuple) and value and keys and all(isinstance(i, Mapping) for i in value):
        for item in value:
            yield from leaves(item, f"{path}[{_item_key(item, keys)}]")
        return
    yield path, value


def _segment(key: str) -> str:
    return f".{key}" if key.replace("_", "").replace("-", "").isalnum() else f"[{key}]"


def _item_key(item: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    return ",".join(str(item.get(k, "TCP" if k == "protocol" else "")) for k in keys)


def _compare(desired: Any, live: Any, path: str, field: str = "") -> Iterator[FieldChange]:
    if isinstance(desired, Mapping) and isinstance(live, Mapping):
        for key, want in desired.items():
            yield from _compare(want, live.get(key), f"{path}{_segment(key)}", key)
        return
    keys = MERGE_KEYS.get(field)
    if keys and isinstance(desired, list | tuple) and all(isinstance(i, Mapping) for i in desired):
        have = {_item_key(i, keys): i for i in live or () if isinstance(i, Mapping)}
        for item in desired:
            name = _item_key(item, keys)
            yield from _compare(item, have.get(name), f"{path}[{name}]")
        return
    if isinstance(desired, list | tuple) and isinstance(live, list | tuple) and len(desired) == len(live):
        for i, (want, have_item) in enumerate(zip(desired, live, strict=True)):
            yield from _compare(want, have_item, f"{path}[{i}]")
        return
    if isinstance(desired, Mapping) and live is None and desired:
        for key, want in desired.items():
            yield from _compare(want, None, f"{path}{_segment(key)}", key)
        return
    if not same(desired, live):
        yield FieldChange(path=path, before=live, after=desired)


def same(want: Any, have: Any) -> bool:
    """Equal as the API sees it: an empty collection or string that we name equals an absent field."""
    if want == have:
        return True
    return have is None and (want == "" or want is False or (isinstance(want, Mapping | list | tuple) and not want))


def _dropped(desired: Mapping[str, Any], live: Mapping[str, Any]) -> Iterator[FieldChange]:
    """Fields that our manager owns on the live object and that are not desired any more."""
    wanted = {p for p, _ in leaves(desired)}
    prefixes = {p[:i] for p in wanted for i in range(1, len(p)) if p[i] in ".["}
    for path, value in owned(live, MANAGER).items():
        if path not in wanted and path not in prefixes and not any(path.startswith(f"{w}[") for w in wanted):
            yield FieldChange(path=path, before=value)


def owned(live: Mapping[str, Any], manager: str) -> dict[str, Any]:
    """path -> live value of every field that `manager` applied, from managedFields (fieldsV1)."""
    out: dict[str, Any] = {}
    for entry in live.get("metadata", {}).get("managedFields") or ():
        if entry.get("manager") == manager and entry.get("operation") == "Apply":
            _walk_owned(entry.get("fieldsV1") or {}, live, "", out)
    return out


def _walk_owned(fields: Mapping[str, Any], live: Any, path: str, out: dict[str, Any]) -> None:
    below = {k: v for k, v in fields.items() if k != "."}
    if not below:
        out[path] = live
        return
    for key, inner in below.items():
        if key.startswith("f:"):
            name = key[2:]
            value = live.get(name) if isinstance(live, Mapping) else None
            if value is not None or inner == {}:
                _walk_owned(inner, value, f"{path}{_segment(name)}", out)
        elif key.startswith("k:"):
            _walk_owned_item(key[2:], inner, live, path, out)


def _walk_owned_item(key: str, inner: Mapping[str, Any], live: Any, path: str, out: dict[str, Any]) -> None:
    keys = msgspec.json.decode(key)
    for item in live or ():
        if isinstance(item, Mapping) and all(item.get(k) == v for k, v in keys.items()):
            _walk_owned(inner, item, f"{path}[{','.join(str(v) for v in keys.values())}]", out)


def get_path(obj: Any, path: tuple[str, ...]) -> Any:
    """Value at a path of keys; None where any part is absent."""
    for key in path:
        if not isinstance(obj, Mapping):
            return None
        obj = obj.get(key)
    return obj
