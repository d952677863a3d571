"""The dated data: every entry names its source, and the questions are answered from it."""

from __future__ import annotations

import pytest

from gpuready.engine.diagnose import diagnose
from gpuready.engine.pasted import facts_of
from gpuready.knowledge import crd_fields, distributions, gpus, nodes, plugins, versions, xids
from gpuready.knowledge.xids import Cure, Xid, describe
from gpuready.node.health import Policy
from testbed.binaries import RELEASES


def test_every_entry_names_a_source_that_is_there() -> None:
    lists = (
        (plugins.DATA, (*plugins.DATA.images, *plugins.DATA.not_gpus, *plugins.DATA.observers)),
        (nodes.DATA, (*nodes.DATA.managed, *nodes.DATA.pools, *nodes.DATA.gitops)),
    )
    assert [e for data, entries in lists for e in entries if e.source not in data.sources] == []
    table = xids.table()
    told = {*table.ignored.sources, *(source for entry in table.xids.values() for source in entry.sources)}
    assert told == set(table.sources)
    assert [number for number, entry in table.xids.items() if not entry.sources] == []
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


CLASSES = {"hardware", "driver", "application", "system memory", "bus", "thermal", "framebuffer"}
TABLE = xids.table()


def test_every_xid_has_a_meaning_a_bucket_and_known_classes_and_every_bucket_is_used() -> None:
    entries = TABLE.xids
    assert [
        number for number, entry in entries.items() if not entry.meaning or not set(entry.at_fault) <= CLASSES
    ] == []
    assert {entry.bucket for entry in entries.values()} == set(TABLE.buckets)
    assert [n for n, entry in entries.items() if entry.linked and describe(n).cure in (Cure.APP, Cure.UNLISTED)] == [
        63,
        94,
    ]  # the driver's recovery action follows them, although the GPU goes on working
    assert xids.ignored() <= set(entries)
    assert sorted(xids.ignored()) == [13, 31, 43, 45, 68, 109]  # NVIDIA's device plugin, internal/rm/health.go


@pytest.mark.parametrize(
    ("number", "meaning", "cure"),
    [
        (79, "GPU has fallen off the bus", Cure.REBOOT),
        (98, "NVDEC7 Error", Cure.APP),
        (105, "NVJPG7 Error", Cure.APP),
        (135, "Copy Engine 19 error", Cure.APP),
        (150, "NVLINK: MSE Error", Cure.UNLISTED),
        (12345, "not in NVIDIA's catalogue of 2026-11-23", Cure.UNLISTED),
    ],
)
def test_an_xid_is_described(number: int, meaning: str, cure: Cure) -> None:
    one = describe(number)
    assert (one.number, one.meaning, one.cure) == (number, meaning, cure)
    assert one.do


def test_at_fault_is_as_nvidia_ticks_it() -> None:
    bus = TABLE.buckets["RESTART_BM"]
    ticked = ("hardware", "driver", "system memory", "bus", "thermal")
    assert describe(79) == Xid(79, "GPU has fallen off the bus", bus.cure, bus.do, ticked, linked=True)
    assert describe(48).at_fault == ("hardware",)
    assert describe(43).of_program
    assert not describe(94).of_program  # contained, but memory is at fault


def dmesg(number: int) -> tuple[str, ...]:
    line = f"[ 8423.109] NVRM: Xid (PCI:0000:0f:00): {number}, pid='<unknown>', name=<unknown>, channel 0x1"
    return tuple(c.found.rule for c in diagnose(facts_of(line)).causes)


def test_the_doctor_knows_every_xid_that_asks_for_a_reset_or_a_reboot_and_those_of_programs() -> None:
    grave = xids.with_cure(Cure.RESET, Cure.REBOOT)
    assert [number for number in grave if not dmesg(number)] == []
    assert [number for number in grave if "application-fault-xid" in dmesg(number)] == []
    programs = [n for n in sorted(xids.ignored()) if describe(n).cure is Cure.APP]
    assert {number: dmesg(number) for number in programs} == dict.fromkeys(programs, ("application-fault-xid",))


def test_the_agent_takes_a_gpu_off_at_what_is_not_the_programs_affair() -> None:
    off = [number for number in TABLE.xids if Policy().counts(number)]
    assert off == [n for n in TABLE.xids if describe(n).cure is not Cure.APP and n not in xids.ignored()]


def test_every_distribution_names_a_source_and_is_told_by_one_sign() -> None:
    found = distributions.data()
    assert {one.source for one in found.distributions} == set(found.sources)
    assert [one.name for one in found.distributions if bool(one.kubelet) == bool(one.label)] == []
    paths = [p for one in found.distributions for p in (one.config, one.template, one.socket) if p[0] != "/"]
    assert paths == []


@pytest.mark.parametrize(
    ("kubelet", "labels", "name"),
    [
        ("v1.34.1+k3s1", {}, "K3s"),
        ("v1.31.9+rke2r1", {}, "RKE2"),
        ("v1.34.1+k0s", {}, "k0s"),
        ("v1.33.4", {"microk8s.io/cluster": "true"}, "MicroK8s"),
        ("v1.34.4", {}, ""),
        ("v1.29.3-gke.1282000", {}, ""),
    ],
)
def test_who_brings_its_own_containerd(kubelet: str, labels: dict[str, str], name: str) -> None:
    own = distributions.of_node(kubelet, labels)
    assert (own.name if own else "") == name


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/var/snap/microk8s/7394/args/containerd.toml", "MicroK8s"),
        ("/var/snap/microk8s/current/args/containerd.toml", "MicroK8s"),
        ("/var/lib/rancher/rke2/agent/etc/containerd/config.toml", "RKE2"),
        ("/etc/containerd/config.toml", ""),
    ],
)
def test_whose_configuration_a_file_is(path: str, name: str) -> None:
    own = distributions.of_config(path)
    assert (own.name if own else "") == name


def test_an_older_containerd_of_k3s_has_another_template() -> None:
    k3s = distributions.of_node("v1.30.1+k3s1", {})
    assert k3s is not None
    folder = "/var/lib/rancher/k3s/agent/etc/containerd"
    assert (k3s.template_of((1, 7)), k3s.template_of((2, 1))) == (
        f"{folder}/config.toml.tmpl",
        f"{folder}/config-v3.toml.tmpl",
    )
