"""The replayed libcuda shows the GPUs whose device nodes are there, and adds."""

from __future__ import annotations

import shutil
import uuid

import pytest
from replayed import EIGHT, MIG, ask

from testbed.replay import ReplayedNode, materialise

pytestmark = pytest.mark.xdist_group("replayed cuda")  # compiled once
CUDA = """
c = ctypes.CDLL("libcuda.so.1")
PTX = b".version 6.0\\n.target sm_50\\n.visible .entry vadd(){ret;}\\n"
def compute(device, n, threads):
    ctx, mod, fn = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p()
    a, b, out = (ctypes.c_float * n)(*range(n)), (ctypes.c_float * n)(*range(0, 2 * n, 2)), (ctypes.c_float * n)()
    pointers = [ctypes.c_uint64() for _ in range(3)]
    codes = [c.cuCtxCreate_v2(ctypes.byref(ctx), 0, device), c.cuModuleLoadData(ctypes.byref(mod), PTX),
             c.cuModuleGetFunction(ctypes.byref(fn), mod, b"vadd")]
    codes += [c.cuMemAlloc_v2(ctypes.byref(p), ctypes.c_size_t(4 * n)) for p in pointers]
    codes += [c.cuMemcpyHtoD_v2(p, x, ctypes.c_size_t(4 * n)) for p, x in zip(pointers, (a, b, out))]
    given = [*pointers, ctypes.c_uint32(n)]
    params = (ctypes.c_void_p * 4)(*[ctypes.addressof(g) for g in given])
    codes += [c.cuLaunchKernel(fn, threads // 32, 1, 1, 32, 1, 1, 0, None, params, None), c.cuCtxSynchronize(),
              c.cuMemcpyDtoH_v2(out, pointers[2], ctypes.c_size_t(4 * n)), *(c.cuMemFree_v2(p) for p in pointers)]
    return [sorted(set(codes)), list(out)]
def uuids():
    count = ctypes.c_int()
    c.cuDeviceGetCount(ctypes.byref(count))
    found = []
    for i in range(count.value):
        octets, name = ctypes.create_string_buffer(16), ctypes.create_string_buffer(99)
        c.cuDeviceGetUuid_v2(octets, i); c.cuDeviceGetName(name, 99, i)
        found.append([octets.raw.hex(), name.value.decode()])
    return found
"""


@pytest.fixture(scope="module")
def cuda(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ReplayedNode]:
    """Nodes whose libcuda looks for device nodes in a folder where any user can make them."""
    place = tmp_path_factory.mktemp("cuda")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GPUREADY_TESTBED_CACHE", str(place / "cache"))
        return {p.stem: materialise(p, place / p.stem, dev=str(place / f"{p.stem}-dev")) for p in (EIGHT, MIG)}


def devices(node: ReplayedNode, *names: str) -> None:
    dev = node.root.with_name(f"{node.root.name}-dev")
    shutil.rmtree(dev, ignore_errors=True)
    for name in names:
        (dev / name).parent.mkdir(parents=True, exist_ok=True)
        (dev / name).touch()


@pytest.mark.parametrize(
    ("given", "code", "minors"),
    [
        pytest.param(
            ("nvidiactl", "nvidia-uvm", "nvidia2", "nvidia7"), 0, [2, 7], id="the GPUs of the container, no others"
        ),
        pytest.param(("nvidiactl", "nvidia-uvm"), 100, [], id="no GPU: no device"),
        pytest.param(("nvidia-uvm", "nvidia2"), 100, [], id="no control device: no device"),
        pytest.param(("nvidiactl", "nvidia2"), 999, [], id="no unified memory device: unknown error"),
    ],
)
def test_cuda_sees_what_device_nodes_allow(
    cuda: dict[str, ReplayedNode], given: tuple[str, ...], code: int, minors: list[int]
) -> None:
    node = cuda[EIGHT.stem]
    devices(node, *given)
    expected = [[uuid.UUID(node.gpus[m]["uuid"][4:]).hex, "NVIDIA H100 80GB HBM3 (replayed)"] for m in minors]
    assert ask(node, CUDA + "say([c.cuInit(0), uuids()])", init=False) == [code, expected]


def test_cuda_shows_the_mig_device_whose_capabilities_are_there(cuda: dict[str, ReplayedNode]) -> None:
    node = cuda[MIG.stem]
    mig = node.gpus[0]["mig"][1]
    base = node.proc_driver / "nvidia" / "capabilities" / "gpu0" / "mig" / f"gi{mig['gi']}"
    minors = [f.read_text().split()[1] for f in (base / "access", base / f"ci{mig['ci']}" / "access")]
    devices(node, "nvidiactl", "nvidia-uvm", "nvidia0", *(f"nvidia-caps/nvidia-cap{m}" for m in minors))
    expected = [[uuid.UUID(mig["uuid"][4:]).hex, f"{mig['name']} (replayed)"]]
    assert ask(node, CUDA + "say([c.cuInit(0), uuids()])", init=False) == [0, expected]


@pytest.mark.parametrize(
    ("threads", "right"),
    [
        pytest.param(64, [float(3 * i) for i in range(40)], id="a grid that covers all"),
        pytest.param(32, [float(3 * i) if i < 32 else 0.0 for i in range(40)], id="a grid too small leaves the rest"),
    ],
)
def test_vadd_adds(cuda: dict[str, ReplayedNode], threads: int, right: list[float]) -> None:
    devices(cuda[EIGHT.stem], "nvidiactl", "nvidia-uvm", "nvidia0", "nvidia1")
    code = CUDA + f"c.cuInit(0); say(compute(1, 40, {threads}))"
    assert ask(cuda[EIGHT.stem], code, init=False) == [[0], right]


# CUresult: 1 invalid value, 2 out of memory, 3 not initialised, 201 invalid context, 218 invalid PTX, 500 not found
@pytest.mark.parametrize(
    ("code", "answer"),
    [
        pytest.param("say(c.cuDeviceGetCount(p))", 3, id="before cuInit"),
        pytest.param("c.cuInit(0); say(c.cuMemAlloc_v2(p, size(4)))", 201, id="without a context"),
        pytest.param("context(); say(c.cuMemAlloc_v2(p, size(1 << 40)))", 2, id="more memory than the GPU has"),
        pytest.param(
            "context(); c.cuMemAlloc_v2(p, size(4)); say(c.cuMemcpyHtoD_v2(x, b'12345678', size(8)))",
            1,
            id="beyond an allocation",
        ),
        pytest.param("context(); say(c.cuModuleLoadData(p, b'no code'))", 218, id="an image that is no PTX"),
        pytest.param(
            "context(); c.cuModuleLoadData(p, PTX); say(c.cuModuleGetFunction(p, x, b'other'))",
            500,
            id="a kernel other than vadd",
        ),
    ],
)
def test_cuda_refusals(cuda: dict[str, ReplayedNode], code: str, answer: int) -> None:
    devices(cuda[EIGHT.stem], "nvidiactl", "nvidia-uvm", "nvidia0")
    setting = """
x, size = ctypes.c_uint64(), ctypes.c_size_t
p = ctypes.byref(x)
def context(): c.cuInit(0); c.cuCtxCreate_v2(ctypes.byref(ctypes.c_void_p()), 0, 0)
"""
    assert ask(cuda[EIGHT.stem], CUDA + setting + code, init=False) == answer
