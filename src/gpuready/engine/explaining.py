"""What a rule looks at and means, read from the catalogue: the rule, its module, its remedy. Pure."""

from __future__ import annotations

import inspect
import re
import sys
from difflib import get_close_matches

from gpuready.engine import catalog
from gpuready.engine.judge import asks
from gpuready.model.chain import position
from gpuready.model.errors import UserError
from gpuready.model.explanation import Explanation
from gpuready.model.rule import Rule

FACTS = {
    "said": "events, statuses, logs, pasted text: what components say",
    "cluster": "objects of the API: nodes, pods, DaemonSets, CRDs, quotas",
    "hosts": "the state of machines: driver, runtime configuration, CDI, devices",
    "agents": "what the agents answer: GPUs, their health, who holds them",
    "looks": "the look at the nodes that a plan begins with",
    "probes": "what the compute probes printed",
    "setup": "the spec",
    "inventory": "what gpuready has put into the cluster",
    "chosen": "the nodes that the spec chooses",
    "nonce": "the number of this verification",
}
EFFECTS = {
    "refuse": "`up` refuses, before anything is changed",
    "ask": "`up` asks before it goes on",
    "warn": "`up` and `plan` warn",
    "fail": "a gate of `verify`: the GPU fails",
}
SOURCE = re.compile(r"https?://[^\s)>\"'`]+|[\w.-]+/[\w.-]+ issue \d+|rows? R\d+(?:, R\d+)*")


def explain(id_: str) -> Explanation:
    """Raises UserError for an id that is none, naming the nearest."""
    rules = {rule.id: rule for rule in catalog.all_rules()}
    rule = rules.get(id_.replace("_", "-").lower())
    if rule is None:
        near = get_close_matches(id_.lower(), rules, 3, 0.5) or [one for one in rules if id_.lower() in one][:3]
        raise UserError(
            f"no rule has the id {id_!r}", f"gpuready explain {' | '.join(near)}" if near else "gpuready explain"
        )
    return _explanation(rule, rules)


def _explanation(rule: Rule, rules: dict[str, Rule]) -> Explanation:
    module = sys.modules[f"{catalog.RULES}.{rule.layer}.{rule.id.replace('-', '_')}"]
    text = inspect.cleandoc(module.__doc__ or rule.title)
    remedy = catalog.remedies().get(rule.id)
    return Explanation(
        id=rule.id,
        layer=rule.layer,
        title=rule.title,
        means=text,
        effect=_effect(rule),
        link=rule.link,
        looks_at=tuple(FACTS.get(name, name) for name in asks(rule)),
        signs=rule.signs,
        follows_from=rule.because,
        leads_to=tuple(sorted(other.id for other in rules.values() if rule.id in other.because)),
        next=rule.next,
        remedy=remedy.does if remedy else "",
        by_hand=remedy.by_hand if remedy else "",
        sources=tuple(dict.fromkeys(SOURCE.findall(inspect.getsource(module)))),
    )


def _effect(rule: Rule) -> str:
    if rule.layer != "diagnose":
        return EFFECTS[rule.effect]
    return "a symptom: something before it in the chain brings it about" if rule.symptom else "a cause"


def listed() -> dict[str, list[Rule]]:
    """Every rule, the doctor's by link in the order of the chain, the others by layer."""
    out: dict[str, list[Rule]] = {}
    diagnose = sorted(catalog.rules("diagnose"), key=lambda rule: (position(rule.link), rule.id))
    for rule in (*diagnose, *catalog.rules("preflight"), *catalog.rules("verify")):
        out.setdefault(rule.link or rule.layer, []).append(rule)
    return out
