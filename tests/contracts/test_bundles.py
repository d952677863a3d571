"""Bundles of real clusters in which something was broken on purpose, or nothing was: the doctor still says so.

Made by tests/cluster/test_doctor_objects.py and its neighbours; a bundle is named as the cause that comes first.
"""

from __future__ import annotations

import gzip
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from gpuready.adapters.bundle import BundleSource, open_bundle
from gpuready.engine import catalog
from gpuready.engine.diagnose import diagnose
from gpuready.engine.evidence import read_evidence
from gpuready.engine.judge import asks, judge_rule

from .facts import hidings

FOLDER = Path(__file__).parents[1] / "bundles"
BUNDLES = sorted(FOLDER.glob("*.tar.gz"))
HEALTHY = [path for path in BUNDLES if path.name.startswith("healthy-")]
PROVOKED = [path for path in BUNDLES if path not in HEALTHY]
LARGEST = 30_000  # bytes
RULES = {rule.id: rule for rule in catalog.rules("diagnose")}


def id_of(path: Path) -> str:
    return path.name.removesuffix(".tar.gz")


@cache
def opened(path: Path) -> BundleSource:
    return open_bundle(path)


@cache
def facts_in(path: Path) -> dict[str, Any]:
    source = opened(path)
    return read_evidence(source, source.index.identity)


def test_there_are_bundles_of_both_kinds() -> None:
    assert HEALTHY
    assert PROVOKED


@pytest.mark.parametrize("path", HEALTHY, ids=id_of)
def test_nothing_is_found_where_nothing_was_broken(path: Path) -> None:
    diagnosis = diagnose(facts_in(path))
    assert (diagnosis.causes, diagnosis.unread, diagnosis.exit_code) == ((), (), 0)
    assert bool(diagnosis.nothing) == (id_of(path) == "healthy-without-gpus")


@pytest.mark.parametrize("path", PROVOKED, ids=id_of)
def test_what_was_broken_is_named_first_and_alone(path: Path) -> None:
    assert [cause.found.rule for cause in diagnose(facts_in(path)).causes] == [id_of(path)]
    assert opened(path).index.provoked


@pytest.mark.parametrize("path", PROVOKED, ids=id_of)
def test_hiding_any_evidence_never_makes_a_pass_of_it(path: Path) -> None:
    rule = RULES[id_of(path)]
    facts = {name: fact for name, fact in facts_in(path).items() if name in asks(rule)}
    passed = [what for what, fewer in hidings(facts) if judge_rule(rule, fewer).status == "pass"]
    assert passed == []


@pytest.mark.parametrize("path", BUNDLES, ids=id_of)
def test_a_bundle_is_small_and_tells_nothing_of_the_machine_it_was_made_on(path: Path) -> None:
    data = path.read_bytes()
    assert len(data) < LARGEST
    plain = gzip.decompress(data)
    assert [word for word in (b"bootID", b"machineID", b"/home/", b"/root/", b"PRIVATE KEY") if word in plain] == []
