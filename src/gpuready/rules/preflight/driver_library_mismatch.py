"""Kernel driver and libraries of different versions: NVML answers "Driver/library version mismatch" and CUDA fails."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from gpuready.model.facts.host import DriverFiles
from gpuready.model.fleet import each
from gpuready.model.rule import Finding, Rule
from gpuready.model.spec import Setup
from gpuready.model.unknown import TouchedUnknown, Unknown, known
from gpuready.rules.preflight._scope import Looks, look_at


def find(looks: Looks, setup: Setup, chosen: tuple[str, ...]) -> Iterator[Finding]:
    yield from each(chosen, partial(_find, looks, setup.driver.root))


def _find(looks: Looks, root: str | None, node: str) -> Iterator[Finding]:
    look = look_at(looks, node)
    loaded = known(look.kernel_driver_version)
    files = [f for f in known(look.driver_files) if root is None or f.root == root]
    if loaded is None or not files or any(f.version == loaded for f in files):
        return
    if any(f.version is None for f in files):
        raise TouchedUnknown(_nameless(node, files))
    yield Finding(
        at=f"node/{node}",
        says=f"kernel driver {loaded} is loaded and the libraries are of {', '.join(str(f.version) for f in files)}",
        evidence=(
            f"/proc/driver/nvidia/version: {loaded}",
            *(f"{f.lib_dir}/libnvidia-ml.so.{f.version}" for f in files),
        ),
        next=_mend(known(look.driver_files), loaded),
        nodes=(node,),
    )


def _mend(files: tuple[DriverFiles, ...], loaded: str) -> str:
    fitting = next((f.root for f in files if f.version == loaded), None)
    if fitting:
        return f"name the place whose libraries fit (driver.root: {fitting})"
    return "drain and reboot the node, so that its libraries and the loaded driver are of one version"


def _nameless(node: str, files: list[DriverFiles]) -> Unknown:
    where = ", ".join(f.lib_dir for f in files if f.version is None)
    return Unknown(f"node/{node}: the library in {where} has no version in its name", ask="nvidia-smi on the node")


RULE = Rule("driver-library-mismatch", "preflight", "refuse", "Kernel driver and libraries differ", find)
