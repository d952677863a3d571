"""Xids 13, 31, 43 and 45 follow the job, not the GPU."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "application-fault-xid",
    "compute",
    "the program itself made a GPU error; the GPU is well",
    signs=(
        "xid * 13,",
        "xid * 31,",
        "xid * 43,",
        "xid * 45,",
        "xid 13",
        "xid 31",
        "xid 43",
        "xid 45",
        "xid * 8,",
        "xid * 32,",
        "xid * 69,",
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
    next=(
        "run the program under `compute-sanitizer`; do not cordon the node unless the same GPU fails with"
        " other programs too"
    ),
)
