"""With driver.rdma.enabled the driver pod waits for the network driver before it does anything."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "mofed-driver-missing",
    "kernel driver",
    "GPUDirect RDMA is on and no MOFED (DOCA) driver is ready on the node",
    signs=(
        "mellanox/drivers/.driver-ready & {absent}",
        "run/mellanox/drivers & {absent}",
        "waiting for mofed to be installed",
        "failed to wait for mofed",
        "mofed drivers are not ready",
        "mofed & {absent}",
        "error validating mofed",
        "waiting for mellanox*",
        "mellanox ofed & not installed",
    ),
    because=("peermem-module-tree-missing",),
    next=(
        "install the network operator's MOFED driver on that node, set driver.rdma.useHostMofed=true where"
        " the host has it, or driver.rdma.enabled=false"
    ),
)
