"""A host driver with a toolkit that looks in /run/nvidia/driver, or the reverse."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "driver-root-mismatch",
    "libraries",
    "the toolkit looks for the driver's libraries under a root where they are not",
    signs=(
        "failed to change root directory",
        "{driver root} & {library absent}",
        "{driver root} & {absent} & !driver-ready",
        "{nvidia runtime} & {library load failed}",
        "{nvidia runtime} & {library absent} & !detection error",
        "failed to locate driver librar*",
        "failed to locate & {nvidia library} & !ignor* & !warn* & !could not locate & !skipping",
    ),
    next=(
        "see which root has libnvidia-ml.so.1, / or /run/nvidia/driver, and set the toolkit's root (operator: "
        "driver.enabled, hostPaths.driverInstallDir) to it; if neither has, install the driver"
    ),
)
