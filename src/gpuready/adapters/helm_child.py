"""Run as a process of its own by helm_library.py: a request as JSON on standard input, an answer on standard output.

Knows nothing of gpuready and imports only the standard library and helm-python-sdk.
API: https://github.com/shivamkumar99/helm-python-sdk.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import re
import sys
import tarfile
import tempfile
import threading
from typing import Any

CRDS = re.compile(r"[^/]+/(?:charts/[^/]+/)*crds/")
KEPT_REVISIONS = 10  # as the helm program does


def main() -> None:
    threading.Thread(target=_end_with_parent, args=(int(sys.argv[1]),), daemon=True).start()
    answer_to = os.dup(1)
    os.dup2(2, 1)  # whatever the library prints is no answer
    answer = _answer(json.load(sys.stdin))
    with open(answer_to, "w", encoding="utf-8") as out:
        json.dump(answer, out)


def _end_with_parent(pipe: int) -> None:
    """A killed parent cannot say so, but its end of the pipe is closed. Go's threads stop for nothing less."""
    while os.read(pipe, 1):
        pass
    os._exit(1)


def _answer(request: dict[str, Any]) -> dict[str, str]:
    sys.path.append(request["library"])
    try:
        helm = importlib.import_module("helm_python")
    except Exception as error:
        return {"broken": str(error) or type(error).__name__}
    try:
        if request["do"] != "version":
            DO[request["do"]](helm, request)
    except (helm.HelmError, OSError, tarfile.TarError) as error:
        return {"failed": str(error) or type(error).__name__}
    return {"version": helm.__version__}


def _pull(helm: Any, asked: dict[str, Any]) -> None:
    # logins of `helm registry login`, where it keeps them, and of `docker login`
    with helm.RegistryClient(credentials_file=os.environ.get("HELM_REGISTRY_CONFIG")) as client:
        client.pull(
            asked["reference"],
            repo_url=asked["repository"] or None,
            version=asked["version"],
            destination=asked["folder"],
        )


def _install(helm: Any, asked: dict[str, Any]) -> None:
    name, values, timeout = asked["release"], asked["values"], asked["timeout"]
    with _chart_without_crds(helm, asked["chart"]) as chart, helm.Config(**asked["to"]) as config:
        try:
            config.history(name, max_revisions=1)
        except helm.HelmNotFoundError:
            config.install(chart, name, values, timeout=timeout)
        else:
            config.upgrade(chart, name, values, timeout=timeout, reset_values=True, max_history=KEPT_REVISIONS)


def _chart_without_crds(helm: Any, path: str) -> Any:
    """The library has no --skip-crds. It would apply them once more and own them: what a newer CRD drops would stay."""
    with tempfile.TemporaryDirectory(prefix="gpuready-chart-") as folder:
        with helm.Chart.load(path) as whole:
            saved = whole.save(folder)
        packed = io.BytesIO()
        with tarfile.open(saved) as old, tarfile.open(fileobj=packed, mode="w:gz") as new:
            for member in old:
                if not CRDS.match(member.name):
                    new.addfile(member, old.extractfile(member))
    return helm.Chart.load_archive(packed.getvalue())


def _roll_back(helm: Any, asked: dict[str, Any]) -> None:
    with helm.Config(**asked["to"]) as config:
        config.rollback(asked["release"], version=asked["revision"], timeout=asked["timeout"])


def _uninstall(helm: Any, asked: dict[str, Any]) -> None:
    with helm.Config(**asked["to"]) as config:
        config.uninstall(asked["release"], timeout=asked["timeout"])


DO = {"pull": _pull, "install": _install, "rollback": _roll_back, "uninstall": _uninstall}

if __name__ == "__main__":
    main()
