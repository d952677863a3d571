"""Health of a GPU, as a pure policy over driver events and looks.

A GPU is
- `failed` while a fault stands against it, or while something on the node blocks its use (a device node is missing);
- `unknown` while nobody can look (NVML does not answer, its events cannot be listened to);
- `ok` otherwise.
Only `ok` is advertised to the kubelet as Healthy.

What raises a fault: an Xid that concerns the GPU and not the program (knowledge/xids.yaml), an answer of "lost" or any
other error where the GPU should answer, a recovery action that the driver asks for, a failed row remapping.

What clears one, never time alone: the GPU answered cleanly at every look for QUIET seconds, and, for an Xid that only
a reset or reboot clears, the reset was seen. It was seen when the driver tracks this Xid in its recovery action
(driver 565 and later) and says "none", or when the energy counter, which counts from the loading of the driver, is
lower than when the fault was raised.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from gpuready.knowledge import xids as catalogue
from gpuready.knowledge.xids import Cure
from gpuready.model.unknown import Unknown
from gpuready.node.gpus import Vitals

QUIET = 60.0  # seconds of clean looks before a fault is cleared
XID_SHOWN = 300.0  # seconds that the metric shows an Xid that raised no fault; dcgm-exporter's window for counting them

RECOVERY_ACTIONS = {  # nvmlDeviceGpuRecoveryAction_t
    1: "GPU reset",
    2: "node reboot",
    3: "drain of peer-to-peer traffic",
    4: "drain and GPU reset",
    5: "recovery of the IMEX domain",
    6: "bus reset",
    7: "system reboot",
}
DRIVER_KEEPS_WORKING = frozenset({0, 3})  # 3: the GPU computes, only its NVLink peers must be left


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    reason: str  # "Xid 79 at 2026-11-23T09:14:00Z: GPU has fallen off the bus"
    xid: int = 0
    energy_mj: int | None = None  # when the fault was raised
    clean_since: float | None = None  # monotonic seconds; since when every look was clean


class Health(msgspec.Struct, frozen=True, kw_only=True):
    fault: Fault | None = None
    blocked: str = ""  # why this GPU cannot be used just now, though it is well
    blind: str = ""  # why nobody can look
    last_xid: int = 0
    last_xid_at: float = 0.0  # monotonic seconds

    @property
    def state(self) -> str:
        if self.fault or self.blocked:
            return "failed"
        return "unknown" if self.blind else "ok"

    @property
    def reason(self) -> str:
        return self.fault.reason if self.fault else self.blocked or self.blind

    def shown_xid(self, now: float) -> int:
        """What the metric says: the Xid of a standing fault, else the last one while it is fresh, else 0."""
        if self.fault and self.fault.xid:
            return self.fault.xid
        return self.last_xid if self.last_xid and now - self.last_xid_at < XID_SHOWN else 0


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """Which Xids raise a fault. DP_ENABLE_HEALTHCHECKS goes before DP_DISABLE_HEALTHCHECKS, also for single numbers."""

    disable_all: bool = False
    enable_all: bool = False
    disabled: frozenset[int] = frozenset()
    enabled: frozenset[int] = frozenset()

    def counts(self, xid: int) -> bool:
        if self.enable_all or xid in self.enabled:
            return True
        if self.disable_all or xid in self.disabled or xid in catalogue.ignored():
            return False
        return catalogue.describe(xid).cure is not Cure.APP


def policy(disable: str = "", enable: str = "") -> Policy:
    """From the device plugin's two environment variables; entries that are not numbers are ignored, as there."""
    off, on = words(disable), words(enable)
    return Policy(
        disable_all=bool({"all", "xids"} & off),
        enable_all="all" in on,
        disabled=numbers(off),
        enabled=numbers(on),
    )


def words(text: str) -> set[str]:
    return {word.strip().lower() for word in text[:4096].split(",")}


def numbers(found: Iterable[str]) -> frozenset[int]:
    return frozenset(int(word) for word in found if word.isascii() and word.isdigit() and len(word) < 6)


def after_xid(health: Health, xid: int, at: str, now: float, vitals: Vitals | None, rules: Policy) -> Health:
    """An Xid came for this GPU. `at` is the time for people, `now` the monotonic one."""
    health = msgspec.structs.replace(health, last_xid=xid, last_xid_at=now)
    if not rules.counts(xid):
        return health
    energy = vitals.energy_mj if vitals and isinstance(vitals.energy_mj, int) else None
    reason = f"Xid {xid} at {at}: {catalogue.describe(xid).meaning}"
    if health.fault and is_graver(health.fault.xid, xid):
        return msgspec.structs.replace(health, fault=msgspec.structs.replace(health.fault, clean_since=None))
    return msgspec.structs.replace(health, fault=Fault(reason=reason, xid=xid, energy_mj=energy))


def is_graver(standing: int, new: int) -> bool:
    """The Xid that stands needs a reset and the new one does not: keep the first as the reason."""
    return standing != 0 and needs_reset(standing) and not needs_reset(new)


def needs_reset(xid: int) -> bool:
    return catalogue.describe(xid).cure in (Cure.RESET, Cure.REBOOT)


def trouble(vitals: Vitals) -> str:
    """What this look holds against the GPU; empty when clean."""
    if vitals.error:
        return f"the GPU does not answer: {vitals.error}"
    if isinstance(vitals.recovery, int) and vitals.recovery not in DRIVER_KEEPS_WORKING:
        return f"the driver asks for: {RECOVERY_ACTIONS.get(vitals.recovery, f'recovery action {vitals.recovery}')}"
    if vitals.remap_failed is True:
        return "row remapping failed: the memory is worn out"
    return ""


def after_look(health: Health, vitals: Vitals, now: float) -> Health:
    found = trouble(vitals)
    fault = health.fault
    if found:
        standing = msgspec.structs.replace(fault, clean_since=None) if fault and fault.xid else Fault(reason=found)
        return msgspec.structs.replace(health, fault=standing)
    if fault is None:
        return health
    since = now if fault.clean_since is None else fault.clean_since
    if now - since >= QUIET and (not needs_reset(fault.xid) or reset_seen(fault, vitals)):
        return msgspec.structs.replace(health, fault=None, last_xid=0)
    return msgspec.structs.replace(health, fault=msgspec.structs.replace(fault, clean_since=since))


def reset_seen(fault: Fault, vitals: Vitals) -> bool:
    if catalogue.describe(fault.xid).linked and not isinstance(vitals.recovery, Unknown):
        return vitals.recovery == 0
    return isinstance(vitals.energy_mj, int) and fault.energy_mj is not None and vitals.energy_mj < fault.energy_mj
