"""Xid errors: what each number means and what clears it, as data.

Source: NVIDIA's Xid catalogue, https://docs.nvidia.com/deploy/xid-errors/analyzing-xid-catalog.html, read 2026-11-23:
number, description, immediate resolution bucket, and whether the driver turns it into a recovery action (column
"Xid 154 linkage"). The buckets RESTART_APP and IGNORE are Cure.APP: the GPU goes on working. RESET_GPU, and the
workflows of 48 and 74, whose text says "a GPU reset or node reboot is needed to clear this error", are Cure.RESET.
RESTART_BM is Cure.REBOOT. The workflow of NVLink 5 (144 to 150) depends on a status word that NVML does not hand out:
Cure.UNLISTED.
"""

from __future__ import annotations

import enum

import msgspec


class Cure(enum.Enum):
    APP = "application"  # concerns the program that ran, not the GPU
    RESET = "reset"
    REBOOT = "reboot"
    UNLISTED = "unlisted"  # not in the table: nothing is known that would clear it


class Xid(msgspec.Struct, frozen=True):
    meaning: str
    cure: Cure
    linked: bool = False  # since driver 565 the driver itself says through its recovery action whether this is cleared


# The device plugin of NVIDIA does not act on these unless told to; by the catalogue 109 would be a reset case.
NEVER_BY_DEFAULT = frozenset({13, 31, 43, 45, 68, 109})

NVLINK5_UNITS = ("SAW", "RLW", "TLW", "TREX", "NVLPW_CTRL", "NETIR", "MSE")

XIDS: dict[int, Xid] = {
    8: Xid("GPU stopped processing", Cure.APP),
    11: Xid("Invalid or corrupted push buffer stream", Cure.APP),
    13: Xid("Graphics Engine Exception", Cure.APP),
    14: Xid("Injected error", Cure.APP),
    25: Xid("Invalid or illegal push buffer stream", Cure.APP),
    31: Xid("GPU memory page fault", Cure.APP),
    32: Xid("Invalid or corrupted push buffer stream", Cure.APP),
    37: Xid("Driver firmware error", Cure.APP),
    38: Xid("Driver firmware error", Cure.APP),
    39: Xid("Copy Engine Exception", Cure.APP),
    40: Xid("Copy Engine Exception", Cure.APP),
    41: Xid("Copy Engine Exception", Cure.APP),
    43: Xid("GPU stopped processing", Cure.APP),
    44: Xid("Graphics Engine fault during context switch", Cure.APP),
    45: Xid("Preemptive cleanup, due to previous errors", Cure.APP),
    46: Xid("GPU stopped processing", Cure.RESET),
    48: Xid("Double Bit ECC Error", Cure.RESET, linked=True),
    54: Xid("Auxiliary power is not connected to the GPU board", Cure.REBOOT),
    60: Xid("Video processor exception", Cure.APP),
    62: Xid("Internal micro-controller halt", Cure.RESET, linked=True),
    63: Xid("GPU memory remapping event", Cure.APP, linked=True),
    64: Xid("GPU memory remapping failure", Cure.RESET, linked=True),
    66: Xid("Illegal access by driver", Cure.APP),
    67: Xid("Illegal access by driver", Cure.APP),
    68: Xid("NVDEC0 Exception", Cure.APP),
    69: Xid("Graphics Engine class error", Cure.APP),
    70: Xid("Copy Engine 3 error", Cure.APP),
    71: Xid("Copy Engine 4 error", Cure.APP),
    72: Xid("Copy Engine 5 error", Cure.APP),
    74: Xid("NVLINK Error", Cure.RESET, linked=True),
    75: Xid("Copy Engine 6 error", Cure.APP),
    76: Xid("Copy Engine 7 error", Cure.APP),
    77: Xid("Copy Engine 8 error", Cure.APP),
    79: Xid("GPU has fallen off the bus", Cure.REBOOT, linked=True),
    80: Xid("Corrupted data sent to GPU", Cure.APP),
    82: Xid("NVJPG0 Error", Cure.APP),
    83: Xid("NVDEC1 Error", Cure.APP),
    84: Xid("NVDEC2 Error", Cure.APP),
    85: Xid("Copy Engine 9 error", Cure.APP),
    86: Xid("OFA Exception", Cure.APP),
    88: Xid("NVDEC3 Error", Cure.APP),
    89: Xid("NVDEC4 Error", Cure.APP),
    92: Xid("High single-bit ECC error rate", Cure.APP),
    93: Xid("Violation of the provisioned InfoROM wear limit", Cure.APP),
    94: Xid("Contained memory error", Cure.APP, linked=True),
    95: Xid("Uncontained memory error", Cure.RESET, linked=True),
    **{96 + n: Xid(f"NVDEC{5 + n} Error", Cure.APP) for n in range(3)},
    **{99 + n: Xid(f"NVJPG{1 + n} Error", Cure.APP) for n in range(7)},
    106: Xid("SMBPBI Test Message", Cure.APP),
    107: Xid("SMBPBI Test Message Silent", Cure.APP),
    109: Xid("Context Switch Timeout Error", Cure.RESET, linked=True),
    110: Xid("Security Fault Error", Cure.RESET, linked=True),
    119: Xid("GSP RPC Timeout", Cure.RESET),
    120: Xid("GSP Error", Cure.RESET, linked=True),
    121: Xid("C2C Error, corrected", Cure.APP),
    **{126 + n: Xid(f"Copy Engine {10 + n} error", Cure.APP) for n in range(10)},
    136: Xid("Link Training Failed", Cure.RESET, linked=True),
    137: Xid("NVLink Privilege Error", Cure.APP),
    139: Xid("OFA1 Error", Cure.APP),
    140: Xid("ECC Unrecovered Error", Cure.RESET),
    141: Xid("CUDA Fast Path Error", Cure.APP),
    143: Xid("GPU Initialization Error", Cure.RESET, linked=True),
    **{144 + n: Xid(f"NVLINK: {unit} Error", Cure.UNLISTED) for n, unit in enumerate(NVLINK5_UNITS)},
    154: Xid("GPU Recovery Action Changed", Cure.APP),  # the recovery action itself is read at each look
    155: Xid("NVLINK: SW Defined Error", Cure.RESET, linked=True),
    156: Xid("Resource Retirement Event", Cure.RESET, linked=True),
    157: Xid("Resource Retirement Failure", Cure.APP),
    158: Xid("GPU Fatal Timeout", Cure.RESET, linked=True),
    160: Xid("Channel Retirement Event", Cure.APP),
    161: Xid("Channel Retirement Failure", Cure.APP),
}

UNLISTED = Xid("not in NVIDIA's catalogue of 2026-11", Cure.UNLISTED)


def describe(number: int) -> Xid:
    return XIDS.get(number, UNLISTED)
