"""The exporter talks to a DCGM host engine elsewhere, and does not reach it."""

from collections.abc import Iterator

from gpuready.knowledge.lexicon import sign
from gpuready.model.facts.said import Said
from gpuready.model.rule import Finding, Rule
from gpuready.rules.diagnose._said import finder, lines_heard

TITLE = "the DCGM host engine does not answer"
REACHED = (sign("dcgm successfully initialized"),)
TRIED = (sign("{host engine call}"),)
SAID = tuple(
    sign(text)
    for text in (
        "failed to connect to remote hostengine",
        "{host engine} & {refused}",
        "{host engine} & {timeout}",
        "{host engine} & {unresolved}",
        "{host engine} & {failing}",
        "host engine connection invalid",
        "connection to the host engine is not valid",
        "unable to connect to host engine",
        "error connecting to nv-hostengine",
        "{dcgm} & 5555 & {refused}",
        "{dcgm} & 5555 & {timeout}",
        "unable to establish a connection to the specified host",
    )
)
NEXT = (
    "see whether the service nvidia-dcgm has endpoints (`kubectl get endpoints nvidia-dcgm -n gpu-operator`): without"
    " them read the nvidia-dcgm pod's log, else let port 5555 pass network policies and firewalls"
)
FIND = finder(TITLE, (*SAID, *TRIED), NEXT, frozenset({"monitoring"}))


def find(said: Said) -> Iterator[Finding]:
    """Some releases try, and panic without a word of it: then that they never say they are initialised tells it."""
    signs = SAID if lines_heard(said, REACHED) else (*SAID, *TRIED)
    yield from FIND(Said(lines=tuple(line for _, line in lines_heard(said, signs)), missing=said.missing))


RULE = Rule("dcgm-hostengine-unreachable", "diagnose", "fail", TITLE, find, link="monitoring")
