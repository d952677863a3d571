"""A CDI file names files of the host that are gone: every container that gets such a device fails to start."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.facts.host import HostFacts
from gpuready.model.rule import Finding
from gpuready.model.unknown import TouchedUnknown, Unknown, known
from gpuready.rules.diagnose._hosts import hosts_rule, on_host

OURS = "gpuready.dev/gpu"


def look(host: HostFacts) -> Iterator[Finding]:
    hidden: list[Unknown] = []
    for spec in known(host.cdi_specs):
        if not (spec.problem or concerns_gpus(spec.kind)):
            continue
        if spec.problem:
            yield on_host(
                host, f"{spec.path} is no CDI file: {spec.problem}"[:130], (f"{spec.path}: {spec.problem}",), REMOVE
            )
        elif spec.missing:
            yield on_host(
                host,
                f"a CDI file names files that are not there: {spec.path}"[:130],
                tuple(f"{spec.path}: {path} is not there" for path in spec.missing[:4]),
                MEND_OURS if spec.kind == OURS else MEND,
            )
        elif spec.hidden:
            why = f"{spec.hidden[0]} of node/{host.node}, which {spec.path} names, was not visible"
            hidden.append(Unknown(why, f"ls -l {spec.hidden[0]}, on the node"))
    for one in hidden:
        raise TouchedUnknown(one)


def concerns_gpus(kind: str) -> bool:
    return kind == OURS or kind.startswith(("nvidia.com/", "k8s.gpu.nvidia.com/", "management.nvidia.com/"))


REMOVE = "remove that file, or let whoever wrote it write it anew; runtimes leave out a file that they cannot read"
MEND = (
    "write it anew: `nvidia-ctk cdi generate --output=FILE` on the node, or start the pod again that wrote it (toolkit,"
    " device plugin or DRA driver)"
)
MEND_OURS = "start the agent of that node again: it writes the file anew (kubectl delete pod, in gpuready-system)"

RULE = hosts_rule("cdi-spec-stale", "runtime config", "A CDI file names files that are gone", look)
