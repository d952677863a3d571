"""From the spec and the facts to what ought to be: which nodes, which driver layout, which objects. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from gpuready.components.native_agent.component import Layout, render
from gpuready.model.facts.cluster import ClusterFacts, Node
from gpuready.model.facts.host import DriverFiles, HostReport
from gpuready.model.journal import Inventory
from gpuready.model.plan import Skipped, Value
from gpuready.model.spec import GPU_OPERATOR, Setup
from gpuready.model.taints import untolerated
from gpuready.model.unknown import Unknown, known

Json = dict[str, Any]


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """The nodes that the spec means, which of them must be looked at first, and what was seen on the others."""

    nodes: tuple[Node, ...]
    to_look: tuple[str, ...]
    looks: Mapping[str, HostReport]
    skipped: tuple[Skipped, ...] = ()
    absent: tuple[str, ...] = ()  # named in the spec, not in the cluster

    @property
    def gpu_nodes(self) -> tuple[Node, ...]:
        return tuple(n for n in self.nodes if n.name in self.looks and gpus_of(self.looks[n.name]))


class Design(msgspec.Struct, frozen=True, kw_only=True):
    choice: Choice
    layouts: Mapping[str, Layout]  # by node
    objects: tuple[Json, ...]
    values: tuple[Value, ...]


def served(inventory: Inventory) -> tuple[str, ...]:
    """Nodes whose GPUs are served by what is ours: our agent was put on them, or our operator has found them."""
    if inventory.release is None:
        return tuple(sorted(i.ref.name for i in inventory.items if i.ref.kind == "Node"))
    off = {i.ref.name for i in inventory.items if i.ref.kind == "Node"}
    return tuple(sorted(n for n, look in inventory.looks.items() if n not in off and gpus_of(look.report)))


def gpus_of(look: HostReport) -> int:
    """How many GPUs the look found on the PCI bus; 0 also when it could not look."""
    return 0 if isinstance(look.gpus, Unknown) else len(look.gpus)


def driven(look: HostReport) -> int:
    """How many of them the NVIDIA driver has: only these can become allocatable."""
    return 0 if isinstance(look.gpus, Unknown) else sum(1 for g in look.gpus if g.kernel_driver == "nvidia")


def choose(setup: Setup, cluster: ClusterFacts, inventory: Inventory) -> Choice:
    """The nodes meant by the spec. Neither names nor labels given: every node that a probe can be run on."""
    nodes = known(cluster.nodes)
    wanted, skipped = [], []
    for node in nodes:
        reason = _left_out(node, setup)
        if reason is None:
            wanted.append(node)
        elif reason:
            skipped.append(Skipped(target=f"node/{node.name}", why=reason))
    looks = {n.name: look for n in wanted if (look := _valid_look(n, inventory)) is not None}
    names = {n.name for n in nodes}
    return Choice(
        nodes=tuple(sorted(wanted, key=lambda n: n.name)),
        to_look=tuple(sorted(n.name for n in wanted if n.name not in looks)),
        looks=looks,
        skipped=tuple(skipped),
        absent=tuple(n for n in setup.nodes.names if n not in names),
    )


def _left_out(node: Node, setup: Setup) -> str | None:
    """None: take it. Empty: not meant by the spec, nothing to say. Else: why it is skipped."""
    chosen = setup.nodes
    if node.name in chosen.exclude:
        return "excluded in the spec (nodes.exclude)"
    if chosen.names or chosen.match_labels:
        named = node.name in chosen.names
        matched = chosen.match_labels and all(node.labels.get(k) == v for k, v in chosen.match_labels.items())
        return None if named or matched else ""
    if node.os != "linux":
        return f"runs {node.os}"
    if node.ready is not True:
        return "not Ready"
    taint = next(untolerated(node, setup), None)
    return f"taint {taint} is not tolerated (nodes.tolerations)" if taint else None


def _valid_look(node: Node, inventory: Inventory) -> HostReport | None:
    look = inventory.looks.get(node.name)
    return look.report if look and look.node_uid == node.uid and look.kernel == node.kernel else None


def design(setup: Setup, cluster: ClusterFacts, inventory: Inventory) -> Design:
    """All that ought to be in the cluster, as far as it can be known before the look at the nodes `choice.to_look`."""
    choice = choose(setup, cluster, inventory)
    layouts: dict[str, Layout] = {}
    values = list(_spec_values(setup))
    if setup.stack == GPU_OPERATOR:  # what it needs besides is read by engine/operator.py
        return Design(choice=choice, layouts=layouts, objects=(), values=tuple(values))
    for node in choice.gpu_nodes:
        layout, because = layout_of(setup, node, choice.looks[node.name])
        if layout is not None:
            layouts[node.name] = layout
            values += because
    objects = render(setup, sorted(set(layouts.values())), cluster.identity.minor) if layouts else []
    return Design(choice=choice, layouts=layouts, objects=tuple(objects), values=tuple(values))


def _spec_values(setup: Setup) -> list[Value]:
    image = setup.image.reference if setup.image else "?"
    nodes = "spec" if setup.nodes.names or setup.nodes.match_labels else "detected"
    return [
        Value(path="image", value=image, origin="spec"),
        Value(path="platform", value=setup.platform, origin="spec"),
        Value(path="nodes", value=", ".join(setup.nodes.names) or "those with a GPU", origin=nodes),
        *_agent_values(setup),
    ]


def _agent_values(setup: Setup) -> list[Value]:
    if setup.stack == GPU_OPERATOR:
        return []
    port = setup.agent.metrics_port
    return [Value(path="metrics port", value=str(port), origin=_origin(port, 9400))]


def _origin(value: Any, default: Any) -> str:
    return "default" if value == default else "spec"


def layout_of(setup: Setup, node: Node, look: HostReport) -> tuple[Layout | None, list[Value]]:
    """Where the driver lies on this node and how devices reach pods; None when no usable driver was found."""
    files = _driver_files(setup, look)
    if files is None:
        return None, []
    injection, why = injection_of(setup, node)
    layout = Layout(root=files.root, lib_dir=files.lib_dir, nvidia_smi=files.nvidia_smi or "", injection=injection)
    origin = "spec" if setup.driver.root else "detected"
    return layout, [
        Value(
            path=f"driver of {node.name}",
            value=files.lib_dir,
            origin=origin,
            because=f"libnvidia-ml.so.1, version {files.version or '?'}, is there",
        ),
        Value(
            path=f"injection of {node.name}",
            value=injection,
            origin="detected" if setup.agent.injection == "auto" else "spec",
            because=why,
        ),
    ]


def _driver_files(setup: Setup, look: HostReport) -> DriverFiles | None:
    if isinstance(look.driver_files, Unknown):
        return None
    root = setup.driver.root
    found = [f for f in look.driver_files if root is None or f.root == root]
    loaded = look.kernel_driver_version
    matching = [f for f in found if f.version == loaded]
    return next(iter(matching or found), None)


# containerd: enable_cdi is on by default since 2.0 (experimental and off in 1.7). CRI-O: always on since 1.23.
CDI_SINCE = {"containerd": (2, 0), "cri-o": (1, 23)}


def injection_of(setup: Setup, node: Node) -> tuple[str, str]:
    """cdi where the runtime has it without further configuration, else devices."""
    if setup.agent.injection != "auto":
        return setup.agent.injection, "agent.injection in the spec"
    match = re.match(r"^([a-z-]+)://v?(\d+)\.(\d+)", node.runtime)
    if not match:
        return "devices", f"the runtime {node.runtime or '?'} is not known to have CDI"
    name, version = match[1], (int(match[2]), int(match[3]))
    since = CDI_SINCE.get(name)
    if since and version >= since:
        return "cdi", f"{name} {match[2]}.{match[3]} has CDI on by default"
    return "devices", f"{name} {match[2]}.{match[3]} has CDI off by default or not at all"
