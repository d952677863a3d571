"""The kernel's new own driver claims Turing and later at boot."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
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
