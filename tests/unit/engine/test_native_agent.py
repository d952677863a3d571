"""What is applied for stack `native`, whole; rewrite with: python tests/unit/engine/test_native_agent.py"""

from __future__ import annotations

from pathlib import Path

import yaml

from gpuready.components.native_agent.component import Layout, namespace, render
from gpuready.components.native_agent.probes import clean_pod, compute_pod, look_pod, pod_name
from gpuready.engine.rights import RIGHTS
from gpuready.model.spec import Image, NodeChoice, Setup, Toleration

GOLDEN = Path(__file__).parent / "golden" / "native_agent.yaml"
SETUP = Setup(
    image=Image(reference="registry.example.com/gpuready@sha256:" + "0" * 64, pull_secret="registry-login"),
    nodes=NodeChoice(tolerations=(Toleration(key="dedicated", operator="Equal", value="gpu", effect="NoSchedule"),)),
)
LAYOUTS = [
    Layout(root="/", lib_dir="/usr/lib/x86_64-linux-gnu", nvidia_smi="/usr/bin/nvidia-smi", injection="devices"),
    Layout(root="/usr/local/nvidia", lib_dir="/usr/local/nvidia/lib64", injection="cdi"),
]


class Plain(yaml.SafeDumper):
    """Written out in full: an alias in a golden file is hard to read."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def rendered() -> str:
    objects = [namespace("run-1"), *render(SETUP, LAYOUTS, (1, 34))]
    objects += [look_pod(SETUP, "gpu-1", driver_container=True), compute_pod(SETUP, "gpu-1", 2, "abc")]
    return yaml.dump_all([*objects, clean_pod(SETUP, "gpu-1")], Dumper=Plain, sort_keys=False)


def test_everything_that_is_applied() -> None:
    assert rendered() == GOLDEN.read_text()


def test_every_kind_that_is_applied_may_be_created_by_who_may_run_up() -> None:
    kinds = {o["kind"].lower() for o in render(SETUP, LAYOUTS, (1, 34))}
    plural = {k[:-1] + "ies" if k.endswith("y") else k + ("es" if k.endswith("s") else "s") for k in kinds}
    allowed = {r for right in RIGHTS["up"] for r in right.resources if {"create", "patch"} & set(right.verbs)}
    assert plural - allowed == set()


def test_the_probe_pods_of_long_node_names_have_names_of_their_own() -> None:
    long = [f"{'very-' * 11}{end}.example.internal" for end in ("a", "b")]
    names = [pod_name("compute", n) for n in long]
    assert len(set(names)) == 2
    assert [n for n in names if len(n) > 63] == []


if __name__ == "__main__":
    GOLDEN.write_text(rendered())
