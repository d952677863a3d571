"""Both want the same channel and port; the driver starts its own IMEX daemon for each compute domain."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "dra-host-imex-conflict",
    "plugin",
    "the IMEX service of the host runs beside the daemon that the DRA driver starts",
    signs=(
        "nvidia-imex.service & active running",
        "nvidia-imex & active running",
        "{imex} & address already in use",
        "{imex} & already running",
        "{imex} & failed to bind",
        "{imex} & bind & {in use}",
        "failed to allocate imex session",
        "imex session & {in use}",
    ),
    next=(
        "on every node: systemctl disable --now nvidia-imex.service and systemctl mask nvidia-imex.service,"
        " then delete the compute-domain-daemon pods"
    ),
)
