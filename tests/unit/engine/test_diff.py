"""What applying an object would change, as the API server would see it."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuready.engine.diff import changes
from gpuready.model.plan import FieldChange

BASE: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "DaemonSet",
    "metadata": {"name": "agent", "labels": {"a.io/b": "1"}},
    "spec": {
        "template": {
            "spec": {
                "containers": [{"name": "agent", "image": "x:1", "env": [{"name": "A", "value": "1"}]}],
                "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
            }
        }
    },
}
CONTAINER = ".spec.template.spec.containers[agent]"


def live(**more: Any) -> dict[str, Any]:
    """BASE as the server returns it: defaults filled in, another manager's container beside ours."""
    obj = copy.deepcopy(BASE)
    obj["metadata"].update(uid="u", resourceVersion="7")
    pod = obj["spec"]["template"]["spec"]
    pod["restartPolicy"] = "Always"
    pod["containers"][0]["imagePullPolicy"] = "IfNotPresent"
    pod["containers"].append({"name": "mesh", "image": "proxy"})
    return obj


def edited(edit: Any) -> dict[str, Any]:
    obj = copy.deepcopy(BASE)
    edit(obj)
    return obj


CASES = [
    ("an object that is already so needs nothing", BASE, live(), ()),
    (
        "a changed image is one field",
        edited(lambda o: o["spec"]["template"]["spec"]["containers"][0].update(image="x:2")),
        live(),
        (FieldChange(path=f"{CONTAINER}.image", before="x:1", after="x:2"),),
    ),
    (
        "a new environment variable names itself",
        edited(lambda o: o["spec"]["template"]["spec"]["containers"][0]["env"].append({"name": "B", "value": "2"})),
        live(),
        (
            FieldChange(path=f"{CONTAINER}.env[B].name", after="B"),
            FieldChange(path=f"{CONTAINER}.env[B].value", after="2"),
        ),
    ),
    (
        "a list without a merge key is compared item by item",
        edited(lambda o: o["spec"]["template"]["spec"]["tolerations"][0].update(operator="Equal", value="x")),
        live(),
        (
            FieldChange(path=".spec.template.spec.tolerations[0].operator", before="Exists", after="Equal"),
            FieldChange(path=".spec.template.spec.tolerations[0].value", after="x"),
        ),
    ),
    (
        "a list of another length is replaced",
        edited(lambda o: o["spec"]["template"]["spec"].update(tolerations=[])),
        live(),
        (
            FieldChange(
                path=".spec.template.spec.tolerations",
                before=[{"key": "nvidia.com/gpu", "operator": "Exists"}],
                after=[],
            ),
        ),
    ),
    (
        "an empty value that the server drops is no change",
        edited(lambda o: o["spec"].update(paused=False, note="", extra={})),
        live(),
        (),
    ),
]


@pytest.mark.parametrize(("sentence", "desired", "seen", "expected"), CASES, ids=[c[0] for c in CASES])
def test_changes(sentence: str, desired: Any, seen: Any, expected: tuple[FieldChange, ...]) -> None:
    assert changes(desired, seen) == expected


def test_an_absent_object_is_set_field_by_field_without_its_identity() -> None:
    assert {c.path: c.after for c in changes(BASE, None)} == {
        ".metadata.labels[a.io/b]": "1",
        f"{CONTAINER}.name": "agent",
        f"{CONTAINER}.image": "x:1",
        f"{CONTAINER}.env[A].name": "A",
        f"{CONTAINER}.env[A].value": "1",
        ".spec.template.spec.tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
    }


def test_a_field_that_we_owned_and_no_longer_want_is_removed() -> None:
    """managedFields tell what our manager applied before; what others own is left out."""
    seen = live()
    seen["metadata"]["labels"]["old"] = "1"
    seen["metadata"]["labels"]["theirs"] = "1"
    ours = {"f:metadata": {"f:labels": {"f:a.io/b": {}, "f:old": {}}}}
    seen["metadata"]["managedFields"] = [
        {"manager": "gpuready", "operation": "Apply", "fieldsV1": ours},
        {"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:metadata": {"f:labels": {"f:theirs": {}}}}},
    ]
    assert changes(BASE, seen) == (FieldChange(path=".metadata.labels.old", before="1"),)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(min_size=1, max_size=5), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.text(min_size=1, max_size=5), json_values, max_size=4))
def test_nothing_changes_between_an_object_and_itself(obj: dict[str, Any]) -> None:
    assert changes(obj, copy.deepcopy(obj)) == ()


@given(st.dictionaries(st.text(min_size=1, max_size=5), json_values, max_size=4), json_values)
def test_any_live_object_is_compared_without_failing(obj: dict[str, Any], other: Any) -> None:
    seen = other if isinstance(other, dict) else {"x": other}
    assert all(isinstance(c, FieldChange) for c in changes(obj, seen))
