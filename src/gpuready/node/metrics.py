"""The metrics page: dcgm-exporter's names for what NVML gives, and a few of the agent's own.

Left out of dcgm-exporter's default set: the DCGM_FI_PROF_* ratios (DCGM's profiling module), and
NVLINK_BANDWIDTH_TOTAL, which DCGM serves as a rate under the type counter: NVML has the count of bytes, a different
thing (https://github.com/NVIDIA/dcgm-exporter/issues/472).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from gpuready.knowledge import xids
from gpuready.model.facts.agent import Holder
from gpuready.model.unknown import Unknown
from gpuready.node.exposition import Family, Labels, Point
from gpuready.node.gpus import Gpu, Sample
from gpuready.node.health import Health

DCGM = "DCGM_FI_DEV_"
# name -> (type, help), in the order and with the words of dcgm-exporter's etc/default-counters.csv
FAMILIES: dict[str, tuple[str, str]] = {
    "SM_CLOCK": ("gauge", "SM clock frequency (in MHz)."),
    "MEM_CLOCK": ("gauge", "Memory clock frequency (in MHz)."),
    "MEMORY_TEMP": ("gauge", "Memory temperature (in C)."),
    "GPU_TEMP": ("gauge", "GPU temperature (in C)."),
    "POWER_USAGE": ("gauge", "Power draw (in W)."),
    "TOTAL_ENERGY_CONSUMPTION": ("counter", "Total energy consumption since boot (in mJ)."),
    "PCIE_REPLAY_COUNTER": ("counter", "Total number of PCIe retries."),
    "GPU_UTIL": ("gauge", "GPU utilization (in %)."),
    "MEM_COPY_UTIL": ("gauge", "Memory utilization (in %)."),
    "ENC_UTIL": ("gauge", "Encoder utilization (in %)."),
    "DEC_UTIL": ("gauge", "Decoder utilization (in %)."),
    "XID_ERRORS": ("gauge", "Value of the last XID error encountered."),
    "FB_FREE": ("gauge", "Framebuffer memory free (in MiB)."),
    "FB_USED": ("gauge", "Framebuffer memory used (in MiB)."),
    "FB_RESERVED": ("gauge", "Framebuffer memory reserved (in MiB)."),
    "VGPU_LICENSE_STATUS": ("gauge", "vGPU License status"),
    "UNCORRECTABLE_REMAPPED_ROWS": ("counter", "Number of remapped rows for uncorrectable errors"),
    "CORRECTABLE_REMAPPED_ROWS": ("counter", "Number of remapped rows for correctable errors"),
    "ROW_REMAP_FAILURE": ("gauge", "Whether remapping of rows has failed"),
}
NO_XID = "No Error"
BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0)  # seconds


class Histogram:
    """Counts of durations, cumulative by upper bound."""

    def __init__(self) -> None:
        self.counts = [0] * len(BUCKETS)
        self.total = 0
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        self.total += 1
        self.sum += seconds
        for position, bound in enumerate(BUCKETS):
            self.counts[position] += seconds <= bound

    def points(self) -> tuple[Point, ...]:
        bounds = [*(f"{bound:g}" for bound in BUCKETS), "+Inf"]
        counts = [*self.counts, self.total]
        buckets = [Point((("le", bound),), count, "_bucket") for bound, count in zip(bounds, counts, strict=True)]
        return (*buckets, Point((), self.sum, "_sum"), Point((), self.total, "_count"))


class Scrape(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one page is made of."""

    node: str
    hostname_label: str  # "Hostname"; "hostname" from dcgm-exporter 4.6 on
    driver: str | Unknown
    gpus: Sequence[Gpu]
    samples: Sequence[Sample] | Unknown
    health: Mapping[str, Health]
    holders: Mapping[str, tuple[Holder, ...]] | Unknown
    now: float  # monotonic seconds


def gpu_families(scrape: Scrape) -> Iterator[Family]:
    values = {} if isinstance(scrape.samples, Unknown) else {sample.uuid: sample.values for sample in scrape.samples}
    for name, (kind, words) in FAMILIES.items():
        points: list[Point] = []
        for gpu in scrape.gpus:
            if name == "XID_ERRORS":
                number = scrape.health[gpu.uuid].shown_xid(scrape.now)
                extra = (("err_code", str(number)), ("err_msg", xids.describe(number).meaning if number else NO_XID))
                points += [Point(labels + extra, number) for labels in label_sets(gpu, scrape)]
            elif name in values.get(gpu.uuid, {}):
                points += [Point(labels, values[gpu.uuid][name]) for labels in label_sets(gpu, scrape)]
        yield Family(DCGM + name, kind, words, tuple(points))


def label_sets(gpu: Gpu, scrape: Scrape) -> list[Labels]:
    """One set per container that holds the GPU; when none does, or nobody knows, one without those three labels."""
    fixed: Labels = (
        ("gpu", str(gpu.index)),
        ("UUID", gpu.uuid),
        ("pci_bus_id", said(gpu.pci)),
        ("device", "" if isinstance(gpu.minor, Unknown) else f"nvidia{gpu.minor}"),
        ("modelName", said(gpu.name)),
        (scrape.hostname_label, scrape.node),
        ("DCGM_FI_DRIVER_VERSION", said(scrape.driver)),
    )
    held = () if isinstance(scrape.holders, Unknown) else scrape.holders.get(gpu.uuid, ())
    sets = [(*fixed, ("container", by.container), ("namespace", by.namespace), ("pod", by.pod)) for by in held]
    return list(sets) or [fixed]


def said(value: str | Unknown) -> str:
    return "" if isinstance(value, Unknown) else value


class Own(msgspec.Struct, frozen=True, kw_only=True):
    """The agent about itself."""

    version: str
    injection: str
    registered: bool
    registrations: int
    nvml_up: bool
    replayed: bool
    allocations: tuple[Point, ...]
    api_errors: int


def own_families(own: Own, health: Mapping[str, Health]) -> Iterator[Family]:
    about = (("version", own.version), ("injection", own.injection), ("replayed", str(own.replayed).lower()))
    yield Family("gpuready_agent_info", "gauge", "This agent; always 1.", (Point(about, 1),))
    registered = Point((), int(own.registered))
    yield Family("gpuready_registered", "gauge", "Whether the kubelet has accepted the device plugin.", (registered,))
    count = Point((), own.registrations)
    yield Family("gpuready_registrations_total", "counter", "Registrations that the kubelet has accepted.", (count,))
    answers = Point((), int(own.nvml_up))
    yield Family(
        "gpuready_nvml_up", "gauge", "Whether NVML answers; when it does not, GPU series are absent.", (answers,)
    )
    well = tuple(
        Point((("UUID", uuid), ("state", entry.state)), int(entry.state == "ok")) for uuid, entry in health.items()
    )
    yield Family(
        "gpuready_gpu_healthy",
        "gauge",
        "1 for a GPU that is offered to pods; the state is ok, failed or unknown.",
        well,
    )
    yield Family("gpuready_allocate_seconds", "histogram", "Time to answer the kubelet's Allocate.", own.allocations)
    errors = Point((), own.api_errors)
    yield Family("gpuready_api_errors_total", "counter", "Writes to the Kubernetes API that failed.", (errors,))
