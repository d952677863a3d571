"""Xids that make a GPU unfit for work and are neither of memory, GSP nor bus; and what the plugin did about any."""

from gpuready.rules.diagnose._said import said_rule

# Reset class of NVIDIA's Xid catalogue, less what has a rule of its own (48, 63, 64, 79,
# 95, 119, 120, 140), and NVLink 5.
UNFIT = (46, 54, 62, 74, 109, 110, 136, 143, 144, 145, 146, 147, 148, 149, 150, 155, 156, 158)
SAID = tuple(s for n in UNFIT for s in (f"xid * {n},", f"xid {n}"))

RULE = said_rule(
    "gpu-unhealthy-xid",
    "hardware",
    "an Xid makes a GPU unfit for work",
    signs=(
        *SAID,
        "xidcriticalerror & device",
        "device marked unhealthy & !nvidia.com/gpu & !gpu",
        "gpu* & device marked unhealthy",
        "nvidia.com/gpu* & marked unhealthy",
        "will go unhealthy & device",
        "marking device * as unhealthy",
        "xid & the device will go unhealthy",
        "gpu & marked as unhealthy & !kubelet",
    ),
    because=("gpu-fell-off-bus", "ecc-uncorrectable", "gsp-firmware-fault"),
    next=(
        "look the Xid up, reset the GPU if it asks for it, then restart the device plugin's pod: it never"
        " takes a GPU back by itself"
    ),
)
