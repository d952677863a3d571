"""The DRA driver wants to make MIG devices itself and refuses those that it finds."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "dra-preexisting-mig-devices",
    "plugin",
    "there are MIG devices that no claim made, and the DRA driver stops at them",
    signs=(
        "aren't prepared to any claim",
        "mig devices found & prepared to any claim",
        "could not delete unexpected mig device",
        "unexpected mig device & {failing}",
    ),
    next=(
        "with the consent of whoever uses them delete the MIG instances (nvidia-smi mig -dci, then -dgi) or"
        " hand the node to static MIG, then restart the kubelet plugin"
    ),
)
