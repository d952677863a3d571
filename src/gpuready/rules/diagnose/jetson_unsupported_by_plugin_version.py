"""A Jetson has no NVML of the usual kind before JetPack 6, and device plugins before 0.13 know nothing else."""

from collections.abc import Iterator

from gpuready.knowledge.lexicon import plain, sign
from gpuready.model.facts.said import Said
from gpuready.model.rule import Finding, Rule
from gpuready.rules.diagnose._said import finder, lines_heard

TITLE = "this release of the device plugin does not support Jetson (Tegra) nodes"
TEGRA = sign("{tegra}")
FIND = finder(
    TITLE,
    tuple(
        sign(text)
        for text in (
            "could not load nvml library",
            "failed to initialize nvml",
            "could not load nvml",
            "nvml & {library absent}",
            "incompatible platform detected",
        )
    ),
    "update the device plugin to 0.13 or later on that node, and make nvidia its default runtime",
    frozenset({"plugin", "discovery"}),
)


def find(said: Said) -> Iterator[Finding]:
    """The plugin's words are those of any node without NVML; that it is a Jetson stands in another line."""
    nodes = {line.node for line in said.lines}
    jetson = lines_heard(said, (TEGRA,)) or any(TEGRA.matches(plain(node)) for node in nodes)
    yield from FIND(said if jetson else Said(missing=said.missing))


RULE = Rule("jetson-unsupported-by-plugin-version", "diagnose", "fail", TITLE, find, link="plugin")
