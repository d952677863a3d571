"""What the demo's pods print and serve: the reports of the real probes and the real agent, marked as simulated."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from gpuready import __version__
from gpuready.adapters.demo.store import Json, Refusal, now
from gpuready.model.facts.agent import AgentReport, Gpu, Holder
from gpuready.model.facts.compute import ComputeReport, GpuRun
from gpuready.model.facts.host import CdiSpec, DriverFiles, HostFacts, HostReport, PciGpu
from gpuready.model.facts.runtime import Entered, Written
from gpuready.model.unknown import Unknown

MODEL, DRIVER, KERNEL = "NVIDIA H100 80GB HBM3", "580.65.06", "6.12.0-simulated"
LIBRARIES = "/usr/lib/x86_64-linux-gnu"
RESULTS = 1 << 20  # numbers that the real probe computes and compares on a GPU
DEVICES = ("nvidia-uvm", "nvidia0", "nvidiactl")
FILES = (DriverFiles(root="/", lib_dir=LIBRARIES, version=DRIVER, nvidia_smi="/usr/bin/nvidia-smi"),)
CDI = "/var/run/cdi"
NO_MACHINE = Unknown("the node is simulated: there is no machine to look at")
HIDDEN = Unknown("/etc of the node is not visible to the reader", "gpuready doctor --host-facts")
SAID = {
    "agent": "1 GPU of a simulated node is registered with its kubelet",
    "cuda-vectoradd": "Test PASSED",
    "istio-proxy": "a simulated proxy is ready",
}


def uuid(node: str) -> str:
    return f"GPU-51a0000{node[-1]}-0000-4000-8000-00000000000{node[-1]}"


def printed(pod: Json, name: str = "") -> str:
    """The log of a container; without its name of the first."""
    container = next(c for c in pod["spec"]["containers"] if name in ("", c["name"]))
    node = pod["spec"]["nodeName"]
    flags = dict(arg.lstrip("-").split("=", 1) for arg in container.get("args", ()) if "=" in arg)
    match container["name"]:
        case "look":
            report: object = look(node)
        case "compute":
            report = computed(node, flags["nonce"])
        case "runtime":
            report = entered(node, flags["handler"])
        case other:
            return f"{SAID.get(other, '')}\n"
    return msgspec.json.encode(report).decode() + "\n"


def look(node: str) -> HostReport:
    return HostReport(
        node=node,
        gpus=(_pci(),),
        kernel_driver_version=DRIVER,
        driver_files=FILES,
        looked_in=("/",),
        device_nodes=DEVICES,
        kernel=KERNEL,
        replayed=True,
        simulated=True,
    )


def _pci() -> PciGpu:
    return PciGpu(address="0000:1b:00.0", device_id="2330", pci_class="030200", kernel_driver="nvidia", numa_node=None)


def computed(node: str, nonce: str) -> ComputeReport:
    run = GpuRun(uuid=uuid(node), name=MODEL, elements=RESULTS, wrong=0, seconds=0.3)
    return ComputeReport(nonce=nonce, node=node, cuda="13.0", gpus=(run,), replayed=True, simulated=True)


def entered(node: str, handler: str) -> Entered:
    file = Written(path=f"/etc/containerd/conf.d/99-gpuready-{handler}.toml", before="", after=f"{0:064x}")
    return Entered(node=node, handler=handler, files=(file,), away=1.0, checked=True)


def page(pod: Json, path: str, holders: Iterable[Json]) -> Json:
    """A page of the agent."""
    node = pod["spec"]["nodeName"]
    if path not in ("/gpus", "/host"):
        raise Refusal(404, "NotFound", f"the demo's agents do not serve {path}")
    found: Json = msgspec.to_builtins(agent(node, holders) if path == "/gpus" else host(node))
    return found


def host(node: str) -> HostFacts:
    """What an agent sees of its node: neither /etc nor the whole of /usr is mounted into it."""
    return HostFacts(
        node=node,
        as_of=now(),
        kernel=KERNEL,
        gpus=NO_MACHINE,
        kernel_driver_version=DRIVER,
        driver_files=FILES,
        device_nodes=DEVICES,
        modules=NO_MACHINE,
        module_built=NO_MACHINE,
        headers=NO_MACHINE,
        secure_boot=None,
        cgroup=2,
        toolkit=HIDDEN,
        runtimes=HIDDEN,
        cdi_specs=(CdiSpec(path=f"{CDI}/gpuready.dev-gpu.json", kind="gpuready.dev/gpu", devices=(uuid(node), "all")),),
        cdi_folders=(CDI,),
        plugin_sockets=("nvidia-gpu.sock",),
        replayed=True,
    )


def agent(node: str, holders: Iterable[Json]) -> AgentReport:
    named = [(p["metadata"], p["spec"]["containers"][0]) for p in holders]
    gpu = Gpu(
        index=0,
        uuid=uuid(node),
        minor=0,
        model=MODEL,
        memory_mib=81559,
        pci="0000:1b:00.0",
        numa_node=None,
        health="ok",
        held_by=tuple(Holder(namespace=m["namespace"], pod=m["name"], container=c["name"]) for m, c in named),
    )
    return AgentReport(
        node=node,
        as_of=now(),
        version=__version__,
        driver=DRIVER,
        cuda="13.0",
        injection="cdi",
        registered=True,
        gpus=(gpu,),
        replayed=True,
        simulated=True,
    )
