"""VFIO cannot bind a device that is in no IOMMU group."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "iommu-not-enabled",
    "hardware",
    "the machine has no IOMMU by which a GPU could be passed on",
    signs=(
        "vfio-manage* & write error invalid argument",
        "write error invalid argument",
        "vfio* & probe * failed with error -22",
        "vfio-pci & failed to bind & invalid argument",
        "vfio & no iommu group",
        "no viable iommu group",
        "no iommu* & vfio",
        "{iommu} & {disabled}",
        "iommu_group & {absent}",
        "iommu group* & {absent}",
        "iommu & {absent} & !dmar & !iommu=pt",
        "failed to bind & vfio & invalid argument",
    ),
    next=(
        "turn VT-d or AMD-Vi on in the firmware, add intel_iommu=on or amd_iommu=on to the kernel's"
        " command line and reboot; a VM needs a virtual IOMMU"
    ),
)
