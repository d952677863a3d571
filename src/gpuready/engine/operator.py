"""Stack `gpu-operator`: from the spec, the facts and the chart to what ought to be. Reads the chart and two Secrets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from gpuready.components.gpu_operator.values import Seen, Setting, host_driver, merged, settings, shown
from gpuready.components.native_agent.component import PRIVILEGED, priority_class
from gpuready.engine.design import Choice, Design, gpus_of
from gpuready.knowledge import operator, versions
from gpuready.model.chart import ChartFiles
from gpuready.model.digest import digest
from gpuready.model.errors import UserError
from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.facts.host import HostReport
from gpuready.model.journal import Inventory
from gpuready.model.plan import Helm, Ref, Value
from gpuready.model.ports import Charts, Cluster
from gpuready.model.spec import GPU_OPERATOR, GpuOperator, Setup
from gpuready.model.unknown import Unknown, known

Json = dict[str, Any]
CHART = RELEASE = "gpu-operator"
NFD_CHART = "node-feature-discovery"
OPERANDS = "nvidia.com/gpu.deploy.operands"  # label: "false" keeps the operator's pods off a node
PULL_SECRET = "kubernetes.io/dockerconfigjson"
SERVED = {"containerd": "containerd", "docker": "docker", "cri-o": "crio"}


class OperatorDesign(msgspec.Struct, frozen=True, kw_only=True):
    """What stack `gpu-operator` adds to a design."""

    version: str
    action: Helm
    namespaces: tuple[Json, ...]
    crds: tuple[Json, ...]
    gpus: Mapping[str, int]  # nodes that are to serve GPUs, and how many each has
    off: tuple[str, ...]  # nodes that the operator is kept off
    runtime_class: str


def operator_design(
    api: Cluster, charts: Charts | None, wanted: Design, setup: Setup, cluster: ClusterFacts, inventory: Inventory
) -> tuple[Design, OperatorDesign]:
    """The whole design once the nodes were looked at. Raises UserError where something that it rests on is missing."""
    asked = setup.gpu_operator
    _refuse_to_move(asked, inventory)
    version, tag, why = chosen_version(asked, cluster)
    if charts is None:
        raise UserError("stack gpu-operator needs helm, and this session has none", "run gpuready up")
    files = charts.read(asked.chart, CHART, tag)
    if asked.version is None and "://" not in asked.chart:
        why = "the chart says so"
    version = _of_chart(asked, version, files)
    seen = _seen(setup, cluster, wanted.choice)
    found = settings(setup, version, seen)
    values = merged(found)
    if values.get("clusterPolicy", {}).get("deployCR") is False:
        raise UserError("clusterPolicy.deployCR is false, and gpuready awaits a ClusterPolicy", "leave it true")
    action = Helm(release=RELEASE, namespace=asked.namespace, chart=files.chart, values=values, digest=digest(values))
    namespaces = _namespaces(asked.namespace, version)
    _require_secret(api, asked, namespaces)
    design = OperatorDesign(
        version=version,
        action=action,
        namespaces=namespaces,
        crds=_crds(files, values),
        gpus={n.name: gpus_of(wanted.choice.looks[n.name]) for n in wanted.choice.gpu_nodes},
        off=() if asked.operands_elsewhere else _off(wanted.choice, cluster),
        runtime_class=runtime_class(setup),
    )
    objects = (priority_class(), *namespaces, *design.crds)
    told = (*wanted.values, *_told(asked, version, why, files, found, host_driver(asked, seen)))
    return msgspec.structs.replace(wanted, objects=objects, values=told), design


def chosen_version(asked: GpuOperator, cluster: ClusterFacts) -> tuple[str, str, str]:
    """Release, the chart's version as its repository has it, and why this one."""
    if asked.version:
        version = asked.version.removeprefix("v")
        release = operator.release(version)
        return version, release.tag if release else f"v{version}", ""
    served = versions.parse(cluster.identity.version)
    if served is None:
        raise UserError("the API server gave no version that can be read", "name gpuOperator.version in the spec")
    release = operator.fitting(served)
    newest = "the newest whose page names" if release.fits(served) else "no page names this Kubernetes; the nearest is"
    return release.version, release.tag, f"{newest} {release.source()}"


def _of_chart(asked: GpuOperator, version: str, files: ChartFiles) -> str:
    """An archive or a folder is of the release that it says; a repository gives what it was asked for."""
    told = files.chart.version.removeprefix("v")
    if asked.version is None and "://" not in asked.chart:
        try:
            operator.order_of(told)
        except ValueError:
            raise UserError(
                f"chart {asked.chart} does not say which release it is of (version {told})",
                "name it with gpuOperator.version",
            ) from None
        return told
    if told != version and not told.endswith("-devel"):
        raise UserError(f"chart {asked.chart} is of release {told}, not {version}", "name one of them in the spec")
    return version


