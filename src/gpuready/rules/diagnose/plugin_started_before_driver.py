"""The device plugin found nothing when it started, and waits: it never looks again by itself."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "plugin-started-before-driver",
    "plugin",
    "the device plugin found no GPU when it started, and does not look again",
    signs=("no devices found waiting indefinitely & !mps sharing", "no devices found & {device plugin}"),
    who=("plugin", "discovery"),
    symptom=True,
    next="run nvidia-smi on that node: where it works, delete the device plugin's pod there; where it does not,"
    " mend the driver first",
)
