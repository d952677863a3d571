from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from node_builders import gpu, t4, uuid, well
from prometheus_client.parser import text_string_to_metric_families

from gpuready.model.facts.agent import Holder
from gpuready.model.unknown import Unknown
from gpuready.node.exposition import Family, Point, number, render
from gpuready.node.gpus import Sample
from gpuready.node.health import Fault, Health
from gpuready.node.metrics import FAMILIES, Histogram, Own, Scrape, gpu_families, own_families

GOLDEN = Path(__file__).parent / "golden"
ALL_VALUES: dict[str, int | float] = {
    "SM_CLOCK": 1980,
    "MEM_CLOCK": 2619,
    "MEMORY_TEMP": 41,
    "GPU_TEMP": 33,
    "POWER_USAGE": 71.234,
    "TOTAL_ENERGY_CONSUMPTION": 123456789012,
    "PCIE_REPLAY_COUNTER": 0,
    "GPU_UTIL": 97,
    "MEM_COPY_UTIL": 12,
    "ENC_UTIL": 0,
    "DEC_UTIL": 0,
    "FB_FREE": 80000,
    "FB_USED": 1000,
    "FB_RESERVED": 559,
    "VGPU_LICENSE_STATUS": 0,
    "UNCORRECTABLE_REMAPPED_ROWS": 0,
    "CORRECTABLE_REMAPPED_ROWS": 0,
    "ROW_REMAP_FAILURE": 0,
}
T4_VALUES = {"SM_CLOCK": 300, "POWER_USAGE": 9.5}
OWN = Own(
    version="0.1.0",
    injection="cdi",
    registered=True,
    registrations=2,
    nvml_up=True,
    replayed=False,
    allocations=(),
    api_errors=0,
)


def scrape(**changes: Any) -> Scrape:
    """An H100 held by one container and a T4 that nobody holds."""
    told: dict[str, Any] = {
        "node": "node-1",
        "hostname_label": "Hostname",
        "driver": "580.65.06",
        "gpus": (gpu(0), t4(1)),
        "samples": (Sample(uuid=uuid(0), values=ALL_VALUES), Sample(uuid=uuid(1), values=T4_VALUES)),
        "health": well(gpu(0), t4(1)),
        "holders": {uuid(0): (Holder(namespace="ml", pod="train-0", container="main"),)},
        "now": 1000.0,
    }
    return Scrape(**(told | changes))


def page(told: Scrape) -> str:
    return render(gpu_families(told))


def series(text: str) -> dict[str, list[tuple[dict[str, str], float]]]:
    """As Prometheus' own parser reads the page."""
    families = text_string_to_metric_families(text)
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in families:
        for sample in family.samples:
            found.setdefault(sample.name, []).append((dict(sample.labels), sample.value))
    return found


def test_page_golden() -> None:
    histogram = Histogram()
    for seconds in (0.0004, 0.002, 3.0):
        histogram.observe(seconds)
    families = [*gpu_families(scrape()), *own_families(OWN_WITH(histogram), scrape().health)]
    assert render(families) == (GOLDEN / "metrics.txt").read_text()


def OWN_WITH(histogram: Histogram) -> Own:  # noqa: N802 -- a value with one field filled in
    return Own(**{name: getattr(OWN, name) for name in Own.__struct_fields__} | {"allocations": histogram.points()})


def test_prometheus_reads_every_family_with_the_names_of_dcgm_exporter() -> None:
    text = page(scrape())
    types = {family.name: family.type for family in text_string_to_metric_families(text)}
    expected = {f"DCGM_FI_DEV_{name}": kind for name, (kind, _) in FAMILIES.items()}
    assert types == expected
    assert {len(points) for name, points in series(text).items() if name.endswith(("SM_CLOCK", "XID_ERRORS"))} == {2}


def test_labels_in_order_and_the_pod_only_on_the_gpu_that_is_held() -> None:
    lines = [line for line in page(scrape()).splitlines() if line.startswith("DCGM_FI_DEV_SM_CLOCK")]
    fixed = 'modelName="{}",Hostname="node-1",DCGM_FI_DRIVER_VERSION="580.65.06"'
    assert lines == [
        f'DCGM_FI_DEV_SM_CLOCK{{gpu="0",UUID="{uuid(0)}",pci_bus_id="00000000:1B:00.0",device="nvidia0",'
        + fixed.format("NVIDIA H100 80GB HBM3")
        + ',container="main",namespace="ml",pod="train-0"} 1980',
        f'DCGM_FI_DEV_SM_CLOCK{{gpu="1",UUID="{uuid(1)}",pci_bus_id="00000000:1C:00.0",device="nvidia1",'
        + fixed.format("Tesla T4")
        + "} 300",
    ]


