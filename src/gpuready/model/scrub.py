"""An API object as it may leave the cluster: nothing secret, and none of the bulk that no rule reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpuready.model.redact import HIDDEN, redact

BULK = frozenset({"managedFields"})
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"  # the whole object again, values of secrets included
# variables whose values explain failures; a password in a proxy's address goes with the text's own redaction
TOLD = ("NVIDIA_", "CUDA_", "LD_LIBRARY_PATH", "DCGM_", "MIG_", "NODE_NAME", "CONTAINERD_", "RUNTIME", "DRIVER_")
PROXIES = frozenset({"http_proxy", "https_proxy", "no_proxy", "all_proxy"})
SECRET_KINDS = frozenset({"Secret"})


def scrub(value: Any, key: str = "") -> Any:
    """A copy of plain JSON data: bulk left out, secrets replaced by [hidden]."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, list):
        return [_variable(one) if key in ("env", "extraEnv") else scrub(one) for one in value]
    if not isinstance(value, Mapping):
        return value
    hidden = value.get("kind") in SECRET_KINDS
    out = {}
    for name, inner in value.items():
        if name in BULK or name == LAST_APPLIED:
            continue
        secret = hidden and name in ("data", "stringData")
        out[redact(str(name))] = _all_hidden(inner) if secret else scrub(inner, str(name))
    return out


def _all_hidden(value: Any) -> Any:
    return dict.fromkeys(value, HIDDEN) if isinstance(value, Mapping) else HIDDEN


def _variable(one: Any) -> Any:
    """An environment variable: its name is told, its value only where it is known to be harmless."""
    if not isinstance(one, Mapping) or "value" not in one:
        return scrub(one)
    name = str(one.get("name", ""))
    if name.startswith(TOLD) or name.lower() in PROXIES:
        return {**one, "value": redact(str(one["value"]))}
    return {**one, "value": HIDDEN}
