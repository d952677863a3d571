"""helm-python-sdk in its child process: the real library, wherever no cluster is needed."""

from __future__ import annotations

import functools
import hashlib
import http.server
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpuready.adapters import helm_child
from gpuready.adapters.helm import HelmCharts
from gpuready.adapters.helm_library import CHILD, HelmLibrary
from gpuready.model.errors import UserError
from tests.unit.test_chart import ABOUT, CRD, FILES, archive, folder

PLAYED = Path(__file__).parents[1] / "charts" / "gpu-operator-played"
WAITS = 20.0  # seconds: what takes less than one on an idle machine
INSTALL = """
import sys
from pathlib import Path
from gpuready.adapters.chart import read_chart
from gpuready.adapters.helm import HelmCharts
from gpuready.model.plan import Helm
kubeconfig, path = sys.argv[1:]
chart = read_chart(Path(path), path, "gpu-operator").chart
values = {"password": "s3cr3t"}
HelmCharts(kubeconfig, None).install(Helm(release="r", namespace="n", chart=chart, values=values, digest="d"))
"""


@pytest.fixture(autouse=True)
def no_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[str]:
    """A kubeconfig of an API server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield kubeconfig(tmp_path, server.getsockname()[1])


def kubeconfig(at: Path, port: int) -> str:
    named = {"clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}]}
    context = {"current-context": "x", "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}]}
    (at / "kubeconfig").write_text(json.dumps({"kind": "Config", "users": [{"name": "u"}], **named, **context}))
    return str(at / "kubeconfig")


def library(package: Path, source: str) -> HelmLibrary:
    """A helm_python that does this when it is imported."""
    (package / "helm_python").mkdir()
    (package / "helm_python" / "__init__.py").write_text(source)
    return HelmLibrary(package, None, None)


def test_the_library_never_enters_our_process() -> None:
    """Asked for its name, and for a chart: neither its modules nor its shared object are here afterwards."""
    script = (
        "import sys; from gpuready.adapters.helm import HelmCharts;"
        f"print(HelmCharts(None, None).read({str(PLAYED)!r}, 'gpu-operator', '').by);"
        "print([m for m in sys.modules if m.startswith('helm_')], 'libhelm' in open('/proc/self/maps').read())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.stdout.splitlines()[1:], done.stderr) == (["[] False"], "")
    assert done.stdout.startswith("helm-python-sdk 0.")


def test_a_chart_is_the_same_without_its_crds(tmp_path: Path) -> None:
    """Also where the charts within it are folders or archives."""
    own = {**FILES, "templates/a.yaml": 'kind: ConfigMap\ndata: {a: {{ .Values.a }}, f: {{ .Files.Get "f" }}}\n'}
    made = folder(tmp_path / "made", {**own, "f": "x", "Chart.yaml": f"apiVersion: v2\n{ABOUT}"})
    (made / "charts" / "node-feature-discovery" / "charts" / "deeper" / "Chart.yaml").write_text(
        "apiVersion: v2\nname: deeper\nversion: 1.0.0\n"
    )
    archive(
        made / "charts" / "z.tgz", {"Chart.yaml": "apiVersion: v2\nname: z\nversion: 1.0.0\n", "crds/z.yaml": CRD}, "z"
    )
    script = f"""
import json, helm_python as helm
from gpuready.adapters.helm_child import _chart_without_crds
for path in {[str(PLAYED), str(made)]!r}:
    with helm.Chart.load(path) as whole, _chart_without_crds(helm, path) as bare:
        parts = "metadata", "values", "templates"
        same = [getattr(whole, part) == getattr(bare, part) for part in parts]
        inner = [{{d["name"] for d in chart.dependencies}} for chart in (whole, bare)]
        same.append(inner[0] == inner[1])
        same.append(whole.render(name="r", namespace="n") == bare.render(name="r", namespace="n") != {{}})
        print(json.dumps([same, sorted(c["filename"] for c in whole.crds), bare.crds]))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stderr == ""
    top, nfd = "gpu-operator", "gpu-operator/charts/node-feature-discovery"
    crds = [
        [f"{top}/crds/nvidia.com_clusterpolicies.yaml", f"{top}/crds/nvidia.com_nvidiadrivers.yaml"],
        [
            f"{nfd}/charts/deeper/crds/x.yaml",
            f"{nfd}/crds/nfd.yaml",
            f"{top}/charts/z/crds/z.yaml",
            f"{top}/crds/a.yaml",
        ],
    ]
    assert [json.loads(line) for line in done.stdout.splitlines()] == [[[True] * 5, c, []] for c in crds]


