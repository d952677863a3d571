"""The operator appends the OS of the node to the driver tag; for some systems and kernels no such tag is published."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "driver-image-not-published-for-os",
    "install",
    "no driver image is published for this driver version and node OS",
    signs=(
        "*/driver:* & {no such image} & !pull access denied & !{unauthorized}",
        "*/driver:* & {pulling} & not found & !pull access denied & !{unauthorized} & !{unresolved}",
        (
            "{unserved driver image} & {image not pulled} & !{unauthorized} & !{timeout} & !{refused} &"
            " !{unresolved} & !{untrusted} & !proxyconnect"
        ),
        "*vgpu-manager:* & {pulling} & not found & !{unauthorized} & !{unresolved}",
    ),
    who=("kubelet", "runtime", "apiserver", "operator"),
    next=(
        "list the tags of the driver repository for this OS suffix, then set driver.version to one that"
        " exists or driver.enabled=false where the host has its own driver"
    ),
)
