"""JSON, YAML, JUnit and the picture: complete, stable, and valid for whoever reads them."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

import msgspec
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from report_samples import CHANGES, HELD_POD, NOW, REFUSALS, REPORTS, VERDICTS

from gpuready.model.plan import Plan, Ref
from gpuready.model.rule import Finding, Verdict
from gpuready.model.spec import GPUSetup, Metadata, Setup
from gpuready.model.unknown import Unknown
from gpuready.model.verdict import GpuVerdict
from gpuready.report.colour import SGR, paint
from gpuready.report.json_out import to_json, to_yaml
from gpuready.report.junit import rules_junit, verify_junit
from gpuready.report.svg import PALETTE, svg
from gpuready.report.view import status_view

VERSION = "gpuready.dev/v1alpha1"
VIEW = status_view(REPORTS, (HELD_POD,), NOW)
SETUP = GPUSetup(api_version="gpuready.dev/v1alpha1", kind="GPUSetup", metadata=Metadata(name="x"), spec=Setup())
HOSTILE = st.text(st.characters(exclude_categories=()), max_size=30)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (CHANGES, "Plan"),
        (VIEW, "Status"),
        (VERDICTS, "Verification"),
        (list(REFUSALS), "Findings"),
        (SETUP, "GPUSetup"),
        ((), "List"),
        (Unknown("x"), "Unknown"),
    ],
    ids=lambda v: v if isinstance(v, str) else type(v).__name__,
)
def test_every_document_tells_version_and_kind_first_and_yaml_says_the_same(value: object, kind: str) -> None:
    text = to_json(value)
    data = json.loads(text)
    assert list(data)[:2] == ["apiVersion", "kind"]
    assert (data["apiVersion"], data["kind"]) == (VERSION, kind)
    assert yaml.safe_load(to_yaml(value)) == data
    assert list(yaml.safe_load(to_yaml(value))) == list(data)


def test_the_kind_can_be_given() -> None:
    assert json.loads(to_json((), "Verification")) == {"apiVersion": VERSION, "kind": "Verification", "items": []}


def test_a_plan_comes_back_from_its_json() -> None:
    assert msgspec.json.decode(to_json(CHANGES), type=Plan) == CHANGES


def test_an_object_that_names_another_kind_keeps_it() -> None:
    ref = Ref(api_version="v1", kind="Node", name="gpu-1")
    assert json.loads(to_json(ref)) == {"apiVersion": "v1", "kind": "Node", "name": "gpu-1"}


@settings(deadline=None)
@given(st.text(st.characters(codec="utf-8"), max_size=30))
def test_json_and_yaml_carry_any_text_in_plain_ascii(text: str) -> None:
    value = Unknown(text)
    for out in (to_json(value), to_yaml(value)):
        assert re.fullmatch(r"[\x20-\x7e\n]*", out)
    assert json.loads(to_json(value))["why"] == yaml.safe_load(to_yaml(value))["why"] == text


# what Jenkins' schema (junit-10.xsd) allows and what it requires
ALLOWED: dict[str, tuple[set[str], set[str]]] = {
    "testsuites": ({"name", "time", "tests", "failures", "errors"}, {"testsuite"}),
    "testsuite": ({"name", "tests", "failures", "errors", "skipped", "time"}, {"testcase"}),
    "testcase": ({"name", "time", "classname"}, {"skipped", "error", "failure", "system-out"}),
    "skipped": ({"message"}, set()),
    "error": ({"message", "type"}, set()),
    "failure": ({"message", "type"}, set()),
    "system-out": (set(), set()),
}
REPLAYED = GpuVerdict(
    node="n", uuid="GPU-1", scheduled="pass", computed="pass", verdict="PASS", replayed=True, seconds=1.5
)


def outline(text: str) -> list[str]:
    out = []
    for suite in ElementTree.fromstring(text):
        for case in suite:
            what = [f"{e.tag}: {e.get('message') or e.text}" for e in case]
            out.append(" ".join([suite.attrib["name"], case.attrib["name"], *what]))
    return out


def test_junit_of_a_verification() -> None:
    assert outline(verify_junit((*VERDICTS, REPLAYED))) == [
        "gpu-1 GPU-3f2a9c01-8a55-4a3f-8ac2-c1c1f0c1a0b1",
        "gpu-1 GPU-91bc0d11-6a55-4a3f-8ac2-c1c1f0c1a0b1"
        " skipped: UNDETERMINED: held by ml/cuda-vectoradd; scheduled: -, computed: -",
        "gpu-2 GPU-77d01f3e-7a55-4a3f-8ac2-c1c1f0c1a0b1 failure: Xid 79; scheduled: fail, computed: -",
        "n GPU-1 system-out: replayed: there is no GPU, only a stand-in for one",
    ]


def test_junit_of_no_verification_is_not_green() -> None:
    assert outline(verify_junit(())) == ["cluster GPUs skipped: UNDETERMINED: no GPU was verified"]


def test_junit_of_rules() -> None:
    assert outline(rules_junit(REFUSALS)) == [
        "rules second-gpu-stack failure: ds/kube-system/nvidia-device-plugin-daemonset: offers nvidia.com/gpu on gpu-3"
        " already; two owners of one resource break each other; clusterpolicy/gpu-cluster-policy: the NVIDIA GPU"
        " Operator owns the GPUs of this cluster",
        "rules permissions skipped: undetermined: selfsubjectaccessreviews.authorization.k8s.io: forbidden;"
        " would decide: gpuready rbac up | kubectl apply -f -",
        "rules autoscaled-pool system-out: warn: pool gpu-a: pool gpu-a is autoscaled: its template lacks the label",
        "rules driver-on-node",
        "rules vfio error: vfio: KeyError",
    ]


@pytest.mark.parametrize("text", [verify_junit(VERDICTS), rules_junit(REFUSALS), verify_junit(())])
def test_junit_keeps_to_the_schema_and_its_counts_are_right(text: str) -> None:
    root = ElementTree.fromstring(text)
    for element in root.iter():
        attributes, children = ALLOWED[element.tag]
        assert set(element.attrib) <= attributes
        assert {c.tag for c in element} <= children
    for suite in (root, *root.findall("testsuite")):
        cases = list(suite.iter("testcase"))
        want = {
            "tests": len(cases),
            "failures": len(list(suite.iter("failure"))),
            "errors": len(list(suite.iter("error"))),
        }
        if suite is not root:
            want["skipped"] = len(list(suite.iter("skipped")))
        assert {k: int(v) for k, v in suite.attrib.items() if k not in ("name", "time")} == want


@settings(deadline=None)
@given(HOSTILE)
def test_any_text_makes_well_formed_xml(text: str) -> None:
    gpu = GpuVerdict(node=text, uuid=text, scheduled="fail", computed="-", verdict="FAIL", note=text)
    finding = Finding(at=text, says=text, evidence=(text,))
    rule = Verdict(rule=text, effect="warn", status="found", findings=(finding,), missing=text, ask=text)
    for out in (verify_junit([gpu]), rules_junit([rule]), svg(text, title=text, description=text)):
        ElementTree.fromstring(out)


NS = "{http://www.w3.org/2000/svg}"


def drawn(text: str) -> list[tuple[str, str, str, str]]:
    root = ElementTree.fromstring(svg(text, title="t", description="d"))
    return [(e.get("class", ""), e.get("x", ""), e.get("y", ""), e.text or "") for e in root.iter(f"{NS}text")]


def test_the_picture_places_text_by_columns_and_keeps_roles() -> None:
    line = f"a  {paint('FAIL', 'fail', True)} <b>"
    assert drawn(f"$ gpuready verify\n{line}\n\n  東京  x\n") == [
        ("prompt", "18.0", "32", "$ gpuready verify"),
        ("", "18.0", "52", "a"),
        ("fail", "43.2", "52", "FAIL"),
        ("", "85.2", "52", "<b>"),
        ("", "34.8", "92", "東京"),
        ("", "85.2", "92", "x"),
    ]


def test_the_picture_shows_what_was_left_on_the_screen() -> None:
    assert drawn("\r\x1b[K[1/2] a ...\r\x1b[K[1/2] a ... done 0.2 s\r\n\x1b[2Jb") == [
        ("", "18.0", "32", "[1/2] a ... done 0.2 s"),
        ("", "18.0", "52", "b"),
    ]


def test_the_picture_is_always_the_same_and_tells_what_it_is() -> None:
    once = svg("x", title="gpuready up", description="A <recording>", columns=10)
    assert once == svg("x", title="gpuready up", description="A <recording>", columns=10)
    root = ElementTree.fromstring(once)
    assert (root.findtext(f"{NS}title"), root.findtext(f"{NS}desc")) == ("gpuready up", "A <recording>")
    assert (root.get("role"), root.get("viewBox")) == ("img", "0 0 120 56")


def test_the_picture_hides_secrets() -> None:
    assert "nvapi" not in svg("key nvapi-0123456789abcdef", title="t", description="d")


def test_every_role_has_colours_that_can_be_read_on_both_cards() -> None:
    assert set(PALETTE) >= set(SGR) - {"heading"}
    low = [
        (role, scheme)
        for role, pair in PALETTE.items()
        for scheme in (0, 1)
        if role not in ("card", "edge") and contrast(pair[scheme], PALETTE["card"][scheme]) < 4.5
    ]
    assert low == []


def contrast(one: str, other: str) -> float:
    """WCAG 2: (lighter + 0.05) / (darker + 0.05) of the relative luminances."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
