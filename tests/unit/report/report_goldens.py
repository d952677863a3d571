"""The golden texts: file name -> text. Run as a program it writes them anew, to be read by eye."""

from __future__ import annotations

import pathlib

import report_samples as s

from gpuready.report.diff_text import diff_text
from gpuready.report.findings_text import refusals_text
from gpuready.report.plan_text import plan_text
from gpuready.report.status_text import status_text
from gpuready.report.verify_text import Probes, verify_text
from gpuready.report.view import status_view

FOLDER = pathlib.Path(__file__).parent / "golden"


def texts(width: int) -> dict[str, str]:
    view = status_view(s.REPORTS, (s.HELD_POD,), s.NOW)
    return {
        "up-look": plan_text(s.FIRST_STAGE, s.PROD, width=width),
        "up-install": plan_text(s.FIRST_UP, s.PROD, gpu_nodes=3, verdicts=[s.AUTOSCALED], width=width),
        "up-no-change": plan_text(s.NO_CHANGE, s.PROD, gpu_nodes=2, width=width),
        "up-changes": plan_text(s.CHANGES, s.PROD, gpu_nodes=2, next="gpuready apply", width=width),
        "diff-install": diff_text(s.FIRST_UP, width=width),
        "diff-changes-full": diff_text(s.CHANGES, full=True, width=width),
        "refusals": refusals_text(s.REFUSALS, cluster="prod-eu", width=width),
        "status": status_text(view, width=width),
        "verify": verify_text(s.VERDICTS, probes=Probes(2, 2), next="gpuready doctor", width=width),
    }


GOLDEN = {f"{name}-{width}.txt": text + "\n" for width in (80, 120) for name, text in texts(width).items()}

if __name__ == "__main__":
    for file, text in GOLDEN.items():
        (FOLDER / file).write_text(text)
