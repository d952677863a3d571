"""The state of one node for the doctor: driver, device nodes, modules, runtime configuration, CDI files, sockets.

Two processes ask: the agent, through the few paths that are mounted into it, and the pod of `doctor --host-facts`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import TypeVar

import msgspec

from gpuready.knowledge import distributions
from gpuready.model.facts.host import CdiSpec, DriverFiles, HostFacts, RuntimeConfig
from gpuready.model.unknown import Unknown
from gpuready.node import look, runtime_read
from gpuready.node.cdi_read import read_cdi
from gpuready.node.config import Config
from gpuready.node.driver_files import resolve
from gpuready.node.judge import View
from gpuready.node.runtime_read import Files
from gpuready.node.sight import Sight

T = TypeVar("T")
HOST_FACTS = "gpuready doctor --host-facts"  # what the agent cannot see, its probe may
DEV = "/dev"
CDI_FOLDERS = ("/etc/cdi", "/var/run/cdi")
MOST_SPECS = 32
SPEC_BYTES = 256 << 10
DEP_BYTES = 8 << 20  # /lib/modules/*/modules.dep of a distribution's kernel has 0.7 MiB
PLUGINS = "/var/lib/kubelet/device-plugins"
MODULES = re.compile(r"nvidia(?:_[a-z0-9]{1,24}){0,3}|nouveau|nova_core|vfio_pci|gdrdrv")
NVIDIA_MODULE = re.compile(r"(?:^|/)nvidia\.ko(?:\.[a-z]{2,3})?:", re.M)
SECURE_BOOT = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"  # UEFI 2.10, 3.3
TOOLKIT = "libnvidia-container.so.1"
TOOLKIT_FOLDERS = (*(f"/{folder}" for folder in look.SYSTEM_LIBRARIES[:4]), "/usr/local/nvidia/toolkit")

# Where runtimes and those who package them begin to read; distributions that bring their own are in knowledge.
CONTAINERD = ("/etc/containerd/config.toml", "/etc/cri/containerd.toml")
CRIO = "/etc/crio/crio.conf"
DOCKER = "/etc/docker/daemon.json"


def host_facts(sight: Sight, node: str, kernel: str, as_of: str) -> HostFacts:
    """Everything that the paths in sight tell. `kernel`: the release that uname names; `as_of`: RFC 3339, now."""
    specs, folders = cdi_specs(sight)
    files = _below(sight, "/usr", _driver_files)
    replayed = not isinstance(files, Unknown) and any(look.replays(sight.prefix(f.lib_dir) or "", f) for f in files)
    return HostFacts(
        node=node,
        as_of=as_of,
        kernel=kernel or Unknown("uname names no kernel release"),
        gpus=_below(sight, "/sys", look.pci_gpus),
        kernel_driver_version=_below(sight, "/proc/driver", look.kernel_driver),
        driver_files=files,
        device_nodes=_below(sight, "/dev", look.device_nodes),
        modules=modules(sight),
        module_built=module_built(sight, kernel),
        headers=headers(sight, kernel),
        secure_boot=secure_boot(sight),
        cgroup=cgroup(sight),
        toolkit=toolkit(sight),
        runtimes=runtimes(sight),
        cdi_specs=specs,
        cdi_folders=folders,
        plugin_sockets=plugin_sockets(sight),
        replayed=replayed,
    )


def _below(sight: Sight, path: str, read: Callable[[str], T]) -> T | Unknown:
    prefix = sight.prefix(path)
    return _unseen(sight, path) if prefix is None else read(prefix)


def _driver_files(prefix: str) -> tuple[DriverFiles, ...] | Unknown:
    return look.driver_files(prefix)[0]


def _unseen(sight: Sight, path: str) -> Unknown:
    return Unknown(f"{path} of the node is not visible to the reader", sight.ask)


def modules(sight: Sight) -> tuple[str, ...] | Unknown:
    names = sight.names("/sys/module")
    if names is None:
        return Unknown("the node has no /sys/module", sight.ask)
    return names if isinstance(names, Unknown) else tuple(sorted(filter(MODULES.fullmatch, names)))


def module_built(sight: Sight, kernel: str) -> bool | Unknown:
    """Whether the running kernel's list of modules (depmod's) has nvidia.ko, wherever it lies."""
    path = f"/lib/modules/{kernel}/modules.dep"
    text = sight.read(path, DEP_BYTES)
    if text is None:
        return Unknown(f"{path} is not on the node", sight.ask)
    return text if isinstance(text, Unknown) else bool(NVIDIA_MODULE.search(text))


def headers(sight: Sight, kernel: str) -> bool | Unknown:
    """Whether a module could be built for the running kernel: its build folder has a Makefile."""
    folder = sight.there(f"/lib/modules/{kernel}")
    if isinstance(folder, Unknown):
        return folder
    if not folder:
        return Unknown(f"/lib/modules/{kernel} is not on the node", sight.ask)
    return sight.there(f"/lib/modules/{kernel}/build/Makefile")


def secure_boot(sight: Sight) -> bool | Unknown | None:
    """Of the firmware. None: the machine was not started by UEFI."""
    efi = sight.there("/sys/firmware/efi")
    if isinstance(efi, Unknown):
        return efi
    if not efi:
        return None
    text = sight.read(SECURE_BOOT, 16)
    if isinstance(text, str) and len(text) == 5:  # four bytes of attributes, one of value
        return text[4] == "\x01"
    return (
        text if isinstance(text, Unknown) else Unknown("the firmware's SecureBoot variable is not visible", sight.ask)
    )


def cgroup(sight: Sight) -> int | Unknown:
    names = sight.names("/sys/fs/cgroup")
    if names is None or (not isinstance(names, Unknown) and not names):
        return Unknown("/sys/fs/cgroup of the node is not visible to the reader", sight.ask)
    return names if isinstance(names, Unknown) else 2 if "cgroup.controllers" in names else 1


def toolkit(sight: Sight) -> str | Unknown | None:
    """The version in the file name of libnvidia-container; None: it is in none of the folders where it is put."""
    hidden: list[Unknown] = []
    for folder in TOOLKIT_FOLDERS:
        real = sight.target(f"{folder}/{TOOLKIT}")
        if isinstance(real, Unknown):
            hidden.append(real)
        elif real:
            version = real.rpartition("/libnvidia-container.so.")[2]
            if re.fullmatch(r"\d+\.\d+\.\d+", version):
                return version
            hidden.append(Unknown(f"{look.shown(real)} has no version in its name", "nvidia-ctk --version on the node"))
    return hidden[0] if hidden else None


def runtimes(sight: Sight) -> tuple[RuntimeConfig, ...] | Unknown:
    """Every configuration of a container runtime that lies where one is usual. The folder of a distribution is given
    to a reader on such a node only: a file in it that its owner alone may read is still the one."""
    files = Files(lambda path: sight.read(path, runtime_read.LARGEST), sight.names)
    own = tuple(path for path in distributions.configs() if sight.prefix(path) is not None)
    read = [
        *(runtime_read.read_containerd(path, files) for path in (*CONTAINERD, *own)),
        runtime_read.read_crio(CRIO, files),
        runtime_read.read_docker(DOCKER, files),
    ]
    found = [config for config in read if config]
    given = [path for path in own if not path.startswith("/etc/")]
    told = [config for config in found if config.files or config.problem or config.path in given]
    if told:
        return tuple(_with_binaries(sight, config) for config in told)
    if found:
        return _unseen(sight, found[0].unread[0])
    return Unknown("no configuration of a container runtime lies in its usual place", sight.ask)


def _with_binaries(sight: Sight, config: RuntimeConfig) -> RuntimeConfig:
    """Programs named by their path; others are searched by the runtime in a PATH that is not known here."""
    there = {name: sight.there(path) for name, path in config.binaries.items() if path.startswith("/")}
    return msgspec.structs.replace(
        config,
        missing_binaries=tuple(name for name, found in there.items() if found is False),
        hidden_binaries=tuple(name for name, found in there.items() if isinstance(found, Unknown)),
    )


def cdi_specs(sight: Sight) -> tuple[tuple[CdiSpec, ...] | Unknown, tuple[str, ...]]:
    """What was found, and the folders that could be looked into."""
    found: list[CdiSpec] = []
    looked: list[str] = []
    hidden: list[Unknown] = []
    for folder in CDI_FOLDERS:
        names = sight.names(folder)
        if isinstance(names, Unknown):
            hidden.append(names)
            continue
        looked.append(folder)
        specs = [name for name in sorted(names or ()) if name.endswith((".json", ".yaml")) and name.isprintable()]
        found += (_spec(sight, f"{folder}/{name}") for name in specs[:MOST_SPECS])
    return (tuple(found) if looked else hidden[0]), tuple(looked)


def _spec(sight: Sight, path: str) -> CdiSpec:
    text = sight.read(path, SPEC_BYTES)
    if not isinstance(text, str):
        return CdiSpec(path=path, problem=text.why if isinstance(text, Unknown) else "it went away")
    return read_cdi(path, text, sight.there)


def plugin_sockets(sight: Sight) -> tuple[str, ...] | Unknown:
    names = sight.names(PLUGINS)
    if names is None:
        return Unknown(f"{PLUGINS} is not on the node: has its kubelet another root directory?", sight.ask)
    if isinstance(names, Unknown):
        return names
    return tuple(sorted(n for n in names if n.endswith(".sock") and n != "kubelet.sock" and n.isprintable()))


def agent_sight(config: Config) -> Sight:
    """The paths that are mounted into the agent (components/native_agent), and what no container is kept from."""
    own = (("/sys", config.sys_dir), (CDI_FOLDERS[1], config.cdi_dir), (PLUGINS, config.plugin_dir), ("/dev", DEV))
    seen = [(path, str(at).removesuffix(path)) for path, at in own if str(at).endswith(path)]
    return Sight((*seen, ("/proc/driver", ""), (config.lib_dir, config.host_prefix)), HOST_FACTS)


def agent_facts(config: Config, view: View, as_of: str) -> HostFacts:
    """What the agent can tell of its node. NVML knows the loaded driver better than files do."""
    facts = host_facts(agent_sight(config), config.node, os.uname().release, as_of)
    version = view.driver if isinstance(view.driver, str) and view.driver else facts.kernel_driver_version
    driver = driver_at(config.host_prefix, config.driver_root, config.lib_dir, config.nvidia_smi)
    facts = msgspec.structs.replace(facts, kernel_driver_version=version, driver_files=driver)
    if not view.replayed:
        return facts
    unseen = Unknown("the driver is replayed from a capture, and this machine's kernel is not the captured one's")
    return msgspec.structs.replace(
        facts, gpus=unseen, modules=unseen, module_built=unseen, headers=unseen, replayed=True
    )


def driver_at(prefix: str, root: str, lib_dir: str, nvidia_smi: str) -> tuple[DriverFiles, ...] | Unknown:
    """The driver's libraries in a folder that is known."""
    try:
        real = resolve(f"{lib_dir}/libnvidia-ml.so.1", prefix, root)
    except OSError as error:
        return Unknown(f"{lib_dir}/libnvidia-ml.so.1: {error.strerror or error}")
    version = real.rpartition("/libnvidia-ml.so.")[2]
    known = version if look.VERSION.fullmatch(version) else None
    return (DriverFiles(root=root, lib_dir=lib_dir, version=known, nvidia_smi=nvidia_smi or None),)
