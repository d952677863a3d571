"""mig-parted refuses the file before it touches a GPU."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "mig-config-invalid",
    "install",
    "the MIG configuration is not valid, or does not have the layout that was asked for",
    signs=(
        "invalid string input for devices",
        "{mig} & {unparsable} & !clusterpolic* & !com.nvidia* & !manifest",
        "error parsing config file & {mig}",
        "selected mig-config not present",
        "mig-config* & not present",
        "error selecting mig config",
        "unable to validate the selected mig configuration",
        "failed to validate mig configuration",
        "missing required field mig-devices",
        "mig devices included when mig-enabled is false",
        "unsupported mig device specified",
        "mig profile & not found",
        "mig-devices & {unparsable}",
        "mig-configs & {unparsable}",
        "invalid migconfig",
        "invalid mig config",
        "all counts for all migprofiles are 0",
        "mig.config & invalid",
        "set selected mig config & {failing}",
        "specified mig-config & {absent}",
    ),
    who=("mig",),
    next=(
        "compare the label nvidia.com/mig.config with the names in the ConfigMap, and the file with"
        " `nvidia-mig-parted assert --valid-config`"
    ),
)
