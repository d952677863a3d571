"""nvidia-container-cli in legacy mode writes devices.allow or the eBPF filter, which needs root."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "rootless-cannot-edit-device-cgroup",
    "toolkit",
    "the toolkit may not edit the device cgroup of a rootless runtime",
    signs=(
        "bpf_prog_query* & {denied}",
        "failed to add device rules & {denied}",
        "devices.allow & {denied}",
        "unable to find any existing device filters attached to the cgroup",
        "device rules & bpf* & {failing}",
    ),
    next="set no-cgroups = true in the configuration of the rootless user's toolkit, or use CDI",
)
