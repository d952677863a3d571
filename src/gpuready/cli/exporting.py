"""A plan's objects as files, numbered in the order in which they are to be applied."""

from __future__ import annotations

import pathlib

from gpuready.cli.printing import documents
from gpuready.model.errors import UserError
from gpuready.model.plan import Apply, Helm, Patch, Plan, ref_of


def export(plan: Plan, folder: str) -> list[str]:
    """Write every object of the plan beneath `folder`, which must be absent or empty. Returns the paths."""
    if plan.pending:
        raise UserError(
            f"the objects cannot be written yet: {next(s.pending for s in plan.stages if s.pending)}",
            "gpuready init looks at the nodes and writes what it finds into the spec, or set spec.driver and run "
            "gpuready up",
        )
    base = pathlib.Path(folder)
    if base.exists() and any(base.iterdir()):
        raise UserError(f"{folder} is not empty", "choose an empty folder, so that no stale file is applied with these")
    base.mkdir(parents=True, exist_ok=True)
    written = []
    actions = [s.action for s in plan.steps if isinstance(s.action, Apply | Patch | Helm)]
    for number, action in enumerate(actions, 1):
        ref = action.ref if isinstance(action, Helm) else ref_of(action.object)
        path = base / f"{number:02d}-{ref.kind.lower()}-{ref.name.replace('/', '-')}.yaml"
        path.write_text(_release(action, path.name) if isinstance(action, Helm) else documents([action.object], "yaml"))
        written.append(str(path))
    return written


def _release(action: Helm, name: str) -> str:
    """The values, under the command that they are for."""
    source, version = action.chart.source, action.chart.version
    remote = "://" in source and not source.startswith("oci://")
    where = f"{action.chart.name} --repo {source} --version {version}" if remote else source
    command = f"helm upgrade --install {action.release} {where} --namespace {action.namespace} --skip-crds -f {name}"
    return f"# {command}\n{documents([dict(action.values)], 'yaml')}"
