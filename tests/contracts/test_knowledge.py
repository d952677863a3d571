"""The dated data: every entry names its source, and the questions are answered from it."""

from __future__ import annotations

import pytest

from gpuready.knowledge import crd_fields, gpus, nodes, plugins, versions
from testbed.binaries import RELEASES


def test_every_entry_names_a_source_that_is_there() -> None:
    lists = (
        (plugins.DATA, (*plugins.DATA.images, *plugins.DATA.not_gpus, *plugins.DATA.observers)),
        (nodes.DATA, (*nodes.DATA.managed, *nodes.DATA.pools, *nodes.DATA.gitops)),
    )
    assert [e for data, entries in lists for e in entries if e.source not in data.sources] == []
    models = gpus.DATA.gpus.values()
    assert {source for model in models for source in model.sources} <= set(gpus.DATA.sources)


@pytest.mark.parametrize(
    ("device_id", "name"),
    [("2330", "H100 SXM5 80GB"), ("1EB8", "Tesla T4"), ("beef", "10de:beef")],
)
def test_a_gpu_is_named_by_its_pci_id(device_id: str, name: str) -> None:
    assert gpus.name(device_id) == name


def test_ids_are_four_hex_digits() -> None:
    assert [i for i in gpus.DATA.gpus if len(i) != 4 or set(i) - set("0123456789abcdef")] == []


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("v1.34.4", (1, 34)),
        ("v1.29.3-gke.1282000", (1, 29)),
        ("1.31+", (1, 31)),
        ("v2.0.0", (2, 0)),
        ("", None),
        ("v1", None),
        ("latest", None),
        ("v1.99999", None),
    ],
)
def test_versions_are_read_as_kubernetes_writes_them(text: str, version: tuple[int, int] | None) -> None:
    assert versions.parse(text) == version


def test_the_window_is_in_order() -> None:
    window = versions.WINDOW
    assert (window.oldest_api < window.oldest_node < window.newest, sorted(window.seen)) == (True, list(window.seen))


def test_what_is_said_to_have_been_run_is_what_the_testbed_runs() -> None:
    """A release is claimed when the cluster tests can be run on that very one, and no other."""
    assert [".".join(map(str, release)) for release in versions.WINDOW.seen] == list(RELEASES.values())


@pytest.mark.parametrize(
    ("images", "words", "serves"),
    [
        (["nvcr.io/nvidia/k8s-device-plugin:v0.17.4"], [], True),
        (["gke.gcr.io/nvidia-gpu-device-plugin@sha256:0123"], [], True),
        (["registry:5000/plugin"], ["nvidia-device-plugin-daemonset"], True),
        (["registry:5000/plugin"], ["--resource=nvidia.com/gpu"], True),
        (["rocm/k8s-device-plugin:1.31"], ["amdgpu-device-plugin"], False),
        (["intel/intel-gpu-plugin:0.32"], ["intel-gpu-plugin"], False),
        (["nvcr.io/nvidia/mellanox/sriov-network-device-plugin:v3.9"], ["sriov-device-plugin"], False),
        ([], [], False),
    ],
)
def test_who_serves_gpus(images: list[str], words: list[str], serves: bool) -> None:
    assert plugins.serves_gpus(images, words) is serves


@pytest.mark.parametrize(
    ("images", "observes"),
    [
        (["nvcr.io/nvidia/k8s/dcgm-exporter:4.5.3"], True),
        (["nvcr.io/nvidia/k8s/dcgm-exporter:4.5.3", "ml/train:7"], False),
        ([], False),
    ],
)
def test_who_only_observes(images: list[str], observes: bool) -> None:
    assert plugins.only_observes(images) is observes


@pytest.mark.parametrize(
    ("text", "release"),
    [
        ("v25.3.4", (25, 3, 4)),
        ("1.8.0-ubi8", (1, 8, 0)),
        ("v24.9", None),
        ("latest", None),
        ("sha256:0123", None),
    ],
)
def test_a_release_of_the_operator_is_read_as_images_write_it(text: str, release: tuple[int, int, int] | None) -> None:
    assert crd_fields.release(text) == release


@pytest.mark.parametrize(
    ("crd", "release", "needed"),
    [
        (
            "clusterpolicies.nvidia.com",
            (1, 6, 2),
            {"dcgmExporter", "devicePlugin", "driver", "gfd", "operator", "toolkit"},
        ),
        ("clusterpolicies.nvidia.com", (1, 3, 0), set()),
        ("clusterpolicies.nvidia.com", (99, 1, 0), set()),
        ("nodefeatures.nfd.k8s-sigs.io", (25, 3, 4), set()),
    ],
)
def test_a_crd_needs_what_its_release_brought(crd: str, release: tuple[int, int, int], needed: set[str]) -> None:
    assert crd_fields.needed(crd, release) == needed


def test_what_a_later_release_needs_includes_what_an_earlier_one_did() -> None:
    policies = "clusterpolicies.nvidia.com"
    assert crd_fields.needed(policies, (24, 6, 2)) - crd_fields.needed(policies, (24, 3, 0)) == {"hostPaths"}
    assert crd_fields.needed(policies, (24, 3, 0)) < crd_fields.needed(policies, (24, 6, 2))
