"""`helm` on PATH, driven as a child process: no secret on its command line, values on its standard input.

https://helm.sh/docs/helm/helm_upgrade/. Helm 3 and 4 take the same flags here.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import msgspec

from gpuready.adapters.kube_words import clean
from gpuready.model.errors import UserError
from gpuready.model.plan import Helm
from gpuready.model.redact import redact

PULL_SECONDS, CHANGE_SECONDS = 120, 300
AFTER_SECONDS = 30  # for what Helm does besides waiting


class HelmProgram:
    """Implements helm.Way."""

    def __init__(self, program: str, kubeconfig: str | None, context: str | None) -> None:
        self._program = program
        self._to = [
            *(["--kubeconfig", kubeconfig] if kubeconfig else []),
            *(["--kube-context", context] if context else []),
        ]

    def ready(self) -> str:
        return "helm on PATH"

    def pull(self, reference: str, repository: str, version: str, folder: str) -> None:
        where = [reference, "--repo", repository] if repository else [reference]
        self._run(["pull", *where, "--version", version, "--destination", folder], PULL_SECONDS)

    def install(self, action: Helm, chart: Path) -> None:
        argv = ["upgrade", "--install", action.release, str(chart), "--namespace", action.namespace, "--reset-values"]
        # the CRDs are applied before; the schema that the API server publishes of them may be older for seconds
        argv += ["--skip-crds", "--disable-openapi-validation", "--timeout", f"{CHANGE_SECONDS}s", "--values", "-"]
        self._run([*argv, *self._to], CHANGE_SECONDS + AFTER_SECONDS, msgspec.json.encode(action.values))

    def roll_back(self, release: str, namespace: str, revision: int) -> None:
        argv = ["rollback", release, str(revision), "--namespace", namespace, "--timeout", f"{CHANGE_SECONDS}s"]
        self._run([*argv, *self._to], CHANGE_SECONDS + AFTER_SECONDS)

    def uninstall(self, release: str, namespace: str) -> None:
        argv = ["uninstall", release, "--namespace", namespace, "--timeout", f"{CHANGE_SECONDS}s"]
        self._run([*argv, *self._to], CHANGE_SECONDS + AFTER_SECONDS)

    def _run(self, argv: list[str], seconds: float, stdin: bytes = b"") -> None:
        what = " ".join(argv[:2])
        env = {**os.environ, "HELM_DEBUG": ""}
        try:
            done = subprocess.run([self._program, *argv], input=stdin, capture_output=True, timeout=seconds, env=env)
        except subprocess.TimeoutExpired:
            raise UserError(f"helm {what} did not end within {seconds:.0f} s", "gpuready apply --resume") from None
        except OSError as error:
            raise UserError(f"helm {what} cannot be run: {error.strerror}", f"check {self._program}") from None
        if done.returncode != 0:
            told = last_words(done.stderr)
            raise UserError(f"helm {what} failed: {told or done.returncode}", f"helm {argv[0]} by hand shows more")


def last_words(said: bytes) -> str:
    """The end of what a program wrote, on one line."""
    lines = redact(said.decode(errors="replace")).strip().splitlines()
    return clean(" ".join(line.strip() for line in lines[-4:]), 600)
