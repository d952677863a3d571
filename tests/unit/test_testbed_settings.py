"""What a testbed is asked to be, what its binaries are, what a node is given."""

import json
import os
import tomllib
from pathlib import Path

import pytest

from testbed import TestbedError, nodeconfig
from testbed.binaries import STAGING, Binaries, go_mod, release
from testbed.cluster import state_folder
from testbed.gpus import driver_mounts
from testbed.settings import NodeGpus, Settings

GPUS = {"node2": NodeGpus(capture="/captures/h100.json", driver_root="/")}


def settings(tmp_path: Path, nodes: int = 2, gpus: dict[str, NodeGpus] | None = None) -> Settings:
    return Settings("unit", tmp_path, tmp_path / "cache", nodes, "1.37.2", "10s", gpus or {})


def test_settings_read_back_are_the_settings_saved(tmp_path: Path) -> None:
    asked = settings(tmp_path, 3, GPUS)
    asked.save()
    assert Settings.load(tmp_path) == asked


@pytest.mark.parametrize(
    ("nodes", "gpus", "message"),
    [
        (0, {}, "--nodes 0: a testbed has 1 to 3 nodes"),
        (4, {}, "--nodes 4: a testbed has 1 to 3 nodes"),
        (1, GPUS, "no node node2 in this testbed; its nodes: node1"),
    ],
)
def test_what_no_testbed_can_be_is_refused(tmp_path: Path, nodes: int, gpus: dict[str, NodeGpus], message: str) -> None:
    with pytest.raises(TestbedError) as error:
        settings(tmp_path, nodes, gpus)
    assert str(error.value) == message


def test_a_folder_without_a_testbed_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(TestbedError) as error:
        Settings.load(tmp_path)
    assert str(error.value) == f"no testbed in {tmp_path}; start one: python -m testbed up --nodes 2"


@pytest.mark.parametrize("name", ["", "../x", "A", "a/b", "-a", "a" * 32])
def test_a_name_that_could_leave_the_cache_or_a_cgroup_is_refused(name: str) -> None:
    with pytest.raises(TestbedError, match="is no name for a testbed"):
        state_folder(name)


@pytest.mark.parametrize(
    ("text", "version"),
    [("1.31", "1.31.0"), ("1.34", "1.34.4"), ("1.37", "1.37.2"), ("1.37.2", "1.37.2"), ("1.33.10", "1.33.10")],
)
def test_a_minor_version_stands_for_the_release_that_the_tests_ran_on(text: str, version: str) -> None:
    assert release(text) == version


@pytest.mark.parametrize("text", ["", "1.33", "v1.31", "1.31.0-rc.1", "1.31.x", "2.0.0", "../1.31.0"])
def test_what_is_no_release_is_refused(text: str) -> None:
    with pytest.raises(TestbedError) as error:
        release(text)
    assert str(error.value) == f"{text!r} is no Kubernetes release: X.Y.Z, or one of 1.31, 1.34, 1.37"


def test_a_go_module_replaces_every_staging_module_by_its_own_version() -> None:
    lines = go_mod("1.37.2").splitlines()
    replaced = [line.strip() for line in lines if "=>" in line]
    assert lines[:5] == ["module gpuready.dev/testbed/kube", "", "go 1.24", "", "require k8s.io/kubernetes v1.37.2"]
    assert {"k8s.io/csi-translation-lib", "k8s.io/kube-controller-manager"} < {line.split()[0] for line in replaced}
    assert replaced == [f"k8s.io/{name} => k8s.io/{name} v0.37.2" for name in STAGING.split()]


def test_only_what_is_absent_is_missing(tmp_path: Path) -> None:
    binaries = Binaries(tmp_path, "1.34.4")
    present = {tmp_path / "bin" / "runc", tmp_path / "kube-1.34.4" / "kube"}
    for path in present:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert set(binaries.missing()) == set(binaries.needed()) - present


def test_processes_get_no_proxy_and_no_secret_of_the_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example")
    monkeypatch.setenv("SECRET_TOKEN", "s3cr3t")
    system = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    assert Binaries(tmp_path, "1.34.4").environment() == {
        "PATH": f"{tmp_path}/kube-1.34.4:{tmp_path}/bin:{system}",
        "HOME": "/root",
    }


@pytest.mark.parametrize(
    ("root", "links", "binds"),
    [
        ("/usr/local/nvidia", [], [["{driver}", "/usr/local/nvidia", True]]),
        (
            "/run/nvidia/driver",
            [],
            [
                ["{driver}/lib64", "/run/nvidia/driver/usr/lib/x86_64-linux-gnu", True],
                ["{driver}/bin", "/run/nvidia/driver/usr/bin", True],
                ["/dev", "/run/nvidia/driver/dev", False],
            ],
        ),
        (
            "/",
            [["libcuda.so.580", "/usr/lib/x86_64-linux-gnu/libcuda.so.1"]],
            [
                ["{driver}/lib64/libcuda.so.580", "/usr/lib/x86_64-linux-gnu/libcuda.so.580", True],
                ["{driver}/lib64/live", "/usr/lib/x86_64-linux-gnu/live", True],
                ["{driver}/bin/nvidia-smi", "/usr/bin/nvidia-smi", True],
            ],
        ),
    ],
)
def test_a_driver_is_laid_out_as_usual_under_its_root(
    tmp_path: Path, root: str, links: list[list[str]], binds: list[list[object]]
) -> None:
    for folder in ("lib64/live", "bin"):
        (tmp_path / folder).mkdir(parents=True)
    for file in ("lib64/libcuda.so.580", "bin/nvidia-smi"):
        (tmp_path / file).touch()
    os.symlink("libcuda.so.580", tmp_path / "lib64/libcuda.so.1")
    expected = [[str(b[0]).replace("{driver}", str(tmp_path)), *b[1:]] for b in binds]
    assert driver_mounts(tmp_path, root) == {"links": links, "binds": expected}


def test_the_files_of_a_node_are_what_containerd_and_kubelet_parse(tmp_path: Path) -> None:
    (tmp_path / "pki").mkdir()
    (tmp_path / "pki/ca.crt").write_text("CA\n")
    files = nodeconfig.files(settings(tmp_path), "node2", 2)
    containerd = tomllib.loads(files["etc/containerd/config.toml"])
    runtime = containerd["plugins"]["io.containerd.cri.v1.runtime"]
    hosts = tomllib.loads(files["etc/containerd/certs.d/192.0.2.10:5000/hosts.toml"])
    kubelet = json.loads(files["var/lib/kubelet/config.yaml"])
    (bridge,) = json.loads(files["etc/cni/net.d/10-bridge.conflist"])["plugins"]
    assert (containerd["version"], runtime["restrict_oom_score_adj"]) == (3, True)
    assert hosts["host"] == {"http://192.0.2.10:5000": {"capabilities": ["pull", "resolve"]}}
    assert (kubelet["cgroupRoot"], kubelet["nodeStatusUpdateFrequency"]) == ("/gpuready-testbed-unit-node2", "10s")
    assert bridge["ipam"] == {"type": "host-local", "subnet": "10.244.2.0/24", "routes": [{"dst": "0.0.0.0/0"}]}
