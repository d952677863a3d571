"""A row remap, or a page retirement, takes effect at the next reset only."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "row-remap-pending",
    "hardware",
    "memory rows of a GPU wait for a reset to be remapped, or could not be",
    signs=(
        "xid * 63,",
        "xid 63",
        "xid * 64,",
        "xid 64",
        "row remapper & {failing}",
        "new row marked for remapping",
        "row remap* & pending & !pending no & !pending 0",
        "remapped rows & pending yes",
        "remapping failure occurred yes",
        "pending yes",
        "new page retired & reboot to activate",
        "pending page blacklist yes",
    ),
    next=(
        "drain the node's GPU pods and reset the GPU (`nvidia-smi -r`); a remapping failure is a case for the vendor"
    ),
)
