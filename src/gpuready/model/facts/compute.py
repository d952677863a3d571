"""What the compute probe prints, one JSON line: what each GPU that the pod was given did."""

from __future__ import annotations

import msgspec


class GpuRun(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    uuid: str
    name: str
    elements: int  # results compared, each one
    wrong: int
    seconds: float
    error: str = ""  # "cuMemAlloc: CUDA_ERROR_OUT_OF_MEMORY (2)"


class ComputeReport(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    nonce: str
    node: str
    cuda: str = ""
    gpus: tuple[GpuRun, ...] = ()
    error: str = ""  # why nothing could be run at all
    replayed: bool = False
    simulated: bool | msgspec.UnsetType = msgspec.UNSET  # then replayed is true as well (gpuready demo)
