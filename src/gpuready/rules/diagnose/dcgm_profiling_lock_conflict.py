"""The profiling counters of a GPU serve one reader at a time: another engine or profiler has them."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "dcgm-profiling-lock-conflict",
    "monitoring",
    "another process holds the GPU's profiling counters",
    signs=(
        "profiling module returned an unrecoverable error",
        "{profiling} & unrecoverable error",
        "{profiling} & {in use}",
        "profiling failed because a driver resource was unavailable",
        "no other tool * concurrently collecting profiling data",
        "{profiling} & lock & {failing}",
    ),
    next="stop one of the two: pause DCGM's profiling while a profiler runs (`dcgmi profile --pause`, then"
    " --resume), or end the second host engine on that node",
)
