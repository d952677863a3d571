"""Makes docs/recordings from real runs on two real kubelets with replayed GPUs (about five minutes).

    H100=testbed/captures/constructed-1xh100.json
    python -m testbed --name record up --nodes 2 --replay node1=$H100 --replay node2=$H100
    python -m testbed --name record exec -- env PYTHONPATH=. .venv/bin/python docs/make/record.py
    python -m testbed --name record down

Every command runs on a terminal, in an empty folder, as its user would run it.
"""

from __future__ import annotations

import datetime
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import terminal  # beside this file

from gpuready import __version__
from testbed import Testbed
from tests.cluster.product import GPUREADY
from tests.cluster.test_bad_input import OTHER_PLUGIN
from tests.cluster.test_demo import NODE, night
from tests.cluster.test_fix import FIELDS, policies
from tests.cluster.test_runtime import NVIDIA
from tests.cluster.test_up import HOLDER

REPOSITORY = Path(__file__).resolve().parents[2]
OUT = REPOSITORY / "docs" / "recordings"
KILLER = REPOSITORY / "tests" / "cluster" / "killer.py"
FATAL = "act label Node/node1"  # the label is on the node, its receipt is not in the journal
SPEC = """apiVersion: gpuready.dev/v1alpha1
kind: GPUSetup
metadata: {name: x}
spec:
  image: {reference: 192.0.2.10:5000/gpuready:0.1.0}
"""
FOREIGN = SPEC.replace("  image:", "  cluster: {uid: 5f0c7f5e-0000-4000-8000-000000000000}\n  image:")
INDEX = """# Recordings

{date}, gpuready {version}, Kubernetes {kubernetes}, two nodes (containerd, replayed H100: `(replayed)` marks what a
replay vouches for). Made by [docs/make/record.py](../make/record.py) from real runs, of which nothing was edited but
the folder's path (`$PWD`); times are those of a machine of {cores} cores with a load of {load:.0f}. `$GPUREADY_IMAGE`
names the image. Each file begins with its command; `# exit` is the exit code.

| file | what |
|---|---|
{rows}
"""


class Studio:
    """A folder to run in, a kubeconfig by a relative path, and the files that the recordings go to."""

    def __init__(self, testbed: Testbed, folder: Path) -> None:
        self.testbed, self.folder = testbed, folder
        shutil.copy(testbed.kubeconfig, folder / "kubeconfig")
        self.env = {**os.environ, "KUBECONFIG": "kubeconfig", "XDG_STATE_HOME": str(folder / "state")}
        self.env["GPUREADY_IMAGE"] = self._image()
        self.rows: list[str] = []

    def _image(self) -> str:
        push = [GPUREADY, "image", "push", "--plain-http", f"{self.testbed.registry}/gpuready:{__version__}"]
        return subprocess.run(push, check=True, capture_output=True, text=True).stdout.split()[-1]

    def shown(self, *args: str) -> tuple[str, int]:
        return terminal.run([GPUREADY, *args], cwd=self.folder, env=self.env)

    def take(self, *args: str, exit: int = 0) -> str:
        """The command and what came, coloured; with another exit code than expected the recording fails."""
        text, code = self.shown(*args)
        if code != exit:
            raise SystemExit(f"gpuready {' '.join(args)}: exit {code}, expected {exit}\n{terminal.plain(text)}")
        return f"$ gpuready {' '.join(args)}\n{text}# exit {code}\n"

    def keep(self, name: str, what: str, *takes: str) -> None:
        text = terminal.plain("\n".join(takes)).replace(str(self.folder), "$PWD")
        for secret in (str(REPOSITORY), str(Path.home()), socket.gethostname(), "PRIVATE KEY"):
            if secret in text:
                raise SystemExit(f"{name}: {secret!r} must not be in a recording")
        (OUT / f"{name}.txt").write_text(text)
        self.rows.append(f"| [{name}.txt]({name}.txt) | {what} |")
        print(f"{name}.txt: {len(text.splitlines())} lines", flush=True)

    def quietly(self, *args: str) -> None:
        self.take(*args)

    def kubectl(self, *args: str, stdin: str = "") -> None:
        self.testbed.run(["kubectl", *args], input=stdin, text=True, check=True, capture_output=True)


