"""The loader of cases is strict: what is misspelt is an error that names the nearest word."""

from __future__ import annotations

from typing import Any

import pytest

from gpuready.model.facts.cluster import Taint
from gpuready.model.unknown import Unknown

from .facts import BadFacts, build, hidings


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"clutser": {}}, "unknown fact 'clutser'; did you mean 'cluster'?"),
        ({"cluster": {"node": []}}, "unknown field 'node' in cluster; did you mean 'nodes'?"),
        (
            {"cluster": {"nodes": [{"name": "a", "redy": True}]}},
            "unknown field 'redy' in cluster.nodes[0]; did you mean 'ready'?",
        ),
        ({"looks": {"gpu-1": {"gpu": []}}}, "unknown field 'gpu' in looks.gpu-1; did you mean 'gpus'?"),
        ({"cluster": {"nodes": [{"name": 7}]}}, "cluster.nodes[0].name: Expected `str`, got `int`"),
        ({"cluster": {"nodes": {"name": "a"}}}, "cluster.nodes: expected list, got {'name': 'a'}"),
        ({"cluster": {"nodes": [{}]}}, "cluster.nodes[0]: Missing required argument 'name'"),
        ({"cluster": {"nodes": [{"name": {"unknown": "x"}}]}}, "cluster.nodes[0].name may not be Unknown"),
    ],
)
def test_facts_that_do_not_fit_are_named(facts: dict[str, Any], message: str) -> None:
    with pytest.raises(BadFacts) as caught:
        build(facts)
    assert str(caught.value) == message


def test_an_unknown_keeps_its_reason_and_the_reading_that_would_decide() -> None:
    facts = build(
        {"looks": {"gpu-1": {"unknown": "no probe", "ask": "look"}}, "cluster": {"stacks": {"unknown": "403"}}}
    )
    assert facts["looks"] == {"gpu-1": Unknown("no probe", ask="look")}
    assert facts["cluster"].stacks == Unknown("403")


def test_a_list_replaces_the_healthy_one_and_a_mapping_is_merged_into_it() -> None:
    cluster = build({"cluster": {"nodes": [{"name": "a", "taints": [{"key": "k"}]}], "identity": {"name": "x"}}})[
        "cluster"
    ]
    assert [(n.name, n.ready, n.taints) for n in cluster.nodes] == [("a", True, (Taint(key="k"),))]
    assert (cluster.identity.name, cluster.identity.version) == ("x", "v1.34.4")


def test_hiding_reaches_every_family_and_every_field_that_may_be_unknown() -> None:
    hidden = {what for what, _ in hidings(build({"setup": {"image": {"reference": "r"}}}))}
    assert hidden == {
        "cluster", "setup", "looks", "inventory", "chosen", "probes", "agents", "hosts", "nonce", "said",
        "cluster.nodes", "cluster.pods", "cluster.daemonsets", "cluster.stacks", "cluster.own_namespace",
        "cluster.kubeadm", "cluster.webhooks", "cluster.dra", "cluster.events", "cluster.runtime_classes",
        "cluster.crds", "cluster.quotas", "cluster.namespaces", "cluster.features", "cluster.nodes[0].ready",
            "cluster.preemptions",
        "cluster.permissions[0].allowed",
        "looks.gpu-1", "looks.gpu-1.gpus", "looks.gpu-1.kernel_driver_version", "looks.gpu-1.driver_files",
        "looks.gpu-1.device_nodes", "looks.gpu-1.kernel",
        "hosts.gpu-1", "hosts.gpu-1.kernel", "hosts.gpu-1.gpus", "hosts.gpu-1.kernel_driver_version",
        "hosts.gpu-1.driver_files", "hosts.gpu-1.device_nodes", "hosts.gpu-1.modules", "hosts.gpu-1.module_built",
        "hosts.gpu-1.headers", "hosts.gpu-1.secure_boot", "hosts.gpu-1.cgroup", "hosts.gpu-1.toolkit",
        "hosts.gpu-1.runtimes", "hosts.gpu-1.cdi_specs", "hosts.gpu-1.plugin_sockets",
        "probes.gpu-1", "agents.gpu-1", "agents.gpu-1.driver", "agents.gpu-1.cuda", "agents.gpu-1.gpus",
        "agents.gpu-1.gpus[0].memory_mib", "agents.gpu-1.gpus[0].held_by",
    }  # fmt: skip
