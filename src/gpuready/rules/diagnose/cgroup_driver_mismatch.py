"""The kubelet hands cgroup paths in systemd's form to a runtime set to cgroupfs, or the reverse; also where only
the nvidia block differs.
"""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "cgroup-driver-mismatch",
    "runtime config",
    "kubelet and container runtime use different cgroup drivers",
    signs=(
        "devices.allow & {absent} & !{denied}",
        "kubelet cgroup driver & different from",
        "{cgroup driver} & {mismatch}",
        "{cgroup driver} & different from",
        "expected cgroupspath to be of format",
        "invalid slice name & kubepods*",
        "invalid systemd path & kubepods*",
        "{cgroup driver} & conflict*",
    ),
    next=(
        "make cgroupDriver of the kubelet's configuration and SystemdCgroup of every runtime block (runc and nvidia) "
        "agree, then restart both"
    ),
)
