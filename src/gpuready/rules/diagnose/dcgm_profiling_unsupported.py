"""Profiling metrics are asked of a GPU, or of a DCGM, that does not have them."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "dcgm-profiling-unsupported",
    "monitoring",
    "profiling metrics are asked of a GPU or DCGM without them",
    signs=(
        "profiling is not supported for this group & !not collecting",
        "{profiling} & not supported & !not collecting",
        "module of dcgm that is not currently loaded & !not collecting",
        "error watching fields & {failing}",
        "error getting supported metrics & !not collecting",
        "{no profiling metrics}",
    ),
    who=("monitoring",),
    next="take the DCGM_FI_PROF_* fields out of the exporter's list of metrics (default-counters.csv instead of"
    " dcp-metrics-included.csv), or update DCGM to one that knows this GPU",
)
