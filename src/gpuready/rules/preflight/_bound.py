"""GPUs of the chosen nodes by the kernel driver that holds them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from gpuready.knowledge import gpus
from gpuready.model.facts.host import PciGpu
from gpuready.model.fleet import each
from gpuready.model.rule import Finding
from gpuready.model.unknown import known
from gpuready.rules.preflight._scope import Looks, look_at


def bound(
    looks: Looks, chosen: tuple[str, ...], held: Callable[[str | None], bool], *, by: str, why: str, next: str
) -> Iterator[Finding]:
    """One finding a node on which some GPU's kernel driver is `held`."""

    def find(node: str) -> Iterator[Finding]:
        all_gpus = known(look_at(looks, node).gpus)
        wrong = [gpu for gpu in all_gpus if held(gpu.kernel_driver)]
        if wrong:
            yield Finding(
                at=f"node/{node}",
                says=f"{len(wrong)} of {len(all_gpus)} GPUs {by}: {why}",
                evidence=tuple(map(_show, wrong)),
                next=next,
                nodes=(node,),
            )

    yield from each(chosen, find)


def _show(gpu: PciGpu) -> str:
    driver = f"bound to {gpu.kernel_driver}" if gpu.kernel_driver else "bound to no driver"
    return f"{gpu.address} {gpus.name(gpu.device_id)} {driver}"
