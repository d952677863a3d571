"""The toolkit container compares the kernels when it starts and tells the driver container to fall back."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "dtk-kernel-mismatch",
    "kernel driver",
    "the Driver Toolkit image is of another kernel than the node",
    signs=(
        "broken driver-toolkit image detected",
        "broken driver-toolkit detected",
        "driver_toolkit_broken",
    ),
    next=(
        "compare uname -r of the node with the kernel package in the toolkit image; update the cluster to a"
        " release whose toolkit fits, or give the driver an entitlement so that it can build without it"
    ),
)
