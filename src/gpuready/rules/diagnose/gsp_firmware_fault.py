"""RPCs to the GSP time out, Xid 119 and 120."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "gsp-firmware-fault",
    "kernel driver",
    "the firmware on a GPU (GSP) hangs or faults",
    signs=(
        "xid * 119,",
        "xid 119",
        "eventdata 119",
        "xid * 120,",
        "xid 120",
        "eventdata 120",
        "timeout .. waiting for rpc .. gsp",
        "waiting for rpc response from gpu* gsp",
        "timeout waiting for rpc from gsp",
        "{gsp} & {timeout}",
        "gsp & rpc & {timeout}",
        "gsp task exception",
        "gspmsgqueue* & {failing}",
        "kgsp* & {failing}",
        "cannot initialize gsp firmware rm",
        "gsp & rpc & {failing}",
        "{gsp} & {failing} & !{absent} & !firmware load & !cuda_error*",
        "gsp & crashed",
    ),
    because=("gpu-fell-off-bus", "gsp-firmware-missing"),
    next=(
        "drain the node and reset the GPU; if it comes back, update the driver, or with the proprietary"
        " modules set NVreg_EnableGpuFirmware=0"
    ),
)
