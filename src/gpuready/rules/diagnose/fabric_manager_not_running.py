"""CUDA says 802 until the fabric manager has set NVLink up."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "fabric-manager-not-running",
    "kernel driver",
    "NVSwitch has no fabric manager that runs: CUDA waits for the fabric",
    signs=(
        "system not yet initialized",
        "cuda_error_system_not_ready",
        "cudaerrorsystemnotready",
        "cuda & error 802",
        "error 802",
        "error code 802",
        "cuinit & 802",
        "returned 802",
        "{fabric manager} & {failing} & !nv_warn_nothing_to_do & !{mismatch} & !nothing to do & !matching",
        "{fabric manager} & {absent} & !nothing to do & !warning",
        "{fabric manager} & not running",
        "{fabric manager} & inactive",
        "fabric & state & in progress",
        "{fabric pending} & !upgrade & !job & !update",
        "fabric manager is not running",
        "could not start nvidia fabric manager",
        "fabric & probe & in progress",
        "{fabric manager} & {disabled}",
    ),
    because=("fabric-manager-version-mismatch", "fabric-manager-not-applicable"),
    next=(
        "start it (`systemctl enable --now nvidia-fabricmanager`, of the driver's version) and wait until"
        " `nvidia-smi -q` shows Fabric State Completed"
    ),
)
