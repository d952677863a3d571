"""What a container gets with its GPUs: device nodes and the driver's user space.

No hook and no LD_LIBRARY_PATH (a variable set here would replace the image's own): each driver library is mounted under
every name it has into both directories that glibc searches last by default, after LD_LIBRARY_PATH and the cache,
whatever the image sets.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from gpuready.model.unknown import Unknown
from gpuready.node.devices import refusal
from gpuready.node.gpus import Gpu

LOADER_DIRECTORIES = {  # glibc's built-in search path: Debian's layout, and that of Red Hat and SUSE
    "x86_64": ("/usr/lib/x86_64-linux-gnu", "/usr/lib64"),
    "aarch64": ("/usr/lib/aarch64-linux-gnu", "/usr/lib64"),
}
CONTROL_NODES = ("nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset")
NEEDED_NODES = ("nvidiactl", "nvidia-uvm")  # without them no CUDA program starts
# The driver's parts "compute" and "utility"; everything else (display, video, graphics) is left out.
WANTED = re.compile(
    r"lib(cuda|cudadebugger|nvidia-(ml|ptxjitcompiler|nvvm\d*|gpucomp|opencl|cfg|allocator|pkcs11[a-z0-9-]*|sandboxutils))"
    r"\.so(\.[0-9.]+)?"
)
REQUIRED = ("libcuda.so.1", "libnvidia-ml.so.1")
SMI_IN_CONTAINER = "/usr/bin/nvidia-smi"
# An nvidia runtime that is also in the chain must add nothing of its own.
ENVIRONMENT = (("NVIDIA_VISIBLE_DEVICES", "void"),)


class Mount(msgspec.Struct, frozen=True):
    host: str
    container: str


class DriverFiles(msgspec.Struct, frozen=True, kw_only=True):
    """What the driver root holds, with every symlink resolved: all paths are real paths on the host."""

    libraries: Mapping[str, str]  # name in the library directory -> real file
    nvidia_smi: str = ""
    unresolved: Mapping[str, str] = {}  # name or path -> why it is left out


class Injection(msgspec.Struct, frozen=True, kw_only=True):
    control: tuple[str, ...]  # device nodes that every container gets
    devices: Mapping[str, str]  # UUID -> /dev/nvidiaN
    mounts: tuple[Mount, ...]
    env: tuple[tuple[str, str], ...] = ENVIRONMENT
    missing: str = ""  # why no container can use any GPU of this node


def plan(gpus: Iterable[Gpu], nodes: frozenset[str], files: DriverFiles | Unknown, machine: str) -> Injection:
    """`nodes` are the names below /dev on the node. Names nothing that is not there."""
    found = files if isinstance(files, DriverFiles) else DriverFiles(libraries={})
    return Injection(
        control=tuple(f"/dev/{name}" for name in CONTROL_NODES if name in nodes),
        devices={
            gpu.uuid: f"/dev/nvidia{gpu.minor}" for gpu in gpus if not refusal(gpu) and f"nvidia{gpu.minor}" in nodes
        },
        mounts=mounts(found, machine),
        missing=lacking(nodes, files),
    )


def lacking(nodes: frozenset[str], files: DriverFiles | Unknown) -> str:
    if isinstance(files, Unknown):
        return files.why
    for name in NEEDED_NODES:
        if name not in nodes:
            return f"the node has no /dev/{name}: run nvidia-modprobe -u -c=0 on it"
    for name in REQUIRED:
        if name not in files.libraries:
            return f"{name} is missing among the driver's libraries{why_not(files.unresolved.get(name, ''))}"
    return ""


def why_not(reason: str) -> str:
    return f": {reason}" if reason else ""


def blocked(gpu: Gpu, injection: Injection) -> str:
    """Why no container can be given this GPU; empty when it can, and for one that is not advertised anyway."""
    if refusal(gpu):
        return ""
    if gpu.uuid not in injection.devices:
        return f"the node has no /dev/nvidia{gpu.minor}: run nvidia-modprobe -c={gpu.minor} on it"
    return injection.missing


def chosen(libraries: Mapping[str, str]) -> dict[str, str]:
    """Of the listing, the driver's own: files that a shorter name points to, or that bear the driver's version.

    A library of an earlier driver that was left behind has neither.
    """
    wanted = {name: real for name, real in libraries.items() if WANTED.fullmatch(name)}
    linked = {real for name, real in wanted.items() if not real.endswith(f"/{name}")}
    version = libraries.get("libnvidia-ml.so.1", "").rpartition(".so.")[2]
    return {
        name: real for name, real in wanted.items() if real in linked or (version and real.endswith(f".so.{version}"))
    }


def mounts(files: DriverFiles, machine: str) -> tuple[Mount, ...]:
    directories: Sequence[str] = LOADER_DIRECTORIES.get(machine, ())
    listed = chosen(files.libraries)
    libraries = [Mount(listed[name], f"{folder}/{name}") for folder in directories for name in sorted(listed)]
    return (*libraries, *([Mount(files.nvidia_smi, SMI_IN_CONTAINER)] if files.nvidia_smi else []))