def test_a_chart_of_a_repository(tmp_path: Path) -> None:
    """Fetched by its version, read, and gone again; a version that is not there is told."""
    about = f"apiVersion: v2\n{ABOUT}"
    made = archive(tmp_path / "gpu-operator-v26.7.0.tgz", {**FILES, "Chart.yaml": about})
    digest = hashlib.sha256(made.read_bytes()).hexdigest()
    entry = {"name": "gpu-operator", "apiVersion": "v2", "version": "v26.7.0", "urls": [made.name], "digest": digest}
    (tmp_path / "index.yaml").write_text(json.dumps({"apiVersion": "v1", "entries": {"gpu-operator": [entry]}}))
    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        source = f"http://127.0.0.1:{server.server_port}"
        found = HelmCharts(None, None).read(source, "gpu-operator", "v26.7.0")
        with pytest.raises(UserError) as error:
            HelmCharts(None, None).read(source, "gpu-operator", "v1.0.0")
        server.shutdown()
    assert (found.chart.source, found.chart.digest) == (source, f"sha256:{digest}")
    assert error.value.what.startswith("helm pull gpu-operator failed: chart ")
    assert error.value.next.startswith("check gpuOperator.chart and version, ")


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


def test_it_dies_with_us_and_shows_nothing(silent: str, tmp_path: Path) -> None:
    """Killed in the middle of an installation: no Helm works on. Its command line holds neither values nor names."""
    parent = subprocess.Popen([sys.executable, "-c", INSTALL, silent, str(PLAYED)], stderr=subprocess.PIPE, text=True)
    try:
        child = until(lambda: children(parent.pid))[0]
        until(lambda: "libhelm" in Path(f"/proc/{child}/maps").read_text())  # until its exec it looks as its parent
        argv = Path(f"/proc/{child}/cmdline").read_text().split("\0")[:-1]
    finally:
        parent.send_signal(signal.SIGKILL)
        said = parent.communicate()[1]
    assert (argv[1:4], argv[4].isdecimal(), len(argv), said) == (["-I", "-S", str(CHILD)], True, 5, "")
    assert os.path.basename(argv[0]) == "helm"  # by which Helm signs what it applies
    until(lambda: not Path(f"/proc/{child}/maps").exists() or Path(f"/proc/{child}/cmdline").read_text() == "")


def children(pid: int) -> list[int]:
    return [int(c) for c in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def until(found):  # type: ignore[no-untyped-def]
    end = time.monotonic() + WAITS
    while not (got := found()):
        assert time.monotonic() < end, "not within the time"
        time.sleep(0.02)
    return got


def test_an_end_to_waiting(silent: str) -> None:
    helm = HelmLibrary(sdk(), silent, None)
    to = {"to": {"kubeconfig_path": silent, "namespace": "n"}, "release": "r", "timeout": 300}
    with pytest.raises(UserError) as error:
        helm._ask("uninstall", "r", to, 1.5)
    assert error.value.what == "helm uninstall r did not end within 2 s"
    assert children(os.getpid()) == []


def test_no_api_server(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    helm = HelmLibrary(sdk(), kubeconfig(tmp_path, port), "x")
    for change in (lambda: helm.uninstall("r", "n"), lambda: helm.roll_back("r", "n", 1)):
        with pytest.raises(UserError, match="connection refused") as error:
            change()
        assert error.value.next == "gpuready doctor; when the cause is mended, gpuready apply --resume"


def test_a_chart_that_helm_cannot_load(tmp_path: Path, silent: str) -> None:
    """The library's own errors become ours."""
    path = folder(tmp_path / "chart", {"Chart.yaml": f"apiVersion: v2\n{ABOUT}", "values.yaml": "a: [\n"})
    done = subprocess.run([sys.executable, "-c", INSTALL, silent, str(path)], capture_output=True, text=True)
    last = done.stderr.splitlines()[-1]
    assert last.startswith("gpuready.model.errors.UserError: helm install r failed: ")
    assert "values.yaml" in last


@pytest.mark.parametrize(
    ("sentence", "source", "what"),
    [
        (
            "its library is missing",
            "raise OSError('libhelm_c.so: cannot open')",
            "cannot be loaded: libhelm_c.so: cannot",
        ),
        ("it ends its process", "import os; os._exit(7)", "helm version failed: its process ended with 7"),
        (
            "it crashes",
            "import os\nos.write(2, b'fatal error: a\\ngoroutine 1')\nos.abort()",
            "fatal error: a goroutine 1",
        ),
    ],
)
def test_a_broken_library_is_told(sentence: str, source: str, what: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        library(tmp_path, source).ready()
    assert what in error.value.what, sentence


def test_what_it_prints_is_no_answer(tmp_path: Path) -> None:
    source = "class HelmError(Exception): pass\n__version__ = '9'\nprint('{}', flush=True)"
    assert library(tmp_path, source).ready() == "helm-python-sdk 9"


def test_nothing_of_ours_is_imported_by_the_child() -> None:
    """It runs without our packages on its path."""
    script = f"import runpy, sys; sys.argv = ['x', '0']; runpy.run_path({helm_child.__file__!r}, run_name='looked at')"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def sdk() -> Path:
    found = importlib.util.find_spec("helm_python")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parents[1]
