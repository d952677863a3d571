"""A part of the GPU stack ends again and again; its own log says why."""

from collections.abc import Iterator

from gpuready.knowledge.lexicon import plain, sign
from gpuready.knowledge.speakers import families, family
from gpuready.model.facts.said import Line, Said
from gpuready.model.rule import Finding, Rule
from gpuready.rules.diagnose._said import finder, lines_heard

TITLE = "a container of the GPU stack keeps crashing"
NAMED = tuple(sign(text) for text in ("{gpu component} & {crashing}",))
CRASHING = tuple(sign(text) for text in ("{crashing}",))
STACK = families() - {"kubelet", "scheduler", "apiserver", "runtime", "kernel", "helm", "workload"}
SIGNS = (*NAMED, *CRASHING)
FIND = finder(
    TITLE,
    SIGNS,
    "read the log of the run before: `kubectl logs --previous -n <namespace> <pod> -c <container>`",
)


def find(said: Said) -> Iterator[Finding]:
    """An event names its container only in later releases; before, the pod that it is about tells whose it is."""
    heard = lines_heard(said, SIGNS)
    yield from FIND(Said(lines=tuple(line for _, line in heard if _of_the_stack(line)), missing=said.missing))


def _of_the_stack(line: Line) -> bool:
    return any(one.matches(plain(line.text)) for one in NAMED) or family(line.about.rpartition("/")[2]) in STACK


RULE = Rule(
    "container-keeps-crashing",
    "diagnose",
    "fail",
    TITLE,
    find,
    link="registration",  # before what waits for it (operand-waits-for-another), after most of what ends a plugin
    symptom=True,
    because=(
        "kubelet-socket-missing",
        "kubelet-in-container-missing-mount",
        "kubelet-root-dir-mismatch",
        "device-plugins-feature-gate-off",
        "plugin-registers-before-serving",
        "dcgm-exporter-oom",
        "dcgm-hostengine-unreachable",
        "dcgm-profiling-lock-conflict",
        "dcgm-profiling-unsupported",
    ),
)
