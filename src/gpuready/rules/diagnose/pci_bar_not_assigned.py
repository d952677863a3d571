"""The firmware or the hypervisor gave a BAR no address, mostly for lack of 64-bit MMIO space."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "pci-bar-not-assigned",
    "hardware",
    "a GPU has no memory window on the PCI bus",
    signs=(
        "pci i/o region assigned to your nvidia device",
        "bar* is 0m @",
        "nvrm bar* is 0m",
        "{bar unassigned}",
        "{bar unassigned} & nvidia",
        "pci & {bar unassigned} & 64bit pref",
        "mapped above 4gb by the system",
        "nvidia & not enough mmio",
        "nvrm & request_mem_region failed",
        "nvidia & can't enable device bar",
    ),
    next=(
        "give the machine more 64-bit MMIO: 'Above 4G decoding' in the firmware; for a VM EFI and"
        " pciPassthru.64bitMMIOSizeGB or its like"
    ),
)