def install(studio: Studio) -> None:
    up = studio.take("up", "--yes")
    (OUT / "up.ansi").write_text(terminal.settled(up))
    studio.keep("up", "from two bare nodes to two proven GPUs; the same with its colours: up.ansi", up)
    spec = (studio.folder / "gpuready.yaml").read_text()
    studio.keep("gpuready.yaml", "the spec that `up` wrote", f"$ cat gpuready.yaml\n{spec}")
    studio.keep("up-again", "a second `up` changes nothing and proves again", studio.take("up", "--yes"))
    studio.keep("status", "free GPUs", studio.take("status"))


def hold(studio: Studio) -> None:
    """A pod holds one of the two GPUs."""
    studio.kubectl("apply", "-f", "-", stdin=HOLDER)
    studio.kubectl("wait", "--for=condition=Ready", "pod/trainer", "--timeout=60s")
    time.sleep(2)  # the kubelet's list of devices in use follows the pod
    studio.keep("status-held", "a pod holds a GPU", studio.take("status"))
    verify = studio.take("verify", exit=3)
    studio.keep("verify-held", "`verify` with a held GPU: undetermined, and nobody is preempted", verify)
    studio.keep("uninstall-held", "`uninstall` refuses while a pod holds a GPU", studio.take("uninstall", exit=1))
    studio.kubectl("delete", "pod", "trainer", "--grace-period=0", "--force")
    studio.kubectl("wait", "--for=delete", "pod/trainer", "--timeout=60s")
    time.sleep(2)
    studio.keep("verify", "`verify` once it is free", studio.take("verify"))


def leave(studio: Studio) -> None:
    studio.keep("uninstall", "everything out again", studio.take("uninstall", "--yes"))
    studio.keep("uninstall-again", "`uninstall` where nothing is", studio.take("uninstall", "--yes"))


def kill(studio: Studio) -> None:
    """SIGKILL in the middle of the roll-out, found by the names of the journal's points in an undisturbed run."""
    points = studio.folder / "points"
    (studio.folder / "gpuready.yaml").unlink()
    _, code = terminal.run(_killer(0, points), cwd=studio.folder, env=studio.env)
    names = points.read_text().splitlines()
    if code:
        raise SystemExit(f"the undisturbed run under {KILLER.name} ended with {code}")
    studio.quietly("uninstall", "--yes")
    (studio.folder / "gpuready.yaml").unlink()
    points.unlink()
    number = next(n for n, name in enumerate(names, 1) if name.startswith(FATAL))
    text, code = terminal.run(_killer(number, points), cwd=studio.folder, env=studio.env)
    killed = f"$ gpuready up --yes\n{text}\n# killed with SIGKILL ({code}) after the change and before its receipt\n"
    takes = [studio.take("status"), studio.take("up", "--yes", exit=1), studio.take("apply", "--resume", "--yes")]
    what = f"SIGKILL at point {number} of the journal's {len(names)} (`{names[number - 1]}`), then `apply --resume`"
    studio.keep("killed-and-resumed", what, killed, *takes, studio.take("verify"))
    studio.quietly("uninstall", "--yes")


def _killer(number: int, points: Path) -> Sequence[str | Path]:
    return [sys.executable, KILLER, str(number), points, "--", "up", "--yes"]


def wrong(studio: Studio) -> None:
    """Five wrong inputs; behind each the input itself, where it is a file."""
    spec = studio.folder / "gpuready.yaml"
    spec.unlink(missing_ok=True)
    (studio.folder / "misspelt.yaml").write_text(SPEC.replace("image:", "imgae:"))
    take = studio.take("plan", "-f", "misspelt.yaml", exit=1)
    studio.keep("wrong-misspelt-key", "a misspelt key in the spec", take, _file(studio, "misspelt.yaml"))
    spec.write_text(FOREIGN)
    take = studio.take("up", "--yes", exit=1)
    studio.keep("wrong-cluster", "a spec that was written for another cluster", take, _file(studio, spec.name))
    spec.unlink()
    late = studio.testbed.kubeconfig_for("late", ["system:masters"], lifetime=datetime.timedelta(days=-1))
    shutil.copy(late, studio.folder / "expired.kubeconfig")
    take = studio.take("up", "--yes", "--kubeconfig", "expired.kubeconfig", exit=1)
    studio.keep("wrong-expired-certificate", "a client certificate that has expired", take)
    take = studio.take("up", "--yes", "--image", "192.0.2.10:5000/nosuch:1", exit=1)
    studio.keep("wrong-image", "an image that the nodes cannot pull; the look is taken back", take)
    studio.kubectl("apply", "-f", "-", stdin=OTHER_PLUGIN)
    try:
        take = studio.take("up", "--yes", exit=1)
        studio.keep("wrong-second-plugin", "another device plugin is in the cluster: never two owners", take)
    finally:
        studio.kubectl("delete", "-f", "-", "--cascade=foreground", stdin=OTHER_PLUGIN)


