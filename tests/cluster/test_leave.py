"""Nodes that leave side by side: one that cannot be cleaned is named, the other finished, and resume does the rest.

One that is lost is left on demand, whenever it was lost, and what it alone could undo is said to be undetermined.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from testbed.node import Node
from tests.cluster.product import Gpuready
from tests.cluster.snapshot import differences, settled

pytestmark = pytest.mark.cluster
TAINT = "example.com/closed=yes:NoSchedule"


def test_a_node_that_cannot_be_cleaned_is_named_and_the_other_is_finished(
    admin: Gpuready, request: pytest.FixtureRequest
) -> None:
    testbed = admin.testbed
    admin.ok("up", "--yes")
    admin.ok("uninstall", "--yes")
    undisturbed = settled(testbed)
    admin.ok("up", "--yes")
    testbed.kubectl("taint", "node", "node2", TAINT)
    request.addfinalizer(lambda: testbed.run(["kubectl", "taint", "node", "node2", f"{TAINT}-"], capture_output=True))
    failed = admin.run("uninstall", "--yes")
    assert failed.returncode == 1
    said = failed.stderr.splitlines()[0]
    assert said.startswith("error: clean 2 nodes: pod/gpuready-clean-node2 on node/node2: Unschedulable: "), said
    assert said.endswith("; the other nodes are finished")
    assert [line for line in failed.stdout.splitlines() if "clean 2 nodes ... FAILED" in line]
    managers = testbed.kubectl(
        "get",
        "nodes",
        "--show-managed-fields",
        "-o",
        'jsonpath={range .items[*]}{.metadata.name} {.metadata.managedFields[*].manager}{"\\n"}{end}',
    )
    assert [line.split()[0] for line in managers.splitlines() if "gpuready-agent" in line] == ["node2"]
    testbed.kubectl("taint", "node", "node2", f"{TAINT}-")
    admin.ok("apply", "--resume", "--yes")
    assert differences(undisturbed, settled(testbed)) == []


@pytest.fixture
def lost(admin: Gpuready) -> Iterator[Node]:
    """node2, whose cable may be pulled, and is plugged again."""
    node = next(n for n in admin.testbed.nodes if n.name == "node2")
    yield node
    node.set_cable(plugged=True)
    admin.testbed.kubectl("wait", "--for=condition=Ready", "node/node2", "--timeout=90s")


def test_a_node_that_is_lost_half_way_is_left(admin: Gpuready, lost: Node) -> None:
    admin.ok("up", "--yes")
    lost.set_cable(plugged=False)
    late = admin.run("uninstall", "--yes", "--timeout", "5")
    assert late.returncode == 1
    assert "on node/node2 did not end within 5 s; the other nodes are finished" in late.stderr
    assert late.stderr.splitlines()[-1] == (
        "next:  gpuready apply --resume waits again; with --leave node2 it goes on without that node, if it is lost"
    )
    unready = ("wait", "--for=condition=Ready=Unknown", "node/node2", "--timeout=90s")
    admin.testbed.kubectl(*unready)
    wrong = admin.run("apply", "--resume", "--yes", "--leave", "node7")
    assert (wrong.returncode, wrong.stderr.splitlines()[0]) == (
        1,
        "error: node/node7 is no node that this would clean",
    )
    left = admin.run("apply", "--resume", "--yes", "--leave", "node2")
    assert (left.returncode, left.stdout.splitlines()[-1]) == (
        3,
        "UNDETERMINED  node/node2: left as it is; files of ours may lie on it",
    )
    _nothing_in_the_api(admin)


def test_a_node_that_was_lost_before_is_left(admin: Gpuready, lost: Node) -> None:
    admin.ok("up", "--yes")
    lost.set_cable(plugged=False)
    admin.testbed.kubectl("wait", "--for=condition=Ready=Unknown", "node/node2", "--timeout=90s")
    refused = admin.run("uninstall", "--yes")
    assert (refused.returncode, refused.stderr.splitlines()) == (
        1,
        [
            "error: node/node2 does not answer, so what lies on it cannot be removed",
            "next:  wait for it, or leave it as it is with --leave node2",
        ],
    )
    assert admin.run("uninstall", "--yes", "--leave", "node2").returncode == 3
    _nothing_in_the_api(admin)


def _nothing_in_the_api(admin: Gpuready) -> None:
    left = admin.testbed.kubectl("get", "ns,ds,pods,clusterroles,clusterrolebindings", "-A", "-o", "name")
    assert [name for name in left.splitlines() if "gpuready" in name] == []
    labels = admin.testbed.kubectl(
        "get", "nodes", "-o", "jsonpath={.items[*].metadata.labels}{.items[*].status.conditions}"
    )
    assert "gpuready" not in labels
