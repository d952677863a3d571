"""Objects in memory with what the API machinery adds to them: versions, UIDs, field managers, a history to watch."""

from __future__ import annotations

import copy
import datetime
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from gpuready.adapters.kube_resources import BUILT_IN

Json = dict[str, Any]


class Refusal(Exception):
    """What the API server answers with a Status instead of an object."""

    def __init__(self, code: int, reason: str, message: str, details: Json | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.status: Json = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": reason,
            **({"details": details} if details else {}),
            "code": code,
        }


class Key(NamedTuple):
    """One object; `base` is the path of its API: api/v1, apis/apps/v1."""

    base: str
    plural: str
    namespace: str
    name: str


class Change(NamedTuple):
    version: int
    type: str
    key: Key
    object: Json


def key_of(obj: Mapping[str, Any]) -> Key:
    group, _, version = obj["apiVersion"].rpartition("/")
    plural, namespaced = BUILT_IN[group, obj["kind"]]
    meta = obj["metadata"]
    base = f"apis/{group}/{version}" if group else f"api/{version}"
    return Key(base, plural, meta["namespace"] if namespaced else "", meta["name"])


def now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Store:
    """Every method gives and takes copies. `changed` is the lock, and wakes whoever waits for a change."""

    def __init__(self) -> None:
        self.changed = threading.Condition(threading.RLock())
        self.version = 0
        self._objects: dict[Key, Json] = {}
        self._history: list[Change] = []

    def get(self, key: Key) -> Json:
        with self.changed:
            if key not in self._objects:
                group = key.base.split("/")[1] if key.base.startswith("apis") else ""
                what = f"{key.plural}.{group}" if group else key.plural
                details = {"name": key.name, **({"group": group} if group else {}), "kind": key.plural}
                raise Refusal(404, "NotFound", f'{what} "{key.name}" not found', details)
            return copy.deepcopy(self._objects[key])

    def has(self, key: Key) -> bool:
        with self.changed:
            return key in self._objects

    def find(self, plural: str, namespace: str = "") -> Iterator[Json]:
        """In the order in which they were created."""
        with self.changed:
            found = [o for k, o in self._objects.items() if k.plural == plural and namespace in ("", k.namespace)]
        yield from map(copy.deepcopy, found)

    def create(self, obj: Json, manager: str, *, operation: str = "Update", dry_run: bool = False) -> Json:
        with self.changed:
            key = key_of(obj)
            if key in self._objects:
                message = f'{key.plural} "{key.name}" already exists'
                raise Refusal(409, "AlreadyExists", message, {"name": key.name, "kind": key.plural})
            obj = copy.deepcopy(obj)
            if key.plural == "pods":
                obj["status"] = {"phase": "Pending"}
            meta = obj["metadata"]
            meta.setdefault("uid", str(uuid.uuid4()))
            meta["creationTimestamp"] = now()
            meta["managedFields"] = [_managed(obj, manager, operation)]
            return obj if dry_run else self._put(key, "ADDED", obj)

    def replace(self, obj: Json) -> Json:
        """PUT: only of the state that was read."""
        with self.changed:
            key = key_of(obj)
            if self.get(key)["metadata"]["resourceVersion"] != obj["metadata"]["resourceVersion"]:
                message = (
                    f'Operation cannot be fulfilled on {key.plural} "{key.name}": the object has been modified; '
                    "please apply your changes to the latest version and try again"
                )
                raise Refusal(409, "Conflict", message, {"name": key.name, "kind": key.plural})
            return self._put(key, "MODIFIED", copy.deepcopy(obj))

    def apply(self, obj: Json, manager: str) -> Json:
        """Server-side apply of fields that nobody else owns; lists are taken whole."""
        with self.changed:
            key = key_of(obj)
            if key not in self._objects:
                return self.create(obj, manager, operation="Apply")
            live = self.get(key)
            _merge(live, obj)
            others = [
                m for m in live["metadata"]["managedFields"] if (m["manager"], m["operation"]) != (manager, "Apply")
            ]
            live["metadata"]["managedFields"] = [*others, _managed(obj, manager, "Apply")]
            return self._put(key, "MODIFIED", live)

    def change(self, key: Key, by: Callable[[Json], None]) -> None:
        """What a controller or a kubelet writes."""
        with self.changed:
            live = self.get(key)
            before = copy.deepcopy(live)
            by(live)
            if live != before:
                self._put(key, "MODIFIED", live)

    def delete(self, key: Key) -> Json:
        with self.changed:
            live = self.get(key)
            del self._objects[key]
            self._note("DELETED", key, live)
            return live

    def since(self, version: int) -> list[Change]:
        with self.changed:
            return [change for change in self._history if change.version > version]

    def _put(self, key: Key, type_: str, obj: Json) -> Json:
        self._objects[key] = obj
        self._note(type_, key, obj)
        return copy.deepcopy(obj)

    def _note(self, type_: str, key: Key, obj: Json) -> None:
        self.version += 1
        obj["metadata"]["resourceVersion"] = str(self.version)
        self._history.append(Change(self.version, type_, key, copy.deepcopy(obj)))
        self.changed.notify_all()


def _merge(live: Json, wanted: Mapping[str, Any]) -> None:
    for key, value in wanted.items():
        if isinstance(value, Mapping) and isinstance(live.get(key), dict):
            _merge(live[key], value)
        else:
            live[key] = copy.deepcopy(value)


def _managed(obj: Json, manager: str, operation: str) -> Json:
    owned = {k: v for k, v in obj.items() if k not in ("apiVersion", "kind", "status")}
    meta = obj["metadata"]
    return {
        "manager": manager,
        "operation": operation,
        "apiVersion": obj["apiVersion"],
        "time": now(),
        "fieldsType": "FieldsV1",
        "fieldsV1": _fields({**owned, "metadata": {k: meta[k] for k in ("labels", "annotations") if k in meta}}),
    }


def _fields(obj: Mapping[str, Any]) -> Json:
    """fieldsV1 of maps; a list is one field."""
    return {f"f:{key}": _fields(value) if isinstance(value, Mapping) else {} for key, value in obj.items()}
