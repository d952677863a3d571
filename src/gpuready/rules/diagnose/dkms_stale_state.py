"""An entry in the DKMS tree has no sources any more, or is there twice."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "dkms-stale-state",
    "kernel driver",
    "DKMS stops at a leftover of another driver version",
    signs=(
        "could not locate dkms.conf",
        "dkms.conf & {absent} & !copying",
        "{dkms} tree already contains",
        "cannot add the same module version combo",
        "missing the module source directory",
        "nvidia * broken",
        "diff between built and installed module & nvidia",
        "{dkms} & {already} & nvidia & {failing}",
        "nvidia & {dkms} & broken",
    ),
    next=(
        "`dkms status`, then `dkms remove` the entry that has no sources (or delete"
        " /var/lib/dkms/nvidia/<that version>) and run `dkms autoinstall`"
    ),
)
