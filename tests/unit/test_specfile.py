"""Reading gpuready.yaml: what it says of specs that are wrong, and of files that cannot be read."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
import yaml
from msgspec import inspect

from gpuready.adapters import specfile, yamlfile
from gpuready.adapters.specfile import SpecError
from gpuready.adapters.specfile_check import check, unwrap
from gpuready.model.errors import UserError
from gpuready.model.spec import (
    API_VERSION,
    KIND,
    Agent,
    Cluster,
    Driver,
    GPUSetup,
    Image,
    Metadata,
    NodeChoice,
    Setup,
    Toleration,
)

HEAD = "apiVersion: gpuready.dev/v1alpha1\nkind: GPUSetup\nmetadata: {name: prod}\nspec:\n"
FORMAT = "`gpuready schema` prints the format"
ANEW = "correct the file, or write it anew with `gpuready init`"
FULL = """\
apiVersion: gpuready.dev/v1alpha1
kind: GPUSetup
metadata: {name: prod-eu}
spec:
  cluster: {uid: 7c1e0b52-5f0e-4d0b-9a53-1b8f3c6a2d11, server: 'https://[2001:db8::1]:6443'}
  platform: kubeadm
  stack: native
  image:
    reference: 10.0.0.9:5000/team/gpuready:0.1.0@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
    pullSecret: registry-login
  nodes:
    names: [gpu-1, 10.0.0.7, '1234']
    matchLabels: {nvidia.com/gpu.present: 'true', empty: ''}
    exclude: [gpu-9]
    tolerations:
    - {key: dedicated, operator: Equal, value: gpu, effect: NoSchedule}
    - key: example.com/gpu
  driver: {owner: host, root: /run/nvidia/driver}
  agent: {injection: devices, metricsPort: 9401, hostnameLabel: hostname,
          cpu: 20m, memory: 0.1Gi, memoryLimit: '1000000000'}
