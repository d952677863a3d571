"""Strategy single wants one profile on the whole node."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "mig-strategy-single-with-mixed-profiles",
    "plugin",
    "the MIG strategy 'single' meets different MIG layouts on one node",
    signs=(
        "more than one mig device type",
        "more than one mig & type present",
        "must be configured with the same migenabled value",
        "strategy single & mig & {mismatch}",
        "strategy single & mig & {failing}",
    ),
    next="set the strategy to mixed (operator: mig.strategy=mixed), or give all GPUs of the node one profile",
)
