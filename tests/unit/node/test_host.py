"""The state of a node, from trees as a probe and as the agent see them."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from gpuready.model.facts.host import CdiSpec, DriverFiles, HostFacts, PciGpu, RuntimeConfig
from gpuready.model.unknown import Unknown, known
from gpuready.node.cdi_read import read_cdi
from gpuready.node.config import Config
from gpuready.node.host import agent_facts, host_facts
from gpuready.node.judge import View
from gpuready.node.sight import Sight
from tests.unit.test_look import lay_out

Tree = dict[str, str | None]  # path -> text, "-> target" for a link, None for a folder
KERNEL = "6.8.0-45-generic"
SEEN = ("/etc", "/usr", "/lib", "/sys", "/proc/driver", "/dev", "/var/lib/kubelet/device-plugins", "/var/run/cdi")
LIBRARIES = "/usr/lib/x86_64-linux-gnu"
NOW = "2026-11-23T09:00:00Z"
CDI = """
cdiVersion: 0.5.0
kind: nvidia.com/gpu
devices:
- name: "0"
  containerEdits: {deviceNodes: [{path: /dev/nvidia0}, {path: /dev/nvidia-uvm, hostPath: /dev/nvidia9}]}
containerEdits:
  mounts: [{hostPath: /usr/lib/x86_64-linux-gnu/libcuda.so.1, containerPath: /x}, {hostPath: /run/x/socket}]
  hooks: [{hookName: createContainer, path: /usr/bin/nvidia-cdi-hook}]
"""
WHOLE: Tree = {
    "/sys/bus/pci/devices/0000:1b:00.0/vendor": "0x10de",
    "/sys/bus/pci/devices/0000:1b:00.0/class": "0x030200",
    "/sys/bus/pci/devices/0000:1b:00.0/device": "0x2330",
    "/sys/bus/pci/devices/0000:1b:00.0/numa_node": "0",
    "/sys/bus/pci/devices/0000:1b:00.0/driver": "-> ../../../../bus/pci/drivers/nvidia",
    "/sys/bus/pci/drivers/nvidia": None,
    "/sys/module/nvidia/version": "580.65.06",
    "/sys/module/nvidia_uvm": None,
    "/sys/module/ext4": None,
    "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c": "\x06\0\0\0\x01",
    "/sys/fs/cgroup/cgroup.controllers": "cpu memory",
    "/proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  Sat Aug 19",
    "/dev/nvidia0": "x",
    "/dev/nvidiactl": "x",
    f"{LIBRARIES}/libnvidia-ml.so.1": "-> libnvidia-ml.so.580.65.06",
    f"{LIBRARIES}/libnvidia-ml.so.580.65.06": "ELF",
    f"{LIBRARIES}/libcuda.so.1": "-> libcuda.so.580.65.06",
    f"{LIBRARIES}/libcuda.so.580.65.06": "ELF",
    f"{LIBRARIES}/libnvidia-container.so.1": "-> libnvidia-container.so.1.18.1",
    f"{LIBRARIES}/libnvidia-container.so.1.18.1": "ELF",
    "/usr/bin/nvidia-container-runtime": "ELF",
    f"/lib/modules/{KERNEL}/modules.dep": "kernel/fs/ext4.ko.zst:\nupdates/dkms/nvidia.ko.zst: x\n",
    f"/lib/modules/{KERNEL}/build": f"-> /usr/src/linux-headers-{KERNEL}",
    f"/usr/src/linux-headers-{KERNEL}/Makefile": "x",
    "/etc/containerd/config.toml": "version = 3\nimports = ['/etc/containerd/conf.d/*.toml']\n",
    "/etc/containerd/conf.d/99-nvidia.toml": "version = 3\n"
    """[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.nvidia.options]
