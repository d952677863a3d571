"""The plan: header, sums, what is left out, what cannot be undone; the diff; the live view; refusals."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from report_samples import AUTOSCALED, CHANGES, FIRST_STAGE, FIRST_UP, NO_CHANGE, PROD, REFUSALS, UID

from gpuready.model.facts.cluster import Identity
from gpuready.model.plan import Apply, FieldChange, Manual, Plan, Release, Skipped, Stage, Step, Value
from gpuready.model.rule import Finding, Verdict
from gpuready.model.unknown import Unknown
from gpuready.report.diff_text import diff_text
from gpuready.report.findings_text import findings_text, refusals_text
from gpuready.report.plan_text import cluster_line, nothing_to_do, plan_text, summary, values_text
from gpuready.report.progress import progress_line

EKS = "https://0123456789ABCDEF0123456789ABCDEF.gr7.eu-west-1.eks.amazonaws.com"


@pytest.mark.parametrize(
    ("why", "identity", "nodes", "lines"),
    [
        ("all known", PROD, 3,
         ["prod-eu  https://10.0.0.5:6443  id 7c1e02aa  Kubernetes 1.34.4  GPU nodes 3"]),
        ("nothing known", Identity(uid="", server="https://x"), Unknown("not looked"),
         ["cluster  https://x  id ?  Kubernetes ?  GPU nodes ?"]),
        ("another context name, TLS off", Identity(uid=UID, server="https://x", context="me@prod", name="prod",
                                                   version="v1.31.0", insecure=True), 1,
         ["prod (context me@prod)  https://x (TLS not verified)  id 7c1e02aa", "  Kubernetes 1.31.0  GPU nodes 1"]),
        ("a long address", Identity(uid=UID, server=EKS, context="prod", version="v1.34.4-eks-1"), 1,
         [f"prod  {EKS}", "  id 7c1e02aa  Kubernetes 1.34.4-eks-1  GPU nodes 1"]),
        ("secrets in the address, codes in the name", Identity(uid=UID, server="https://me:pw@x", name="\x1b[2J"), 1,
         [r"\x1b[2J  https://[hidden]@x  id 7c1e02aa  Kubernetes ?  GPU nodes 1"]),
    ],
)  # fmt: skip
def test_header(why: str, identity: Identity, nodes: Any, lines: list[str]) -> None:
    assert cluster_line(identity, nodes).splitlines() == lines, why


def plan(*steps: Step, **fields: Any) -> Plan:
    return Plan(cluster_uid=UID, purpose="up", spec_digest="d", stages=(Stage(name="all", steps=steps),), **fields)


BY_HAND = Step(id="m", verb="ask", target="node/gpu-1", action=Manual("reboot it"), why="new kernel")


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (FIRST_STAGE, "1 to create, 0 to change, 0 to delete, 1 to probe, 1 skipped; install is planned after that"),
        (FIRST_UP, "5 to create, 2 to change, 0 to delete, 1 to probe, 1 to check, 10 skipped"),
        (CHANGES, "0 to create, 2 to change, 1 to delete, 1 to restart, 0 skipped"),
        (plan(BY_HAND), "0 to create, 0 to change, 0 to delete, 1 to do by hand, 0 skipped"),
    ],
    ids=["look", "install", "changes", "by hand"],
)
def test_sum(given: Plan, shown: str) -> None:
    assert summary(given) == shown


@pytest.mark.parametrize(
    ("unchanged", "purpose", "shown"),
    [
        (NO_CHANGE.unchanged, "up", "nothing to do: 2 objects and 2 nodes are as the spec says"),
        (("ns/a",), "up", "nothing to do: 1 object and 0 nodes is as the spec says"),
        ((), "up", "nothing to do: no node of this cluster is meant by the spec and has a GPU"),
        ((), "uninstall", "nothing to do: nothing of gpuready is in this cluster"),
    ],
)
def test_nothing_to_do(unchanged: tuple[str, ...], purpose: str, shown: str) -> None:
    assert nothing_to_do(msgspec.structs.replace(NO_CHANGE, unchanged=unchanged, purpose=purpose)) == shown


def test_one_stage_has_no_heading_and_consents_are_named() -> None:
    text = plan_text(CHANGES, PROD, gpu_nodes=1)
    assert "install:" not in text
    assert text.splitlines()[-2:] == [
        "cannot be undone: step 3",
        "needs --allow=delete-pod; --yes does not cover it",
    ]
    given = plan_text(CHANGES, PROD, gpu_nodes=1, allowed={"delete-pod"})
    assert given.splitlines() == text.splitlines()[:-1]  # what was given is not asked for


@pytest.mark.parametrize(
    ("count", "row"),
    [
        (1, "-  skip node/n1  no GPU"),
        (4, "-  skip node/n1, node/n2, node/n3, node/n4: no GPU"),
        (9, "-  skip node/n1, node/n2, node/n3 and 6 more: no GPU"),
    ],
)
def test_nodes_left_out_for_one_reason_share_a_row(count: int, row: str) -> None:
    skipped = tuple(Skipped(target=f"node/n{i}", why="no GPU") for i in range(1, count + 1))
    step = msgspec.structs.replace(BY_HAND, verb="do", target="node/gpu")
    lines = plan_text(plan(step, skipped=skipped), PROD, width=None).splitlines()
    assert " ".join(lines[4].split()) == " ".join(row.split())


def test_nodes_that_share_a_value_share_a_row_and_digests_are_short() -> None:
    digest = "r/x@sha256:" + "ab" * 32
    values = [
        Value(path="image", value=digest, origin="spec"),
        *(Value(path=f"injection of n{i}", value="cdi", origin="detected", because="containerd 2") for i in (1, 2)),
        Value(path="injection of n3", value="devices", origin="spec"),
    ]
    assert values_text(values) == (
        "VALUE                IS                       FROM      WHY\n"
        "image                r/x@sha256:abababababab  spec\n"
        "injection of n1, n2  cdi                      detected  containerd 2\n"
        "injection of n3      devices                  spec"
    )


def test_hostile_strings_of_a_plan_reach_no_terminal() -> None:
    nasty = "\x1b[2J\r\nfake: 0 to delete"
    step = Step(
        id="x", verb="label", target=f"node/{nasty}", action=Release(None, nasty), why=nasty, interrupts=nasty  # type: ignore[arg-type]
    )  # fmt: skip
    finding = Finding(at=nasty, says=nasty, evidence=(nasty,), next=nasty, nodes=(nasty,))
    verdict = Verdict(rule=nasty, effect="refuse", status="found", findings=(finding,))
    value = Value(path=nasty, value=nasty, origin=nasty, because=nasty)
    given = plan(step, values=(value,), skipped=(Skipped(target=nasty, why=nasty),))
    texts = [
        plan_text(given, PROD, verdicts=[verdict], next=nasty),
        diff_text(given, full=True),
        refusals_text([verdict, msgspec.structs.replace(verdict, status="undetermined", missing=nasty)], cluster=nasty),
        progress_line("done", nasty, nasty, number=1, total=1, text=nasty, elapsed=1.0),
    ]
    assert [t for t in texts if "\x1b" in t or "\r" in t or "\nfake" in t] == []


def secret(before: Any, after: Any) -> str:
    action = Apply({"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "s"}})
    changes = (FieldChange(path=".data[key]", before=before, after=after), FieldChange(path=".type", after="Opaque"))
    return diff_text(
        plan(Step(id="s", verb="change", target="secret/s", action=action, why="w", changes=changes)), full=True
    )


def test_data_of_a_secret_is_not_in_the_diff() -> None:
    assert secret("b2xk", "bmV3") == "1  change secret/s\n   ~ data[key]: [hidden] -> [hidden]\n   + type: Opaque"
    assert secret(None, "bmV3") == "1  change secret/s\n   + data[key]: [hidden]\n   + type: Opaque"


def test_the_short_diff_names_what_it_leaves_out() -> None:
    short, full = diff_text(FIRST_UP, width=None), diff_text(FIRST_UP, full=True, width=None)
    assert "terminationGracePeriodSeconds" not in short
    assert "and 2 more fields" in short
    assert "terminationGracePeriodSeconds: 30" in full
    assert "more fields" not in full


@pytest.mark.parametrize(
    ("kind", "fields", "shown"),
    [
        ("start", {}, "[ 3/12] create ds/a ..."),
        ("wait", {"elapsed": 14.2, "text": "0 of 1 GPUs allocatable"},
         "[ 3/12] create ds/a ... waiting 14.2 s: 0 of 1 GPUs allocatable"),
        ("done", {"elapsed": 0.24}, "[ 3/12] create ds/a ... done 0.2 s"),
        ("done", {"text": "0.2 s"}, "[ 3/12] create ds/a ... done 0.2 s"),
        ("done", {"elapsed": 3.14, "text": "1 has a GPU"}, "[ 3/12] create ds/a ... done 3.1 s: 1 has a GPU"),
        ("fail", {"elapsed": 2.0, "text": "forbidden"}, "[ 3/12] create ds/a ... FAILED 2.0 s: forbidden"),
        ("note", {"text": "left as it was"}, "[ 3/12] create ds/a: left as it was"),
        ("done", {"number": 0, "total": 0}, "create ds/a ... done"),
        ("wait", {"width": 30, "text": "something long"}, "[ 3/12] create ds/a ... wai..."),
        ("fail", {"width": 30, "text": "something long"}, "[ 3/12] create ds/a ...\n        FAILED: something long"),
    ],
)  # fmt: skip
def test_live_view(kind: Any, fields: dict[str, Any], shown: str) -> None:
    assert progress_line(kind, "create", "ds/a", **{"number": 3, "total": 12, **fields}) == shown


def test_without_refusals_there_is_nothing_to_refuse() -> None:
    assert refusals_text([AUTOSCALED, Verdict(rule="r", effect="refuse", status="pass")]) == ""


def test_a_refusing_rule_that_could_not_decide_is_told() -> None:
    unsure = Verdict(
        rule="r", effect="refuse", status="undetermined", missing="pods: forbidden", ask="gpuready rbac up"
    )
    assert refusals_text([unsure]) == (
        "refused, nothing was changed: 1 check undecided\n\n"
        "NOT READ  r: pods: forbidden\n  would decide: gpuready rbac up"
    )


def test_findings_stand_gravest_first_and_what_was_not_read_last() -> None:
    ask = Verdict(
        rule="q", effect="ask", status="found", findings=(Finding(at="cluster", says="type its name", evidence=()),)
    )
    text = findings_text([AUTOSCALED, ask, *REFUSALS[:2]], width=None)
    words = [line.split("  ")[0] for line in text.splitlines() if not line.startswith(" ")]
    assert words == ["REFUSED", "REFUSED", "ASK", "WARN", "NOT READ"]


def test_one_node_or_several_to_leave_out() -> None:
    finding = Finding(at="n", says="s", evidence=(), nodes=("gpu-1", "gpu-2"))
    text = findings_text([Verdict(rule="r", effect="refuse", status="found", findings=(finding,))])
    assert text == "REFUSED  n: s\n  or leave these 2 nodes out: spec.nodes.exclude: [gpu-1, gpu-2]"
