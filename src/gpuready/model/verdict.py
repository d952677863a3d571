"""What verify says about each GPU: did a pod get it, did the GPU compute, and what follows from both."""

from __future__ import annotations

from typing import Literal

import msgspec

Part = Literal["pass", "fail", "-"]  # "-": this part was not tried
GpuResult = Literal["PASS", "FAIL", "UNDETERMINED"]


class GpuVerdict(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One GPU of one node. `uuid` is "?" where it could not be learnt; `seconds` of the probe, None: none ran."""

    node: str
    uuid: str
    scheduled: Part
    computed: Part
    verdict: GpuResult
    note: str = ""
    replayed: bool = False  # there was no GPU, only a recording of one: never reported as a plain PASS
    seconds: float | None = None
    simulated: bool = False  # then replayed is true as well: there was not even a recording (gpuready demo)

    @property
    def stand_in(self) -> str:
        """What there was instead of a GPU; empty where there was one."""
        return "simulated" if self.simulated else "replayed" if self.replayed else ""
