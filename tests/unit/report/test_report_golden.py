"""What the user reads, whole texts. After a wanted change: `python tests/unit/report/report_goldens.py`, then look."""

from __future__ import annotations

import pytest
from report_goldens import FOLDER, GOLDEN

from gpuready.report.escape import cells


@pytest.mark.parametrize("file", sorted(GOLDEN))
def test_text_is_as_in_the_golden_file(file: str) -> None:
    assert GOLDEN[file] == (FOLDER / file).read_text()


def test_every_golden_file_is_still_made() -> None:
    assert sorted(p.name for p in FOLDER.iterdir()) == sorted(GOLDEN)


@pytest.mark.parametrize("file", sorted(GOLDEN))
def test_no_line_is_too_wide_or_ends_in_blanks(file: str) -> None:
    width = int(file.removesuffix(".txt").rpartition("-")[2])
    assert [line for line in GOLDEN[file].splitlines() if cells(line) > width or line != line.rstrip()] == []