def holders_of(text: str) -> list[tuple[str, str | None]]:
    return [(labels["gpu"], labels.get("pod")) for labels, _ in series(text)["DCGM_FI_DEV_SM_CLOCK"]]


@pytest.mark.parametrize(
    ("sentence", "holders", "expected"),
    [
        ("nobody holds anything", {}, [("0", None), ("1", None)]),
        (
            "the kubelet cannot be asked: the series are served all the same",
            Unknown("no socket"),
            [("0", None), ("1", None)],
        ),
        (
            "a GPU that two pods share is attributed to both",
            {uuid(1): (Holder(namespace="a", pod="x", container="c"), Holder(namespace="a", pod="y", container="c"))},
            [("0", None), ("1", "x"), ("1", "y")],
        ),
    ],
)
def test_attribution(sentence: str, holders: Any, expected: list) -> None:
    assert holders_of(page(scrape(holders=holders))) == expected, sentence


@pytest.mark.parametrize(
    ("sentence", "health", "expected"),
    [
        ("no Xid", Health(), (0, "0", "No Error")),
        ("one of a program, fresh", Health(last_xid=31, last_xid_at=900), (31, "31", "GPU memory page fault")),
        ("one of a program, over", Health(last_xid=31, last_xid_at=600), (0, "0", "No Error")),
        (
            "one that stands",
            Health(fault=Fault(reason="x", xid=79), last_xid=31, last_xid_at=900),
            (79, "79", "GPU has fallen off the bus"),
        ),
        (
            "an unknown one",
            Health(last_xid=7777, last_xid_at=999),
            (7777, "7777", "not in NVIDIA's catalogue of 2026-11-23"),
        ),
    ],
)
def test_xid_gauge(sentence: str, health: Health, expected: tuple) -> None:
    text = page(scrape(health=well(gpu(0), t4(1)) | {uuid(1): health}))
    labels, value = next(entry for entry in series(text)["DCGM_FI_DEV_XID_ERRORS"] if entry[0]["gpu"] == "1")
    assert (value, labels["err_code"], labels["err_msg"]) == expected, sentence


def test_without_nvml_only_what_needs_no_nvml_is_served() -> None:
    assert set(series(page(scrape(samples=Unknown("NVML is not open"))))) == {"DCGM_FI_DEV_XID_ERRORS"}
    assert series(page(scrape(gpus=(), samples=(), health={}))) == {}


@pytest.mark.parametrize("name", ['A "quoted" name', "back\\slash", "new\nline", "}{,=", "é"])
def test_label_values_are_escaped(name: str) -> None:
    text = page(scrape(gpus=(gpu(0, name=name),), samples=(Sample(uuid=uuid(0), values={"SM_CLOCK": 1}),)))
    assert series(text)["DCGM_FI_DEV_SM_CLOCK"][0][0]["modelName"] == name


def test_the_label_of_the_node_can_be_that_of_later_exporters() -> None:
    labels = series(page(scrape(hostname_label="hostname")))["DCGM_FI_DEV_SM_CLOCK"][0][0]
    assert (labels["hostname"], "Hostname" in labels) == ("node-1", False)


def test_numbers_are_written_as_dcgm_exporter_does() -> None:
    assert [number(value) for value in (0, 81559, 123456789012, 71.234, 0.5)] == [
        "0",
        "81559",
        "123456789012",
        "71.234000",
        "0.500000",
    ]


def test_a_family_without_points_is_left_out() -> None:
    empty, full = Family("a", "gauge", "A.", ()), Family("b", "gauge", "B\\ and\nC.", (Point((), 1),))
    assert render([empty, full]) == "# HELP b B\\\\ and\\nC.\n# TYPE b gauge\nb 1\n"


def test_histogram_counts_up_to_each_bound() -> None:
    histogram = Histogram()
    for seconds in (0.0005, 0.0006, 5.0):
        histogram.observe(seconds)
    told = {point.suffix + str(dict(point.labels).get("le", "")): point.value for point in histogram.points()}
    assert {key: told[key] for key in ("_bucket0.0005", "_bucket0.001", "_bucket1", "_bucket+Inf", "_count")} == {
        "_bucket0.0005": 1,
        "_bucket0.001": 2,
        "_bucket1": 2,
        "_bucket+Inf": 3,
        "_count": 3,
    }
    assert told["_sum"] == pytest.approx(5.0011)
