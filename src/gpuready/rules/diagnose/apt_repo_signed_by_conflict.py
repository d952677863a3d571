"""An older list file names the repository without the keyring."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "apt-repo-signed-by-conflict",
    "install",
    "apt stops: two source files name one repository with different keys",
    signs=(
        "conflicting values set for option signed-by",
        "conflicting values & signed-by",
        "{package mirror} & signed-by & {mismatch}",
    ),
    next=(
        "`grep -rl nvidia.github.io /etc/apt/sources.list.d`, keep the file with the keyring, delete the"
        " other, then `apt-get update`"
    ),
)
