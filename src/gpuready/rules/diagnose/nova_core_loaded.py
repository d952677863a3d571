"""The kernel's new own driver claims Turing and later at boot."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.facts.host import HostFacts
from gpuready.model.rule import Finding
from gpuready.model.unknown import known
from gpuready.rules.diagnose._hosts import bus, on_host, with_hosts
from gpuready.rules.diagnose._said import said_rule

WORDS = said_rule(
    "nova-core-loaded",
    "kernel driver",
    "nova-core holds the GPU",
    signs=(
        "already bound to novacore",
        "already bound to nova-core",
        "kernel driver in use nova*",
        "novacore 0000:*",
        "nova_core 0000:*",
        "nova_core 1*",
        "nova_core 2*",
        "nova_core 3*",
        "nova_core 4*",
        "nova-core & {in use}",
        "nova-core & {failing}",
        "nova_core * * nova_drm",
    ),
    next="deny nova_core (`blacklist nova_core` in /etc/modprobe.d), rebuild the initramfs and reboot the node",
)


def look(host: HostFacts) -> Iterator[Finding]:
    if held := [gpu for gpu in known(host.gpus) if (gpu.kernel_driver or "").lower() in ("novacore", "nova_core")]:
        yield on_host(
            host,
            f"nova-core holds {len(held)} of its {len(known(host.gpus))} GPU",
            bus(held),
            "deny nova_core (`blacklist nova_core` in /etc/modprobe.d), rebuild the initramfs and reboot the node",
        )


RULE = with_hosts(WORDS, look)
