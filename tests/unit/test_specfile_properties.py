"""What holds of every spec and of every text: a spec survives being written, and nothing that is read can crash."""

from __future__ import annotations

import json
import re
import string
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import inspect
from msgspec.structs import replace

from gpuready.adapters import specfile
from gpuready.adapters.specfile import SpecError
from gpuready.adapters.specfile_check import unwrap
from gpuready.model.spec import Agent, GPUSetup, NodeChoice, Toleration

ASCII = string.ascii_letters + string.digits + "-._/:@[]%~+ "
# What YAML 1.1 could take for something else than text, and what is long, for every pattern of the model.
# (Hypothesis' own strings from these patterns cost ten times as much as all that is tested with them.)
TEXTS = [
    *["", "a", "on", "no", "y", "NULL", "null", "true", "1", "01", "0x1f", "0b1", "1_0", "1e3", "1.5", "1.0e+3", "0o7"],
    *["1.", "1-1", "2026-11-23", "a.b-c.d", "x" * 63, "x" * 253, "-", "-a", "--", "...", ".", "_", "A.b_C", "0"],
    *["nvidia.com/gpu", "0/0", "a.b/" + "1" * 63, "x" * 253 + "/" + "x" * 63, "1:30", "a:b", "7c1e0b52-5f0e-4d0b"],
    *[
        "/",
        "/a",
        "/.a/..b/c..",
        "/0/1",
        "/" + "x" * 254,
        "/on",
        "/1.5/+_-",
        "10m",
        "1k",
        "64Mi",
        "0.1Gi",
        "9999999999999",
    ],
    *["localhost/x:1", "a:0", "1:2/3:4", "[::1]:5000/a/b-c__d", "r.example.com/a@sha256:" + "0" * 64, "a" * 512],
    *["http://a", "https://[::1]:6443/~a/%20", "https://" + "a" * 504],
    *["26.7.0", "v1.4.0", "580", "580.65.06", "oci://r/c", "./c.tgz", "../c", "10.96.0.0/12,.svc"],
]
quick = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)


def values_of(kind: inspect.Type) -> st.SearchStrategy[Any]:
    """Every value that the model's types allow; built from the model, so that a new field is in it."""
    optional = isinstance(kind, inspect.Metadata) and isinstance(kind.type, inspect.UnionType)
    kind, _ = unwrap(kind)
    values: st.SearchStrategy[Any]
    if isinstance(kind, inspect.StructType):
        members = {f.name: values_of(f.type) for f in kind.fields}
        needed = {f.name for f in kind.fields if f.required}
        values = st.fixed_dictionaries(
            {k: v for k, v in members.items() if k in needed},
            optional={k: v for k, v in members.items() if k not in needed},
        ).map(lambda fields, cls=kind.cls: cls(**fields))
    elif isinstance(kind, inspect.DictType):
        values = st.dictionaries(values_of(kind.key_type), values_of(kind.value_type), max_size=3)
    elif isinstance(kind, inspect.VarTupleType):
        values = st.lists(values_of(kind.item_type), max_size=3).map(tuple)
    elif isinstance(kind, inspect.IntType):
        values = st.integers(kind.ge, kind.le)
    elif isinstance(kind, inspect.LiteralType):
        values = st.sampled_from(kind.values)
    elif isinstance(kind, inspect.BoolType):
        values = st.booleans()
    elif isinstance(kind, inspect.AnyType):
        values = st.recursive(
            st.sampled_from(TEXTS) | st.booleans() | st.integers(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(TEXTS), inner, max_size=3),
            max_leaves=5,
        )
    else:
        assert isinstance(kind, inspect.StrType)
        pattern, longest = re.compile(kind.pattern or ""), kind.max_length or 100
        values = st.sampled_from([t for t in TEXTS if pattern.search(t) and len(t) <= longest])
    return st.none() | values if optional else values


def settled(setup: GPUSetup) -> GPUSetup:
    """The same without contradictions between fields."""
    spec = setup.spec
    names = tuple(dict.fromkeys(spec.nodes.names))
    nodes = NodeChoice(
        names=names,
        exclude=tuple(n for n in dict.fromkeys(spec.nodes.exclude) if n not in names),
        match_labels=spec.nodes.match_labels,
        tolerations=tuple(_settled_toleration(t) for t in spec.nodes.tolerations),
    )
    agent = replace(spec.agent, memory_limit=spec.agent.memory)
    return replace(setup, spec=replace(spec, nodes=nodes, agent=agent))


def _settled_toleration(toleration: Toleration) -> Toleration:
    if toleration.operator == "Exists":
        return replace(toleration, value="")
    return replace(toleration, value=toleration.value or "x")


setups = values_of(inspect.type_info(GPUSetup)).map(settled)
PATHS = (
    "spec", "spec.platform", "spec.cluster.uid", "spec.image", "spec.nodes.names", "spec.nodes.names[gpu-1]",
    "spec.driver.root", "spec.agent.injection", "metadata.name", "nowhere",
)  # fmt: skip
evidences = st.dictionaries(st.sampled_from(PATHS) | st.text(), st.text() | st.text(ASCII, min_size=70, max_size=600))


