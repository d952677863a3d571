"""`helm` on PATH, driven as a child process: no secret on its command line, values on its standard input.

https://helm.sh/docs/helm/helm_upgrade/. Helm 3 and 4 take the same flags here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from gpuready.adapters.chart import read_chart
from gpuready.adapters.kube_words import clean
from gpuready.model.chart import ChartFiles
from gpuready.model.errors import UserError
from gpuready.model.plan import Chart, Helm
from gpuready.model.redact import redact

PULL_SECONDS, CHANGE_SECONDS = 120, 300
INSTALL_HELM = "install it (https://helm.sh/docs/intro/install/); gpuready up with stack: native needs no helm"


class HelmProgram:
    """Implements ports.Charts. `kubeconfig`, `context`: as our own connection has them."""

    def __init__(self, kubeconfig: str | None, context: str | None) -> None:
        self._to = [
            *(["--kubeconfig", kubeconfig] if kubeconfig else []),
            *(["--kube-context", context] if context else []),
        ]

    def read(self, source: str, name: str, version: str) -> ChartFiles:
        _program()  # what will be needed to install it: said before anything is changed
        with self._at_hand(source, name, version) as path:
            return read_chart(path, source, name)

    def install(self, action: Helm) -> None:
        chart = action.chart
        with self._at_hand(chart.source, chart.name, chart.version) as path:
            self._same(chart, read_chart(path, chart.source, chart.name).chart)
            argv = ["upgrade", "--install", action.release, str(path), "--namespace", action.namespace]
            # the CRDs are applied before; the schema that the API server publishes of them may be older for seconds
            argv += ["--skip-crds", "--disable-openapi-validation", "--timeout", f"{CHANGE_SECONDS}s", "--values", "-"]
            self._run([*argv, *self._to], CHANGE_SECONDS + 30, msgspec.json.encode(action.values))

    def roll_back(self, release: str, namespace: str, revision: int) -> None:
        argv = ["rollback", release, str(revision), "--namespace", namespace, "--timeout", f"{CHANGE_SECONDS}s"]
        self._run([*argv, *self._to], CHANGE_SECONDS + 30)

    def uninstall(self, release: str, namespace: str) -> None:
        argv = ["uninstall", release, "--namespace", namespace, "--timeout", f"{CHANGE_SECONDS}s"]
        self._run([*argv, *self._to], CHANGE_SECONDS + 30)

    def _same(self, planned: Chart, found: Chart) -> None:
        if found.digest != planned.digest:
            raise UserError(
                f"chart {planned.name} {planned.version} of {planned.source} is another than the one that was planned",
                "plan again",
            )

    @contextmanager
    def _at_hand(self, source: str, name: str, version: str) -> Iterator[Path]:
        """The chart on this machine: where it is, or fetched for as long as it is needed."""
        if "://" not in source:
            yield Path(source)
            return
        with tempfile.TemporaryDirectory(prefix="gpuready-chart-") as folder:
            oci = source.startswith("oci://")
            where = [f"{source.rstrip('/').removesuffix(f'/{name}')}/{name}"] if oci else [name, "--repo", source]
            self._run(["pull", *where, "--version", version, "--destination", folder], PULL_SECONDS)
            found = list(Path(folder).glob("*.tgz"))
            if len(found) != 1:
                raise UserError(f"helm pull of {name} {version} from {source} brought no archive", "try it by hand")
            yield found[0]

    def _run(self, argv: list[str], seconds: float, stdin: bytes = b"") -> None:
        helm = _program()
        what = " ".join(argv[:2])
        try:
            done = subprocess.run(
                [helm, *argv], input=stdin, capture_output=True, timeout=seconds, env={**os.environ, "HELM_DEBUG": ""}
            )
        except subprocess.TimeoutExpired:
            raise UserError(f"helm {what} did not end within {seconds:.0f} s", "gpuready apply --resume") from None
        except OSError as error:
            raise UserError(f"helm {what} cannot be run: {error.strerror}", INSTALL_HELM) from None
        if done.returncode != 0:
            said = redact(done.stderr.decode(errors="replace")).strip().splitlines()
            told = clean(" ".join(line.strip() for line in said[-4:]), 600)
            raise UserError(f"helm {what} failed: {told or done.returncode}", f"helm {argv[0]} by hand shows more")


def _program() -> str:
    found = shutil.which("helm")
    if found is None:
        raise UserError("helm is not on PATH", INSTALL_HELM)
    return found
