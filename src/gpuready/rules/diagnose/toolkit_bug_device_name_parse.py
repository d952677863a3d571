"""Releases before 1.0.2 split the list of devices at blanks."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "toolkit-bug-device-name-parse",
    "toolkit",
    "this libnvidia-container takes a part of the GPU's name for a path",
    signs=(
        "stat failed {gpu product}",
        "{nvidia runtime} & stat failed & {gpu product}",
        "mount error & {absent} & {gpu product}",
    ),
    next="update libnvidia-container to 1.0.2 or later",
)
