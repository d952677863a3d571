"""containerd 1.x replaces the whole section of a plugin by that of an imported file: the runtimes of the root file
are gone.
"""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "containerd-imported-file-overrides-cri",
    "runtime config",
    "containerd's CRI part is off or lacks its runtimes: a configuration file overrides it",
    signs=(
        "no corresponding runtime configured in",
        "{cri off}",
        "default_runtime_name & invalid plugin config",
        "{drop-in} & {overwritten} & {cri section}",
    ),
    next=(
        "run `containerd config dump` on that node: see whether cri is in disabled_plugins and which runtimes are "
        "left, then read each file that `imports` names"
    ),
)
