"""Pasted text, in any mix: what becomes an object, what is said, by whom and about what."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuready.engine.diagnose import diagnose
from gpuready.engine.pasted import facts_of
from gpuready.model.facts.said import Line
from gpuready.model.unknown import Partial, TouchedUnknown
from gpuready.texts.logline import statement
from gpuready.texts.paste import MAX_LINES, read

FRAMES = {
    "containerd's log as the kubelet keeps it": (
        "2026-11-23T09:00:00.123456789Z stderr F Failed to initialize NVML",
        ("Failed to initialize NVML", "text", "", "2026-11-23T09:00:00.123456789Z"),
    ),
    "the journal": (
        "Nov 23 09:00:00 gpu-1 kubelet[812]: E1123 09:00:00.000000     812 manager.go:1] no such device",
        ("no such device", "log", "kubelet", ""),
    ),
    "the journal's kernel": (
        "Nov  3 09:00:00 gpu-1 kernel: NVRM: GPU is lost",
        ("NVRM: GPU is lost", "kernel", "kernel", ""),
    ),
    "dmesg": ("[   12.345678] nouveau 0000:00:05.0: disp", ("nouveau 0000:00:05.0: disp", "kernel", "kernel", "")),
    "dmesg -T": ("[Mon Nov 23 09:00:00 2026] NVRM: x", ("NVRM: x", "kernel", "kernel", "")),
    "klog": ("W1123 09:00:00.000000       1 plugin.go:20] could not load", ("could not load", "log", "", "")),
    "zap": (
        '{"level":"error","ts":"2026","msg":"Reconciler error","error":"unknown field"}',
        ("Reconciler error: unknown field", "text", "", ""),
    ),
    "logrus": (
        'time="2026-11-23T09:00:00Z" level=error msg="Could not \\"find\\" x" error="no such file"',
        ('Could not "find" x: no such file', "text", "", ""),
    ),
    "a time before the sentence": ("2026/11/23 09:00:00 Starting", ("Starting", "text", "", "2026/11/23 09:00:00")),
    "an audit record": (
        "type=AVC msg=audit(1:2): avc: denied { open }",
        ("type=AVC msg=audit(1:2): avc: denied { open }", "text", "", ""),
    ),
    "colours": ("\x1b[31mError:\x1b[0m x", ("x", "text", "", "")),
    "no frame": ("just words", ("just words", "text", "", "")),
}


@pytest.mark.parametrize(("raw", "said"), FRAMES.values(), ids=FRAMES)
def test_a_line_without_its_frame(raw: str, said: tuple[str, ...]) -> None:
    assert tuple(statement(raw)) == said


def lines(text: str) -> list[dict[str, Any]]:
    """Each line by what is told of it."""
    empty = Line(text="")
    return [
        {name: value for name in line.__struct_fields__ if (value := getattr(line, name)) != getattr(empty, name)}
        for line in read(text).said.lines
    ]


def test_a_description_tells_whose_its_lines_and_events_are() -> None:
    text = """> root@gpu-1:~# kubectl describe pod a -n ml
