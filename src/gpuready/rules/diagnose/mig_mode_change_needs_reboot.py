"""The platform refuses to reset the GPU, so the mode stays pending."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "mig-mode-change-needs-reboot",
    "hardware",
    "a change of the MIG mode waits for a reboot",
    signs=(
        "mig mode is in pending",
        "{mig mode pending}",
        "resetting gpu * is not supported",
        "mig & reboot the system or try nvidia-smi --gpu-reset",
        "mig mode change did not take effect",
        "gpu reset capabilities are not available",
        "mig & reset & not supported",
        "mig & mode & pending & !pending false & !pending n/a & !config.state",
        "make mig mode effective",
        "gpu reset & not supported & mig",
    ),
    because=("mig-reset-blocked-by-gpu-client",),
    next="drain and reboot the node, or let the MIG manager do so (WITH_REBOOT=true in its environment)",
)
