"""What the look says of a node, from trees as a pod sees them beneath its prefix."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gpuready.model.facts.host import DriverFiles, HostReport, PciGpu
from gpuready.model.unknown import Unknown
from gpuready.node import look

Tree = dict[str, str | None]  # path -> text, "-> target" for a link, None for a folder
KERNEL = "6.8.0-45-generic"
H100 = PciGpu(address="0000:1b:00.0", device_id="2330", pci_class="030200", kernel_driver="nvidia", numa_node=0)
NVRM_OPEN = (
    "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build  (dvs-builder@U22)\n"
    "GCC version:  gcc version 13.3.0 (Ubuntu 13.3.0-6ubuntu2~24.04)\n"
)
NVRM_CLOSED = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023\n"
ELF = "\x7fELF library"


def lay_out(root: Path, tree: Tree) -> None:
    for name, text in tree.items():
        path = root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        if text is None:
            path.mkdir(exist_ok=True)
        elif text.startswith("-> "):
            path.symlink_to(text.removeprefix("-> "))
        else:
            path.write_text(text)


def pci(address: str, driver: str = "", **texts: str) -> Tree:
    """A function as in /sys: a link in the bus's folder to the device's own, with a link to its driver."""
    real = f"/sys/devices/pci0000:00/{address}"
    files = {"vendor": "0x10de", "class": "0x030200", "device": "0x2330", "numa_node": "0", **texts}
    tree: Tree = {f"/sys/bus/pci/devices/{address}": f"-> ../../../devices/pci0000:00/{address}"}
    tree |= {f"{real}/{name}": f"{text}\n" for name, text in files.items() if text != "absent"}
    if driver:
        tree[f"{real}/driver"] = f"-> ../../../bus/pci/drivers/{driver}"
    return tree


def libraries(folder: str, version: str = "580.65.06") -> Tree:
    tree: Tree = {}
    for name in ("libnvidia-ml", "libcuda"):
        tree |= {f"{folder}/{name}.so.{version}": ELF, f"{folder}/{name}.so.1": f"-> {name}.so.{version}"}
    return tree


OTHERS = pci("0000:00:1f.0", vendor="0x8086", **{"class": "0x060100"}) | pci("0000:04:00.0", **{"class": "0x068000"})
BARE: Tree = {"/sys/bus/pci/devices": None, "/sys/module": None, "/proc/driver": None, "/usr/lib": None, "/dev": None}
DEVICES: Tree = {f"/dev/{name}": "" for name in ("null", "nvidia0", "nvidiactl", "nvidia-uvm", "nvme0")}
LOADED: Tree = {"/proc/driver/nvidia/version": NVRM_OPEN, "/sys/module/nvidia/version": "580.65.06\n"}
GPU_NODE: Tree = BARE | OTHERS | DEVICES | LOADED | pci("0000:1b:00.0", "nvidia")
UBUNTU = "/usr/lib/x86_64-linux-gnu"
GKE = "/usr/local/nvidia"
NOTHING_ELSE = ("/usr/local/nvidia", "/")


def report(**changes: Any) -> HostReport:
    """The H100 node's report with these fields in place of its own."""
    fields: dict[str, Any] = {
        "gpus": (H100,),
        "kernel_driver_version": "580.65.06",
        "driver_files": (),
        "looked_in": NOTHING_ELSE,
        "device_nodes": ("nvidia-uvm", "nvidia0", "nvidiactl"),
    }
    return HostReport(node="n1", nonce="n", kernel=KERNEL, **(fields | changes))


def files(
    root: str, lib_dir: str, version: str | None = "580.65.06", smi: str | None = None
) -> tuple[DriverFiles, ...]:
    return (DriverFiles(root=root, lib_dir=lib_dir, version=version, nvidia_smi=smi),)


