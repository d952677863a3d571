"""Faults that must outlive the agent: a restart of the agent does not reset a GPU.

Kept beside the CDI file, on the tmpfs that a reboot empties, and bound to the boot. A driver that was loaded anew is
noticed by the GPU's energy counter (health.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from gpuready.node import files
from gpuready.node.health import Fault, Health, needs_reset

FILE = "gpuready.dev-gpu.faults"  # no .json: the runtimes read every such file here as a CDI document
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
LARGEST = 256 * 1024  # bytes


class _Kept(msgspec.Struct, frozen=True):
    reason: str
    xid: int
    energy_mj: int | None


class _File(msgspec.Struct, frozen=True):
    boot: str
    faults: dict[str, _Kept]


def boot_id() -> str:
    try:
        return BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def load(folder: Path, boot: str) -> dict[str, Fault]:
    """What an agent of this boot left; nothing when there is no such file, or it is not ours to trust."""
    try:
        with (folder / FILE).open("rb") as file:
            data = file.read(LARGEST + 1)
        kept = msgspec.json.decode(data, type=_File) if len(data) <= LARGEST else None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    if kept is None or kept.boot != boot:
        return {}
    return {uuid: Fault(reason=old.reason, xid=old.xid, energy_mj=old.energy_mj) for uuid, old in kept.faults.items()}


def save(folder: Path, boot: str, health: Mapping[str, Health]) -> None:
    """Raises OSError. Does nothing where the folder is not there, and removes the file when nothing is to be kept."""
    if not folder.is_dir():
        return
    standing = {uuid: entry.fault for uuid, entry in health.items() if entry.fault and needs_reset(entry.fault.xid)}
    kept = {uuid: _Kept(fault.reason, fault.xid, fault.energy_mj) for uuid, fault in standing.items()}
    if not kept:
        (folder / FILE).unlink(missing_ok=True)
        return
    files.replace(folder / FILE, msgspec.json.encode(_File(boot, kept)).decode(), mode=0o600)
