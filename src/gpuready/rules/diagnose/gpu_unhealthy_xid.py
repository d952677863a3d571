"""Xids that make a GPU unfit for work and are neither of memory, GSP nor bus; and what the plugin did about any.

An Xid is what NVIDIA's driver writes into the kernel's log when something goes wrong on a GPU. Its number says what,
and NVIDIA's catalogue what clears it: nothing (the program's affair), a reset, a reboot. The device plugin of NVIDIA
takes a GPU off at every number but 13, 31, 43, 45, 68 and 109, and never takes one back by itself; gpuready's agent
takes one off at those that need a reset or a reboot, or that nobody knows, and back once a reset was seen.
https://docs.nvidia.com/deploy/xid-errors/analyzing-xid-catalog.html
"""

from gpuready.knowledge.xids import Cure, Xid, with_cure
from gpuready.rules.diagnose._said import said_rule
from gpuready.rules.diagnose._xids import at_fault, telling

# Those of memory, GSP and bus have rules of their own; NVLink 5 asks for a look at its status word.
OTHERS = (48, 64, 79, 95, 119, 120, 140)
UNFIT = (*with_cure(Cure.RESET, Cure.REBOOT), *range(144, 151))
SAID = tuple(s for n in UNFIT if n not in OTHERS for s in (f"xid * {n},", f"xid {n}"))
BACK = "restart the device plugin's pod: NVIDIA's never takes a GPU back by itself"


def words(xids: tuple[Xid, ...]) -> tuple[str, str]:
    """Of several the gravest counts; one that is the program's affair the plugin alone took amiss."""
    gravest = max(xids, key=lambda xid: (Cure.APP, Cure.UNLISTED, Cure.RESET, Cure.REBOOT).index(xid.cure))
    if gravest.cure is Cure.APP:
        return f"the device plugin took a GPU off: {gravest}", f"{gravest.do}; to have it back, {BACK}"
    by = f"; NVIDIA names {at_fault(gravest)}" if gravest.at_fault else ""
    needs = "" if gravest.cure is Cure.UNLISTED else f": unusable until its {gravest.cure.value}"
    return f"{gravest}{needs}{by}", f"{gravest.do}; then {BACK}"


RULE = telling(
    said_rule(
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
    ),
    words,
)
