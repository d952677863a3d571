"""PCIe Access Control Services send peer-to-peer traffic through the root complex and the IOMMU."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "acs-iommu-p2p",
    "hardware",
    "traffic between GPUs is turned over to the IOMMU",
    signs=(
        "{acs on}",
        "{acs on} & nvidia",
        "acs & {peer to peer}",
        "{iommu} & {peer to peer} & {failing}",
        "{peer to peer} & {iommu} & slow",
        "nvidia & io_page_fault",
        "access control services & {peer to peer}",
        "iommu & hang & nccl",
        "disable acs",
    ),
    next=(
        "read `lspci -vvv | grep ACSCtl` for the bridges above the GPUs; on bare metal turn ACS and the"
        " IOMMU off in the firmware"
    ),
)
