"""The documents say what the program does: the reference is made from it, and every link leads somewhere."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"\]\((?!https?://)([^)#]+)")


def made_by(script: str) -> ModuleType:
    found = importlib.util.spec_from_file_location(script, ROOT / "docs" / "make" / f"{script}.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_the_reference_is_what_the_program_says() -> None:
    """Mend it with: python docs/make/reference.py."""
    kept = {path.name: path.read_text() for path in (ROOT / "docs" / "reference").iterdir()}
    assert kept == made_by("reference").pages()


def test_the_scoreboard_is_what_the_script_gives() -> None:
    """Mend it with: python docs/make/scoreboard.py."""
    assert (ROOT / "docs" / "scoreboard.md").read_text() == made_by("scoreboard").page()


@pytest.mark.parametrize("page", sorted(ROOT.glob("*.md")) + sorted(ROOT.glob("docs/**/*.md")), ids=lambda p: p.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    links = LINK.findall(page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []
