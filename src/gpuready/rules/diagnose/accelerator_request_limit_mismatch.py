"""Request and limit of an extended resource have to be equal, and both be there or the limit alone."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "accelerator-request-limit-mismatch",
    "admission",
    "request and limit of the GPU differ in a container",
    signs=(
        "must be equal to * limit & !hugepages*",
        "must be less than or equal to {gpu resource} limit",
        "limit must be set for non overcommitable resources",
    ),
    next="set limits[nvidia.com/gpu] and leave requests[nvidia.com/gpu] out, or give both the same number",
)
