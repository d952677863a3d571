"""A CDI name was requested that no file in /etc/cdi or /var/run/cdi has: spec not generated, or by another vendor
name or naming strategy.
"""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "cdi-spec-lacks-device",
    "runtime config",
    "no CDI specification on the node has the device that was asked for",
    signs=(
        "unresolvable cdi device*",
        "could not resolve cdi devices",
        "no known gpu vendor found",
        "stat nvidia.com/gpu=* {absent}",
        "{cdi} & could not select device driver",
        "cdi device* & {absent} & !failed to stat & !{lost}",
    ),
    next=(
        "compare `nvidia-ctk cdi list` on that node with the name in the message; restart the toolkit pod, or where "
        "no operator owns it run `nvidia-ctk cdi generate --output=/var/run/cdi/nvidia.yaml`"
    ),
)
