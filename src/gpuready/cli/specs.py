"""Which spec a verb works from: a file, or what was detected; and the file that detection is written to."""

from __future__ import annotations

import os
import pathlib
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from gpuready.model.errors import UserError
from gpuready.model.spec import NATIVE, STACKS, Cluster, GPUSetup, Image, Metadata, Setup
from gpuready.model.unknown import Unknown

if TYPE_CHECKING:
    from gpuready.engine.proposal import Proposal
    from gpuready.model.facts.cluster import ClusterFacts, Identity

DEFAULT_FILE = "gpuready.yaml"


def read_spec(file: str | None) -> GPUSetup | None:
    """The spec named by -f, or ./gpuready.yaml where it is; None where neither is."""
    from gpuready.adapters import specfile
    from gpuready.platforms import catalogue

    if file == "-":
        spec = specfile.load(sys.stdin.buffer.read(1 << 21), "<stdin>")
    elif file or pathlib.Path(DEFAULT_FILE).exists():
        spec = specfile.load_file(pathlib.Path(file or DEFAULT_FILE))
    else:
        return None
    specfile.check_names(spec, platforms=tuple(catalogue.platforms()), stacks=STACKS)
    return spec


def agreeing(spec: GPUSetup | None, stack: str | None) -> GPUSetup | None:
    """The spec, unless --stack says otherwise than it."""
    if spec and stack and stack != spec.spec.stack:
        raise UserError(
            f"the spec says stack: {spec.spec.stack}, and --stack {stack}",
            "change the spec; --stack is for where there is none yet",
        )
    return spec


def for_cluster(spec: GPUSetup, identity: Identity) -> Setup:
    """The setup, once it is certain that it was written for this cluster."""
    meant = spec.spec.cluster
    if meant and meant.uid != identity.uid:
        raise UserError(
            f"the spec is for another cluster: it names {meant.uid[:8]}{_of(meant.server)}, "
            f"and context {identity.context or '?'} leads to {identity.uid[:8]} at {identity.server}",
            "choose the right context with --context, or write a spec for this cluster with gpuready init",
        )
    return spec.spec


def _of(server: str) -> str:
    return f" at {server}" if server else ""


def bare_setup(identity: Identity) -> Setup:
    """What our pods are made from where nothing is installed: the spec that lies here, or the image that the
    environment names."""
    spec = read_spec(None)
    if spec:
        return for_cluster(spec, identity)
    reference = os.environ.get("GPUREADY_IMAGE")
    return Setup(image=Image(reference=reference)) if reference else Setup()


def detected_setup(
    cluster: ClusterFacts, image: str | None, pull_secret: str | None, stack: str | None = None
) -> tuple[Setup, dict[str, str]]:
    """A spec from what is seen so far, with the evidence of each detected value by its path."""
    from gpuready.platforms import catalogue

    reference = image or os.environ.get("GPUREADY_IMAGE")
    if not reference:
        raise UserError(
            "no image is given: the agent and the probes run from one image that the nodes can pull",
            "gpuready image push REGISTRY/gpuready makes it and prints its name; then --image NAME",
        )
    platform, why = catalogue.detect(cluster)
    identity = cluster.identity
    setup = Setup(
        cluster=Cluster(uid=identity.uid, server=identity.server),
        platform=platform.name,
        stack=stack or NATIVE,
        image=Image(reference=reference, pull_secret=pull_secret),
    )
    msgspec.convert(msgspec.to_builtins(setup), Setup)  # the flags obey the same patterns as the file
    return setup, {
        "spec.cluster.uid": "UID of namespace kube-system",
        "spec.platform": why,
        "spec.image.reference": "given with --image" if image else "from $GPUREADY_IMAGE",
    }


def pinned(proposal: Proposal) -> tuple[Setup, dict[str, str]]:
    """The setup with the nodes that the look found, and the evidence for each."""
    from gpuready.engine.design import design, gpus_of
    from gpuready.knowledge.gpus import name as model_name

    wanted = design(proposal.setup, proposal.cluster, proposal.inventory)
    names = tuple(sorted(wanted.layouts or (n.name for n in wanted.choice.gpu_nodes)))
    evidence: dict[str, str] = {}
    for name in names:
        look = wanted.choice.looks[name]
        gpus = () if isinstance(look.gpus, Unknown) else look.gpus
        models = ", ".join(sorted({model_name(g.device_id) for g in gpus}))
        stand_in = " (simulated)" if look.simulated else " (replayed)" if look.replayed else ""
        evidence[f"spec.nodes.names[{name}]"] = f"{gpus_of(look)} GPU on the PCI bus: {models}{stand_in}"
    roots = {layout.root for layout in wanted.layouts.values()}
    setup = proposal.setup
    if len(roots) == 1:
        root = roots.pop()
        setup = msgspec.structs.replace(setup, driver=msgspec.structs.replace(setup.driver, root=root))
        evidence["spec.driver.root"] = f"libnvidia-ml.so.1 and libcuda.so.1 lie below it on {', '.join(names)}"
    if wanted.layouts:
        evidence["spec.agent.injection"] = "; ".join(
            sorted({f"{v.value}: {v.because}" for v in wanted.values if v.path.startswith("injection of ")})
        )
    nodes = msgspec.structs.replace(setup.nodes, names=names, exclude=())
    return msgspec.structs.replace(setup, nodes=nodes), evidence


def write_spec(setup: Setup, evidence: Mapping[str, str], identity: Identity, path: str = DEFAULT_FILE) -> None:
    from gpuready.adapters import specfile

    name = "".join(c if c.isalnum() else "-" for c in (identity.name or "cluster").lower()).strip("-") or "cluster"
    spec = GPUSetup(api_version="gpuready.dev/v1alpha1", kind="GPUSetup", metadata=Metadata(name=name), spec=setup)
    specfile.write_new(pathlib.Path(path), specfile.dump(spec, evidence))
