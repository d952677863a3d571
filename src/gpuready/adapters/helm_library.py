"""The extra `gpuready[helm]`: helm-python-sdk (https://pypi.org/project/helm-python-sdk/), in a child process.

Its library of 85 MB and the threads of its Go runtime live in the child alone; so does a crash of theirs.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec

from gpuready.adapters.helm_program import AFTER_SECONDS, CHANGE_SECONDS, PULL_SECONDS, last_words
from gpuready.adapters.kube_words import clean
from gpuready.model.errors import UserError
from gpuready.model.plan import Helm
from gpuready.model.redact import redact

CHILD = Path(__file__).with_name("helm_child.py")
PACKAGE = "helm-python-sdk"
LOAD_SECONDS = 60  # half a second where the disk is not slow
NOT_PULLED = "check gpuOperator.chart and version, the network, its proxy, and the registry's login (docker login)"
NOT_DONE = "gpuready doctor; when the cause is mended, gpuready apply --resume"
BROKEN = f"install helm (https://helm.sh/docs/intro/install/), or {PACKAGE} anew"


class _Answer(msgspec.Struct, frozen=True):
    version: str = ""
    failed: str = ""
    broken: str = ""  # the library could not be loaded


class HelmLibrary:
    """Implements helm.Way. `folder`: the one in which the library's package lies."""

    def __init__(self, folder: Path, kubeconfig: str | None, context: str | None) -> None:
        self._folder = folder
        self._to = {"kubeconfig_path": kubeconfig, "kube_context": context}

    def ready(self) -> str:
        return f"{PACKAGE} {self._ask('version', '', {}, LOAD_SECONDS).version}"

    def pull(self, reference: str, repository: str, version: str, folder: str) -> None:
        asked = {"reference": reference, "repository": repository, "version": version, "folder": folder}
        self._ask("pull", reference, asked, PULL_SECONDS)

    def install(self, action: Helm, chart: Path) -> None:
        self._change("install", action.release, action.namespace, chart=str(chart), values=action.values)

    def roll_back(self, release: str, namespace: str, revision: int) -> None:
        self._change("rollback", release, namespace, revision=revision)

    def uninstall(self, release: str, namespace: str) -> None:
        self._change("uninstall", release, namespace)

    def _change(self, do: str, release: str, namespace: str, **more: Any) -> None:
        to = {**self._to, "namespace": namespace}
        asked = {"to": to, "release": release, "timeout": CHANGE_SECONDS, **more}
        self._ask(do, release, asked, CHANGE_SECONDS + AFTER_SECONDS)

    def _ask(self, do: str, about: str, asked: dict[str, Any], seconds: float) -> _Answer:
        what = f"helm {do} {about}".rstrip()
        request = msgspec.json.encode({"do": do, "library": str(self._folder), **asked})
        next_ = NOT_PULLED if do == "pull" else NOT_DONE
        try:
            done = _child(request, seconds)
        except subprocess.TimeoutExpired:
            raise UserError(f"{what} did not end within {seconds:.0f} s", next_) from None
        except OSError as error:
            raise UserError(f"{what} cannot be run: {error.strerror}", BROKEN) from None
        try:
            answer = msgspec.json.decode(done.stdout, type=_Answer)
        except (msgspec.DecodeError, UnicodeDecodeError):
            told = last_words(done.stderr) or f"its process ended with {done.returncode}"
            raise UserError(f"{what} failed: {told}", next_) from None
        if answer.broken:
            raise UserError(f"{PACKAGE} cannot be loaded: {clean(redact(answer.broken), 600)}", BROKEN)
        if answer.failed:
            raise UserError(f"{what} failed: {clean(redact(answer.failed), 600)}", next_)
        return answer


def _child(request: bytes, seconds: float) -> subprocess.CompletedProcess[bytes]:
    """The child holds one end of a pipe: when this process is no more, it ends too, and no Helm works on unseen."""
    python = os.path.realpath(sys.executable)
    # Helm signs what it applies with the name of its program. By any other name than this the next Helm would find
    # each field that it changes owned by somebody else.
    name = os.path.join(os.path.dirname(python), "helm")
    theirs, ours = os.pipe()
    try:
        return subprocess.run(
            [name, "-I", "-S", str(CHILD), str(theirs)],
            executable=python,
            input=request,
            capture_output=True,
            timeout=seconds,
            pass_fds=(theirs,),
        )
    finally:
        os.close(theirs)
        os.close(ours)
