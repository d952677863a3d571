"""A Reader that answers from a table, for the collectors' tests."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from gpuready.engine.catalog import collectors
from gpuready.engine.gather import collect
from gpuready.model.errors import NotFound, UserError

BY_FIELD = {collector.gives: collector for collector in collectors()}


class Answers:
    """A Reader that answers from a table: pages, or an error; 404 for everything else."""

    def __init__(self, table: Mapping[str, Any]) -> None:
        self.table = table
        self.asked: list[tuple[str, Mapping[str, str] | None]] = []

    def pages(self, path: str, params: Mapping[str, str] | None = None) -> Iterator[bytes]:
        self.asked.append((path, params))
        answer = self.table.get(path, NotFound(f"{path} is not there", code=404))
        if isinstance(answer, UserError):
            raise answer
        for page in answer if isinstance(answer, list) else [answer]:
            if isinstance(page, UserError):
                raise page
            yield page if isinstance(page, bytes) else json.dumps(page).encode()


def items(*objects: Any) -> dict[str, Any]:
    return {"kind": "List", "metadata": {"resourceVersion": "1"}, "items": list(objects)}


def fact(field: str, table: Mapping[str, Any]) -> Any:
    return collect(Answers(table), BY_FIELD[field])