BinaryName = "/usr/bin/nvidia-container-runtime"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.old.options]
BinaryName = "/usr/bin/gone"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.far.options]
BinaryName = "/opt/x/runtime"
""",
    "/etc/cdi": None,
    "/var/run/cdi/nvidia.yaml": CDI,
    "/var/lib/kubelet/device-plugins/kubelet.sock": "x",
    "/var/lib/kubelet/device-plugins/nvidia-gpu.sock": "x",
    "/var/lib/kubelet/device-plugins/kubelet_internal_checkpoint": "{}",
}
SPEC = CdiSpec(
    path="/var/run/cdi/nvidia.yaml",
    kind="nvidia.com/gpu",
    devices=("0",),
    missing=("/usr/bin/nvidia-cdi-hook", "/dev/nvidia9"),
    hidden=("/run/x/socket",),
)


def laid_out(root: Path, tree: Tree) -> str:
    lay_out(root, tree)
    return str(root)


def seen_by_probe(root: Path, tree: Tree, seen: tuple[str, ...] = SEEN) -> HostFacts:
    return host_facts(Sight.below(laid_out(root, tree), seen, "look closer"), "gpu-1", KERNEL, NOW)


def test_a_probe_sees_all_of_a_healthy_node(tmp_path: Path) -> None:
    assert seen_by_probe(tmp_path, WHOLE) == HostFacts(
        node="gpu-1",
        as_of=NOW,
        kernel=KERNEL,
        gpus=(
            PciGpu(address="0000:1b:00.0", device_id="2330", pci_class="030200", kernel_driver="nvidia", numa_node=0),
        ),
        kernel_driver_version="580.65.06",
        driver_files=(DriverFiles(root="/", lib_dir=LIBRARIES, version="580.65.06", nvidia_smi=None),),
        device_nodes=("nvidia0", "nvidiactl"),
        modules=("nvidia", "nvidia_uvm"),
        module_built=True,
        headers=True,
        secure_boot=True,
        cgroup=2,
        toolkit="1.18.1",
        runtimes=(
            RuntimeConfig(
                runtime="containerd",
                path="/etc/containerd/config.toml",
                files=("/etc/containerd/config.toml", "/etc/containerd/conf.d/99-nvidia.toml"),
                handlers=("far", "nvidia", "old", "runc"),
                default_handler="runc",
                binaries={
                    "far": "/opt/x/runtime",
                    "nvidia": "/usr/bin/nvidia-container-runtime",
                    "old": "/usr/bin/gone",
                },
                missing_binaries=("old",),
                hidden_binaries=("far",),
            ),
        ),
        cdi_specs=(SPEC,),
        cdi_folders=("/etc/cdi", "/var/run/cdi"),
        plugin_sockets=("nvidia-gpu.sock",),
    )


def test_what_is_not_mounted_is_unknown_and_names_what_would_see_it(tmp_path: Path) -> None:
    facts = seen_by_probe(tmp_path, WHOLE, ())
    told = {name: getattr(facts, name) for name in facts.__struct_fields__}
    known = {name for name, value in told.items() if not isinstance(value, Unknown)}
    assert known == {"node", "as_of", "asked_at", "kernel", "cdi_folders", "replayed"}
    assert {value.ask for value in told.values() if isinstance(value, Unknown)} == {"look closer"}


WITHOUT: dict[str, tuple[str, str, object]] = {
    "no such module in the list": (f"/lib/modules/{KERNEL}/modules.dep", "module_built", False),
    "the link to the headers leads nowhere": (f"/usr/src/linux-headers-{KERNEL}/Makefile", "headers", False),
    "no UEFI": ("/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c", "secure_boot", None),
    "no toolkit": (f"{LIBRARIES}/libnvidia-container.so.1", "toolkit", None),
    "cgroup v1": ("/sys/fs/cgroup/cgroup.controllers", "cgroup", 1),
}


@pytest.mark.parametrize("sentence", WITHOUT)
def test_what_is_not_there_is_told_as_absent(sentence: str, tmp_path: Path) -> None:
    path, field, expected = WITHOUT[sentence]
    tree = {name: text for name, text in WHOLE.items() if name != path}
    if field == "module_built":
        tree[path] = "updates/nvidia-fs.ko: x\nkernel/nvidia_uvm.ko:\n"
    if field == "cgroup":
        tree["/sys/fs/cgroup/memory"] = None
    assert getattr(seen_by_probe(tmp_path, tree), field) == expected


@pytest.mark.parametrize("folder", [f"/lib/modules/{KERNEL}", "/etc/containerd", "/var/lib/kubelet/device-plugins"])
def test_a_folder_that_may_not_be_read_is_unknown(folder: str, tmp_path: Path) -> None:
    field = {"/lib": "module_built", "/etc": "runtimes", "/var": "plugin_sockets"}["/" + folder.split("/")[1]]
    lay_out(tmp_path, WHOLE)
    (tmp_path / folder.lstrip("/")).chmod(0)
    try:
        with as_nobody():
            facts = host_facts(Sight.below(str(tmp_path), SEEN), "gpu-1", KERNEL, NOW)
    finally:
        (tmp_path / folder.lstrip("/")).chmod(0o755)
    assert isinstance(getattr(facts, field), Unknown)


class as_nobody:  # noqa: N801 - reads as a phrase
    """Root reads everything; a probe is nobody."""

    def __enter__(self) -> None:
        if os.geteuid() == 0:
            os.seteuid(65534)

    def __exit__(self, *_: object) -> None:
        if os.getuid() == 0:
            os.seteuid(0)


def test_a_link_that_leads_out_of_sight_hides_what_it_leads_to(tmp_path: Path) -> None:
    tree = {**WHOLE, "/etc/containerd/config.toml": "-> /opt/site/config.toml"}
    assert seen_by_probe(tmp_path, tree).runtimes == Unknown(
        "/etc/containerd/config.toml of the node is not visible to the reader", "look closer"
    )


CDI_FILES = {
    "JSON": ("/c/a.json", '{"kind": "nvidia.com/gpu", "devices": [{"name": "0"}]}', ("nvidia.com/gpu", ("0",), "")),
    "cut off": ("/c/a.json", '{"kind": ', ("", (), "Expecting value: line 1 column 10 (char 9)")),
    "empty": ("/c/a.yaml", "", ("", (), "it is empty")),
    "a list": ("/c/a.yaml", "- 1\n", ("", (), "it is no mapping")),
    "no YAML": ("/c/a.yaml", "{", ("", (), "did not find expected node content while parsing a flow node")),
    "of strange shape": (
        "/c/a.json",
        '{"devices": {"a": 1}, "containerEdits": {"mounts": [1, {"hostPath": 7}]}}',
        ("", (), ""),
    ),
}


@pytest.mark.parametrize("sentence", CDI_FILES)
def test_cdi_files(sentence: str) -> None:
    path, text, (kind, devices, problem) = CDI_FILES[sentence]
    expected = CdiSpec(path=path, kind=kind, devices=devices, problem=problem)
    assert read_cdi(path, text, lambda _: True) == expected


def test_the_agent_sees_through_its_own_mounts_and_asks_for_a_probe_for_the_rest(tmp_path: Path) -> None:
    """Its paths are those of a container, except the driver's, which lie below /host."""
    root = laid_out(tmp_path, {**WHOLE, f"/host{LIBRARIES}/libnvidia-ml.so.1": "-> libnvidia-ml.so.580.65.06"})
    lay_out(tmp_path, {f"/host{LIBRARIES}/libnvidia-ml.so.580.65.06": "ELF"})
    config = Config(
        node="gpu-1",
        lib_dir=LIBRARIES,
        host_prefix=f"{root}/host",
        kubelet_dir=Path(f"{root}/var/lib/kubelet"),
        cdi_dir=Path(f"{root}/var/run/cdi"),
        sys_dir=Path(f"{root}/sys"),
    )
    facts = agent_facts(config, View(driver="580.65.06"), NOW)
    assert facts.kernel_driver_version == "580.65.06"
    assert facts.driver_files == (DriverFiles(root="/", lib_dir=LIBRARIES, version="580.65.06", nvidia_smi=None),)
    assert facts.plugin_sockets == ("nvidia-gpu.sock",)
    assert (facts.modules, facts.cgroup, facts.cdi_folders) == (("nvidia", "nvidia_uvm"), 2, ("/var/run/cdi",))
    blind = {name for name in facts.__struct_fields__ if isinstance(getattr(facts, name), Unknown)}
    assert {"runtimes", "module_built", "headers", "toolkit"} <= blind
    assert {getattr(facts, name).ask for name in blind} == {"gpuready doctor --host-facts"}
    assert msgspec.json.decode(msgspec.json.encode(facts), type=HostFacts) == facts


