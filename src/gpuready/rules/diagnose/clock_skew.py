"""The node's clock is behind or ahead: certificates, tokens and package indexes are not valid yet."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "clock-skew",
    "node",
    "a clock is wrong: what others wrote lies in the future",
    signs=(
        "certificate & {early} & !is after",
        "certificate & is before & current time",
        "{package mirror} & {early}",
        "release file & not valid yet",
        "invalid for another",
        "clock skew",
        "clock is skewed",
        "clock has jumped",
        "time is out of sync",
        "system clock synchronized no",
        "ntp synchronized no",
        "system clock wrong by",
        "token & used before issued",
        "token & not valid yet",
        "last-modified & {early}",
        "has modification time & in the future",
        "time stamp & s in the future",
        "{negative age}",
    ),
    next="compare `date -u` of that node with another clock, then start chrony or systemd-timesyncd on it",
)
