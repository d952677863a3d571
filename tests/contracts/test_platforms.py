"""Every platform is detected by its own signs alone, answers every trait, and is named nowhere but in its folder."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import gpuready
from gpuready.model.facts.cluster import ClusterFacts, Identity, Node
from gpuready.model.unknown import Unknown
from gpuready.platforms import catalogue

SOURCES = Path(gpuready.__file__).parent


def cluster(**more: object) -> ClusterFacts:
    facts = {"nodes": (), "pods": (), "daemonsets": (), "stacks": (), "own_namespace": None, "kubeadm": False, **more}
    return ClusterFacts(identity=Identity(uid="u", server="s"), **facts)  # type: ignore[arg-type]


CRI = {"kubeadm.alpha.kubernetes.io/cri-socket": "unix:///run/containerd/containerd.sock"}
CAPTURES = [
    ("nothing particular", cluster(), "generic"),
    ("kubeadm's ConfigMap", cluster(kubeadm=True), "kubeadm"),
    ("a node that kubeadm joined", cluster(nodes=(Node(name="a", uid="1", annotations=CRI),)), "kubeadm"),
    ("nodes that could not be read", cluster(nodes=Unknown("forbidden"), kubeadm=Unknown("forbidden")), "generic"),
]


@pytest.mark.parametrize(("sentence", "facts", "name"), CAPTURES, ids=[c[0] for c in CAPTURES])
def test_a_cluster_is_what_its_signs_say(sentence: str, facts: ClusterFacts, name: str) -> None:
    platform, evidence = catalogue.detect(facts)
    assert (platform.name, bool(evidence)) == (name, True)


def test_every_platform_is_detected_by_some_capture() -> None:
    assert {name for _, _, name in CAPTURES} == set(catalogue.platforms())


@pytest.mark.parametrize("name", [n for n in catalogue.platforms() if n != "generic"])
def test_a_platform_is_named_only_in_its_own_folder(name: str) -> None:
    """What differs between platforms is a trait. Facts may carry a platform's sign, under its name in the API."""
    named = re.compile(rf"\b{name}\b", re.IGNORECASE)
    signs = {"model/facts/cluster.py", "collectors/kubeadm.py", "engine/rights.py"}
    found = {
        str(path.relative_to(SOURCES))
        for path in SOURCES.rglob("*.py")
        if named.search(path.read_text()) and f"platforms/{name}/" not in str(path)
    }
    assert found <= signs
