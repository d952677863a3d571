"""Without the NVIDIA driver on the node nothing can be handed out; gpuready uses the driver and does not bring it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from gpuready.model.facts.host import HostReport
from gpuready.model.fleet import each
from gpuready.model.rule import Finding, Rule
from gpuready.model.spec import GPU_OPERATOR, Setup
from gpuready.model.unknown import Unknown, known
from gpuready.rules.preflight._scope import Looks, look_at


def find(looks: Looks, setup: Setup, chosen: tuple[str, ...]) -> Iterator[Finding]:
    if setup.stack == GPU_OPERATOR and setup.gpu_operator.driver.owner != "host":
        return  # it brings the driver where there is none
    yield from each(chosen, partial(_find, looks))


def _find(looks: Looks, node: str) -> Iterator[Finding]:
    look = look_at(looks, node)
    gpus = known(look.gpus)
    if all(gpu.kernel_driver not in (None, "nvidia") for gpu in gpus):
        return  # none at all, or all bound to another driver: other rules say so
    if known(look.kernel_driver_version) is None:
        evidence = ("/proc/driver/nvidia/version is absent", *_libraries(look))
        yield _finding(node, "the NVIDIA kernel driver is not loaded", evidence)
    elif not known(look.driver_files):
        says = "the NVIDIA kernel driver is loaded and its libraries were not found"
        yield _finding(node, says, _libraries(look))


def _libraries(look: HostReport) -> tuple[str, ...]:
    """What is known of the libraries; evidence only, so that not knowing it decides nothing."""
    if isinstance(look.driver_files, Unknown):
        return (f"libraries not looked for: {look.driver_files.why}",)
    if not look.driver_files:
        return (f"no libnvidia-ml.so.1 in {', '.join(look.looked_in) or 'the known places'}",)
    return tuple(f"{f.lib_dir}/libnvidia-ml.so.1 is there" for f in look.driver_files)


def _finding(node: str, says: str, evidence: tuple[str, ...]) -> Finding:
    return Finding(
        at=f"node/{node}",
        says=says,
        evidence=evidence,
        next="install the driver on the node (nvidia-smi must work there), then gpuready up",
        nodes=(node,),
    )


RULE = Rule("no-driver", "preflight", "refuse", "No NVIDIA driver on the node", find)
