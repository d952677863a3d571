"""What the kernel says about PCI devices and the machine: small files below /sys, the same in a container."""

from __future__ import annotations

from pathlib import Path

from gpuready.model.unknown import Unknown

NVIDIA = "0x10de"
LIMIT = 4096  # bytes; every file read here is one short line


def read_line(path: Path) -> str | Unknown:
    try:
        with path.open("rb") as file:
            return file.read(LIMIT).decode("ascii", "replace").strip()
    except OSError as error:
        return Unknown(f"{path}: {error.strerror}")


def numa_node(sys: Path, address: str) -> int | None:
    """NUMA node of a PCI function ("0000:1a:00.0"); None when the kernel says -1 or nothing readable."""
    text = read_line(sys / "bus/pci/devices" / address / "numa_node")
    if isinstance(text, Unknown) or not text.isdecimal():
        return None
    return int(text)


def pci_class(sys: Path, address: str) -> str | Unknown:
    """Six hex digits, "030200"."""
    text = read_line(sys / "bus/pci/devices" / address / "class")
    return text if isinstance(text, Unknown) else text.removeprefix("0x")


def product_name(sys: Path) -> str | Unknown:
    return read_line(sys / "class/dmi/id/product_name")


def bound_gpus(sys: Path) -> tuple[str, ...]:
    """PCI addresses of the GPUs that the nvidia driver holds. NVML counts them once, when it is opened."""
    driver = sys / "bus/pci/drivers/nvidia"
    try:
        return tuple(sorted(entry.name for entry in driver.iterdir() if entry.name.count(":") == 2))
    except OSError:
        return ()
