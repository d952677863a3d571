from __future__ import annotations

from pathlib import Path

import pytest
from node_builders import gpu, uuid

from gpuready.model.unknown import Unknown
from gpuready.node.driver_files import device_nodes, read, resolve, visible
from gpuready.node.injection import DriverFiles, Mount, blocked, chosen, plan

NODES = frozenset(("nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia0", "nvidia1"))
VERSION = "580.65.06"


def lay(prefix: Path, *paths: str) -> None:
    """`/a/b` makes a file, `/a/b -> c` a symlink."""
    for path in paths:
        name, _, target = path.partition(" -> ")
        here = Path(f"{prefix}{name}")
        here.parent.mkdir(parents=True, exist_ok=True)
        if target:
            here.symlink_to(target)
        else:
            here.touch()


def library(folder: str, stem: str, *links: str, version: str = VERSION) -> list[str]:
    """The file, and links as ldconfig makes them: each to the file."""
    real = f"{stem}.so.{version}"
    return [f"{folder}/{real}", *(f"{folder}/{link} -> {real}" for link in links)]


def driver(folder: str) -> list[str]:
    return [
        *library(folder, "libcuda", "libcuda.so.1", "libcuda.so"),
        *library(folder, "libnvidia-ml", "libnvidia-ml.so.1"),
        *library(folder, "libnvidia-gpucomp"),
        f"{folder}/libGLX_nvidia.so.{VERSION}",
        f"{folder}/libc.so.6",
    ]


def expected_libraries(folder: str) -> dict[str, str]:
    cuda, ml = f"{folder}/libcuda.so.{VERSION}", f"{folder}/libnvidia-ml.so.{VERSION}"
    comp = f"{folder}/libnvidia-gpucomp.so.{VERSION}"
    return {
        "libcuda.so": cuda,
        "libcuda.so.1": cuda,
        f"libcuda.so.{VERSION}": cuda,
        "libnvidia-ml.so.1": ml,
        f"libnvidia-ml.so.{VERSION}": ml,
        f"libnvidia-gpucomp.so.{VERSION}": comp,
    }


@pytest.mark.parametrize(
    ("sentence", "lib_dir", "root", "paths", "real_folder"),
    [
        (
            "driver root /: the distribution's library directory",
            "/usr/lib/x86_64-linux-gnu",
            "/",
            driver("/usr/lib/x86_64-linux-gnu"),
            "/usr/lib/x86_64-linux-gnu",
        ),
        (
            "/lib is a symlink to usr/lib",
            "/lib/x86_64-linux-gnu",
            "/",
            [*driver("/usr/lib/x86_64-linux-gnu"), "/lib -> usr/lib"],
            "/usr/lib/x86_64-linux-gnu",
        ),
        (
            "GKE: /usr/local/nvidia is a symlink to the writable partition",
            "/usr/local/nvidia/lib64",
            "/",
            [*driver("/home/kubernetes/bin/nvidia/lib64"), "/usr/local/nvidia -> /home/kubernetes/bin/nvidia"],
            "/home/kubernetes/bin/nvidia/lib64",
        ),
        (
            "driver container: an absolute symlink inside it counts from its root",
            "/run/nvidia/driver/usr/lib64",
            "/run/nvidia/driver",
            [*driver("/run/nvidia/driver/opt/lib"), "/run/nvidia/driver/usr/lib64 -> /opt/lib"],
            "/run/nvidia/driver/opt/lib",
        ),
        (
            "a symlink outside the driver root counts from the host's root",
            "/run/nvidia/driver/usr/lib64",
            "/run/nvidia/driver",
            [*driver("/mnt/nvidia/driver/usr/lib64"), "/run/nvidia -> /mnt/nvidia"],
            "/mnt/nvidia/driver/usr/lib64",
        ),
    ],
)
def test_each_driver_root(
    sentence: str, lib_dir: str, root: str, paths: list[str], real_folder: str, tmp_path: Path
) -> None:
    lay(tmp_path, *paths)
    found = read(lib_dir, str(tmp_path), root)
    assert isinstance(found, DriverFiles)
    assert found == DriverFiles(libraries=expected_libraries(real_folder)), sentence


def test_what_cannot_be_followed_is_left_out_and_said(tmp_path: Path) -> None:
    lay(
        tmp_path,
        *driver("/lib64"),
        "/lib64/libnvidia-cfg.so.1 -> /etc/alternatives/cfg",
        "/lib64/libnvidia-opencl.so.1 -> libnvidia-opencl.so",
        "/lib64/libnvidia-opencl.so -> libnvidia-opencl.so.1",
    )
    (tmp_path / "lib64/libnvidia-nvvm.so.4").mkdir()
    found = read("/lib64", str(tmp_path), "/", "/usr/bin/nvidia-smi")
    assert isinstance(found, DriverFiles)
    assert found.libraries == expected_libraries("/lib64")
    assert found.nvidia_smi == ""
    assert {name: why.replace(str(tmp_path), "HOST") for name, why in found.unresolved.items()} == {
        "libnvidia-cfg.so.1": "HOST/etc: No such file or directory",
        "libnvidia-opencl.so.1": "/lib64/libnvidia-opencl.so.1: /lib64/libnvidia-opencl.so.1: too many symlinks",
        "libnvidia-opencl.so": "/lib64/libnvidia-opencl.so: /lib64/libnvidia-opencl.so: too many symlinks",
        "libnvidia-nvvm.so.4": "/lib64/libnvidia-nvvm.so.4: /lib64/libnvidia-nvvm.so.4 is no regular file",
        "/usr/bin/nvidia-smi": "HOST/usr: No such file or directory",
    }


