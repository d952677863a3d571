"""In hook mode CRI-O runs the nvidia hook only from the directories of hooks_dir."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "crio-hooks-dir-missing",
    "runtime config",
    "CRI-O does not read the directory with the nvidia hook",
    signs=(
        "{hooks dir} & {absent} & !skipping",
        "{hooks dir} & {not set}",
        "{crio} & {hooks dir} & {ignored}",
        "{crio} & {hooks dir} & {failing}",
        "{crio} & nvidia-smi & executable file not found",
        "{hooks dir} & not in hooks_dir",
    ),
    next=(
        "add the directory of oci-nvidia-hook.json to hooks_dir in /etc/crio/crio.conf.d, then restart crio; or use CDI"
    ),
)
