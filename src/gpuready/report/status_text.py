"""`gpuready status` as text: every GPU, its health, who holds it."""

from __future__ import annotations

from gpuready.report.colour import Role
from gpuready.report.table import Cell, Column, paragraph, table
from gpuready.report.view import GpuRow, StatusView

COLUMNS = (
    Column("NODE", "wrap", 16),
    Column("GPU"),
    Column("MODEL", "wrap", 10),
    Column("HEALTH"),
    Column("HELD BY", "wrap", 16),
    Column("NOTE", "wrap", 14),
)
HEALTH: dict[str, Role] = {"ok": "ok", "failed": "fail", "unknown": "unknown", "?": "unknown"}


def status_text(view: StatusView, *, width: int | None = 80, colour: bool = False, next: str = "") -> str:
    """The table and its summary; `next` is the command that leads on, where there is one."""
    if not view.rows:
        return paragraph(f"no GPU node is set up in this cluster{_next(next)}", width)
    rows = [_row(r) for r in view.rows]
    return f"{table(COLUMNS, rows, width, colour)}\n{paragraph(summary(view) + _next(next), width)}"


def _next(command: str) -> str:
    return f"; next: {command}" if command else ""


def _row(row: GpuRow) -> list[str | Cell]:
    role = HEALTH.get(row.health, "")
    return [row.node, row.gpu, row.model, Cell(row.health, role), row.held_by, row.note]


def summary(view: StatusView) -> str:
    """1 held, 1 free, 1 failed; 1 node unknown"""
    text = f"{view.held} held, {view.free} free, {view.failed} failed"
    if view.unknown:
        text += f", {view.unknown} unknown"
    if view.nodes_unknown:
        text += f"; {view.nodes_unknown} node{'s' if view.nodes_unknown > 1 else ''} unknown"
    return text
