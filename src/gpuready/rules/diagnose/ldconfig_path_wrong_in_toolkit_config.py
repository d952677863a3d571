"""On Debian and Ubuntu /sbin/ldconfig is a wrapper around ldconfig.real; elsewhere there is no ldconfig.real."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "ldconfig-path-wrong-in-toolkit-config",
    "toolkit",
    "the toolkit's configuration names an ldconfig that does not run on this host",
    signs=(
        "ldcache error & error code 127",
        "{ldcache error} & {absent}",
        "{ldcache error} & {failing} & !signal",
        "{ldcache error} & terminated with signal & !aufs",
        "{ldconfig} & {executable absent} & !can't stat & !cannot stat",
        "ldconfig.real & {executable absent}",
    ),
    next=(
        "set ldconfig in /etc/nvidia-container-runtime/config.toml to @/sbin/ldconfig.real on Debian and Ubuntu, "
        "@/sbin/ldconfig elsewhere; if it is so already, set nvidia-container-runtime.mode=cdi, which needs none"
    ),
)
