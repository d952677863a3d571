"""What a look at one node finds: PCI devices, driver, device nodes. Written by `gpuready probe look`."""

from __future__ import annotations

import msgspec

from gpuready.model.unknown import Unknown


class PciGpu(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One PCI function with vendor 10de and class 03xx, as /sys/bus/pci/devices shows it."""

    address: str  # 0000:1b:00.0
    device_id: str  # "2330", four hex digits, lower case
    pci_class: str  # "030200"
    kernel_driver: str | None  # nvidia, vfio-pci, nouveau, None when no driver is bound
    numa_node: int | None  # None when the kernel says -1 or nothing


class DriverFiles(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One place on the node where the driver's user space lies. All paths are host paths."""

    root: str  # "/", "/usr/local/nvidia", "/run/nvidia/driver"
    lib_dir: str  # directory that holds libnvidia-ml.so.1 and libcuda.so.1
    version: str | None  # from the library's file name, "580.65.06"; None when the name has none
    nvidia_smi: str | None


class HostReport(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The whole look. Each field is a value or Unknown with the reason."""

    node: str
    gpus: tuple[PciGpu, ...] | Unknown
    kernel_driver_version: str | Unknown | None  # of the loaded module; None: none is loaded
    driver_files: tuple[DriverFiles, ...] | Unknown  # empty: looked everywhere named in `looked_in`, found none
    looked_in: tuple[str, ...] = ()
    device_nodes: tuple[str, ...] | Unknown = ()  # names beneath /dev that begin with nvidia
    kernel: str | Unknown = Unknown("not read")
    replayed: bool = False  # the driver library says that it replays a capture
    nonce: str = ""