def at_night(studio: Studio) -> None:
    """Two faults at once on a real kubelet and containerd; `runc` by another name stands in for NVIDIA's runtime."""
    studio.quietly("up", "--yes")
    node = studio.testbed.node(NODE)
    runc = node.run(["which", "runc"], capture_output=True, text=True, check=True).stdout.strip()
    (node.root / NVIDIA).symlink_to(runc)
    night(studio)
    takes = [studio.take("status"), studio.take("doctor", exit=2)]
    fix = ("doctor", "--fix", "--yes", "--allow=delete-pod", "--allow=restart-runtime")
    mended, code = studio.shown(*fix)
    takes.append(f"$ gpuready {' '.join(fix)}\n{mended}# exit {code}\n")
    studio.kubectl("delete", "namespace", "ml", "gpu-checks")
    takes += [studio.take("verify"), studio.take("apply", "--undo", "--yes", "--allow=restart-runtime")]
    what = "a finished pod whose sidecar keeps the GPU, and a runtime that lost its handler: both named, mended, proved"
    studio.keep("night", what, *takes)
    studio.kubectl("delete", "runtimeclass", "nvidia")
    (node.root / NVIDIA).unlink()
    studio.quietly("uninstall", "--yes")


def stale_crd(studio: Studio) -> None:
    """A ClusterPolicy of release 25.3.4 under the CRD of an older one; the chart in the folder brings its own."""
    chart = studio.folder / "gpu-operator"
    (chart / "crds").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: gpu-operator\nversion: v25.3.4\n")
    (chart / "crds" / "clusterpolicies.yaml").write_text(json.dumps(policies(FIELDS)))
    older = policies(field for field in FIELDS if field != "hostPaths")
    labels = {"helm.sh/chart": "gpu-operator-v25.3.4"}
    policy = {"apiVersion": "nvidia.com/v1", "kind": "ClusterPolicy", "spec": {"driver": {}}}
    studio.kubectl("create", "-f", "-", stdin=json.dumps(older))
    studio.kubectl("wait", "--for=condition=Established", f"crd/{older['metadata']['name']}", "--timeout=60s")
    named = {**policy, "metadata": {"name": "cluster-policy", "labels": labels}}
    studio.kubectl("create", "-f", "-", stdin=json.dumps(named))
    takes = [studio.take("doctor", exit=2)]
    fix = ("doctor", "--fix", "stale-crd-unknown-field", "--yes", "--chart", "gpu-operator")
    mended, code = studio.shown(*fix)
    takes += [f"$ gpuready {' '.join(fix)}\n{mended}# exit {code}\n", studio.take("apply", "--undo", "--yes")]
    studio.keep(
        "stale-crd", "a CRD that helm left from an older release: updated, never deleted, and taken back", *takes
    )
    studio.kubectl("delete", "crd", older["metadata"]["name"])


def _file(studio: Studio, name: str) -> str:
    return f"$ cat {name}\n{(studio.folder / name).read_text()}"


def demonstrate(studio: Studio) -> None:
    """It has a cluster of its own; on a narrow terminal, as most are."""
    text, code = terminal.run([GPUREADY, "demo"], cwd=studio.folder, env=studio.env, columns=80)
    if code:
        raise SystemExit(f"gpuready demo: exit {code}\n{terminal.plain(text)}")
    studio.keep(
        "demo", "`gpuready demo`: a simulated cluster, a bad night, the mend", f"$ gpuready demo\n{text}# exit 0\n"
    )


def main() -> None:
    testbed = Testbed.attach()
    OUT.mkdir(exist_ok=True)
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        studio = Studio(testbed, Path(folder))
        for part in (install, hold, leave, kill, wrong, at_night, stale_crd, demonstrate):
            part(studio)
    version = json.loads(testbed.kubectl("version", "-o", "json"))["serverVersion"]["gitVersion"].removeprefix("v")
    text = INDEX.format(
        date=datetime.datetime.now(datetime.UTC).date(),
        version=__version__,
        kubernetes=version,
        cores=os.cpu_count(),
        load=load,
        rows="\n".join(studio.rows),
    )
    (OUT / "README.md").write_text(text)


if __name__ == "__main__":
    main()
