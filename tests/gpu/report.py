"""The run's record as docs/gpu-run.md: what was done, figures, what was compared, what differed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Lines = dict[str, list[dict[str, Any]]]
UUID = re.compile(r"\b(GPU|MIG)-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
INTRO = """\
# The run on a real GPU

The whole product on {what}, {day}: real Kubernetes ({kubernetes}, one node made by the testbed), the
driver bind-mounted under three roots in turn. On each: `gpuready up`, `verify`, pods by CDI and by device nodes,
`uninstall`; on the first also metrics, labels, times, memory and faults. This page is what `tests/gpu/run.py` wrote,
unchanged. To repeat it:

```
python tests/gpu/pack.py              # where there is a network: makes .carry, under 50 MiB
python3 tests/gpu/run.py .carry OUT   # root, on the GPU machine, no network: this tree, .carry, Python 3.11 or newer
python3 tests/gpu/run.py .carry OUT --replay testbed/captures/constructed-1xh100.json   # a rehearsal without a GPU
```
"""
NOT_COVERED = """\
## Not covered

- One GPU, MIG off, no vGPU, no NVLink partner, no fabric manager: what needs them is tested on replayed captures alone.
- The node is a set of namespaces on this machine, with its own kubelet and containerd; the kernel is shared.
- The kubelet reports its node every second here; with its default of 10 s "allocatable" comes up to 9 s later.
- nvidia-smi shows no counterpart of some series; they are listed with a `-` and prove nothing.
"""


LONGEST = 300  # characters of what a step saw


def redacted(text: str, host: str) -> str:
    """Without what names this very machine: UUIDs of its GPUs, its host name."""
    text = UUID.sub(lambda match: f"{match[1]}-redacted", text)
    return text.replace(host, "the-machine") if len(host) > 3 and not host.startswith("localhost") else text


def markdown(lines: Lines, machine: Mapping[str, str], day: str) -> str:
    what = (
        "a replayed GPU (a rehearsal: no GPU computed)" if machine.get("replayed") else f"an {machine.get('gpu', '?')}"
    )
    roots = list(dict.fromkeys(step["where"] for step in lines["step"] if step["where"] != "machine"))
    parts = [
        INTRO.format(what=what, day=day, kubernetes=machine.get("kubernetes", "?")),
        _section("Machine", table(("what", "is"), machine.items())),
        _section("Outcome", _outcome(lines["step"])),
        _section("Steps", _steps(lines["step"], roots)),
        _section("Figures", _figures(lines["figure"], roots)),
        *_comparisons(lines["compared"]),
        _section("What differed", _differed(lines)),
        NOT_COVERED,
    ]
    return "\n".join(parts)


def _section(title: str, text: str) -> str:
    return f"## {title}\n\n{text}\n"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    def text(cell: object) -> str:
        return " ".join(_number(cell).replace("|", "\\|").split())

    def line(cells: Sequence[object]) -> str:
        return f"| {' | '.join(map(text, cells))} |"

    return "\n".join([line(head), "|" + "---|" * len(head), *(line(row) for row in rows)])


def _outcome(steps: list[dict[str, Any]]) -> str:
    counts = {result: sum(step["result"] == result for step in steps) for result in ("ok", "failed", "not run")}
    said = ", ".join(f"{count} {result}" for result, count in counts.items())
    bad = [f"- {s['result']}: {s['where']}: {s['name']}: {_short(s['said'])}" for s in steps if s["result"] != "ok"]
    return "\n".join([f"{len(steps)} steps: {said}.", *bad])


def _steps(steps: list[dict[str, Any]], roots: list[str]) -> str:
    """A row a step; seconds per root; what was seen is that of the first root that has the step."""
    named: dict[str, dict[str, dict[str, Any]]] = {}
    for step in steps:
        named.setdefault(step["name"], {})[step["where"]] = step
    rows = []
    for name, found in named.items():
        first = next(iter(found.values()))
        cells = [_took(found.get(where)) for where in ("machine", *roots)]
        rows.append([name, *cells, _short(first["said"])])
    return table(("step", "machine", *(f"`{root}`" for root in roots), "seen, where it was first done"), rows)


def _short(said: str) -> str:
    """The whole of it is in summary.json."""
    said = " ".join(said.split())
    return said if len(said) <= LONGEST else f"{said[:LONGEST]} ..."


def _took(step: dict[str, Any] | None) -> str:
    if step is None:
        return ""
    return f"{step['seconds']:.1f} s" if step["result"] == "ok" else step["result"].upper()


def _figures(figures: list[dict[str, Any]], roots: list[str]) -> str:
    named: dict[str, dict[str, dict[str, Any]]] = {}
    for figure in figures:
        named.setdefault(figure["name"], {})[figure["where"]] = figure
    rows = []
    for name, found in named.items():
        some = next(iter(found.values()))
        values = [found[root]["value"] if root in found else "" for root in roots]
        rows.append([name, *values, some["unit"], some["note"]])
    return table(("figure", *(f"`{root}`" for root in roots), "unit", "note"), rows)


def _comparisons(compared: list[dict[str, Any]]) -> list[str]:
    def of(group: str) -> list[dict[str, Any]]:
        return [row for row in compared if row["group"] == group]

    out = []
    for group in ("metrics, idle", "metrics, computing"):
        rows = [[r["name"], _both(r), r["theirs"], r["field"], _agree(r["same"]), r["why"]] for r in of(group)]
        head = ("DCGM_FI_DEV_", "ours, before and after", "nvidia-smi", "its field", "agree", "tolerance for")
        out.append(_section(f"{group.capitalize()}, beside nvidia-smi", table(head, rows)))
    rows = [[r["name"], r["ours"], r["theirs"], _agree(r["same"])] for r in of("labels")]
    out.append(_section("Labels, beside nvidia-smi", table(("label", "ours", "from nvidia-smi", "agree"), rows)))
    return [*out, _section("CDI document, beside `nvidia-ctk cdi generate` 1.20.1", _cdi(of("cdi")))]


def _both(row: Mapping[str, Any]) -> str:
    later = row.get("later", "-")  # labels are read once
    return _number(row["ours"]) if later in ("-", row["ours"]) else f"{_number(row['ours'])}, {_number(later)}"


def _number(value: object) -> str:
    return f"{value:.0f}" if isinstance(value, float) and value.is_integer() else str(value)


def _agree(same: bool | None) -> str:
    return "-" if same is None else "yes" if same else "**no**"


def _cdi(rows: list[dict[str, Any]]) -> str:
    """Fields that are equal by number, mounts and names by reason, everything else one by one."""
    grouped = ("mount", "name to load")
    single = [r for r in rows if r["part"] not in (*grouped, "hook")]
    shown = [[r["part"], r["field"], r["ours"], r["theirs"], _agree(r["same"]), r["why"]] for r in single]
    parts = [table(("part", "field", "ours", "NVIDIA's", "equal", "why not"), shown)]
    for part in grouped:
        reasons: dict[str, list[str]] = {}
        for row in (r for r in rows if r["part"] == part):
            reasons.setdefault(_side(row), []).append(row["field"])
        listed = [[side, len(fields), ", ".join(f"`{field}`" for field in fields)] for side, fields in reasons.items()]
        title = {"mount": "Mounts, by file on the node:", "name to load": "Libraries, by the name a program loads:"}[
            part
        ]
        parts.append(f"{title}\n\n" + table(("in which, and why", "", "which"), listed))
    hooks = [[r["field"], r["theirs"], r["why"]] for r in rows if r["part"] == "hook"]
    parts.append("Hooks: ours has none.\n\n" + table(("NVIDIA's hook", "what it does", "ours"), hooks))
    return "\n\n".join(parts)


def _side(row: Mapping[str, Any]) -> str:
    if row["same"]:
        return "both, equal"
    side = "only NVIDIA's" if row["ours"] == "-" else "only ours" if row["theirs"] == "-" else "both, differing"
    return f"{side}: {row['why']}" if row["why"] else side


def _differed(lines: Lines) -> str:
    values = [row for row in lines["compared"] if row["group"] != "cdi"]
    wrong = [
        f"- {row['group']}: {row['name']}: ours {_both(row)}, nvidia-smi {_number(row['theirs'])}"
        for row in values
        if row["same"] is False
    ]
    failed = [f"- step {s['name']} ({s['where']})" for s in lines["step"] if s["result"] == "failed"]
    agreed = sum(row["same"] is True for row in values)
    head = f"Of what nvidia-smi shows, {agreed} values agree and {len(wrong)} differ."
    return "\n".join([head + " The CDI document's differences stand above.", *wrong, *failed])
