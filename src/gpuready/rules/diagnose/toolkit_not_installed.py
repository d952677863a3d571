"""No nvidia-container-runtime or its hook where the runtime looks for it."""

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
    "toolkit-not-installed",
    "toolkit",
    "the NVIDIA container toolkit is not installed on that host",
    signs=(
        "could not select device driver & gpu & !cdi",
        "could not select device driver & !cdi",
        "{nvidia runtime} & executable file not found",
        "{nvidia runtime} command not found",
        "{nvidia runtime} & is not installed & !image & !chart",
        "exec & {nvidia runtime} & no such file & !usr/local/nvidia & !config.toml & !lib*.so* & !initialization",
        "{nvidia runtime} & binary not installed",
        "unit nvidia-container-toolkit* could not be found",
        "no package nvidia-container-toolkit* available",
        "unable to locate package nvidia-container-toolkit*",
        "unable to find a match nvidia-container-toolkit*",
    ),
    because=("docker-snap-confinement",),
    next=(
        "install nvidia-container-toolkit on that host, run `nvidia-ctk runtime configure "
        "--runtime=<docker|containerd|crio>`, restart the runtime"
    ),
)


def seen(cluster: ClusterFacts, hosts: Hosts) -> Iterator[Finding]:
    yield from of_hosts(cluster, hosts, partial(look, cluster))


def look(cluster: ClusterFacts, host: HostFacts) -> Iterator[Finding]:
    for handler, program, pods in absent_programs(cluster, host):
        if not program.startswith(OPERATOR_PLACE):
            yield on_host(
                host,
                f"the runtime's handler {handler} is {program}, which is not there",
                (f"{program} is not there", *asking(pods)),
                "install nvidia-container-toolkit on that node, or take the handler out of the runtime's configuration",
                pods=tuple(pod.key for pod in pods),
            )


RULE = with_seen(WORDS, seen)
