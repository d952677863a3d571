"""Old operators added the secret of the operand a second time; the field manager refuses such a pod."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "duplicate-image-pull-secrets",
    "install",
    "a pod names the same image pull secret twice",
    signs=(
        "imagepullsecrets* & duplicate*",
        "imagepullsecrets* & dupli*",
        "failed to create manager for existing fields & imagepullsecrets*",
    ),
    next=(
        "name the secret once: remove it from imagePullSecrets of the operand or from the operator values,"
        " then delete the pod"
    ),
)
