"""An API object as it may leave the cluster: nothing secret, and none of the bulk that no rule reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpuready.model.redact import HIDDEN, names_secret, redact

OF_THE_MACHINE = frozenset({"machineID", "systemUUID", "bootID"})  # identify a machine, and tell nothing of it
MANAGED = "managedFields"  # of it, only who set which label: the rest is bulk
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
        if key in ("env", "extraEnv"):
            return [_variable(one) for one in value]
        return [HIDDEN if _after_flag(value, number) else scrub(one) for number, one in enumerate(value)]
    if not isinstance(value, Mapping):
        return value
    hidden = value.get("kind") in SECRET_KINDS
    out = {}
    for name, inner in value.items():
        if (
            name == LAST_APPLIED
            or name in OF_THE_MACHINE
            or (name == MANAGED and not (inner := _label_managers(inner)))
        ):
            continue
        if hidden and name in ("data", "stringData"):
            inner = _all_hidden(inner)
        elif isinstance(inner, str) and inner and names_secret(str(name).rpartition("/")[2]):
            inner = HIDDEN
        out[redact(str(name))] = scrub(inner, str(name))
    return out


def _label_managers(entries: Any) -> list[Any]:
    """Of each entry the manager and the labels that it owns."""
    out = []
    for entry in entries if isinstance(entries, list) else ():
        labels = entry
        for key in ("fieldsV1", "f:metadata", "f:labels"):
            labels = labels.get(key) if isinstance(labels, Mapping) else None
        if isinstance(labels, Mapping):
            kept: dict[str, Any] = {str(key): {} for key in labels}
            out.append({"manager": str(entry.get("manager", "")), "fieldsV1": {"f:metadata": {"f:labels": kept}}})
    return out


def _after_flag(values: list[Any], number: int) -> bool:
    """The argument of a flag such as --password."""
    flag = values[number - 1] if number else ""
    return isinstance(flag, str) and flag.startswith("-") and names_secret(flag.lstrip("-"))


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
