"""Stack `gpu-operator`: values for each class of releases, what a release does not have, what is planned.

Rewrite the golden files with: python tests/unit/engine/test_gpu_operator.py
"""

from __future__ import annotations

import base64
import gzip
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from gpuready.components.gpu_operator.release import Live, live
from gpuready.components.gpu_operator.values import Seen, Unsuitable, merged, settings, shown
from gpuready.engine.crds import schema_changes
from gpuready.knowledge import operator
from gpuready.model.plan import Chart, FieldChange, Helm
from gpuready.model.spec import GpuOperator, NodeChoice, OperatorDriver, Proxy, Setup, Toleration

GOLDEN = Path(__file__).parent / "golden"
PRIVATE: dict[str, Any] = {"registry": "registry.example.com/mirror", "pull_secret": "ngc-secret"}
PROXY = Proxy(http="http://proxy:3128", https="http://proxy:3128", no_proxy="10.96.0.0/12,.svc")
TOLERATIONS = NodeChoice(tolerations=(Toleration(key="dedicated", operator="Equal", value="gpu"),))
HOST = Seen(loaded={"gpu-1": "580.65.06"}, roots=("/opt/nvidia",), nfd="ds/nfd/nfd-worker")
SOCKET = "/run/k3s/containerd/containerd.sock"
# one release of each class of charts: what they have in common with the next ones, values.yaml tells
CLASSES: dict[str, tuple[Setup, Seen]] = {
    "1.4.0": (Setup(gpu_operator=GpuOperator(**PRIVATE)), Seen(runtimes=("containerd",))),
    "1.5.2": (Setup(gpu_operator=GpuOperator(proxy=PROXY)), Seen(runtimes=("crio",))),
    "1.7.1": (Setup(gpu_operator=GpuOperator(mig="single", **PRIVATE)), HOST),
    "1.9.1": (Setup(gpu_operator=GpuOperator(toolkit="host", proxy=PROXY), nodes=TOLERATIONS), HOST),
    "22.9.2": (
        Setup(gpu_operator=GpuOperator(driver=OperatorDriver(version="525.85.12"), mig="mixed", **PRIVATE)),
        Seen(driverless=("gpu-1",)),
    ),
    "23.9.2": (
        Setup(gpu_operator=GpuOperator(cdi="on", driver=OperatorDriver(version="550", precompiled=True))),
        Seen(driverless=("gpu-1",)),
    ),
    "24.9.2": (Setup(gpu_operator=GpuOperator(proxy=PROXY, **PRIVATE), nodes=TOLERATIONS), HOST),
    "25.10.1": (
        Setup(gpu_operator=GpuOperator(driver=OperatorDriver(repository="registry.example.com/gpu"), **PRIVATE)),
        Seen(driverless=("gpu-1",), toolkit_env={"CONTAINERD_SOCKET": SOCKET}, distribution="K3s"),
    ),
    "26.7.0": (
        Setup(
            gpu_operator=GpuOperator(
                cdi="off",
                mig="single",
                values={"dcgmExporter": {"enabled": False}, "daemonsets": {"labels": {"a.b/c": "d"}}},
            )
        ),
        Seen(loaded={"gpu-1": "580.65.06"}, driverless=("gpu-2",)),
    ),
}


def rendered(version: str) -> str:
    setup, seen = CLASSES[version]
    found = settings(setup, version, seen)
    told = [msgspec.to_builtins(value) for value in shown(found)]
    return yaml.safe_dump({"values": merged(found), "told": told}, sort_keys=False, width=120)


@pytest.mark.parametrize("version", CLASSES)
def test_the_values_of_each_class_of_releases(version: str) -> None:
    assert rendered(version) == (GOLDEN / f"operator-{version}.yaml").read_text()


@pytest.mark.parametrize(
    ("sentence", "version", "asked", "seen", "says", "next"),
    [
        (
            "a slip of the pen",
            "26.7.0",
            GpuOperator(values={"driver": {"rdma": {"enabeld": True}}}),
            Seen(),
            "chart gpu-operator 26.7.0 has no value driver.rdma.enabeld (spec: gpuOperator)",
            "the nearest is driver.rdma.enabled",
        ),
        (
            "a value that newer releases do without",
            "26.7.0",
            GpuOperator(values={"cdi": {"default": True}}),
            Seen(),
            "chart gpu-operator 26.7.0 has no value cdi.default (spec: gpuOperator)",
            "the nearest is cdi.enabled, cdi.nriPluginEnabled",
        ),
        (
            "a release before CDI",
            "22.9.2",
            GpuOperator(cdi="on"),
            Seen(),
            "chart gpu-operator 22.9.2 has no value cdi.enabled (spec: gpuOperator)",
            "gpuready schema describes what the spec has by itself",
        ),
        (
            "a release that cannot do without its driver container",
            "1.6.2",
            GpuOperator(),
            HOST,
            "chart gpu-operator 1.6.2 has no value driver.enabled "
            "(detected: driver 580.65.06 is loaded on every GPU node)",
            "gpuready schema describes what the spec has by itself",
        ),
        (
            "a release that was not read: the values of the one before it",
            "24.9.1",
            GpuOperator(values={"drivr": {"enabled": True}}),
            Seen(),
            "chart gpu-operator 24.9.1 (values as of 24.6.2) has no value drivr (spec: gpuOperator)",
            "the nearest is driver",
        ),
        (
            "a scalar where the chart has a group",
            "26.7.0",
            GpuOperator(values={"driver": False}),
            Seen(),
            "chart gpu-operator 26.7.0: driver is a group of values, not one (spec: gpuOperator)",
            "name one within it",
        ),
    ],
)
def test_a_value_that_the_release_has_not(
    sentence: str, version: str, asked: GpuOperator, seen: Seen, says: str, next: str
) -> None:
    with pytest.raises(Unsuitable) as error:
        settings(Setup(gpu_operator=asked), version, seen)
    assert (error.value.what, error.value.next) == (says, next)


