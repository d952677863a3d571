"""Google's installer loads artefacts by the build of the node image; unpinned manifests change under a node."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "installer-incompatible-with-node-image",
    "kernel driver",
    "the driver installer has no driver for this node image, or does not fit it",
    signs=(
        "gpu driver is not available for the cos version",
        "failed to download driver signature & {absent}",
        "failed to download driver signature",
        "failed to download gpu driver installer",
        "failed to download kernel headers & cos",
        "cos* & failed to download * toolchain",
        "gpu driver version & not supported & cos",
        "failed to run gpu driver installer",
        "{failing} & cos & gpu driver & {absent}",
        "couldn't find gpu driver * for",
        "nvidia-driver-installer & not supported & image",
    ),
    next=(
        "take the installer manifest that belongs to this node image version (pin it to a commit), or let"
        " the platform install the driver (gpu-driver-version of the node pool)"
    ),
)
