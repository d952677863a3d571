"""Writes the constructed captures: machines that nobody recorded, marked `"made": "constructed"`.

python3 -m testbed.construct [FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from testbed import capture
from testbed.answers import answers, migs_of
from testbed.fakenvml import NEWER_THAN_580, FakeNvml, functions_of
from testbed.machines import CAPS_MAJOR, DRIVER, MACHINES, UVM_MAJOR, Gpu

KERNEL = "6.8.0-90-generic"
OS_RELEASE = 'PRETTY_NAME="Ubuntu 24.04.3 LTS"\nNAME="Ubuntu"\nVERSION_ID="24.04"\nID=ubuntu\nID_LIKE=debian\n'
NVRM = (
    "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {driver}  Release Build  (dvs-builder@U22-I3-AE18-23-3)\n"
    "GCC version:  gcc version 13.3.0 (Ubuntu 13.3.0-6ubuntu2~24.04)\n"
)
INFORMATION = """\
Model: \t\t {name}
IRQ:   \t\t {irq}
GPU UUID: \t {uuid}
Video BIOS: \t {vbios}
Bus Type: \t PCIe
DMA Size: \t 52 bits
DMA Mask: \t 0xfffffffffffff
Bus Location: \t {pci}
Device Minor: \t {minor}
GPU Firmware: \t {driver}
GPU Excluded:\t No
"""
CAPABILITY = "DeviceFileMinor: {minor}\nDeviceFileMode: 292\nDeviceFileModify: 1\n"
INSTANCES, COMPUTE = 15, 8  # per GPU, as the driver numbers its capability devices


def construct(name: str) -> dict[str, Any]:
    """The capture of one machine of the table."""
    import pynvml

    gpus = MACHINES[name]
    fake = FakeNvml(answers(gpus))
    real = pynvml._nvmlGetFunctionPointer
    pynvml._nvmlGetFunctionPointer = fake.function
    try:
        nvml = capture.ask_nvml(pynvml, "libc.so.6")  # any library: the fake stands before it
    finally:
        pynvml._nvmlGetFunctionPointer = real
    nvml["exports"] = sorted({*functions_of(pynvml), *capture.OLD_NAMES} - NEWER_THAN_580)
    return capture.assemble(name, "constructed", nvml, node(gpus))


def node(gpus: tuple[Gpu, ...]) -> dict[str, Any]:
    return {
        "files": files(gpus),
        "links": {f"/sys/bus/pci/devices/{g.pci}/driver": "../../../bus/pci/drivers/nvidia" for g in gpus},
        "device_nodes": device_nodes(gpus),
        "libraries": libraries(),
        "kernel": KERNEL,
    }


def files(gpus: tuple[Gpu, ...]) -> dict[str, str]:
    found = {
        "/etc/os-release": OS_RELEASE,
        "/proc/driver/nvidia/version": NVRM.format(driver=DRIVER),
        "/proc/driver/nvidia/capabilities/mig/config": CAPABILITY.format(minor=1),
        "/proc/driver/nvidia/capabilities/mig/monitor": CAPABILITY.format(minor=2),
        "/proc/driver/nvidia-caps/mig-minors": "config 1\nmonitor 2\n",
        "/sys/module/nvidia/version": f"{DRIVER}\n",
        "/sys/module/nvidia/refcnt": f"{8 if gpus else 4}\n",
    }
    for gpu in gpus:
        found |= pci_files(gpu)
        found[f"/proc/driver/nvidia/gpus/{gpu.pci}/information"] = information(gpu)
        found |= capability_files(gpu)
        found["/proc/driver/nvidia-caps/mig-minors"] += minors(gpu)
    return found


def pci_files(gpu: Gpu) -> dict[str, str]:
    ids = {"vendor": gpu.model.pci_device & 0xFFFF, "device": gpu.model.pci_device >> 16}
    ids |= {"subsystem_vendor": gpu.model.pci_subsystem & 0xFFFF, "subsystem_device": gpu.model.pci_subsystem >> 16}
    texts = {k: f"0x{v:04x}\n" for k, v in ids.items()} | {
        "class": f"{gpu.model.pci_class}\n",
        "numa_node": f"{gpu.numa}\n",
    }
    return {f"/sys/bus/pci/devices/{gpu.pci}/{k}": v for k, v in texts.items()}


def information(gpu: Gpu) -> str:
    facts = {"name": gpu.model.name, "uuid": gpu.uuid, "vbios": gpu.model.vbios, "pci": gpu.pci, "driver": DRIVER}
    return INFORMATION.format(irq=120 + gpu.index, minor=gpu.index, **facts)


def cap_minor(gpu: int, gi: int, ci: int | None = None) -> int:
    """The driver's numbers of nvidia-cap devices: config, monitor, then each GPU instance and its compute instances."""
    return 3 + (gpu * INSTANCES + gi) * (COMPUTE + 1) + (0 if ci is None else ci + 1)


def minors(gpu: Gpu) -> str:
    lines = []
    for gi in range(INSTANCES):
        lines.append(f"gpu{gpu.index}/gi{gi}/access {cap_minor(gpu.index, gi)}\n")
        lines += [f"gpu{gpu.index}/gi{gi}/ci{ci}/access {cap_minor(gpu.index, gi, ci)}\n" for ci in range(COMPUTE)]
    return "".join(lines)


def capability_files(gpu: Gpu) -> dict[str, str]:
    found = {}
    for m in migs_of(gpu):
        base = f"/proc/driver/nvidia/capabilities/gpu{gpu.index}/mig/gi{m.mig.gi}"
        found[f"{base}/access"] = CAPABILITY.format(minor=cap_minor(gpu.index, m.mig.gi))
        found[f"{base}/ci{m.mig.ci}/access"] = CAPABILITY.format(minor=cap_minor(gpu.index, m.mig.gi, m.mig.ci))
    return found


def device_nodes(gpus: tuple[Gpu, ...]) -> list[dict[str, Any]]:
    wanted = [("nvidiactl", 195, 255, 0o666), ("nvidia-modeset", 195, 254, 0o666)]
    wanted += [("nvidia-uvm", UVM_MAJOR, 0, 0o666), ("nvidia-uvm-tools", UVM_MAJOR, 1, 0o666)]
    wanted += [(f"nvidia{g.index}", 195, g.index, 0o666) for g in gpus]
    caps = {1: 0o400, 2: 0o444}
    for gpu in gpus:
        for m in gpu.migs:
            caps |= {cap_minor(gpu.index, m.gi): 0o444, cap_minor(gpu.index, m.gi, m.ci): 0o444}
    wanted += [(f"nvidia-caps/nvidia-cap{minor}", CAPS_MAJOR, minor, mode) for minor, mode in sorted(caps.items())]
    return [
        {"path": f"/dev/{n}", "type": "c", "major": a, "minor": b, "mode": f"{mode:04o}"} for n, a, b, mode in wanted
    ]


def libraries() -> list[dict[str, str]]:
    found = []
    for name in ("libcuda", "libnvidia-ml", "libnvidia-ptxjitcompiler"):
        soname = f"{name}.so.1"
        found.append({"name": f"{name}.so.{DRIVER}", "soname": soname})
        found.append({"name": soname, "link": f"{name}.so.{DRIVER}"})
    return sorted(found, key=lambda f: f["name"])


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "captures"
    for name in MACHINES:
        capture.write(construct(name), folder / f"{name}.json")


if __name__ == "__main__":
    main()
