"""Secure Boot, or a kernel that enforces signatures."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
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
