"""Cluster tests run in a testbed: python -m testbed up; python -m testbed exec -- python -m pytest tests/cluster."""

import hashlib
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))  # the package `testbed` is beside the tests and not installed

import gpuready
from gpuready.adapters.kube import Client, connect
from testbed import Testbed, TestbedError
from tests.cluster.kube_objects import account, ns
from tests.cluster.product import GPUREADY, Gpuready


@pytest.fixture(scope="session")
def testbed() -> Testbed:
    """The testbed whose network this test run is in; without one the test fails and says what to run."""
    try:
        return Testbed.attach()
    except TestbedError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="module", autouse=True)
def no_events(testbed: Testbed) -> None:
    """The API keeps events for an hour: those of tests before are nobody's concern."""
    testbed.kubectl("delete", "events", "--all", "--all-namespaces")


@pytest.fixture(scope="session")
def cluster(testbed: Testbed) -> Iterator[Client]:
    with connect(testbed.kubeconfig) as client:
        yield client


@pytest.fixture
def namespace(cluster: Client) -> Iterator[str]:
    """A namespace of this test, in which pods can be created."""
    name = f"kube-client-{uuid.uuid4().hex[:8]}"
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    account(cluster, name)
    yield name
    if cluster.get(ns(name)):
        cluster.delete(ns(name))


@pytest.fixture(scope="session")
def image(testbed: Testbed) -> str:
    """The image of this very tree, pushed to the testbed's registry, by digest. Made once for a testbed and a tree."""
    sources = sorted(p for p in Path(gpuready.__file__).parent.rglob("*") if p.is_file() and p.suffix != ".pyc")
    tree = hashlib.sha256(repr([(str(p), p.stat().st_mtime_ns) for p in sources]).encode()).hexdigest()
    kept = testbed.settings.state / f"image-{tree[:16]}"
    if not kept.exists():
        kept.write_text(_push(testbed))
    return kept.read_text()


def _push(testbed: Testbed) -> str:
    done = subprocess.run(
        [GPUREADY, "image", "push", "--plain-http", f"{testbed.registry}/gpuready:test"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


@pytest.fixture
def admin(testbed: Testbed, image: str, tmp_path: Path) -> Iterator[Gpuready]:
    """gpuready as cluster-admin in an empty folder; afterwards nothing of gpuready is left in the cluster."""
    product = Gpuready(testbed, tmp_path, image, testbed.kubeconfig)
    yield product
    if product.run("uninstall", "--yes").returncode != 0:
        product.run("apply", "--undo", "--yes")
        product.run("uninstall", "--yes")
    testbed.kubectl("delete", "ns", "gpuready-system", "--ignore-not-found")
    testbed.kubectl("delete", "clusterrole,clusterrolebinding", "-l", "app.kubernetes.io/managed-by=gpuready")
