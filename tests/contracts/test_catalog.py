"""The catalogue finds what lies in its folders; a stranger, a duplicate or a wrong name is an error."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest

from gpuready.engine import catalog
from gpuready.engine.catalog import CatalogueError
from gpuready.model.facts.cluster import ClusterFacts

RULE = """
from gpuready.model.rule import Rule
RULE = Rule({id!r}, {layer!r}, "warn", "title", lambda: iter(()))
"""


def test_every_file_of_a_layer_is_a_rule_or_its_cases() -> None:
    for layer in catalog.layers():
        rules = {rule.id.replace("-", "_") for rule in catalog.rules(layer)}
        there = {e.name for e in files(f"gpuready.rules.{layer}").iterdir() if not e.name.startswith("_")}
        assert there == {f"{name}.py" for name in rules} | {f"{name}.cases.yaml" for name in rules}


def test_the_layers() -> None:
    assert catalog.layers() == ("diagnose", "preflight", "verify")
    assert catalog.preflight_rules() == catalog.rules("preflight")
    assert catalog.all_rules() == tuple(rule for layer in catalog.layers() for rule in catalog.rules(layer))


def test_every_field_of_the_clusters_facts_has_its_collector() -> None:
    given = {collector.gives for collector in catalog.collectors()}
    assert given == set(ClusterFacts.__struct_fields__) - {"identity", "permissions"}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    root = tmp_path / f"catalogue_{tmp_path.name.replace('-', '_')}"
    (root / "one").mkdir(parents=True)
    for folder in (root, root / "one"):
        (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(catalog, "RULES", root.name)
    caches = (catalog.rules, catalog.layers)
    for function in caches:
        function.cache_clear()
    yield root
    for function in caches:
        function.cache_clear()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"one/notes.txt": ""}, "notes.txt does not belong there"),
        ({"one/a_rule.py": "X = 1"}, "has no RULE"),
        ({"one/a_rule.py": RULE.format(id="other", layer="one")}, "holds rule 'other' of layer 'one'"),
        ({"one/a_rule.py": RULE.format(id="a-rule", layer="two")}, "holds rule 'a-rule' of layer 'two'"),
        ({"stray.py": ""}, "is no layer"),
        (
            {
                "one/a_rule.py": RULE.format(id="a-rule", layer="one"),
                "two/__init__.py": "",
                "two/a_rule.py": RULE.format(id="a-rule", layer="two"),
            },
            "rule 'a-rule' is in layer 'two' and in layer 'one'",
        ),
    ],
)
def test_what_does_not_belong_there_is_named(package: Path, files: dict[str, str], message: str) -> None:
    for name, text in files.items():
        (package / name).parent.mkdir(exist_ok=True)
        (package / name).write_text(text)
    with pytest.raises(CatalogueError, match=message):
        catalog.all_rules()


def test_a_module_with_an_underscore_is_shared_and_no_rule(package: Path) -> None:
    (package / "one" / "_shared.py").write_text("X = 1")
    (package / "one" / "a_rule.py").write_text(RULE.format(id="a-rule", layer="one"))
    assert [rule.id for rule in catalog.rules("one")] == ["a-rule"]


def test_a_layer_that_is_not_there_is_named() -> None:
    with pytest.raises(CatalogueError, match="no layer 'nowhere'; there are diagnose, preflight, verify"):
        catalog.rules("nowhere")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("notes.txt", "", "notes.txt does not belong there"),
        ("a_rule.py", "X = 1", "has no REMEDY"),
        (
            "a_rule.py",
            "from gpuready.model.remedy import Remedy\nREMEDY = Remedy('other', lambda finding: None)",
            "holds the remedy of rule 'other'",
        ),
    ],
)
def test_what_does_not_belong_to_the_remedies_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str, message: str
) -> None:
    root = tmp_path / f"remedies_{tmp_path.name.replace('-', '_')}"
    root.mkdir()
    (root / "__init__.py").touch()
    (root / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(catalog, "REMEDIES", root.name)
    with pytest.raises(CatalogueError, match=message):
        catalog.remedies.__wrapped__()
