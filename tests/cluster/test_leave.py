"""Nodes that leave side by side: one that cannot be cleaned is named, the other finished, and resume does the rest."""

from __future__ import annotations

import pytest

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
