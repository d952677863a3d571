"""No space left, or the kubelet reports pressure and evicts."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "node-disk-full",
    "node",
    "a disk of the node is full",
    signs=(
        "no space left on device & !inotify & !shm & !watch* & !cgroup* & !fifo & !/dev/shm",
        "nodehasdiskpressure",
        "kubelethasdiskpressure",
        "kubelet has disk pressure",
        "untolerated taint node.kubernetes.io/disk-pressure",
        "had taint node.kubernetes.io/disk-pressure",
        "node.kubernetes.io/disk-pressure & taints",
        "condition diskpressure",
        "low on resource ephemeral-storage",
        "freediskspacefailed",
        "imagegcfailed & disk",
        "failed to garbage collect required amount",
        "attempting to reclaim ephemeral-storage",
        "evictionthresholdmet & ephemeral-storage",
        "disk quota exceeded",
        "insufficient free bytes",
        "not enough free space",
        "you don't have enough free space",
        "at least *mb more space needed",
        "insufficient space in download directory",
        "usage of emptydir volume * exceeds the limit",
    ),
    next=(
        "on that node look at df -h and df -i for / and for the folders of the runtime and the kubelet, free"
        " space (crictl rmi --prune, old logs), or give the volume more"
    ),
)
