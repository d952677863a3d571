"""The node has no inotify instance left, so the device plugin cannot watch the kubelet's directory."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "inotify-limit-exhausted",
    "node",
    "the node has used up its inotify instances or watches",
    signs=(
        "{file watcher} & {exhausted}",
        "{file watcher} & too many open files",
        "{file watcher} & no space left on device",
        "*watcher & too many open files",
        "{device plugin} & too many open files & !accept*",
        "failed to serve & too many open files",
        "{no watcher}",
        "max_user_instances & {exhausted}",
        "max_user_watches & {exhausted}",
        "inotify & limit * reached",
    ),
    next="on that node raise fs.inotify.max_user_instances (1024) and fs.inotify.max_user_watches in /etc/sysctl.d,"
    " then restart the pod",
)