def _seen(setup: Setup, cluster: ClusterFacts, choice: Choice) -> Seen:
    loaded, without, roots = {}, [], []
    for node in choice.gpu_nodes:
        look = choice.looks[node.name]
        driver = look.kernel_driver_version
        if isinstance(driver, Unknown):
            if setup.gpu_operator.driver.owner == "auto":
                raise UserError(
                    f"whether a driver is loaded on node/{node.name} is not known: {driver.why}",
                    "say who brings it: gpuOperator.driver.owner: operator or host",
                )
        elif driver is None:
            without.append(node.name)
        else:
            loaded[node.name] = driver
            roots += _roots(look, driver)
    elsewhere = {f.name: f for n in choice.gpu_nodes if (f := operator.elsewhere(n.kubelet, n.labels))}
    if len(elsewhere) > 1:
        raise UserError(
            f"GPU nodes are of {' and '.join(sorted(elsewhere))}, whose containerd lies in different places",
            "name those of one in nodes.names and set toolkit.env in gpuOperator.values",
        )
    found = next(iter(elsewhere.values()), None)
    return Seen(
        loaded=loaded,
        driverless=tuple(without),
        roots=tuple(sorted(set(roots), key=lambda r: (-roots.count(r), r))),
        nfd=_discovery(setup, cluster),
        toolkit_env=found.env if found else {},
        distribution=found.name if found else "",
        runtimes=tuple(sorted({SERVED.get(n.runtime.partition(":")[0], "") for n in choice.gpu_nodes} - {""})),
    )


def _roots(look: HostReport, version: str) -> list[str]:
    files = () if isinstance(look.driver_files, Unknown) else look.driver_files
    return [f.root for f in files if f.version in (version, None)]


def _discovery(setup: Setup, cluster: ClusterFacts) -> str:
    """The DaemonSet of another node feature discovery."""
    if isinstance(cluster.daemonsets, Unknown):
        raise UserError(
            f"whether node features are discovered already is not known: {cluster.daemonsets.why}",
            cluster.daemonsets.ask,
        )
    for ds in cluster.daemonsets:
        image = " ".join(ds.images)
        if ds.namespace != setup.gpu_operator.namespace and (
            "node-feature-discovery" in image or "nfd-worker" in ds.name
        ):
            return f"ds/{ds.key}"
    return ""


def _off(choice: Choice, cluster: ClusterFacts) -> tuple[str, ...]:
    """Nodes that the spec does not mean. What was looked at and has no GPU needs no label."""
    meant = {n.name for n in choice.nodes}
    return tuple(sorted(n.name for n in known(cluster.nodes) if n.name not in meant and n.os == "linux"))


def runtime_class(setup: Setup) -> str:
    """That a pod names to be run with the toolkit's runtime; empty where the toolkit works without (NRI)."""
    values = setup.gpu_operator.values
    nri = _at(values, "cdi", "nriPluginEnabled") is True
    return "" if nri else str(_at(values, "operator", "runtimeClass") or "nvidia")


def _at(values: Mapping[str, Any], part: str, key: str) -> Any:
    inner = values.get(part)
    return inner.get(key) if isinstance(inner, Mapping) else None


def _namespaces(namespace: str, version: str) -> tuple[Json, ...]:
    """Of the operator and, for old releases, of its operands: all of them run privileged pods."""
    names = dict.fromkeys((namespace, operator.operand_namespace(version, namespace)))
    return tuple(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": n, "labels": PRIVILEGED}} for n in names
    )


def _crds(files: ChartFiles, values: Json) -> tuple[Json, ...]:
    """Of the chart; those of node feature discovery only where this chart brings it."""
    nfd = values.get("nfd", {}).get("enabled") is not False
    inner = [c for name, crds in files.inner_crds.items() if nfd or name != NFD_CHART for c in crds]
    return tuple(dict(crd) for crd in (*files.crds, *inner))


def _require_secret(api: Cluster, asked: GpuOperator, namespaces: tuple[Json, ...]) -> None:
    """A pull secret that is not there shows only as ImagePullBackOff of every operand."""
    for name in (n["metadata"]["name"] for n in namespaces if asked.pull_secret):
        ref = Ref(api_version="v1", kind="Secret", name=asked.pull_secret or "", namespace=name)
        found = api.get(ref)
        if found is None:
            raise UserError(
                f"secret/{ref.name} is not in namespace {name}, and gpuOperator.pullSecret names it",
                f"kubectl create namespace {name}; kubectl create secret docker-registry {ref.name} -n {name} "
                "--docker-server=... --docker-username=... --docker-password=... (nvcr.io: the user is $oauthtoken)",
            )
        if found.get("type") != PULL_SECRET:
            raise UserError(
                f"secret/{ref.name} in namespace {name} is of type {found.get('type')}, not {PULL_SECRET}",
                f"make it with kubectl create secret docker-registry {ref.name} -n {name}",
            )


def _refuse_to_move(asked: GpuOperator, inventory: Inventory) -> None:
    installed = inventory.release
    if installed and installed.namespace != asked.namespace:
        raise UserError(
            f"the operator is installed in namespace {installed.namespace}, and the spec says {asked.namespace}",
            "gpuready uninstall, then gpuready up; or keep the namespace",
        )


def _told(
    asked: GpuOperator, version: str, why: str, files: ChartFiles, found: tuple[Setting, ...], host: bool
) -> tuple[Value, ...]:
    origin = "spec" if asked.version else "detected"
    release = operator.release(version)
    brings = "" if release is None or host or asked.driver.version else f"its driver is {release.driver}"
    chart = "default" if asked.chart == GpuOperator().chart else "spec"
    return (
        Value(path="stack", value=GPU_OPERATOR, origin="spec"),
        Value(path="operator", value=version, origin=origin, because="; ".join(filter(None, (why, brings)))),
        Value(
            path="chart",
            value=f"{asked.chart} {files.chart.version}",
            origin=chart,
            because="; ".join(filter(None, (files.chart.digest[:19], files.by and f"by {files.by}"))),
        ),
        Value(path="namespace", value=asked.namespace, origin="default" if asked.namespace == RELEASE else "spec"),
        *shown(found),
    )
