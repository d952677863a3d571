"""explain says of every rule what the catalogue knows, without a cluster."""

from __future__ import annotations

import click
import pytest

from gpuready.cli.explain import command, complete_ids
from gpuready.cli.main import run
from gpuready.engine import catalog
from gpuready.engine.explaining import explain, listed
from gpuready.model.chain import LINKS
from gpuready.model.rule import Rule
from gpuready.report.explain_text import explain_text


@pytest.mark.parametrize("rule", catalog.all_rules(), ids=lambda rule: rule.id)
def test_every_rule_can_be_explained(rule: Rule) -> None:
    one = explain(rule.id)
    assert (one.id, one.title, one.link, one.follows_from) == (rule.id, rule.title, rule.link, rule.because)
    assert all(rule.id in explain(other).follows_from for other in one.leads_to)
    assert one.means
    assert one.looks_at
    assert max(map(len, explain_text(one, width=80).splitlines())) <= 80


def test_a_rule_over_words_shows_its_signs_its_next_step_and_its_remedy() -> None:
    one = explain("runtime-handler-missing")
    assert "no runtime for * is configured" in one.signs
    assert one.next.startswith("write the nvidia runtime")
    assert one.remedy.startswith("writes the handler into the runtime's configuration")
    assert one.by_hand.startswith("where the runtime's configuration is written by K3s")
    assert "containerd-config-path-wrong" in one.follows_from


def test_the_list_is_in_the_order_of_the_chain_and_leaves_nothing_out() -> None:
    rules = listed()
    links = [link for link in rules if link in LINKS]
    assert links == [link for link in LINKS if link in links]
    assert sorted(rule.id for of in rules.values() for rule in of) == sorted(r.id for r in catalog.all_rules())


def test_a_misspelt_id_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "runtime-handler-mising"]) == 1
    assert "gpuready explain runtime-handler-missing" in capsys.readouterr().err


@pytest.mark.parametrize("args", [[], ["-o", "json"], ["-o", "yaml"], ["gpu-computed"], ["no-driver", "-o", "json"]])
def test_it_needs_no_cluster(
    args: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nowhere")
    assert run(["explain", *args]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert (args[0] if args and not args[0].startswith("-") else "runtime-handler-missing") in out


def test_ids_are_completed() -> None:
    with click.Context(command) as context:
        found = [item.value for item in complete_ids(context, command.params[0], "runtime-h")]
    assert found == ["runtime-handler-missing"]