@quick
@given(setups, evidences)
def test_a_spec_that_was_written_reads_back_equal(setup: GPUSetup, evidence: dict[str, str]) -> None:
    assert specfile.load(specfile.dump(setup, evidence), "f.yaml") == setup


@quick
@given(setups, evidences)
def test_comments_keep_to_eighty_columns_and_to_what_can_be_printed(setup: GPUSetup, evidence: dict[str, str]) -> None:
    lines = specfile.dump(setup, evidence).splitlines()
    assert [line for line in lines if "# " in line and len(line) > 80] == []
    assert [line for line in lines if not line.isprintable()] == []


SECRETS = (
    "https://admin:hunter2hunter2@10.0.0.5:6443",
    "Bearer hunter2hunter2",
    "eyJhbGciOiJSUzI1NiJ9.hunter2hunter2.hunter2hunter2",
    "password=hunter2hunter2",
    "-----BEGIN PRIVATE KEY-----\nhunter2hunter2\n-----END PRIVATE KEY-----",
)


@quick
@given(st.sampled_from(PATHS), st.text(ASCII, max_size=60), st.sampled_from(SECRETS), st.text(ASCII, max_size=60))
def test_no_secret_of_the_evidence_is_written(path: str, before: str, secret: str, after: str) -> None:
    setup = specfile.load(json.dumps(LEAST), "f.yaml")
    assert "hunter2" not in specfile.dump(setup, {path: f"{before} {secret} {after}"})


# ---- reading


def read(given: str | bytes) -> GPUSetup | list[str]:
    """The lines of the refusal where it was refused, as anything may be: each fault with its place."""
    try:
        return specfile.load(given, "f.yaml")
    except SpecError as error:
        lines = error.what.split("\n")
    for line in lines:
        assert re.match(r"f\.yaml:\d+:\d+: .|f\.yaml: there is more to correct than these 20$", line), line
        assert line.isprintable()
    return lines


YAML_SIGNS = "{}[]:,-&*!|>'\"%@#?~=<.\n\r\t 01axe_\\\ufeff\x85\0"


@quick
@given(st.text() | st.binary() | st.text(YAML_SIGNS))
def test_any_text_is_read_or_refused(text: str | bytes) -> None:
    assert isinstance(read(text), list)


@quick
@given(
    st.text(YAML_SIGNS, max_size=20), st.sampled_from(("", "  ", "  nodes: ", "  agent:\n    cpu: ", "  nodes:\n  - "))
)
def test_any_text_within_a_spec_is_read_or_refused(text: str, before: str) -> None:
    read(f"apiVersion: gpuready.dev/v1alpha1\nkind: GPUSetup\nmetadata: {{name: a}}\nspec:\n{before}{text}")


LEAST: dict[str, Any] = {
    "apiVersion": "gpuready.dev/v1alpha1",
    "kind": "GPUSetup",
    "metadata": {"name": "a"},
    "spec": {},
}
WORDS = sorted(
    {"a", "", "1", "on", "x y", "GPUSetup", *msgspec.to_builtins(Agent()).values()}
    | {name.strip('"') for name in re.findall(r'"[a-zA-Z/.0-9]+"', json.dumps(specfile.schema()))}
)
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.sampled_from(WORDS) | st.text(ASCII)
)
documents = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4)
)


def without_nulls(node: Any) -> Any:
    if isinstance(node, dict):
        return {k: without_nulls(v) for k, v in node.items() if v is not None}
    return [without_nulls(v) for v in node] if isinstance(node, list) else node


def agrees_with_msgspec(document: Any) -> None:
    """What msgspec refuses is refused, in our own words and with a place; what is read is what msgspec reads."""
    try:
        expected = msgspec.convert(without_nulls(document), GPUSetup)
    except msgspec.ValidationError:
        expected = None
    found = read(json.dumps(document))
    if isinstance(found, list):
        assert [line for line in found if "`" in line] == []  # the words of msgspec: our check had let it pass
    else:
        assert found == expected


@quick
@given(documents)
def test_any_document_is_read_as_msgspec_reads_it_or_refused(document: Any) -> None:
    agrees_with_msgspec(document)


@quick
@given(setups, documents, st.data())
def test_a_spec_with_one_thing_changed_is_read_as_msgspec_reads_it_or_refused(
    setup: GPUSetup, change: Any, data: st.DataObject
) -> None:
    document = msgspec.json.decode(msgspec.json.encode(setup))
    node = document
    while True:
        keys = list(range(len(node))) if isinstance(node, list) else [*node, data.draw(st.sampled_from(WORDS))]
        if not keys:
            break
        key = data.draw(st.sampled_from(keys))
        inner = node[key] if isinstance(node, list) else node.get(key)
        if not isinstance(inner, list | dict) or data.draw(st.booleans()):
            node[key] = change
            break
        node = inner
    agrees_with_msgspec(document)
