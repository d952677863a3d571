"""Makes docs/up.svg, the README's picture, from docs/recordings/up.ansi. Needs no cluster.

usage: python docs/make/picture.py
"""

from __future__ import annotations

from pathlib import Path

from gpuready.report.svg import svg

DOCS = Path(__file__).resolve().parents[1]
MOST_LINES = 60


def trimmed(recording: str) -> str:
    """The command, then from the look's first step on: the plan of the look and the exit code are left out."""
    lines = recording.rstrip("\n").split("\n")
    begin = next(n for n, line in enumerate(lines) if line.startswith("[1/"))
    return "\n".join([lines[0], *lines[begin:-1]])


def main() -> None:
    text = trimmed((DOCS / "recordings" / "up.ansi").read_text())
    if (count := len(text.splitlines())) > MOST_LINES:
        raise SystemExit(f"{count} lines are too many for a picture")
    picture = svg(
        text,
        title="gpuready up on two nodes",
        description="The look at two nodes, the plan with its reasons and where each value comes from, "
        "every step as it is done, and the verdict for each GPU.",
        columns=100,
    )
    (DOCS / "up.svg").write_text(picture)


if __name__ == "__main__":
    main()
