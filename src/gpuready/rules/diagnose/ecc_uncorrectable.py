"""Double-bit and uncontained ECC errors."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "ecc-uncorrectable",
    "hardware",
    "memory of a GPU has errors that cannot be corrected",
    signs=(
        "xid * 48,",
        "xid 48",
        "eventdata 48",
        "xid * 94,",
        "xid * 95,",
        "xid 95",
        "eventdata 95",
        "xid * 140,",
        "xid 140",
        "uncorrectable ecc error",
        "uncorrectable ecc errors",
        "double bit ecc error",
        "double bit error",
        "double-bit ecc",
        "cuda_error_ecc_uncorrectable",
        "cudaerroreccuncorrectable",
        "uncontained ecc error",
        "uncontained memory error",
    ),
    next="cordon the node, drain its GPU pods and reset the GPU; then read `nvidia-smi -q -d ECC,ROW_REMAPPER`",
)
