"""After removal of driver or toolkit the default runtime stayed nvidia: then containers that need no GPU fail as
well.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.facts.host import HostFacts
from gpuready.model.rule import Finding
from gpuready.rules.diagnose._handlers import OPERATOR_PLACE, absent_programs, asking
from gpuready.rules.diagnose._hosts import Hosts, of_hosts, on_host, with_seen
from gpuready.rules.diagnose._said import said_rule

WORDS = said_rule(
    "leftover-nvidia-runtime-config",
    "runtime config",
    "the runtime still uses the nvidia runtime, whose files or driver are gone",
    signs=(
        "usr/local/nvidia/toolkit/* & {executable absent}",
        "{nvidia runtime} & {driver does not answer}",
        "usr/local/nvidia/toolkit/* & {absent}",
    ),
    because=("driver-root-mismatch",),
    next=(
        "restore the runtime's configuration on that node (default runtime runc, no nvidia handler) and restart it, "
        "or install driver and toolkit again"
    ),
)


def seen(cluster: ClusterFacts, hosts: Hosts) -> Iterator[Finding]:
    yield from of_hosts(cluster, hosts, partial(look, cluster))


def look(cluster: ClusterFacts, host: HostFacts) -> Iterator[Finding]:
    for handler, program, pods in absent_programs(cluster, host):
        if program.startswith(OPERATOR_PLACE):
            yield on_host(
                host,
                f"the runtime's handler {handler} is {program}, which is not there",
                (f"{program} is not there", *asking(pods)),
                "start the toolkit's pod of that node again, or take the handler out of the runtime's configuration",
                pods=tuple(pod.key for pod in pods),
            )


RULE = with_seen(WORDS, seen)
