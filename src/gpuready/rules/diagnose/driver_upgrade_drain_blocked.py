"""emptyDir volumes, pods without a controller and disruption budgets keep pods on the node; the module stays in use."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "driver-upgrade-drain-blocked",
    "kernel driver",
    "the drain that must empty the node for a new driver is refused",
    signs=(
        "cannot delete pods with local storage",
        "pods with local storage use",
        "unable to drain node",
        "error draining",
        "cannot delete pods declare no controller",
        "cannot delete pods that declare no controller",
        "cannot delete pods not managed by",
        "cannot delete daemonset-managed pods",
        "cannot delete cannot delete pods",
        "violate the * disruption budget",
        "cannot proceed until all gpu pods are drained",
        "failed to drain node",
        "failed to drain the node",
        "pods still hold gpu resource claims",
        "drain did not complete within",
        "global timeout reached & drain",
        "error when evicting pods & {failing}",
        "failed to delete workload pods on the node for the driver upgrade",
    ),
    next=(
        "move the pods that are named away by hand, or allow it: driver.manager.env"
        " DRAIN_DELETE_EMPTYDIR_DATA=true and DRAIN_USE_FORCE=true, or"
        " driver.upgradePolicy.drain.deleteEmptyDir and force"
    ),
)
