"""Reading a Helm chart that anybody may have made, and what of helm's words reaches the user."""

from __future__ import annotations

import io
import stat
import sys
import tarfile
from pathlib import Path

import pytest

from gpuready.adapters.chart import read_chart
from gpuready.adapters.helm import HelmCharts
from gpuready.model.errors import UserError
from gpuready.model.plan import Chart, Helm

ABOUT = "name: gpu-operator\nversion: v26.7.0\n"
CRD = "kind: CustomResourceDefinition\nmetadata: {name: %s}\n"
FILES = {
    "Chart.yaml": ABOUT,
    "values.yaml": "a: 1\n",
    "crds/a.yaml": f"{CRD % 'a'}---\n{CRD % 'b'}---\nkind: ConfigMap\n",
    "charts/node-feature-discovery/Chart.yaml": "name: node-feature-discovery\nversion: 0.18.2\n",
    "charts/node-feature-discovery/crds/nfd.yaml": CRD % "nfd",
    "charts/node-feature-discovery/charts/deeper/crds/x.yaml": CRD % "x",
}


def archive(path: Path, files: dict[str, str], top: str = "gpu-operator") -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(f"{top}/{name}")
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    return path


def folder(path: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text)
    return path


def names(path: Path) -> tuple[list[str], dict[str, list[str]]]:
    found = read_chart(path, str(path), "gpu-operator")
    inner = {k: [c["metadata"]["name"] for c in v] for k, v in found.inner_crds.items()}
    return [c["metadata"]["name"] for c in found.crds], inner


