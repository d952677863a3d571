"""It is not labelled for VM passthrough, its GPUs are not bound to vfio-pci, or all are taken."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "passthrough-node-not-prepared",
    "allocatable",
    "the node offers no GPUs for passthrough",
    signs=(
        "insufficient nvidia.com/pgpu",
        "nvidia.com/pgpu & {failing}",
        "nvidia.com/pgpu & {absent}",
        "vm-passthrough & {failing}",
        "vfio-pci & failed to bind",
        "failed to bind device & vfio",
        "not bound to vfio*",
        "gpu & not bound & vfio*",
        "{vfio} & {absent} & driver",
        "nvidia.com/pgpu 0",
        "vfio & is not viable",
        "bound to their vfio bus driver",
        "vfio & iommufd & {failing}",
    ),
    because=("iommu-not-enabled",),
    next=(
        "label the node nvidia.com/gpu.workload.config=vm-passthrough, then look whether `lspci -nnk -d"
        " 10de:` says vfio-pci and the sandbox device plugin runs"
    ),
)
