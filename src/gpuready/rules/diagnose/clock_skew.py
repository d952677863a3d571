"""The node's clock is behind or ahead: certificates, tokens and package indexes are not valid yet."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.facts.host import HostFacts
from gpuready.model.rule import Finding
from gpuready.rules.diagnose._hosts import Hosts, of_hosts, on_host, seconds_ahead, usually_ahead, with_seen
from gpuready.rules.diagnose._said import said_rule

WORDS = said_rule(
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


TOLERATED = 300.0  # seconds; an answer may have waited for others, and what is signed is usually dated back by as much


def seen(cluster: ClusterFacts, hosts: Hosts) -> Iterator[Finding]:
    """Against most of the nodes, so that a wrong clock on the machine that asks is not put to their account."""
    yield from of_hosts(cluster, hosts, partial(look, usually_ahead(hosts)))


def look(usual: float, host: HostFacts) -> Iterator[Finding]:
    late = seconds_ahead(host)
    if late is None or abs(late - usual) <= TOLERATED:
        return
    yield on_host(
        host,
        f"its clock is {abs(late - usual):.0f} s {'ahead of' if late > usual else 'behind'}"
        f" {'that of most nodes' if usual else 'that of the machine that asks'}",
        (f"{host.as_of} on the node, {host.asked_at} where it was asked",),
        "compare `date -u` of that node with another clock, then start chrony or systemd-timesyncd on it",
    )


RULE = with_seen(WORDS, seen)
