"""libnvidia-container1, its tools, the toolkit and its base belong together; snaps bring copies of their own."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "libnvidia-container-mixed-versions",
    "toolkit",
    "packages of the container toolkit are of different versions",
    signs=(
        "{nvidia runtime} & depends & is to be installed",
        "{nvidia runtime} & depends & not going to be installed",
        "{nvidia runtime} & undefined symbol",
        "{nvidia runtime} & symbol lookup error",
        "requires {nvidia runtime} & !image",
        "nothing provides {nvidia runtime}",
        "cannot install * {nvidia runtime} & conflict*",
        "version nvc_* not found",
        "{nvidia runtime} & trying to overwrite",
        "{nvidia runtime} & conflicts with file from package",
        "{nvidia runtime} & conflicts with",
        "{nvidia runtime} & {mismatch} & !library version & !nvml & !image & !config",
    ),
    next=(
        "list the packages (`dpkg -l | grep nvidia-container`, `rpm -qa 'nvidia-container*'`), keep one set, and give"
        " all four the same version"
    ),
)
