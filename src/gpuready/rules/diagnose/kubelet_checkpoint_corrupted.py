"""The kubelet cannot read a checkpoint of its own and does not start, or forgets which pod has which GPU."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "kubelet-checkpoint-corrupted",
    "node",
    "a checkpoint file of the kubelet cannot be read",
    signs=(
        "checkpoint is corrupted & !differs from & !{dra}",
        "checkpoint * is corrupted & !{dra}",
        "could not restore state from checkpoint & !differs from & !doesn't match",
        "{kubelet state file} & corrupt*",
        "{kubelet state file} & {unparsable}",
        "failing to read checkpoint file",
        "{kubelet state file} & {failing} & !differs from & !doesn't match & !checkpoint is not found",
    ),
    who=("kubelet",),
    next="drain the node, stop the kubelet, delete the file that the message names, then start the kubelet again",
)
