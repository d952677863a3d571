"""libnvidia-container before 1.8.0 knows no cgroup v2: its hook fails in every container that gets a GPU."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.facts.host import HostFacts
from gpuready.model.rule import Finding
from gpuready.model.unknown import known
from gpuready.rules.diagnose._hosts import on_host, with_hosts
from gpuready.rules.diagnose._said import said_rule

SINCE = (1, 8)  # https://github.com/NVIDIA/libnvidia-container/releases/tag/v1.8.0


def look(host: HostFacts) -> Iterator[Finding]:
    if known(host.cgroup) != 2 or (version := known(host.toolkit)) is None:
        return
    if tuple(map(int, version.split(".")[:2])) < SINCE:
        yield on_host(
            host,
            f"libnvidia-container {version} cannot give GPUs to containers under cgroup v2",
            (f"libnvidia-container.so.{version}", "/sys/fs/cgroup/cgroup.controllers is there: cgroup v2"),
            "update nvidia-container-toolkit on the node to 1.8.0 or later (with the operator: toolkit.version)",
        )


RULE = with_hosts(
    said_rule(
        "toolkit-too-old-for-cgroup-v2",
        "toolkit",
        "the container toolkit is too old for the node's cgroup v2",
        signs=("cgroup subsystem devices not found", "{toolkit} & cgroup subsystem * not found"),
        next="update nvidia-container-toolkit on the node to 1.8.0 or later (with the operator: toolkit.version)",
    ),
    look,
)
