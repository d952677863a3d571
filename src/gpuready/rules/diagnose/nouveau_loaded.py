"""The kernel's own driver took the device first; nvidia cannot load, and nothing after it."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.facts.host import HostFacts
from gpuready.model.rule import Finding
from gpuready.model.unknown import known
from gpuready.rules.diagnose._hosts import bus, on_host, with_hosts
from gpuready.rules.diagnose._said import said_rule

WORDS = said_rule(
    "nouveau-loaded",
    "kernel driver",
    "nouveau holds the GPU",
    signs=(
        "kernel driver in use nouveau",
        "already bound to nouveau",
        "nouveau kernel driver is currently in use",
        "nouveau 0000:* & !direct firmware",
        "nouveau & {in use}",
        "nouveau & {failing} & {load module} & !such as",
        "unload* nouveau & {failing}",
        "initialized nouveau",
        "initialized nouveau 1.*",
        "nouveau driver is loaded",
        "module nouveau is in use",
        "nouveau is loaded",
        "nouveau 1* & !xserver* & !xorg* & !libdrm*",
        "nouveau 2* & !xserver* & !xorg* & !libdrm*",
        "nouveau 3* & !xserver* & !xorg* & !libdrm*",
        "mxm_wmi * * nouveau",
        "mxm_wmi 1* 1 nouveau",
        "drm_ttm_helper * * *nouveau",
        "{device taken}",
        "{device taken} & nouveau",
        "nvidia & failed to enable msi-x",
        "fb0 nouveau*",
    ),
    because=("nova-core-loaded",),
    next=(
        "deny nouveau (`blacklist nouveau` and `options nouveau modeset=0` in /etc/modprobe.d), rebuild"
        " the initramfs and reboot the node"
    ),
)


def look(host: HostFacts) -> Iterator[Finding]:
    if held := [gpu for gpu in known(host.gpus) if gpu.kernel_driver == "nouveau"]:
        yield on_host(
            host,
            f"nouveau holds {len(held)} of its {len(known(host.gpus))} GPU",
            bus(held),
            "deny nouveau (`blacklist nouveau` and `options nouveau modeset=0` in /etc/modprobe.d), rebuild the"
            " initramfs and reboot the node",
        )


RULE = with_hosts(WORDS, look)
