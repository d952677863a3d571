"""What is found on one node: by a look before anything is installed (`gpuready probe look`), or for the doctor."""

from __future__ import annotations

from collections.abc import Mapping

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
    simulated: bool | msgspec.UnsetType = msgspec.UNSET  # then replayed is true as well (gpuready demo)
    nonce: str = ""


class RuntimeConfig(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What one container runtime would read at its next start, drop-ins merged in; not what the running one has."""

    runtime: str  # containerd | cri-o | docker
    path: str  # the file it begins with: /etc/containerd/config.toml
    files: tuple[str, ...] = ()  # that file and what it imports, in the order in which they count
    handlers: tuple[str, ...] = ()  # names that a RuntimeClass may give: runc, nvidia
    default_handler: str = ""
    cdi: bool | None = None  # switched on or off by these files; None: they say nothing
    binaries: Mapping[str, str] = {}  # handler -> the program that it runs, where the files name one
    missing_binaries: tuple[str, ...] = ()  # handlers whose program is named by its path and is not there
    hidden_binaries: tuple[str, ...] = ()  # handlers whose program lies where the reader cannot see
    replaced: tuple[str, ...] = ()  # handlers lost before containerd 2.0: a later CRI section replaces an earlier one
    misplaced: tuple[str, ...] = ()  # handlers in a section that a file of its version does not have: nobody reads them
    unread: tuple[str, ...] = ()  # files that belong to it and could not be seen by the reader
    problem: str = ""  # why the runtime would not start with it: "Invalid statement (at line 12, column 1)"


class CdiSpec(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One file below /etc/cdi or /var/run/cdi."""

    path: str
    kind: str = ""  # nvidia.com/gpu
    devices: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()  # host paths that it names and that are not there
    hidden: tuple[str, ...] = ()  # host paths that it names and that the reader cannot see
    problem: str = ""


class HostFacts(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The state of one node, for the doctor. From the agent's page /host, or from a pod of `doctor --host-facts`.

    Each field is a value or Unknown with the reason: what a reader could not see is never taken for absent.
    """

    node: str
    as_of: str  # the node's own clock, RFC 3339, UTC
    asked_at: str = ""  # the asker's clock when it got the answer; empty: not compared
    kernel: str | Unknown = Unknown("not read")
    gpus: tuple[PciGpu, ...] | Unknown = Unknown("not read")
    kernel_driver_version: str | Unknown | None = Unknown("not read")
    driver_files: tuple[DriverFiles, ...] | Unknown = Unknown("not read")
    device_nodes: tuple[str, ...] | Unknown = Unknown("not read")
    modules: tuple[str, ...] | Unknown = Unknown("not read")  # loaded ones that matter: nvidia*, nouveau, nova_core
    module_built: bool | Unknown = Unknown("not read")  # a module nvidia.ko lies there for the running kernel
    headers: bool | Unknown = Unknown("not read")  # /lib/modules/KERNEL/build leads to a folder that has a Makefile
    secure_boot: bool | Unknown | None = Unknown("not read")  # None: the machine has no UEFI
    cgroup: int | Unknown = Unknown("not read")  # 1 or 2
    toolkit: str | Unknown | None = Unknown("not read")  # version of libnvidia-container; None: it is nowhere
    runtimes: tuple[RuntimeConfig, ...] | Unknown = Unknown("not read")
    cdi_specs: tuple[CdiSpec, ...] | Unknown = Unknown("not read")
    cdi_folders: tuple[str, ...] = ()  # those that were looked into: a file in another one may be missing in cdi_specs
    plugin_sockets: tuple[str, ...] | Unknown = Unknown("not read")  # below device-plugins, without kubelet.sock
    replayed: bool = False