NODES: dict[str, tuple[Tree, HostReport]] = {
    "an H100 with Ubuntu's packages": (
        GPU_NODE | libraries(UBUNTU) | {"/usr/bin/nvidia-smi": "x"},
        report(driver_files=files("/", UBUNTU, smi="/usr/bin/nvidia-smi")),
    ),
    "GKE's layout": (
        GPU_NODE | libraries(f"{GKE}/lib64") | {f"{GKE}/bin/nvidia-smi": "x"},
        report(driver_files=files(GKE, f"{GKE}/lib64", smi=f"{GKE}/bin/nvidia-smi")),
    ),
    "Red Hat's layout": (GPU_NODE | libraries("/usr/lib64"), report(driver_files=files("/", "/usr/lib64"))),
    "a driver container, with links that count from its own root": (
        GPU_NODE
        | libraries("/run/nvidia/driver/usr/lib/real")
        | {
            "/run/nvidia/driver/usr/lib/x86_64-linux-gnu": "-> /usr/lib/real",
            "/run/nvidia/driver/usr/bin/nvidia-smi": "x",
        },
        report(
            driver_files=files(
                "/run/nvidia/driver", "/run/nvidia/driver/usr/lib/real", smi="/run/nvidia/driver/usr/bin/nvidia-smi"
            ),
            looked_in=("/usr/local/nvidia", "/run/nvidia/driver", "/"),
        ),
    ),
    "a driver container that is not there yet": (
        GPU_NODE | {"/run/nvidia": None},
        report(looked_in=("/usr/local/nvidia", "/run/nvidia/driver", "/")),
    ),
    "two drivers, an old one left behind": (
        GPU_NODE | libraries("/usr/lib64", "470.82.01") | libraries(UBUNTU),
        report(driver_files=(*files("/", UBUNTU), *files("/", "/usr/lib64", "470.82.01"))),
    ),
    "Debian's packages, whose plain links lead through /etc": (
        GPU_NODE
        | libraries(f"{UBUNTU}/nvidia/current")
        | {f"{UBUNTU}/libnvidia-ml.so.1": "-> /etc/alternatives/nvidia--libnvidia-ml.so.1"},
        report(driver_files=files("/", f"{UBUNTU}/nvidia/current"), looked_in=("/usr/local/nvidia",)),
    ),
    "a driver that a link leads to beyond what is mounted": (
        GPU_NODE | {f"{UBUNTU}/libnvidia-ml.so.1": "-> /opt/nvidia/libnvidia-ml.so.1"},
        report(
            driver_files=Unknown("a link of the driver leads to '/opt', which is not visible here"),
            looked_in=("/usr/local/nvidia",),
        ),
    ),
    "links left behind by a driver that was removed": (
        GPU_NODE | {f"{UBUNTU}/{n}.so.1": f"-> {n}.so.535.104.05" for n in ("libnvidia-ml", "libcuda")},
        report(),
    ),
    "empty files left behind by a container runtime": (
        GPU_NODE | {f"{UBUNTU}/{n}.so.1": "" for n in ("libnvidia-ml", "libcuda")},
        report(),
    ),
    "management without CUDA": (GPU_NODE | {f"{UBUNTU}/libnvidia-ml.so.1": ELF}, report()),
    "libraries without a version in their names": (
        GPU_NODE | {f"{UBUNTU}/{n}.so.1": ELF for n in ("libnvidia-ml", "libcuda")},
        report(driver_files=files("/", UBUNTU, None)),
    ),
    "the closed kernel module, seen by /proc only": (
        BARE | {"/proc/driver/nvidia/version": NVRM_CLOSED},
        report(gpus=(), kernel_driver_version="535.104.05", device_nodes=()),
    ),
    "a GPU bound to vfio": (
        BARE | pci("0000:1b:00.0", "vfio-pci", numa_node="-1"),
        report(
            gpus=(msgspec.structs.replace(H100, kernel_driver="vfio-pci", numa_node=None),),
            kernel_driver_version=None,
            device_nodes=(),
        ),
    ),
    "a GPU bound to nouveau, in a domain of five digits, without NUMA": (
        BARE | pci("10000:e1:00.0", "nouveau", numa_node="absent", device="0x1eb8"),
        report(
            gpus=(
                PciGpu(
                    address="10000:e1:00.0",
                    device_id="1eb8",
                    pci_class="030200",
                    kernel_driver="nouveau",
                    numa_node=None,
                ),
            ),
            kernel_driver_version=None,
            device_nodes=(),
        ),
    ),
    "a GPU without any driver": (
        BARE | pci("0000:1b:00.0"),
        report(
            gpus=(msgspec.structs.replace(H100, kernel_driver=None),), kernel_driver_version=None, device_nodes=()
        ),
    ),
    "a machine without GPUs": (
        BARE | OTHERS,
        report(gpus=(), kernel_driver_version=None, device_nodes=()),
    ),
    "a machine without PCI": (
        {"/sys/bus": None} | {path: None for path in BARE if path != "/sys/bus/pci/devices"},
        report(gpus=(), kernel_driver_version=None, device_nodes=()),
    ),
    "nothing mounted": (
        {},
        report(
            gpus=Unknown("/sys of the node is not visible here"),
            kernel_driver_version=Unknown(
                "/proc/driver of the node is not visible here; /sys/module of the node is not visible here"
            ),
            driver_files=Unknown("/usr of the node is not visible here"),
            looked_in=(),
            device_nodes=Unknown("/dev of the node is not visible here"),
        ),
    ),
    "/proc/driver alone, and nothing loaded": (
        {"/proc/driver": None},
        report(
            gpus=Unknown("/sys of the node is not visible here"),
            kernel_driver_version=None,
            driver_files=Unknown("/usr of the node is not visible here"),
            looked_in=(),
            device_nodes=Unknown("/dev of the node is not visible here"),
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", NODES)
def test_a_node_with(case: str, tmp_path: Path) -> None:
    tree, wanted = NODES[case]
    lay_out(tmp_path, tree)
    found = look.look(str(tmp_path), "n1", "n", KERNEL)
    assert found == wanted
    assert msgspec.json.decode(msgspec.json.encode(found), type=HostReport) == wanted


def loop(folder: str) -> Tree:
    return {f"{folder}/libnvidia-ml.so.1": "-> b", f"{folder}/b": "-> libnvidia-ml.so.1"}


HOSTILE: dict[str, tuple[Tree, dict[str, Any]]] = {
    "a version file of many megabytes": (
        GPU_NODE | {"/proc/driver/nvidia/version": "x" * (8 << 20), "/sys/module/nvidia/version": "y" * (8 << 20)},
        {
            "kernel_driver_version": Unknown(
                f"/proc/driver/nvidia/version names no version: {'x' * 80!r}; "
                f"/sys/module/nvidia/version names no version: {'y' * 80!r}"
            )
        },
    ),
    "a version file with control characters": (
        GPU_NODE | {"/proc/driver/nvidia/version": "\x1b[31m\x00\n", "/sys/module/nvidia/version": "\n"},
        {
            "kernel_driver_version": Unknown(
                "/proc/driver/nvidia/version names no version: '\\x1b[31m\\x00'; "
                "/sys/module/nvidia/version names no version: ''"
            )
        },
    ),
    "an empty version file and no module in /sys": (
        {**BARE, "/proc/driver/nvidia/version": ""},
        {
            "gpus": (),
            "device_nodes": (),
            "kernel_driver_version": Unknown("/proc/driver/nvidia/version names no version: ''"),
        },
    ),
    "libraries that point at each other": (
        GPU_NODE | loop(UBUNTU),
        {
            "driver_files": Unknown(f"{UBUNTU}/libnvidia-ml.so.1: too many symlinks"),
            "looked_in": ("/usr/local/nvidia",),
        },
    ),
    "a driver root that points at itself": (
        GPU_NODE | {"/usr/local/nvidia": "-> nvidia"},
        {
            "driver_files": Unknown("/usr/local/nvidia/lib64: too many symlinks"),
            "looked_in": ("/",),
        },
    ),
    "links that climb out of the prefix": (
        GPU_NODE | {f"{UBUNTU}/libnvidia-ml.so.1": "-> ../../../../../../../../../../../etc/hostname"},
        {
            "driver_files": Unknown("a link of the driver leads to '/etc', which is not visible here"),
            "looked_in": ("/usr/local/nvidia",),
        },
    ),
    "a library that is a folder": (
        GPU_NODE | {f"{UBUNTU}/libnvidia-ml.so.1/x": "", f"{UBUNTU}/libcuda.so.1": ELF},
        {},
    ),
    "a class that is no number": (
        GPU_NODE | pci("0000:1c:00.0", **{"class": "0x03\x1b[31m"}),
        {"gpus": Unknown("/sys/bus/pci/devices/0000:1c:00.0/class says '0x03\\x1b[31m'")},
    ),
    "a device without its number": (
        GPU_NODE | pci("0000:1c:00.0", device="absent"),
        {"gpus": Unknown("/sys/bus/pci/devices/0000:1c:00.0/device says ''")},
    ),
    "a driver with a strange name, a NUMA node that is no number": (
        GPU_NODE | pci("0000:1b:00.0", "bad\nname\x1b", numa_node="many"),
        {"gpus": (msgspec.structs.replace(H100, kernel_driver="bad?name?", numa_node=None),)},
    ),
    "names that are no PCI addresses, and files that belong to no device node": (
        GPU_NODE | {"/sys/bus/pci/devices/..x": "", "/sys/bus/pci/devices/0000:1b:00.9": "", "/dev/nvidia\x1b[31m": ""},
        {},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_a_node_that_shows(case: str, tmp_path: Path) -> None:
    tree, changes = HOSTILE[case]
    later = {name: text for name, text in tree.items() if name not in GPU_NODE or GPU_NODE[name] != text}
    lay_out(tmp_path, {name: text for name, text in tree.items() if name not in later} | later)
    found = look.look(str(tmp_path), "n1", "n", KERNEL)
    assert found == report(**changes)
    assert msgspec.json.decode(msgspec.json.encode(found), type=HostReport) == found


def test_bytes_that_are_no_text_reach_the_report_escaped(tmp_path: Path) -> None:
    lay_out(tmp_path, GPU_NODE)
    (tmp_path / "usr/lib/x86_64-linux-gnu").mkdir()
    os.symlink(b"/\xff\xfe/lib", os.fsencode(tmp_path / "usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1"))
    (tmp_path / "dev" / os.fsdecode(b"nvidia\xff")).touch()
    found = look.look(str(tmp_path), "n1", "n", KERNEL)
    why = "a link of the driver leads to '/\\udcff\\udcfe', which is not visible here"
    assert found == report(driver_files=Unknown(why), looked_in=("/usr/local/nvidia",))
    assert msgspec.json.decode(msgspec.json.encode(found), type=HostReport) == found


def test_a_pipe_in_place_of_a_file_does_not_make_it_wait(tmp_path: Path) -> None:
    lay_out(tmp_path, {**BARE, "/proc/driver/nvidia": None})
    os.mkfifo(tmp_path / "proc/driver/nvidia/version")
    why = "/proc/driver/nvidia/version is no regular file"
    assert look.kernel_driver(str(tmp_path)) == Unknown(why)


def test_more_names_than_any_node_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay_out(tmp_path, GPU_NODE)
    monkeypatch.setattr(look, "MOST_NAMES", 2)
    found = look.look(str(tmp_path), "n1", "n", KERNEL)
    assert found.device_nodes == Unknown("/dev has more than 2 entries")
    assert found.gpus == Unknown("/sys/bus/pci/devices has more than 2 entries")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files that another user may not read")
def test_what_may_not_be_read_is_unknown(tmp_path: Path) -> None:
    lay_out(tmp_path, GPU_NODE | libraries(UBUNTU))
    for name in ("dev", "usr/lib", "proc/driver/nvidia", "sys/bus/pci"):
        (tmp_path / name).chmod(0o700)
    (tmp_path / "sys/module/nvidia/version").chmod(0o600)
    tmp_path.chmod(0o755)
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        try:
            os.chroot(tmp_path)
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            os.write(writing, msgspec.json.encode(look.look("/", "n1", "n", KERNEL)))
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        found = msgspec.json.decode(pipe.read(), type=HostReport)
    os.waitpid(child, 0)
    assert found == report(
        gpus=Unknown("/sys/bus/pci/devices: Permission denied"),
        kernel_driver_version=Unknown(
            "/proc/driver/nvidia/version: Permission denied; /sys/module/nvidia/version: Permission denied"
        ),
        driver_files=Unknown("'/usr/lib/x86_64-linux-gnu': Permission denied"),
        looked_in=("/usr/local/nvidia",),
        device_nodes=Unknown("/dev: Permission denied"),
    )


MARKS = {
    "a replaying library": (b"\x7fELF..\0nvmlInit_v2\0gpuready_replay\0", True),
    "a real library": (b"\x7fELF..\0nvmlInit_v2\0nvmlShutdown\0", False),
    "a name that only contains it": (b"\x7fELF..\0not_gpuready_replay\0", False),
}


@pytest.mark.parametrize("case", MARKS)
def test_replay_is_read_from_the_library(case: str, tmp_path: Path) -> None:
    data, wanted = MARKS[case]
    lay_out(tmp_path, GPU_NODE | libraries(UBUNTU))
    (tmp_path / "usr/lib/x86_64-linux-gnu/libnvidia-ml.so.580.65.06").write_bytes(data)
    assert look.look(str(tmp_path), "n1", "n", KERNEL).replayed is wanted
