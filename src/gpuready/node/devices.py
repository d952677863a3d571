"""What the kubelet is told: which GPUs are devices, which set of them to prefer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from math import comb

import msgspec

from gpuready.model.errors import UserError
from gpuready.model.unknown import Unknown
from gpuready.node.gpus import Gpu, Links, Snapshot
from gpuready.node.health import Health

DISPLAY = ("DGX Display", "NVIDIA DGX Display")  # the console GPU of a DGX Station: no compute work belongs there
MOST_SETS = 50_000  # sets of GPUs compared before the search takes the short way; 16 GPUs have 12870 halves


class AllocationError(UserError):
    """The kubelet asked for devices that cannot be given."""


class Device(msgspec.Struct, frozen=True, kw_only=True):
    id: str  # the GPU's UUID
    healthy: bool
    numa: int | None  # None: no topology is told, not node 0


def refusal(gpu: Gpu) -> str:
    """Why this GPU is not advertised; empty when it is."""
    if gpu.name in DISPLAY:
        return "it drives the display of the machine"
    if isinstance(gpu.minor, Unknown):
        return f"the driver names no device node for it: {gpu.minor.why}"
    return ""


def refusals(snapshot: Snapshot) -> dict[int, str]:
    """Index -> why, of every GPU that the driver counts and the kubelet is not told of."""
    found = {gpu.index: why for gpu in snapshot.gpus if (why := refusal(gpu))}
    return found | {refused.index: f"the driver does not describe it: {refused.why}" for refused in snapshot.refused}


def advertised(gpus: Sequence[Gpu], health: Mapping[str, Health]) -> tuple[Device, ...]:
    """MIG strategy none: a GPU in MIG mode is one device, as with NVIDIA's plugin."""
    return tuple(
        Device(id=gpu.uuid, healthy=gpu.uuid in health and health[gpu.uuid].state == "ok", numa=gpu.numa)
        for gpu in gpus
        if not refusal(gpu)
    )


def preferred(available: Sequence[str], must: Sequence[str], size: int, links: Links) -> tuple[str, ...]:
    """The `size` ids, `must` among them, whose links add up highest; among equals the set that leaves the best rest."""
    pool = list(dict.fromkeys(available))
    fixed = list(dict.fromkeys(must))
    if size < 1 or size > len(pool) or len(fixed) > size or not set(fixed) <= set(pool):
        raise AllocationError(
            f"{size} of {len(pool)} devices with {len(fixed)} given ones is impossible", "look at the kubelet's log"
        )
    free = [device for device in pool if device not in fixed]
    take = size - len(fixed)
    if comb(len(free), take) > MOST_SETS:
        return tuple(grow(fixed, free, take, links))
    return (*fixed, *(free[number] for number in best_set(fixed, free, take, links)))


def best_set(fixed: list[str], free: list[str], take: int, links: Links) -> tuple[int, ...]:
    """Positions in `free` of the set with the highest sum of scores, `fixed` included; then of the best rest."""
    score = [[links.get(frozenset((one, other)), 0) if one != other else 0 for other in free] for one in free]
    to_fixed = [sum(links.get(frozenset((one, other)), 0) for other in fixed) for one in free]
    lost = [sum(row) for row in score]  # what the rest loses with this one, pairs within the set counted twice

    def worth(chosen: tuple[int, ...]) -> tuple[int, int]:
        within = sum(score[one][other] for one, other in combinations(chosen, 2))
        return within + sum(to_fixed[one] for one in chosen), within - sum(lost[one] for one in chosen)

    return max(combinations(range(len(free)), take), key=worth)


def grow(fixed: list[str], free: list[str], take: int, links: Links) -> list[str]:
    """Take the device that is closest to those taken, one by one."""
    chosen, rest = list(fixed), list(free)
    for _ in range(take):
        best = max(rest, key=lambda device: sum(links.get(frozenset((device, other)), 0) for other in chosen))
        chosen.append(best)
        rest.remove(best)
    return chosen
