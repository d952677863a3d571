"""nvidia_uvm's HMM support fails on this kernel, so cuInit returns 3."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "uvm-hmm-init-failure",
    "kernel driver",
    "CUDA does not initialise although nvidia-smi works: unified memory (HMM) does not come up",
    signs=(
        "cuda_error_not_initialized",
        "cuda driver library init failure 3",
        "{cuinit} & not_initialized",
        "cuinit & returned 3",
        "cuinit & error 3",
        "{cuinit} & err 3",
        "uvm & hmm & {failing}",
        "uvm_disable_hmm",
        "cuda & initialization error & {cuinit}",
    ),
    because=(
        "driver-not-loaded",
        "uvm-device-nodes-missing",
        "fabric-manager-not-running",
        "driver-library-mismatch-said",
    ),
    next=(
        "try it with `options nvidia_uvm uvm_disable_hmm=1` in /etc/modprobe.d and the module reloaded, or"
        " update the driver"
    ),
)