@pytest.mark.parametrize("make", [archive, folder])
def test_its_crds_and_those_of_the_charts_within(make, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = make(tmp_path / "chart", FILES)
    assert names(path) == (["a", "b"], {"node-feature-discovery": ["nfd"]})
    assert read_chart(path, "s", "gpu-operator").chart.version == "v26.7.0"


def test_a_chart_within_may_be_an_archive(tmp_path: Path) -> None:
    path = folder(tmp_path / "chart", {"Chart.yaml": ABOUT, "charts/README": ""})
    archive(path / "charts" / "node-feature-discovery-0.18.2.tgz", {"crds/nfd.yaml": CRD % "nfd"}, "nfd")
    assert names(path) == ([], {"node-feature-discovery": ["nfd"]})


def test_the_digest_is_of_all_that_is_in_it(tmp_path: Path) -> None:
    path = folder(tmp_path / "chart", FILES)
    first = read_chart(path, "s", "gpu-operator").chart.digest
    (path / "templates").mkdir()
    (path / "templates" / "x.yaml").write_text("kind: Pod\n")
    assert read_chart(path, "s", "gpu-operator").chart.digest != first


@pytest.mark.parametrize(
    ("sentence", "files", "says"),
    [
        ("another chart", {"Chart.yaml": "name: nginx\nversion: '1'\n"}, "no chart gpu-operator with a version"),
        ("no chart", {"README.md": ""}, "no chart gpu-operator with a version"),
        ("no YAML", {"Chart.yaml": ABOUT, "crds/a.yaml": "a: [\n"}, "crds/a.yaml is no YAML"),
        (
            "an alias bomb",
            {"Chart.yaml": ABOUT, "crds/a.yaml": "a: &a [1]\nb: [*a, *a]\n"},
            "crds/a.yaml has YAML anchors",
        ),
    ],
)
def test_what_is_no_chart_is_told_so(sentence: str, files: dict[str, str], says: str, tmp_path: Path) -> None:
    for path in (archive(tmp_path / "c.tgz", files), folder(tmp_path / "c", files)):
        with pytest.raises(UserError) as error:
            read_chart(path, "./chart", "gpu-operator")
        assert says in error.value.what, sentence


@pytest.mark.parametrize("data", [b"", b"not an archive", b"\x1f\x8b" + b"\0" * 100])
def test_a_damaged_archive(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "c.tgz").write_bytes(data)
    with pytest.raises(UserError):
        read_chart(tmp_path / "c.tgz", "./c.tgz", "gpu-operator")


def test_an_archive_that_grows(tmp_path: Path) -> None:
    path = archive(tmp_path / "c.tgz", {"Chart.yaml": ABOUT, "big": "0" * (65 << 20)})
    with pytest.raises(UserError, match="64 MiB unpacked"):
        read_chart(path, "./c.tgz", "gpu-operator")


def program(tmp_path: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> HelmCharts:
    """A `helm` that does what the script says."""
    path = tmp_path / "bin" / "helm"
    path.parent.mkdir()
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{path.parent}:/usr/bin:/bin")
    return HelmCharts("/k", "ctx")


def action(path: Path) -> Helm:
    chart = read_chart(path, str(path), "gpu-operator").chart
    return Helm(release="gpu-operator", namespace="gpu", chart=chart, values={"a": {"b": 1}}, digest="d")


def test_values_go_by_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helm = program(tmp_path, f'echo "$@" > {tmp_path}/argv; cat > {tmp_path}/stdin', monkeypatch)
    path = folder(tmp_path / "chart", FILES)
    helm.install(action(path))
    assert (tmp_path / "stdin").read_text() == '{"a":{"b":1}}'
    assert (tmp_path / "argv").read_text().split() == (
        f"upgrade --install gpu-operator {path} --namespace gpu --reset-values --skip-crds "
        "--disable-openapi-validation --timeout 300s --values - --kubeconfig /k --kube-context ctx"
    ).split()


def test_what_helm_says_is_redacted_and_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helm = program(tmp_path, "echo 'Error: https://user:s3cr3t@registry.example.com/x: 401' >&2; exit 1", monkeypatch)
    with pytest.raises(UserError) as error:
        helm.uninstall("gpu-operator", "gpu")
    assert "helm uninstall gpu-operator failed: Error: https://" in error.value.what
    assert "s3cr3t" not in str(error.value)


def test_a_chart_that_changed_since_the_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helm = program(tmp_path, "exit 0", monkeypatch)
    planned = action(folder(tmp_path / "chart", FILES))
    (tmp_path / "chart" / "values.yaml").write_text("a: 2\n")
    with pytest.raises(UserError, match="another than the one that was planned"):
        helm.install(planned)


@pytest.mark.parametrize(
    ("source", "argv"),
    [
        ("https://charts.example.com/x", "pull gpu-operator --repo https://charts.example.com/x --version v26.7.0"),
        ("oci://registry.example.com/charts", "pull oci://registry.example.com/charts/gpu-operator --version v26.7.0"),
        ("oci://registry.example.com/gpu-operator", "pull oci://registry.example.com/gpu-operator --version v26.7.0"),
    ],
)
def test_where_a_chart_comes_from(source: str, argv: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = archive(tmp_path / "made.tgz", FILES)
    script = f'echo "$@" > {tmp_path}/argv; for last; do :; done; cp {made} "$last"/gpu-operator-v26.7.0.tgz'
    helm = program(tmp_path, script, monkeypatch)
    assert helm.read(source, "gpu-operator", "v26.7.0").chart.source == source
    assert (tmp_path / "argv").read_text().partition(" --destination")[0] == argv


def test_neither_helm_nor_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setitem(sys.modules, "helm_python", None)
    with pytest.raises(UserError) as error:
        HelmCharts(None, None).read("/chart.tgz", "gpu-operator", "")
    assert error.value.what == "helm is not on PATH, and gpuready[helm] is not installed"
    assert "intro/install/), or pip install 'gpuready[helm]';" in error.value.next


def test_the_played_chart_is_of_the_release_that_it_says() -> None:
    path = Path(__file__).parents[1] / "charts" / "gpu-operator-played"
    found = read_chart(path, "played", "gpu-operator")
    assert found.chart == Chart(source="played", name="gpu-operator", version="v25.10.1", digest=found.chart.digest)
    assert [c["metadata"]["name"] for c in found.crds] == ["clusterpolicies.nvidia.com", "nvidiadrivers.nvidia.com"]
