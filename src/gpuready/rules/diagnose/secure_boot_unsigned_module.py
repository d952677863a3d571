"""Secure Boot, or a kernel that enforces signatures."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.facts.host import HostFacts
from gpuready.model.rule import Finding
from gpuready.model.unknown import known
from gpuready.rules.diagnose._hosts import idle_gpus, on_host, with_hosts
from gpuready.rules.diagnose._said import said_rule

WORDS = said_rule(
    "secure-boot-unsigned-module",
    "kernel driver",
    "the kernel refuses the driver's module: no key that it trusts signed it",
    signs=(
        "{nvidia} & {unsigned} & !tainting kernel & !in-tree",
        "loading of unsigned module is rejected",
        "loading of module with unavailable key is rejected",
        "unsigned module loading is restricted",
        "not signed by a key that is trusted",
        "key was rejected by service",
        "could not insert nvidia* required key not available",
        "could not insert nvidia* key was rejected by service",
        "could not insert nvidia* operation not permitted",
        "kernel module load error operation not permitted",
        "kernel module load error required key not available",
        "kernel module load error key was rejected by service",
        "could not insert & {unsigned}",
        "{secure boot on} & !determine & !if secure-boot",
        "{secure boot on} & {failing} & !determine & !if secure-boot",
        "pkcs*7 signature not signed with a trusted key",
        "secure-boot & module & {failing}",
        "secure-boot & unsigned",
    ),
    next=(
        "sign the modules with a key enrolled by mokutil, use drivers that the distribution signed, or"
        " turn Secure Boot off; `mokutil --sb-state` tells"
    ),
)


def look(host: HostFacts) -> Iterator[Finding]:
    """A module that is built and not loaded, under Secure Boot: its log says whether it was refused."""
    if not idle_gpus(host) or not known(host.module_built) or not known(host.secure_boot):
        return
    yield on_host(
        host,
        "Secure Boot is on, and the nvidia module that is built for its kernel is not loaded",
        ("EFI variable SecureBoot: 1", f"nvidia.ko is built for {known(host.kernel)}", "no nvidia module is loaded"),
        "on the node: `modprobe nvidia`; where it says `Key was rejected by service`, enrol the key that signed the"
        " module (mokutil --import), or use drivers that the distribution signed",
        weight=1.0,
    )


RULE = with_hosts(WORDS, look)
