"""The exporter hits the memory limit of its container."""

from collections.abc import Iterator

from gpuready.knowledge.lexicon import plain, sign
from gpuready.knowledge.speakers import family
from gpuready.model.facts.said import Line, Said
from gpuready.model.rule import Finding, Rule
from gpuready.rules.diagnose._said import finder, lines_heard

TITLE = "dcgm-exporter is killed at its memory limit"
NAMED = tuple(
    sign(text)
    for text in (
        "out of memory & *dcgm*",
        "oomkilled & *dcgm*",
        "oom-kill & *dcgm*",
        "{dcgm} & {out of memory}",
        "*dcgm* & invoked oom-killer",
    )
)
KILLED = tuple(sign(text) for text in ("reason oomkilled", "{out of memory}", "oomkilled"))
SIGNS = (*NAMED, *KILLED)
FIND = finder(
    TITLE,
    SIGNS,
    "raise the exporter's memory limit (dcgmExporter.resources of the GPU Operator, resources of its own chart) to 1Gi",
)


def find(said: Said) -> Iterator[Finding]:
    """`Reason: OOMKilled` counts where it stands in the description of an exporter."""
    heard = lines_heard(said, SIGNS)
    yield from FIND(Said(lines=tuple(line for _, line in heard if _of_dcgm(line)), missing=said.missing))


def _of_dcgm(line: Line) -> bool:
    pod = line.about.rpartition("/")[2]
    if any(one.matches(plain(line.text)) for one in NAMED):
        return True
    return family(pod) == "monitoring" and line.who in ("", "monitoring", "kubelet")


RULE = Rule("dcgm-exporter-oom", "diagnose", "fail", TITLE, find, link="monitoring")
