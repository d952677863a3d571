"""Helm installs CRDs once and never replaces them: a chart of another release meets an old schema."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.knowledge.crd_fields import Release, needed, release
from gpuready.model.facts.cluster import ClusterFacts, StackObject
from gpuready.model.rule import Finding
from gpuready.model.unknown import complete, known, members
from gpuready.rules.diagnose._objects import with_objects
from gpuready.rules.diagnose._said import said_rule

USED_BY = {"clusterpolicies.nvidia.com": "ClusterPolicy", "nvidiadrivers.nvidia.com": "NVIDIADriver"}


def _seen(cluster: ClusterFacts) -> Iterator[Finding]:
    """Helm installs CRDs and never upgrades them; what an old one does not know is dropped from the object."""
    crds = {crd.name: crd for crd in members(cluster.crds)}
    for name, kind in USED_BY.items():
        objects = [obj for obj in known(cluster.stacks) if obj.kind == kind]
        crd = crds.get(name)
        if crd is None or not crd.fields or not objects:
            continue
        version = _version(cluster, objects)
        lacking = needed(name, version) - set(crd.fields) if version else frozenset()
        unknown = {field for obj in objects for field in obj.fields} - set(crd.fields)
        if missing := sorted(lacking | unknown):
            number = ".".join(map(str, version)) if version else "of the operator"
            has = f"the operator is of release {number}" if lacking else f"{objects[0].at} has"
            yield Finding(
                at=f"crd/{name}",
                says=f"the CRD is older than the GPU Operator: its schema does not know spec.{missing[0]}",
                evidence=(
                    f"crd/{name} knows no {', '.join(missing)}; {has}" + (", whose CRD does" if lacking else " it"),
                ),
                next=f"apply the CRDs of release {number} by kubectl apply --server-side; deleting the CRD would delete"
                " the ClusterPolicy and all operands with it",
            )
    complete(cluster.crds)


def _version(cluster: ClusterFacts, objects: list[StackObject]) -> Release | None:
    """By the image of the operator that runs, else by the label of the chart that made the object."""
    for pod in members(cluster.pods):
        for container in pod.containers:
            if container.name == "gpu-operator" and (found := release(container.image.rpartition(":")[2])):
                return found
    return next((found for obj in objects if (found := release(obj.version))), None)


def _any(_told: Finding, _seen: Finding) -> bool:
    return True


RULE = with_objects(
    said_rule(
        "stale-crd-unknown-field",
        "install",
        "the CRD in the cluster is not the one of this chart release",
        signs=(
            "{crd} & unknown field & !{node feature discovery} & !warnings.go",
            "{crd} & strict decoding error & !{node feature discovery}",
            "clusterpolicy* & required value",
            "{operator field} & required value",
            "unknown field {operator field}",
            "nvidiadriver* & unknown field",
            "no matches for kind & nvidia.com/* & !resource.nvidia.com/*",
            "no matches for kind clusterpolicy",
            "no matches for kind nvidiadriver",
            "failed to list *.nvidiadriver & could not find the requested resource",
            "failed to list *.clusterpolicy & could not find the requested resource",
            "clusterpolicies.nvidia.com & {absent} & !{denied}",
            "nvidiadrivers.nvidia.com & {absent} & !{denied}",
            "validationerror clusterpolicy*",
            "unknown field & com.nvidia.*",
        ),
        next=(
            "apply the CRDs of the release that is installed (helm pull nvidia/gpu-operator --version V --untar,"
            " then kubectl apply -f gpu-operator/crds/ --server-side): helm upgrade does not"
        ),
    ),
    _seen,
    _any,
)