"""
FULL_SETUP = GPUSetup(
    api_version=API_VERSION,
    kind=KIND,
    metadata=Metadata(name="prod-eu"),
    spec=Setup(
        cluster=Cluster(uid="7c1e0b52-5f0e-4d0b-9a53-1b8f3c6a2d11", server="https://[2001:db8::1]:6443"),
        platform="kubeadm",
        stack="native",
        image=Image(
            reference="10.0.0.9:5000/team/gpuready:0.1.0@sha256:" + 4 * "0123456789abcdef", pull_secret="registry-login"
        ),
        nodes=NodeChoice(
            names=("gpu-1", "10.0.0.7", "1234"),
            match_labels={"nvidia.com/gpu.present": "true", "empty": ""},
            exclude=("gpu-9",),
            tolerations=(
                Toleration(key="dedicated", operator="Equal", value="gpu", effect="NoSchedule"),
                Toleration(key="example.com/gpu"),
            ),
        ),
        driver=Driver(owner="host", root="/run/nvidia/driver"),
        agent=Agent(
            injection="devices",
            metrics_port=9401,
            hostname_label="hostname",
            cpu="20m",
            memory="0.1Gi",
            memory_limit="1000000000",
        ),
    ),
)
LEAST = GPUSetup(api_version=API_VERSION, kind=KIND, metadata=Metadata(name="prod"), spec=Setup())


class Case(msgspec.Struct, forbid_unknown_fields=True):
    case: str
    says: list[str]
    text: str | None = None
    below: str | None = None
    next: str = FORMAT

    @property
    def given(self) -> str:
        assert (self.text is None) != (self.below is None), self.case
        return HEAD + self.below if self.below is not None else self.text or ""


def cases() -> list[Case]:
    with Path(__file__).with_name("test_specfile.cases.yaml").open() as file:
        return msgspec.convert(yaml.load(file, yaml.CSafeLoader), list[Case])


def refusal(given: str | bytes, name: str = "f.yaml") -> tuple[list[str], str]:
    with pytest.raises(SpecError) as caught:
        specfile.load(given, name)
    return caught.value.what.split("\n"), caught.value.next


@pytest.mark.parametrize("case", [pytest.param(c, id=c.case) for c in cases()])
def test_what_is_said_of_a_spec_that_is_wrong(case: Case) -> None:
    assert refusal(case.given) == (case.says, case.next)


READS = {
    "every field": (FULL, FULL_SETUP),
    "as bytes": (FULL.encode(), FULL_SETUP),
    "with a byte order mark": (b"\xef\xbb\xbf" + FULL.encode(), FULL_SETUP),
    "with the line ends of Windows": (FULL.replace("\n", "\r\n"), FULL_SETUP),
    "as JSON": (msgspec.json.encode(FULL_SETUP), FULL_SETUP),
    "as JSON indented with tabs": (
        msgspec.json.format(msgspec.json.encode(FULL_SETUP)).replace(b"  ", b"\t"),
        FULL_SETUP,
    ),
    "within document marks": ("---\n" + FULL + "...\n", FULL_SETUP),
    "only what is required": (HEAD.replace("spec:", "spec: {}"), LEAST),
    "null for absent, as Kubernetes has it": (
        HEAD + "  cluster:\n  image: null\n  nodes:\n    names: ~\n  agent: {metricsPort: }\n",
        LEAST,
    ),
    "an alias": (
        HEAD + "  nodes: {names: [&a gpu-1], exclude: [gpu-2], matchLabels: {x: *a}}\n",
        msgspec.structs.replace(
            LEAST, spec=Setup(nodes=NodeChoice(names=("gpu-1",), exclude=("gpu-2",), match_labels={"x": "gpu-1"}))
        ),
    ),
    "a date is text": (
        HEAD + "  nodes: {names: [2026-11-23]}\n",
        msgspec.structs.replace(LEAST, spec=Setup(nodes=NodeChoice(names=("2026-11-23",)))),
    ),
    "driver root /": (
        HEAD + "  driver: {root: /}\n",
        msgspec.structs.replace(LEAST, spec=Setup(driver=Driver(root="/"))),
    ),
}


@pytest.mark.parametrize(("given", "setup"), READS.values(), ids=READS)
def test_what_is_read(given: str | bytes, setup: GPUSetup) -> None:
    assert specfile.load(given, "f.yaml") == setup


NOT_TEXT = {
    "a tab as indentation": (HEAD + "\tnodes: {}", "f.yaml:5:1: a tab; YAML is indented with spaces"),
    "a tab after spaces": (HEAD + "  nodes:\n  \tnames: []", "f.yaml:6:3: a tab; YAML is indented with spaces"),
    "NUL": ("a: b\nc\0: d", "f.yaml:2:2: a NUL character, which YAML does not allow"),
    "an escape sequence": ("a: \x1b[31m", "f.yaml:1:4: the character U+001B, which YAML does not allow"),
    "half of a surrogate pair": ("a: \ud800", "f.yaml:1:4: the character U+D800, which YAML does not allow"),
    "Latin-1": (b"a: b\nname: \xe9t\xe9", "f.yaml:2:7: not UTF-8 text; save the file as UTF-8"),
    "UTF-8 cut short": ("näme: ä".encode()[:-1], "f.yaml:1:7: not UTF-8 text; save the file as UTF-8"),
    "UTF-16, as PowerShell writes it": (
        HEAD.encode("utf-16"),
        "f.yaml:1:1: UTF-16 text; save the file as UTF-8",
    ),
    "more than 1 MiB": ("#" * ((1 << 20) + 1), "f.yaml:1:1: larger than 1 MiB"),
    "too deep": ("[" * 100_000, "f.yaml:1:33: nested more than 32 deep"),
    "too deep without brackets": ("- " * 100_000, "f.yaml:1:65: nested more than 32 deep"),
    "too many values": ("[" + "1," * 100_000 + "]", "f.yaml:1:79998: more than 20000 values"),
}


@pytest.mark.parametrize(("given", "line"), NOT_TEXT.values(), ids=NOT_TEXT)
def test_what_is_said_of_what_is_no_yaml(given: str | bytes, line: str) -> None:
    assert refusal(given) == ([line], ANEW)


def test_columns_are_those_of_an_editor_also_behind_a_mark_and_other_letters() -> None:
    given = "\ufeff# äöü\r\n{ä: @}"
    assert refusal(given) == (["f.yaml:2:5: a value cannot begin with '@'; put it in quotes"], ANEW)


def test_the_name_of_a_file_cannot_break_a_message() -> None:
    assert refusal("", "a\n\x1b[31mb.yaml")[0] == ["a [31mb.yaml:1:1: nothing is in it"]


def test_a_long_key_is_cut() -> None:
    [line], _ = refusal(HEAD + f"  {'a' * 500}: 1\n")
    there = "cluster, platform, stack, image, nodes, driver, agent, gpuOperator"
    assert line == f"f.yaml:5:3: spec: unknown field '{'a' * 57}...'; there are {there}"


def test_a_parser_without_libyaml_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml, "__with_libyaml__", False)
    with pytest.raises(UserError) as caught:
        specfile.load(FULL, "f.yaml")
    assert str(caught.value) == (
        "this PyYAML was built without libyaml; install PyYAML from its wheel: pip install PyYAML"
    )


def test_a_constraint_that_only_msgspec_knows_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpuready.adapters.specfile_load.check", lambda *_: iter(()))
    lines, following = refusal(HEAD + "  agent: {metricsPort: 0}\n")
    assert (lines, following) == (["f.yaml:1:1: Expected `int` >= 1 - at `$.spec.agent.metricsPort`"], FORMAT)


# ---- names that the catalogue knows


NAMES = {
    "a slip": (
        "kubeadmn",
        "native",
        ["f.yaml: spec.platform: there is no platform 'kubeadmn', only generic, kubeadm; did you mean 'kubeadm'?"],
    ),
    "capital letters": (
        "Generic",
        "native",
        ["f.yaml: spec.platform: there is no platform 'Generic', only generic, kubeadm; did you mean 'generic'?"],
    ),
    "nothing like it": (
        "x",
        "y",
        [
            "f.yaml: spec.platform: there is no platform 'x', only generic, kubeadm",
            "f.yaml: spec.stack: there is no stack 'y', only native",
        ],
    ),
}


@pytest.mark.parametrize(("platform", "stack", "says"), NAMES.values(), ids=NAMES)
def test_platform_and_stack_must_be_there(platform: str, stack: str, says: list[str]) -> None:
    setup = msgspec.structs.replace(LEAST, spec=Setup(platform=platform, stack=stack))
    with pytest.raises(SpecError) as caught:
        specfile.check_names(setup, {"kubeadm", "generic"}, ["native"], "f.yaml")
    assert (caught.value.what.split("\n"), caught.value.next) == (says, f"correct the spec; {FORMAT}")


def test_platform_and_stack_that_are_there() -> None:
    specfile.check_names(FULL_SETUP, ["generic", "kubeadm"], ["native"])


# ---- files


def said_of(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        specfile.load_file(path)
    return str(caught.value).replace(str(path), "PATH")


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "gpuready.yaml"
    path.write_text(FULL)
    assert specfile.load_file(path) == FULL_SETUP


def test_a_fault_in_a_file_is_told_with_its_path(tmp_path: Path) -> None:
    path = tmp_path / "gpuready.yaml"
    path.write_text(HEAD + "  stak: native\n")
    assert said_of(path) == f"PATH:5:3: spec: unknown field 'stak'; did you mean 'stack'?; {FORMAT}"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert said_of(tmp_path / "no.yaml") == "PATH: no such file; `gpuready init` writes a spec"


def test_a_directory(tmp_path: Path) -> None:
    assert said_of(tmp_path) == "PATH is a directory; name the spec in it, such as gpuready.yaml"


def test_a_file_as_directory(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    assert said_of(tmp_path / "a" / "b") == "PATH cannot be read: Not a directory; check the path"


def test_a_path_with_nul(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot be read: not a path; check the path$"):
        specfile.load_file(tmp_path / "a\0b")


def test_a_fifo_nobody_writes_to_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    expected = "PATH is no regular file; name `-` and give the spec on standard input"
    assert said_of(tmp_path / "pipe") == expected
    assert said_of(Path("/dev/zero")) == expected


def test_a_file_too_big(tmp_path: Path) -> None:
    path = tmp_path / "big"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # sparse: what is read must be bounded, not what is stored
    assert said_of(path) == "PATH is larger than 1 MiB; name the spec, which is a small file"


def test_a_file_that_fails_when_read() -> None:
    """The memory of this process is a regular file whose beginning cannot be read."""
    assert said_of(Path("/proc/self/mem")) == "PATH cannot be read: Input/output error; check the file system"


def test_a_file_one_may_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret.yaml"
    path.touch(0)
    if os.geteuid() == 0:  # root may read anything

        def refuse(*_: object, **__: object) -> int:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(os, "open", refuse)
    assert said_of(path) == "PATH: permission denied; make the file readable to you, or name another"


# ---- the check knows all that the model uses


def types_of_the_model() -> list[tuple[inspect.Type, str]]:
    found: list[tuple[inspect.Type, str]] = []
    todo: list[inspect.Type] = [inspect.type_info(GPUSetup)]
    for kind in todo:
        inner, must = unwrap(kind)
        found.append((inner, must))
        if isinstance(inner, inspect.StructType):
            todo += [f.type for f in inner.fields]
        elif isinstance(inner, inspect.DictType):
            todo += [inner.key_type, inner.value_type]
        elif isinstance(inner, inspect.VarTupleType):
            todo.append(inner.item_type)
    return found


def test_every_type_and_constraint_of_the_model_is_checked() -> None:
    """A constraint below that is not listed here would be left to msgspec, which tells no line."""
    checked = {
        inspect.StructType: {"cls", "fields", "forbid_unknown_fields", "array_like"},
        inspect.DictType: {"key_type", "value_type"},
        inspect.VarTupleType: {"item_type"},
        inspect.StrType: {"pattern", "max_length"},
        inspect.IntType: {"ge", "le"},
        inspect.LiteralType: {"values"},
        inspect.BoolType: set(),
        inspect.AnyType: set(),
    }
    node = yamlfile.Unread(yamlfile.Place(1, 1))
    for kind, _ in types_of_the_model():
        used = {name for name in kind.__struct_fields__ if getattr(kind, name) is not None}
        assert used <= checked[type(kind)], kind
        assert list(check(node, kind)) == []


def test_truth_and_free_values() -> None:
    text = HEAD + "  gpuOperator:\n    operandsElsewhere: 'yes'\n    values: {a: [1, {b: 1.5}], c: true}\n"
    assert refusal(text) == (
        ["f.yaml:6:24: spec.gpuOperator.operandsElsewhere: must be true or false, not text"],
        FORMAT,
    )
    spec = specfile.load(text.replace("'yes'", "true"), "f.yaml").spec
    assert (spec.gpu_operator.operands_elsewhere, spec.gpu_operator.values) == (True, {"a": [1, {"b": 1.5}], "c": True})


def test_every_pattern_of_the_model_is_said_in_words() -> None:
    bare = [k.pattern for k, must in types_of_the_model() if isinstance(k, inspect.StrType) and k.pattern and not must]
    assert bare == []


def test_a_type_that_is_not_checked_is_a_defect_and_not_passed_over() -> None:
    with pytest.raises(TypeError, match=r"^spec.x: the model uses FloatType, which nothing here checks$"):
        list(check(yamlfile.Scalar(yamlfile.Place(1, 1), 1.5), inspect.type_info(float), "spec.x"))
