"""Facts from text that a user pasted: the same collectors read its objects as read the API's answers. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from gpuready.engine.gather import gather
from gpuready.model.errors import Incomplete
from gpuready.model.facts.cluster import Identity
from gpuready.texts.paste import ONLY_PASTED, read

Json = dict[str, Any]
NOWHERE = Identity(uid="", server="", name="pasted text")


class PastedReader:
    """Implements ports.Reader over objects of one text: a list of a kind is what the text has of it, and no whole."""

    def __init__(self, objects: Sequence[Json]) -> None:
        self._by_path: dict[str, list[Json]] = {}
        for one in objects:
            self._by_path.setdefault(_path(one), []).append(one)

    def pages(self, path: str, _params: Mapping[str, str] | None = None) -> Iterator[bytes]:
        found = self._by_path.get(path)
        if found:
            yield msgspec.json.encode({"items": found})
        raise Incomplete(ONLY_PASTED.why, ONLY_PASTED.ask)


def _path(obj: Json) -> str:
    version, kind = str(obj.get("apiVersion", "")), str(obj["kind"]).lower()
    plural = kind if kind.endswith("s") else kind[:-1] + "ies" if kind.endswith("y") else kind + "s"
    return f"/apis/{version}/{plural}" if "/" in version else f"/api/{version or 'v1'}/{plural}"


def facts_of(text: str) -> dict[str, Any]:
    """The facts that rules of layer `diagnose` take."""
    pasted = read(text)
    cluster = gather(PastedReader(pasted.objects), NOWHERE, doctor=True)
    return {"cluster": cluster, "said": pasted.said, "agents": {}, "hosts": {}}
