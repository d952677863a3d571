"""The driver was upgraded and the old module is still in the kernel, or the libraries come from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.facts.host import HostFacts
from gpuready.model.rule import Finding
from gpuready.model.unknown import TouchedUnknown, Unknown, known
from gpuready.rules.diagnose._hosts import on_host, with_hosts
from gpuready.rules.diagnose._said import said_rule

WORDS = said_rule(
    "driver-library-mismatch-said",
    "kernel driver",
    "the loaded module and the driver's libraries are of different versions",
    signs=(
        "driver library version mismatch",
        "api mismatch & nvrm",
        "nvrm api mismatch",
        "nvml library version",
        "kernel module has the version",
        "nvrm & has the version",
        "this kernel module has the version",
        "cuda_error_system_driver_mismatch",
        "unsupported display driver cuda driver combination",
        "cudaerrorsystemdrivermismatch",
        "nvml_error_lib_rm_version_mismatch",
        "nvidia-modeset & version mismatch",
        "nvidia.ko & version mismatch",
        "{nvml} & version mismatch",
        "driver & lib* & version & {mismatch} & {nvml}",
        "nvidia-smi & driver version & nvml & {mismatch}",
    ),
    next=(
        "compare /proc/driver/nvidia/version with the libraries' version; drain the node and reboot it, so"
        " that the new module is loaded"
    ),
)


def look(host: HostFacts) -> Iterator[Finding]:
    loaded = known(host.kernel_driver_version)
    if loaded is None:
        return
    files = known(host.driver_files)
    if not files or any(place.version == loaded for place in files):
        return
    if nameless := [place.lib_dir for place in files if place.version is None]:
        why = f"node/{host.node}: the library in {nameless[0]} has no version in its name"
        raise TouchedUnknown(Unknown(why, "nvidia-smi on the node"))
    yield on_host(
        host,
        f"kernel driver {loaded} is loaded, and the libraries are of {', '.join(str(f.version) for f in files)}",
        (
            f"/proc/driver/nvidia/version: {loaded}",
            *(f"{place.lib_dir}/libnvidia-ml.so.{place.version}" for place in files),
        ),
        "drain the node and reboot it, so that the module of the installed version is loaded",
    )


RULE = with_hosts(WORDS, look)
