"""The selectors of NVIDIADriver objects must be disjoint."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "nvidiadriver-selector-conflict",
    "install",
    "two NVIDIADriver objects select the same node",
    signs=(
        "conflicting nvidiadriver nodeselectors",
        "conflictingnodeselector",
        "multiple nvidiadrivers match",
        "nvidiadriver* & state & unsupported value",
        "conflicting nodes found with given node selector",
        "nvidiadriver* & {failing} & nodeselector & conflict*",
    ),
    next=(
        "compare spec.nodeSelector of all NVIDIADriver objects (kubectl get nvidiadriver -o yaml) and make"
        " them disjoint"
    ),
)
