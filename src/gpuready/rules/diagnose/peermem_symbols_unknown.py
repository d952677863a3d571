"""nvidia-peermem is built against one RDMA stack, the kernel's own or MOFED's, and loads with that alone."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "peermem-symbols-unknown",
    "kernel driver",
    "nvidia-peermem does not fit the RDMA stack that is loaded",
    signs=(
        "nvidia-peermem & unknown symbol",
        "nvidia-peermem & disagrees about version of symbol",
        "nv-peer-mem & unknown symbol",
        "unknown symbol ib_register_peer_memory_client",
        "disagrees about version of symbol ib_register_peer_memory_client",
        "could not insert nvidia-peermem & invalid argument",
        "could not insert nvidia_peermem & unknown symbol",
    ),
    next=(
        "install MOFED (DOCA-OFED) on the node before the NVIDIA driver, then build the driver's modules again; with"
        " the GPU Operator restart the driver pod once the MOFED pod is ready"
    ),
)
