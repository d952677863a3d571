"""The documents say what the program does: the reference is made from it, and every link leads somewhere."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"\]\((?!https?://)([^)#]+)")


def test_the_reference_is_what_the_program_says() -> None:
    """Mend it with: python docs/make/reference.py."""
    found = importlib.util.spec_from_file_location("reference", ROOT / "docs" / "make" / "reference.py")
    assert found is not None
    assert found.loader is not None
    reference = importlib.util.module_from_spec(found)
    found.loader.exec_module(reference)
    kept = {path.name: path.read_text() for path in (ROOT / "docs" / "reference").iterdir()}
    assert kept == reference.pages()


@pytest.mark.parametrize("page", sorted(ROOT.glob("*.md")) + sorted(ROOT.glob("docs/**/*.md")), ids=lambda p: p.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    links = LINK.findall(page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []
