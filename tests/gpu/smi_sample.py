"""An nvidia-smi that answers as for an idle H100: for the tests of smi.py, and for a rehearsal without a GPU."""

from __future__ import annotations

import subprocess
from typing import Any

VALUES = {
    "uuid": "GPU-00000000-0000-0000-0000-000000000000",
    "name": "NVIDIA H100 80GB HBM3",
    "pci.bus_id": "00000000:1B:00.0",
    "driver_version": "580.65.06",
    "compute_cap": "9.0",
    "mig.mode.current": "Disabled",
    "count": "1",
    "memory.total": "81559",
    "memory.reserved": "551",
    "memory.used": "0",
    "memory.free": "81008",
    "clocks.sm": "345",
    "clocks.mem": "2619",
    "temperature.gpu": "30",
    "temperature.memory": "38",
    "power.draw": "70.41",
    "utilization.gpu": "0",
    "utilization.memory": "0",
    "utilization.encoder": "[N/A]",
}
DOCUMENT = """<?xml version="1.0" ?>
<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v13.dtd">
<nvidia_smi_log>
 <driver_version>580.65.06</driver_version>
 <cuda_version>13.0</cuda_version>
 <gpu id="00000000:1B:00.0">
  <pci><replay_counter>0</replay_counter></pci>
  <remapped_rows>
   <remapped_row_corr>0</remapped_row_corr><remapped_row_unc>0</remapped_row_unc>
   <remapped_row_pending>No</remapped_row_pending><remapped_row_failure>No</remapped_row_failure>
  </remapped_rows>
 </gpu>
</nvidia_smi_log>
"""


def run(argv: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
    """As subprocess.run with text: one unknown field is named at a time, and the exit status is 2."""
    if "-x" in argv:
        return subprocess.CompletedProcess(argv, 0, DOCUMENT, "")
    fields = next(word.partition("=")[2] for word in argv if word.startswith("--query-gpu=")).split(",")
    for field in fields:
        if field not in VALUES:
            return subprocess.CompletedProcess(argv, 2, f'Field "{field}" is not a valid field to query.\n\n', "")
    return subprocess.CompletedProcess(argv, 0, ", ".join(VALUES[field] for field in fields) + "\n", "")
