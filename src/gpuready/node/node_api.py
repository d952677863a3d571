"""What the agent writes to its own Node, and how: server-side apply under its own field manager, never forced."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from gpuready.model.errors import Conflict
from gpuready.model.names import CONDITION
from gpuready.model.plan import Ref
from gpuready.node.condition import labels_object

MANAGER = "gpuready-agent"
LABEL_FIELD = ".metadata.labels."
Json = dict[str, Any]


class NodeApi(Protocol):
    """Each call is one or two requests and blocks. Every failure is an ApiError."""

    def apply_labels(self, labels: Mapping[str, str]) -> dict[str, str]:
        """Returns label -> manager for those that somebody else holds with another value; they are left alone."""
        ...

    def condition(self) -> Json | None:
        """Our condition as it stands on the Node."""
        ...

    def apply_condition(self, obj: Json) -> None: ...

    def create_event(self, obj: Json) -> None: ...


class KubeNodeApi:
    def __init__(self, node: str) -> None:
        from gpuready.adapters.kube import connect  # brings TLS and HTTP: not loaded where node writes are off

        self._node = node
        self._client = connect()

    def apply_labels(self, labels: Mapping[str, str]) -> dict[str, str]:
        try:
            self._client.apply(labels_object(self._node, labels), manager=MANAGER)
        except Conflict as conflict:
            taken = {
                field.field.removeprefix(LABEL_FIELD): field.manager
                for field in conflict.fields
                if field.field.startswith(LABEL_FIELD)
            }
            if not taken:
                raise
            free = {key: value for key, value in labels.items() if key not in taken}
            self._client.apply(labels_object(self._node, free), manager=MANAGER)
            return taken
        return {}

    def condition(self) -> Json | None:
        node = self._client.get(Ref(api_version="v1", kind="Node", name=self._node)) or {}
        conditions = node.get("status", {}).get("conditions") or []
        return next((entry for entry in conditions if entry.get("type") == CONDITION), None)

    def apply_condition(self, obj: Json) -> None:
        self._client.apply(obj, manager=MANAGER, subresource="status")

    def create_event(self, obj: Json) -> None:
        self._client.create(obj)