> Name:         a
> Namespace:    ml
> Node:         gpu-1/10.0.0.5
> Containers:
>   nvidia-driver-ctr:
>     Last State:  Terminated
> Events:
>   Type     Reason     Age               From     Message
>   Warning  Failed     3s (x2 over 1m)   kubelet  no runtime
"""
    of = {"about": "pod/ml/a", "node": "gpu-1"}
    assert lines(text)[-1] == {"text": "no runtime", "source": "event", "who": "kubelet", **of, "where": "line 10"}
    assert lines(text)[5] == {"text": "Last State:  Terminated", "who": "driver", **of, "where": "line 7"}


def test_a_command_tells_whose_log_follows() -> None:
    text = "$ kubectl logs -n gpu-operator nvidia-driver-x -c nvidia-driver-ctr\nno headers\n$ dmesg | tail\nbroken\n"
    assert lines(text) == [
        {
            "text": "no headers",
            "source": "log",
            "who": "driver",
            "about": "pod/gpu-operator/nvidia-driver-x",
            "where": "line 2",
        },
        {"text": "broken", "source": "kernel", "who": "kernel", "where": "line 4"},
    ]


COMMANDS = {
    "kubectl logs -f a": ("workload", "pod/default/a"),
    "kubectl logs a --previous": ("workload", "pod/default/a"),
    "kubectl -n gpu-operator logs -p nvidia-driver-x -c k8s-driver-manager | tail": (
        "driver",
        "pod/gpu-operator/nvidia-driver-x",
    ),
    "kubectl logs --namespace=ml pod/a --tail 50 dcgm": ("monitoring", "pod/ml/a"),
    "oc logs -l app=x": ("workload", ""),
}


@pytest.mark.parametrize(("command", "told"), COMMANDS.items(), ids=list(COMMANDS))
def test_a_command_for_a_log_has_its_flags_anywhere(command: str, told: tuple[str, str]) -> None:
    (line,) = read(f"$ {command}\nwords\n").said.lines
    assert (line.who, line.about) == told


def test_an_answer_of_the_api_server_is_a_line() -> None:
    (line,) = read('{"kind": "Status", "status": "Failure", "message": "no matches for kind"}').said.lines
    assert (line.text, line.who, line.source) == ("no matches for kind", "apiserver", "status")


def test_a_line_of_a_log_that_has_a_kind_is_no_object() -> None:
    (line,) = read('{"kind": "ClusterPolicy", "msg": "Reconciler error", "error": "denied"}').said.lines
    assert line.text == "Reconciler error: denied"


def test_the_table_of_events_tells_about_what_it_speaks() -> None:
    text = "NAMESPACE  LAST SEEN  TYPE  REASON  OBJECT  MESSAGE\nml  5s  Warning  Failed  pod/a  Error: no runtime\n"
    assert lines(text)[1] == {"text": "Error: no runtime", "source": "event", "about": "pod/ml/a", "where": "line 2"}


POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "a", "namespace": "ml", "uid": "u"},
    "spec": {"nodeName": "gpu-1", "containers": [{"name": "c"}]},
    "status": {"phase": "Failed", "reason": "UnexpectedAdmissionError", "message": "no devices"},
}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(POD),
        json.dumps(POD, indent=4),
        json.dumps({"apiVersion": "v1", "kind": "List", "items": [POD]}, indent=2),
        "apiVersion: v1\nkind: PodList\nitems:\n- metadata: {name: a, namespace: ml, uid: u}\n  apiVersion: v1\n"
        "  spec: {nodeName: gpu-1, containers: [{name: c}]}\n"
        "  status: {phase: Failed, reason: UnexpectedAdmissionError, message: no devices}\n",
    ],
)
def test_objects_are_read_as_from_the_api(text: str) -> None:
    text = f"some words before\n{text}\nand after\n"
    assert [(line.text, line.about, line.node) for line in read(text).said.lines] == [
        ("some words before", "", ""),
        ("and after", "", ""),
        ("UnexpectedAdmissionError: no devices", "pod/ml/a", "gpu-1"),
    ]
    pods = facts_of(text)["cluster"].pods
    assert isinstance(pods, Partial)
    assert [(pod.key, pod.node, pod.phase) for pod in tuple.__iter__(pods)] == [("ml/a", "gpu-1", "Failed")]
    with pytest.raises(TouchedUnknown, match="only the pasted text was read"):
        list(pods)


HOSTILE = {
    "an alias bomb": "kind: A\nx: &a [1]\ny: [*a, *a]\n",
    "nested without end": "kind: " + "[" * 10_000 + "\n",
    "JSON nested without end": '{"kind": ' + "[" * 100_000 + "\n",
    "an object that is cut off": json.dumps(POD, indent=2)[:100],
    "control characters": "kind: \x00\x1b[2J\x9b\u202e\nkind: x",
    "an event of nothing": '{"kind": "Event", "involvedObject": 3, "source": [], "message": {}}',
    "a status that is no map": '{"kind": "Pod", "metadata": 1, "spec": "x", "status": [[[{"message": 1}]]]}',
    "too many lines": "a\n" * (MAX_LINES + 1),
    "one endless line": "x" * 1_000_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_is_read_as_lines(text: str) -> None:
    assert diagnose(facts_of(text)).exit_code == 3


@settings(max_examples=200)
@given(st.text(alphabet=st.sampled_from("kind: Pod\n{}[]\"'-&*!|>%@`,#?\\\t\x00\x1b$ apiVersion"), max_size=400))
def test_no_text_breaks_the_reader(text: str) -> None:
    read(text)
