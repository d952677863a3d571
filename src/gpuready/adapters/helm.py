"""Helm charts: read, and installed by `helm` on PATH or, where there is none, by the extra `gpuready[helm]`.

Both keep a release in the same Secrets (https://helm.sh/docs/topics/advanced/#storage-backends): what one has
installed the other upgrades and uninstalls. Neither renders for a plan: what a chart makes of the version and the APIs
of a cluster comes out when it is installed, from what the API server says of them.
"""

from __future__ import annotations

import importlib.util
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import msgspec

from gpuready.adapters.chart import read_chart
from gpuready.adapters.helm_library import HelmLibrary
from gpuready.adapters.helm_program import HelmProgram
from gpuready.model.chart import ChartFiles
from gpuready.model.errors import UserError
from gpuready.model.plan import Chart, Helm

INSTALL_HELM = (
    "install helm (https://helm.sh/docs/intro/install/), or pip install 'gpuready[helm]'; "
    "gpuready up with stack: native needs neither"
)


class Way(Protocol):
    """Who does the work. Fails by UserErrors."""

    def ready(self) -> str:
        """Its name for the user, once it is known to run."""
        ...

    def pull(self, reference: str, repository: str, version: str, folder: str) -> None:
        """Fetch the archive into the folder. `repository`: the address of the one that has it; empty for oci://."""
        ...

    def install(self, action: Helm, chart: Path) -> None:
        """Install or upgrade, without the chart's CRDs: those are applied before."""
        ...

    def roll_back(self, release: str, namespace: str, revision: int) -> None: ...

    def uninstall(self, release: str, namespace: str) -> None: ...


class HelmCharts:
    """Implements ports.Charts. `kubeconfig`, `context`: as our own connection has them."""

    def __init__(self, kubeconfig: str | None, context: str | None) -> None:
        self._to = kubeconfig, context

    def read(self, source: str, name: str, version: str) -> ChartFiles:
        way = self._way()
        by = way.ready()  # what will be needed to install it: said before anything is changed
        with _at_hand(way, source, name, version) as path:
            return msgspec.structs.replace(read_chart(path, source, name), by=by)

    def install(self, action: Helm) -> None:
        way, chart = self._way(), action.chart
        with _at_hand(way, chart.source, chart.name, chart.version) as path:
            _same(chart, read_chart(path, chart.source, chart.name).chart)
            way.install(action, path)

    def roll_back(self, release: str, namespace: str, revision: int) -> None:
        self._way().roll_back(release, namespace, revision)

    def uninstall(self, release: str, namespace: str) -> None:
        self._way().uninstall(release, namespace)

    def _way(self) -> Way:
        program = shutil.which("helm")
        if program:
            return HelmProgram(program, *self._to)
        found = importlib.util.find_spec("helm_python")  # which imports nothing
        if found and found.origin:
            return HelmLibrary(Path(found.origin).parents[1], *self._to)
        raise UserError("helm is not on PATH, and gpuready[helm] is not installed", INSTALL_HELM)


def _same(planned: Chart, found: Chart) -> None:
    if found.digest != planned.digest:
        raise UserError(
            f"chart {planned.name} {planned.version} of {planned.source} is another than the one that was planned",
            "plan again",
        )


@contextmanager
def _at_hand(way: Way, source: str, name: str, version: str) -> Iterator[Path]:
    """The chart on this machine: where it is, or fetched for as long as it is needed."""
    if "://" not in source:
        yield Path(source)
        return
    with tempfile.TemporaryDirectory(prefix="gpuready-chart-") as folder:
        if source.startswith("oci://"):
            way.pull(f"{source.rstrip('/').removesuffix(f'/{name}')}/{name}", "", version, folder)
        else:
            way.pull(name, source, version, folder)
        found = list(Path(folder).glob("*.tgz"))
        if len(found) != 1:
            raise UserError(f"helm pull of {name} {version} from {source} brought no archive", "try it by hand")
        yield found[0]