@pytest.mark.parametrize(
    ("kubernetes", "release"),
    [
        ((1, 37), "26.7.0"),
        ((1, 34), "26.7.0"),
        ((1, 32), "26.3.3"),
        ((1, 28), "24.9.2"),
        ((1, 22), "24.3.0"),
        ((1, 20), "1.9.1"),
        ((1, 18), "1.8.2"),
        ((1, 14), "1.5.2"),
    ],
)
def test_the_newest_release_whose_page_names_the_cluster(kubernetes: tuple[int, int], release: str) -> None:
    assert operator.fitting(kubernetes).version == release


def test_the_data_is_in_order_and_names_its_sources() -> None:
    data = operator.data()
    assert [r.order for r in data.releases] == sorted(r.order for r in data.releases)
    assert {c.source for c in data.containerd_elsewhere} <= set(data.sources)
    # what the look, the platform and the spec may set is known to the newest release
    own = ("driver.enabled", "hostPaths.driverInstallDir", "toolkit.env", "nfd.enabled", "driver.env", "mig.strategy")
    assert [path for path in own if not operator.has_value(operator.newest().version, path)] == []


def test_a_release_that_lies_between_two_that_were_read() -> None:
    assert [operator.read_release(v) for v in ("24.9.1", "26.9.0", "1.3.0")] == ["24.6.2", "26.7.0", "1.4.0"]


CHART = Chart(source="./c", name="gpu-operator", version="v26.7.0", digest="sha256:0")
ACTION = Helm(
    release="gpu-operator", namespace="gpu-operator", chart=CHART, values={"mig": {"strategy": "single"}}, digest="d"
)


def secret(revision: int, status: str, values: Any = None, version: str = "v26.7.0") -> dict[str, Any]:
    payload = {"chart": {"metadata": {"name": "gpu-operator", "version": version}}, "config": values}
    packed = base64.b64encode(base64.b64encode(gzip.compress(msgspec.json.encode(payload)))).decode()
    labels = {"owner": "helm", "name": "gpu-operator", "status": status, "version": str(revision)}
    return {"metadata": {"labels": labels}, "data": {"release": packed}}


@pytest.mark.parametrize(
    ("sentence", "secrets", "is_as", "unfinished", "deployed"),
    [
        ("as wanted", [secret(1, "deployed", ACTION.values)], True, False, 1),
        ("other values", [secret(1, "deployed", {})], False, False, 1),
        ("another chart", [secret(1, "deployed", ACTION.values, "v25.10.1")], False, False, 1),
        ("failed", [secret(1, "failed", ACTION.values)], False, False, 0),
        ("cut off while it was installed", [secret(1, "pending-install", ACTION.values)], False, True, 0),
        (
            "cut off while it was upgraded, ten revisions on",
            [secret(10, "pending-upgrade", ACTION.values), secret(9, "deployed", {})],
            False,
            True,
            9,
        ),
        (
            "what it says cannot be read",
            [{"metadata": {"labels": {"status": "deployed", "version": "2"}}, "data": {"release": "%%%"}}],
            False,
            False,
            2,
        ),
    ],
)
def test_a_release_as_its_secrets_tell_it(
    sentence: str, secrets: list[dict[str, Any]], is_as: bool, unfinished: bool, deployed: int
) -> None:
    found = live(secrets)
    assert isinstance(found, Live)
    assert (found.is_as(ACTION), found.unfinished, found.deployed) == (is_as, unfinished, deployed), sentence


def test_no_secret_is_no_release() -> None:
    assert live([]) is None


def crd(*versions: tuple[str, dict[str, str]]) -> dict[str, Any]:
    return {
        "spec": {
            "versions": [
                {
                    "name": name,
                    "schema": {"openAPIV3Schema": {"properties": {k: {"type": t} for k, t in fields.items()}}},
                }
                for name, fields in versions
            ]
        }
    }


@pytest.mark.parametrize(
    ("sentence", "wanted", "there", "told"),
    [
        (
            "not there",
            crd(("v1", {"a": "string"})),
            None,
            [FieldChange(path=".spec.versions[v1]", after="1 fields")],
        ),
        ("the same", crd(("v1", {"a": "string"})), crd(("v1", {"a": "string"})), []),
        (
            "a field more, one less, one of another type",
            crd(("v1", {"a": "string", "b": "integer"})),
            crd(("v1", {"b": "string", "c": "string"})),
            [
                FieldChange(path="v1: .a", after="string"),
                FieldChange(path="v1: .b", before="string", after="integer"),
                FieldChange(path="v1: .c", before="string"),
            ],
        ),
        (
            "a version more",
            crd(("v1", {}), ("v2", {})),
            crd(("v1", {})),
            [FieldChange(path=".spec.versions[v2]", after="served")],
        ),
    ],
)
def test_what_differs_between_two_crds(sentence: str, wanted: Any, there: Any, told: list[FieldChange]) -> None:
    assert list(schema_changes(wanted, there)) == told, sentence


if __name__ == "__main__":
    for version in CLASSES:
        (GOLDEN / f"operator-{version}.yaml").write_text(rendered(version))