def test_a_library_directory_that_is_not_there_is_unknown(tmp_path: Path) -> None:
    why = f"cannot list the driver's libraries in /lib64 (seen at {tmp_path}): No such file or directory"
    assert read("/lib64", str(tmp_path)) == Unknown(why)


def test_resolve_never_leaves_the_prefix(tmp_path: Path) -> None:
    lay(tmp_path / "host", "/a/up -> ../../../../etc", "/etc/here")
    assert resolve("/a/up/here", str(tmp_path / "host")) == "/etc/here"
    assert visible("/host", "/usr/lib") == Path("/host/usr/lib")
    assert visible("", "/usr/lib") == Path("/usr/lib")


@pytest.mark.parametrize(
    ("sentence", "libraries", "expected"),
    [
        (
            "a library that an earlier driver left behind is not given",
            {
                "libnvidia-ml.so.1": "/l/libnvidia-ml.so.580.65.06",
                "libcuda.so.535.54.03": "/l/libcuda.so.535.54.03",
                "libcuda.so.580.65.06": "/l/libcuda.so.580.65.06",
            },
            ["libcuda.so.580.65.06", "libnvidia-ml.so.1"],
        ),
        (
            "a file with another version is given where a name points to it",
            {
                "libnvidia-ml.so.1": "/l/libnvidia-ml.so.580.65.06",
                "libnvidia-nvvm.so.4": "/l/libnvidia-nvvm.so.4.0.0",
                "libnvidia-nvvm.so.4.0.0": "/l/libnvidia-nvvm.so.4.0.0",
            },
            ["libnvidia-ml.so.1", "libnvidia-nvvm.so.4", "libnvidia-nvvm.so.4.0.0"],
        ),
        (
            "of what compute and utility do not need, nothing",
            {"libnvidia-encode.so.1": "/l/e", "libEGL_nvidia.so.0": "/l/g", "libcudart.so.12": "/l/c"},
            [],
        ),
    ],
)
def test_chosen(sentence: str, libraries: dict[str, str], expected: list[str]) -> None:
    assert sorted(chosen(libraries)) == expected, sentence


FILES = DriverFiles(
    libraries={"libcuda.so.1": "/l/libcuda.so.580.65.06", "libnvidia-ml.so.1": "/l/libnvidia-ml.so.580.65.06"},
    nvidia_smi="/b/nvidia-smi",
)


def test_mounts_go_into_both_default_directories_of_the_machine() -> None:
    def mounted(folder: str) -> list[Mount]:
        return [Mount(FILES.libraries[name], f"{folder}/{name}") for name in sorted(FILES.libraries)]

    smi = Mount("/b/nvidia-smi", "/usr/bin/nvidia-smi")
    x86, arm, red_hat = "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64"
    assert plan([gpu(0)], NODES, FILES, "x86_64").mounts == (*mounted(x86), *mounted(red_hat), smi)
    assert plan([gpu(0)], NODES, FILES, "aarch64").mounts == (*mounted(arm), *mounted(red_hat), smi)


@pytest.mark.parametrize(
    ("sentence", "nodes", "files", "expected"),
    [
        ("all is there", NODES, FILES, ("", "")),
        (
            "one GPU's device node is missing: only that GPU is blocked",
            NODES - {"nvidia1"},
            FILES,
            ("", "the node has no /dev/nvidia1: run nvidia-modprobe -c=1 on it"),
        ),
        (
            "nvidia-uvm is missing: no CUDA program starts on any GPU",
            NODES - {"nvidia-uvm"},
            FILES,
            ("the node has no /dev/nvidia-uvm: run nvidia-modprobe -u -c=0 on it",) * 2,
        ),
        ("nvidia-uvm-tools is for profilers only", NODES - {"nvidia-uvm-tools"}, FILES, ("", "")),
        (
            "libcuda is missing",
            NODES,
            DriverFiles(libraries={"libnvidia-ml.so.1": "/l/m"}, unresolved={"libcuda.so.1": "/etc: No such file"}),
            ("libcuda.so.1 is missing among the driver's libraries: /etc: No such file",) * 2,
        ),
        ("the libraries cannot be listed", NODES, Unknown("cannot list /l"), ("cannot list /l",) * 2),
    ],
)
def test_blocked(sentence: str, nodes: frozenset[str], files: DriverFiles | Unknown, expected: tuple[str, str]) -> None:
    gpus = [gpu(0), gpu(1)]
    made = plan(gpus, nodes, files, "x86_64")
    assert tuple(blocked(one, made) for one in gpus) == expected, sentence


def test_control_nodes_are_those_that_are_there() -> None:
    made = plan([gpu(0), gpu(7)], NODES | {"nvidia-modeset", "nvidia-caps"}, FILES, "x86_64")
    assert made.control == ("/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidia-modeset")
    assert made.devices == {uuid(0): "/dev/nvidia0"}


def test_device_nodes(tmp_path: Path) -> None:
    lay(tmp_path, "/nvidia0", "/nvidiactl", "/null")
    assert device_nodes(tmp_path) == {"nvidia0", "nvidiactl"}
    assert device_nodes(tmp_path / "none") == frozenset()
