"""How close each pair of GPUs is. Every GPU's links are read once, not once per pair, so eight GPUs take milliseconds.

Scores as the device plugin of NVIDIA weighs them: the nearest common part of the PCI tree gives 10 to 60, each NVLink
between the two adds 100. Links that end in an NVSwitch name the switch, not a GPU: on such boards all pairs score
alike, as they should.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import pynvml

PCI_SCORE = {
    pynvml.NVML_TOPOLOGY_INTERNAL: 60,  # same board
    pynvml.NVML_TOPOLOGY_SINGLE: 50,  # one PCI switch
    pynvml.NVML_TOPOLOGY_MULTIPLE: 40,  # several switches
    pynvml.NVML_TOPOLOGY_HOSTBRIDGE: 30,
    pynvml.NVML_TOPOLOGY_NODE: 20,  # same CPU socket
    pynvml.NVML_TOPOLOGY_SYSTEM: 10,  # across sockets
}
NVLINK_SCORE = 100


def read(handles: Mapping[str, Any]) -> dict[frozenset[str], int]:
    """A pair of UUIDs -> score. A pair of which one does not answer is absent."""
    at_bus = {bus: uuid for uuid, handle in handles.items() if (bus := _bus(handle))}
    lanes = {uuid: _neighbours(handle, at_bus) for uuid, handle in handles.items()}
    scores: dict[frozenset[str], int] = {}
    for one, other in combinations(handles, 2):
        try:
            level = pynvml.nvmlDeviceGetTopologyCommonAncestor(handles[one], handles[other])
        except pynvml.NVMLError:
            continue
        scores[frozenset((one, other))] = PCI_SCORE.get(level, 0) + NVLINK_SCORE * lanes[one].get(other, 0)
    return scores


def _bus(handle: Any) -> str:
    try:
        return _lower(pynvml.nvmlDeviceGetPciInfo(handle).busId)
    except pynvml.NVMLError:
        return ""


def _lower(busid: bytes | str) -> str:
    return (busid.decode("ascii", "replace") if isinstance(busid, bytes) else busid).lower()


def _neighbours(handle: Any, at_bus: Mapping[str, str]) -> dict[str, int]:
    """UUID at the other end -> number of active links to it."""
    count: dict[str, int] = {}
    for link in range(pynvml.NVML_NVLINK_MAX_LINKS):
        try:
            if pynvml.nvmlDeviceGetNvLinkState(handle, link) != pynvml.NVML_FEATURE_ENABLED:
                continue
            other = at_bus.get(_lower(pynvml.nvmlDeviceGetNvLinkRemotePciInfo(handle, link).busId))
        except pynvml.NVMLError:
            continue  # no link of this number, or a lost GPU
        if other:
            count[other] = count.get(other, 0) + 1
    return count
