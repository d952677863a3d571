"""Ask the API server about every object of a plan without storing anything."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.errors import UserError
from gpuready.model.names import MANAGER
from gpuready.model.plan import Apply, DryRun, Patch, Plan
from gpuready.model.ports import Cluster


def dry_run(cluster: Cluster, plan: Plan) -> Iterator[tuple[str, UserError | None]]:
    """(target, what the server refused) for each object; one whose namespace is not there yet cannot be asked."""
    fresh = {
        s.action.object["metadata"]["name"]
        for s in plan.steps
        if isinstance(s.action, Apply) and s.action.object["kind"] == "Namespace" and s.verb == "create"
    }
    for step in plan.steps:
        action = step.action
        if not isinstance(action, Apply | Patch | DryRun):
            continue
        if action.object["metadata"].get("namespace") in fresh:
            yield step.target, UserError("its namespace does not exist yet, so the server cannot be asked about it")
            continue
        try:
            if isinstance(action, DryRun):
                cluster.create(action.object, dry_run=True)
            else:
                force = isinstance(action, Apply) and action.force
                cluster.apply(action.object, manager=MANAGER, dry_run=True, force=force)
            yield step.target, None
        except UserError as error:
            yield step.target, error
