"""A plan's objects as files, numbered in the order in which they are to be applied."""

from __future__ import annotations

import pathlib

from gpuready.cli.printing import documents
from gpuready.model.errors import UserError
from gpuready.model.plan import Apply, Patch, Plan, ref_of


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
    objects = [s.action.object for s in plan.steps if isinstance(s.action, Apply | Patch)]
    for number, obj in enumerate(objects, 1):
        ref = ref_of(obj)
        path = base / f"{number:02d}-{ref.kind.lower()}-{ref.name.replace('/', '-')}.yaml"
        path.write_text(documents([obj], "yaml"))
        written.append(str(path))
    return written
