"""A plan in a file, reviewed by somebody, to be carried out exactly or not at all."""

from __future__ import annotations

import pathlib

import msgspec

from gpuready.model.errors import UserError
from gpuready.model.facts.cluster import Identity
from gpuready.model.plan import Plan
from gpuready.model.spec import API_VERSION, Setup

MAX_BYTES = 64 << 20


class SavedPlan(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    api_version: str = API_VERSION
    kind: str = "Plan"
    setup: Setup
    plan: Plan


def read_plan(path: str, identity: Identity) -> tuple[Setup, Plan]:
    """The setup and plan in the file; UserError when it is none, or another cluster's."""
    try:
        with pathlib.Path(path).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}", "gpuready plan -o json > plan.json makes one") from None
    if len(data) > MAX_BYTES:
        raise UserError(f"{path} is larger than {MAX_BYTES >> 20} MiB", "gpuready plan -o json makes a plan")
    try:
        saved = msgspec.json.decode(data, type=SavedPlan)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{path} is no plan of this version ({error})", "gpuready plan -o json > plan.json") from None
    if saved.plan.cluster_uid != identity.uid:
        raise UserError(
            f"{path} is a plan for another cluster ({saved.plan.cluster_uid[:8]}); "
            f"context {identity.context or '?'} leads to {identity.uid[:8]} at {identity.server}",
            "choose the right context with --context, or plan again",
        )
    return saved.setup, saved.plan
