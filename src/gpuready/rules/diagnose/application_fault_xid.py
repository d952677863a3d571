"""Xids such as 13, 31, 43 and 45 follow the job, not the GPU.

Which numbers they are is told by NVIDIA: the GPU goes on working, and the application is one of the causes named.
https://docs.nvidia.com/deploy/xid-errors/analyzing-xid-catalog.html
"""

from gpuready.knowledge.xids import Cure, Xid, describe, ignored, with_cure
from gpuready.rules.diagnose._said import said_rule
from gpuready.rules.diagnose._xids import telling

NEXT = (
    "run the program under `compute-sanitizer`; do not cordon the node unless the same GPU fails with"
    " other programs too"
)
OTHERS = (66, 67, 93, 106, 107, 137)  # the driver's own accesses, wear, tests and rights: not a program's error
OF_PROGRAMS = tuple(n for n in with_cure(Cure.APP) if describe(n).of_program and n not in OTHERS)
PLAIN = tuple(f"xid {n}" for n in OF_PROGRAMS if n in ignored())


def words(xids: tuple[Xid, ...]) -> tuple[str, str]:
    return f"the program itself made a GPU error, {xids[0]}; the GPU is well", NEXT


RULE = telling(
    said_rule(
        "application-fault-xid",
        "compute",
        "the program itself made a GPU error; the GPU is well",
        signs=(
            *(f"xid * {n}," for n in OF_PROGRAMS),
            *PLAIN,
            "graphics sm warp exception",
            "graphics exception esr",
            "mmu fault engine",
            "an illegal memory access was encountered",
            "cuda_error_illegal_address",
            "unspecified launch failure",
            "cudaerrorillegaladdress",
            "device-side assert triggered",
            "cuda_exception* & {failing}",
        ),
        because=(
            "gpu-fell-off-bus",
            "ecc-uncorrectable",
            "gsp-firmware-fault",
            "gpu-reset-required-latched",
            "row-remap-pending",
            "gpu-unhealthy-xid",
        ),
        next=NEXT,
    ),
    words,
)
