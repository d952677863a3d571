"""nvidia-smi works, warns and ends with 14, which validators take for a failure."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "inforom-corrupted",
    "hardware",
    "the infoROM of a GPU is damaged",
    signs=(
        "inforom is corrupted",
        "inforom & corrupt*",
        "nvml_error_corrupted_inforom",
    ),
    next=(
        "the card needs repair by its vendor (nvidia-smi goes on ending with 14): take it out, or set the node aside"
    ),
)
