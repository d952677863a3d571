"""The CUDA repository changed its key in 2022; older driver images carry only the old one."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "driver-image-repo-key-expired",
    "kernel driver",
    "the signing key of a package repository is not the one that apt or dnf knows",
    signs=(
        "no_pubkey *",
        "expkeysig",
        "keyexpired",
        "is no longer signed",
        "the following signatures were invalid",
        "public key is not available",
        "{package mirror} & is not signed",
        "gpg check failed",
        "public key for * is not installed",
        "gpg keys listed .. are already installed but they are not correct",
        "bad gpg signature",
        "gpg signature verification error",
        "signature verification error",
        "missing key * which is needed to verify signature",
        "signatures couldn't be verified",
    ),
    next=(
        "pull a driver image that was built after the key changed (delete the cached image or take a newer"
        " driver.version); on a host import the new key of the repository"
    ),
)