def test_an_agent_of_replayed_gpus_says_nothing_of_the_kernel(tmp_path: Path) -> None:
    config = Config(node="gpu-1", lib_dir="/x", sys_dir=Path(f"{laid_out(tmp_path, WHOLE)}/sys"))
    facts = agent_facts(config, View(driver="580.65.06", replayed=True), NOW)
    assert facts.replayed
    assert isinstance(facts.gpus, Unknown)
    assert isinstance(facts.modules, Unknown)


K3S = "/var/lib/rancher/k3s/agent/etc/containerd"
ENTRY = """[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.'nvidia'.options]
  BinaryName = "/usr/bin/nvidia-container-runtime"
"""


def test_the_containerd_of_a_distribution_is_read_where_it_is_made(tmp_path: Path) -> None:
    """K3s 1.31.6 writes it; the file below /etc is left from another installation."""
    tree: Tree = {**WHOLE, f"{K3S}/config.toml": f"version = 3\n{ENTRY}", f"{K3S}/config-v3.toml.tmpl": "{{ x }}"}
    found = seen_by_probe(tmp_path, tree, (*SEEN, K3S)).runtimes
    assert isinstance(found, tuple)
    assert [(one.path, one.handlers) for one in found if one.path.startswith(K3S)] == [
        (f"{K3S}/config.toml", ("nvidia", "runc"))
    ]
    assert "/etc/containerd/config.toml" in [one.path for one in found]
    assert all(not one.path.startswith(K3S) for one in known(seen_by_probe(tmp_path / "b", tree).runtimes))


def test_a_file_of_a_distribution_that_only_its_owner_may_read_is_named(tmp_path: Path) -> None:
    laid_out(tmp_path, {f"{K3S}/config.toml": "version = 3\n"})
    (tmp_path / f".{K3S}/config.toml").chmod(0o600)
    with as_nobody():
        found = host_facts(Sight.below(str(tmp_path), (K3S,)), "n", KERNEL, NOW).runtimes
    assert isinstance(found, tuple)
    assert [(one.path, one.files, one.unread) for one in found] == [(f"{K3S}/config.toml", (), (f"{K3S}/config.toml",))]
