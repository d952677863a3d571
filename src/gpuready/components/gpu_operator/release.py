"""A Helm release as the Secrets in its namespace tell it. Pure.

https://helm.sh/docs/topics/advanced/#storage-backends: type helm.sh/release.v1, labels owner, name, status, version;
data.release is JSON, packed by gzip, base64 within base64.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from gpuready.model.plan import Helm

MAX_BYTES = 32 << 20
UNFINISHED = ("pending-install", "pending-upgrade", "pending-rollback", "uninstalling")


class _Metadata(msgspec.Struct, frozen=True):
    name: str = ""
    version: str = ""


class _Chart(msgspec.Struct, frozen=True):
    metadata: _Metadata = _Metadata()


class _Payload(msgspec.Struct, frozen=True):
    chart: _Chart = _Chart()
    config: dict[str, Any] | None = None


class Live(msgspec.Struct, frozen=True, kw_only=True):
    """The newest revision. `values`, `chart`, `version`: None, empty: the Secret could not be read."""

    revision: int
    status: str  # deployed | failed | pending-install | ...
    chart: str = ""
    version: str = ""
    values: Mapping[str, Any] | None = None
    deployed: int = 0  # the newest revision that was deployed; 0: none

    @property
    def unfinished(self) -> bool:
        """Some helm is at work on it, or was ended in the middle."""
        return self.status in UNFINISHED

    def is_as(self, wanted: Helm) -> bool:
        """Deployed from that chart with those values."""
        same_chart = (self.chart, self.version) == (wanted.chart.name, wanted.chart.version)
        return self.status == "deployed" and same_chart and self.values == wanted.values


def live(secrets: Iterable[Mapping[str, Any]]) -> Live | None:
    """Of the Secrets of one release; None: there is none."""
    found = sorted(secrets, key=_revision)
    if not found:
        return None
    last = found[-1]
    done = [_revision(s) for s in found if _labels(s).get("status") in ("deployed", "superseded")]
    payload = _payload(last)
    return Live(
        revision=_revision(last),
        status=_labels(last).get("status", ""),
        chart=payload.chart.metadata.name,
        version=payload.chart.metadata.version,
        values=None if payload.config is None else payload.config,
        deployed=max(done, default=0),
    )


def _labels(secret: Mapping[str, Any]) -> Mapping[str, str]:
    return secret["metadata"].get("labels") or {}


def _revision(secret: Mapping[str, Any]) -> int:
    text = _labels(secret).get("version", "")
    return int(text) if text.isdecimal() else 0


def _payload(secret: Mapping[str, Any]) -> _Payload:
    try:
        packed = base64.b64decode(base64.b64decode(secret["data"]["release"]))
        text = zlib.decompressobj(wbits=31).decompress(packed, MAX_BYTES)
        return msgspec.json.decode(text, type=_Payload)
    except (KeyError, TypeError, binascii.Error, zlib.error, msgspec.MsgspecError, UnicodeDecodeError):
        return _Payload()
