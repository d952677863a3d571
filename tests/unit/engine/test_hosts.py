"""What is known of machines: which of them are in question, what agents and probes told of them, and their record."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gpuready.adapters.bundle import Recorder, open_bundle
from gpuready.components.native_agent.probes import HOST_PATHS, host_pod
from gpuready.engine.host_probes import MOST_NODES, nodes_to_probe
from gpuready.engine.hosts import MOST_AGENTS, Machines, faults_told, read_machines
from gpuready.model.errors import NotFound, UserError
from gpuready.model.facts.agent import AgentReport, Gpu, Holder
from gpuready.model.facts.cluster import ClusterFacts, ContainerUse, DaemonSet, Identity, Node, Pod
from gpuready.model.facts.host import HostFacts
from gpuready.model.facts.said import Line
from gpuready.model.names import AGENT, AGENT_LABEL, NAMESPACE, RESOURCE
from gpuready.model.spec import Image, Setup
from gpuready.model.unknown import Unknown
from gpuready.rules.diagnose._hosts import ASK, in_question

NOW = "2026-11-23T09:00:05Z"
IDENTITY = Identity(uid="u", server="s")
GPUS = {RESOURCE: 2}
RUNS = ContainerUse(name="main", state="running", ready=True)
WANTS = msgspec.structs.replace(RUNS, requests={RESOURCE: 1})
CRASHES = msgspec.structs.replace(WANTS, state="waiting:CrashLoopBackOff", ready=False)


def node(name: str, **fields: Any) -> Node:
    return Node(**{"name": name, "uid": name, "ready": True, **fields})


def pod(name: str, at: str = "gpu-1", container: ContainerUse = RUNS, **fields: Any) -> Pod:
    told = {"namespace": "ml", "uid": name, "phase": "Running", "containers": (container,), **fields}
    return Pod(name=name, node=at, **told)


def cluster(*nodes: Node, pods: tuple[Pod, ...] | Unknown = (), daemonsets: tuple[DaemonSet, ...] = ()) -> ClusterFacts:
    return ClusterFacts(identity=IDENTITY, nodes=nodes, pods=pods, daemonsets=daemonsets, stacks=(), own_namespace=None)


WELL = node("gpu-1", capacity=GPUS, allocatable=GPUS)
ILL = node("gpu-1", capacity=GPUS, allocatable={RESOURCE: 1})
UNSCHEDULED = {"phase": "Pending", "unscheduled": "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."}
HOST = HostFacts(node="gpu-1", as_of="2026-11-23T09:00:00Z", kernel="6.1", plugin_sockets=("a.sock",))

QUESTIONS: dict[str, tuple[ClusterFacts, Mapping[str, HostFacts | Unknown], tuple[str, ...]]] = {
    "it offers all its GPUs and its pods run": (cluster(WELL, pods=(pod("a", container=WANTS),)), {}, ()),
    "one of its GPUs is not given out": (cluster(ILL), {}, ("gpu-1",)),
    "a pod that has GPUs crashes on it": (cluster(WELL, pods=(pod("a", container=CRASHES),)), {}, ("gpu-1",)),
    "a pod without GPUs crashes on it": (
        cluster(WELL, pods=(pod("web", container=msgspec.structs.replace(CRASHES, requests={})),)),
        {},
        (),
    ),
    "a pod ended by itself": (cluster(WELL, pods=(pod("a", container=WANTS, phase="Failed"),)), {}, ()),
    "the kubelet refused a pod": (
        cluster(WELL, pods=(pod("a", container=WANTS, phase="Failed", reason="UnexpectedAdmissionError"),)),
        {},
        ("gpu-1",),
    ),
    "a label says that it has GPUs, and it offers none": (
        cluster(node("gpu-1", labels={"nvidia.com/gpu.present": "true"})),
        {},
        ("gpu-1",),
    ),
    "our agent was put there, and it offers none": (cluster(node("gpu-1", labels={AGENT_LABEL: "x"})), {}, ("gpu-1",)),
    "somebody looked at it, and it offers none": (cluster(node("gpu-1")), {"gpu-1": HOST}, ("gpu-1",)),
    "a node without GPUs beside one that offers them": (
        cluster(WELL, node("web-1"), pods=(pod("nvidia-device-plugin-x", "web-1"),)),
        {},
        (),
    ),
    "no node offers any, and a plugin runs on one": (
        cluster(node("gpu-1"), node("web-1"), pods=(pod("nvidia-device-plugin-x"),)),
        {},
        ("gpu-1",),
    ),
    "no node offers any, and only a pod that waits tells of GPUs": (
        cluster(node("n1"), node("n2"), pods=(pod("a", "", WANTS, **UNSCHEDULED),)),
        {},
        ("n1", "n2"),
    ),
    "nobody wants GPUs and nothing tells of any": (cluster(node("n1")), {}, ()),
}


@pytest.mark.parametrize("sentence", QUESTIONS)
def test_which_nodes_are_in_question(sentence: str) -> None:
    facts, hosts, expected = QUESTIONS[sentence]
    assert in_question(facts, hosts) == expected


class Agents:
    """Answers of agents by (pod, port, path)."""

    def __init__(self, answers: Mapping[tuple[str, int, str], object]) -> None:
        self.answers = answers

    def pages(self, path: str, params: Mapping[str, str] | None = None) -> Any:
        raise AssertionError(path)

    def logs(self, *_: Any, **__: Any) -> str:
        raise AssertionError

    def proxy_get(self, namespace: str, pod: str, port: int, path: str = "/") -> bytes:
        assert namespace == NAMESPACE
        found = self.answers.get((pod, port, path), NotFound("no such page"))
        if isinstance(found, Exception):
            raise found
        return found if isinstance(found, bytes) else msgspec.json.encode(found)


def agent(at: str, **fields: Any) -> Pod:
    labels = {"app.kubernetes.io/name": AGENT}
    return pod(f"{AGENT}-{at}", at, namespace=NAMESPACE, labels=labels, owner=f"ds/{AGENT}-x", **fields)


def report(**fields: Any) -> AgentReport:
    told = {"node": "gpu-1", "as_of": NOW, "version": "0.1.0", "driver": "580", "cuda": "13.0", "injection": "cdi"}
    return AgentReport(**{**told, "registered": True, "gpus": (), **fields})


def gpu(**fields: Any) -> Gpu:
    told = {"index": 0, "uuid": "GPU-1", "minor": 0, "model": "H100", "memory_mib": 1, "pci": "", "numa_node": None}
    return Gpu(**{**told, "health": "ok", **fields})


def read(answers: Mapping[str, object], probed: Mapping[str, str | UserError] | None = None, **more: Any) -> Machines:
    """What is read of gpu-1, whose agent answers thus by path."""
    source = Agents({(f"{AGENT}-gpu-1", 9400, path): answer for path, answer in answers.items()})
    pods = (agent("gpu-1"), *more.pop("pods", ()))
    return read_machines(source, cluster(WELL, pods=pods, **more), probed or {}, lambda: NOW)


def test_an_agent_tells_its_gpus_and_its_node_and_when_it_was_asked() -> None:
    found = read({"/gpus": report(), "/host": HOST})
    assert found == Machines({"gpu-1": report()}, {"gpu-1": msgspec.structs.replace(HOST, asked_at=NOW)})


LOGS = f"kubectl logs -n {NAMESPACE} {AGENT}-gpu-1"
UNHEARD: dict[str, tuple[object, Unknown]] = {
    "of an older version": (
        NotFound("404"),
        Unknown(f"pod/{AGENT}-gpu-1 has no page /host: it is of another version", ASK),
    ),
    "that does not answer": (UserError("refused"), Unknown(f"pod/{AGENT}-gpu-1 does not answer: refused", LOGS)),
    "that speaks of another node": (
        msgspec.structs.replace(HOST, node="gpu-2"),
        Unknown(f"pod/{AGENT}-gpu-1 runs on node/gpu-1 and speaks of another", LOGS),
    ),
    "that answers no JSON": (
        b"\xff<html>",
        Unknown(
            f"pod/{AGENT}-gpu-1 answers what this version does not read: JSON is malformed: invalid character (byte 0)"
        ),
    ),
}


@pytest.mark.parametrize("sentence", UNHEARD)
def test_an_agent(sentence: str) -> None:
    answer, expected = UNHEARD[sentence]
    found = read({"/gpus": report(), "/host": answer}).hosts["gpu-1"]
    assert isinstance(found, Unknown)
    assert found.why == expected.why
    assert found.ask == (expected.ask or "gpuready up")


def test_a_deeply_nested_answer_is_no_answer() -> None:
    assert isinstance(read({"/host": b'{"x": ' + b"[" * 100_000}).hosts["gpu-1"], Unknown)


def test_the_port_is_the_one_that_the_agents_daemonset_names() -> None:
    ds = DaemonSet(namespace=NAMESPACE, name=f"{AGENT}-x", uid="d", args=("agent", "--listen=:9555"))
    source = Agents({(f"{AGENT}-gpu-1", 9555, "/host"): HOST})
    found = read_machines(source, cluster(WELL, pods=(agent("gpu-1"),), daemonsets=(ds,)), {}, lambda: NOW)
    assert isinstance(found.hosts["gpu-1"], HostFacts)


def test_pods_that_have_ended_hold_nothing() -> None:
    held = (Holder(namespace="ml", pod="done", container="main"), Holder(namespace="ml", pod="runs", container="main"))
    pods = (pod("done", phase="Succeeded"), pod("runs"))
    found = read({"/gpus": report(gpus=(gpu(held_by=held),))}, pods=pods).agents["gpu-1"]
    assert found == report(gpus=(gpu(held_by=held[1:]),))


def test_there_is_an_end_to_asking_and_nodes_in_question_come_first() -> None:
    names = [f"n{i:03d}" for i in range(MOST_AGENTS + 1)]
    nodes = [node(name, capacity=GPUS, allocatable=GPUS) for name in names]
    nodes[-1] = node(names[-1], capacity=GPUS)
    facts = {(f"{AGENT}-{name}", 9400, "/host"): msgspec.structs.replace(HOST, node=name) for name in names}
    found = read_machines(Agents(facts), cluster(*nodes, pods=tuple(map(agent, names))), {}, lambda: NOW).hosts
    assert [name for name in names if isinstance(found[name], Unknown)] == [names[-2]]


def encoded(facts: HostFacts) -> str:
    return msgspec.json.encode(facts).decode() + "\n"


PROBED = HostFacts(node="gpu-1", as_of="2026-11-23T08:00:00Z", kernel="6.8", cdi_specs=(), cdi_folders=("/etc/cdi",))


def test_a_probe_tells_more_than_the_agent_and_the_agent_what_the_probe_could_not_see() -> None:
    found = read({"/host": HOST}, {"gpu-1": encoded(PROBED)}).hosts["gpu-1"]
    both = {"as_of": HOST.as_of, "asked_at": NOW, "plugin_sockets": ("a.sock",)}
    assert found == msgspec.structs.replace(PROBED, **both)


def test_a_probe_that_failed_leaves_what_the_agent_told() -> None:
    failed = UserError("pod/gpuready-host-gpu-1: ImagePullBackOff", "push the image")
    assert isinstance(read({"/host": HOST}, {"gpu-1": failed}).hosts["gpu-1"], HostFacts)
    assert read({}, {"gpu-2": failed}).hosts["gpu-2"] == Unknown(failed.what, failed.next)


@pytest.mark.parametrize("text", ["", "{", "Traceback", encoded(msgspec.structs.replace(PROBED, node="gpu-9"))])
def test_what_a_probe_printed_otherwise_is_not_believed(text: str) -> None:
    assert isinstance(read({}, {"gpu-2": text}).hosts["gpu-2"], Unknown)


def test_why_a_gpu_failed_is_said_as_a_statement() -> None:
    xid, other = "Xid 79 at 2026-11-23T09:14:00Z: GPU has fallen off the bus", "NVML lost it"
    gpus = (gpu(health="failed", reason=xid), gpu(index=1), gpu(index=2, health="failed", reason=other))
    told = {"source": "status", "about": "node/gpu-1", "node": "gpu-1"}
    assert list(faults_told({"gpu-1": report(gpus=gpus), "gpu-2": Unknown("x")})) == [
        Line(text=xid, who="kernel", where="agent on node/gpu-1, GPU 0", **told),
        Line(text=other, who="plugin", where="agent on node/gpu-1, GPU 2", **told),
    ]


def test_a_bundle_keeps_what_probes_printed_without_secrets(tmp_path: Path) -> None:
    recorder = Recorder(Agents({}), tmp_path / "b.tar.gz")
    recorder.keep_probe("gpu-1", encoded(PROBED).replace("6.8", "password: hunter22"))
    recorder.keep_probe("gpu-2", UserError("no image", "push it"))
    recorder.close(IDENTITY, "0.1.0", NOW)
    kept = open_bundle(tmp_path / "b.tar.gz").probed()
    assert "[hidden]" in str(kept["gpu-1"])
    assert "hunter22" not in str(kept["gpu-1"])
    refused = kept["gpu-2"]
    assert isinstance(refused, UserError)
    assert (refused.what, refused.next) == ("no image", "push it")


def test_nodes_in_question_are_probed_first_and_not_more_than_so_many() -> None:
    many = [node(f"n{i:03d}", capacity=GPUS, allocatable=GPUS) for i in range(MOST_NODES + 5)]
    found = nodes_to_probe(cluster(*many, ILL, node("web-1"), node("down", capacity=GPUS, ready=False)), ())
    assert found == ("gpu-1", *(f"n{i:03d}" for i in range(MOST_NODES - 1)))
    assert nodes_to_probe(cluster(*many, node("web-1")), ("web-1",)) == ("web-1",)


@pytest.mark.parametrize("named", [("nobody",), ()])
def test_a_node_that_is_not_there_and_a_cluster_without_gpus_are_refused(named: tuple[str, ...]) -> None:
    with pytest.raises(UserError):
        nodes_to_probe(cluster(node("web-1")), named)


def test_the_probe_may_only_read_and_has_no_rights() -> None:
    made = host_pod(Setup(image=Image(reference="r")), "gpu-1")
    spec = made["spec"]
    (container,) = spec["containers"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["activeDeadlineSeconds"] == 120
    assert [m["mountPath"] for m in container["volumeMounts"] if m["readOnly"]] == [f"/host{p}" for p in HOST_PATHS]
    assert [v["hostPath"] for v in spec["volumes"]] == [{"path": p, "type": "Directory"} for p in HOST_PATHS]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
        "runAsNonRoot": True,
        "runAsUser": 65534,
        "runAsGroup": 0,
    }
    assert not {"hostPID", "hostNetwork", "hostIPC"} & set(spec)


@pytest.mark.parametrize(
    ("folder", "more"),
    [
        ("/var/lib/rancher/k3s/agent/etc/containerd", ["/var/lib/rancher/k3s/agent/etc/containerd"]),
        ("/etc/k0s", []),  # below what is mounted already
        ("", []),
    ],
)
def test_the_probe_sees_the_containerd_of_a_distribution(folder: str, more: list[str]) -> None:
    spec = host_pod(Setup(image=Image(reference="r")), "gpu-1", runtime_config=folder)["spec"]
    assert [v["hostPath"]["path"] for v in spec["volumes"]] == [*HOST_PATHS, *more]
    assert [a for a in spec["containers"][0]["args"] if a.startswith("--seen=/var/lib/rancher")] == [
        f"--seen={path}" for path in more
    ]
