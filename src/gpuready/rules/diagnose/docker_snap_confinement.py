"""A snap sees neither the host's hook nor the driver's libraries."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "docker-snap-confinement",
    "runtime config",
    "Docker is the snap, which cannot use the host's NVIDIA toolkit",
    signs=(
        "{docker snap} & {failing}",
        "{docker snap} & {nvidia}",
        "{docker snap}",
    ),
    next=(
        "remove the snap (`snap remove docker`), install Docker from its own package repository, then run `nvidia-ctk"
        " runtime configure --runtime=docker`"
    ),
)
