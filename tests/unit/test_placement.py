"""Which nodes a pod may run on, as the scheduler decides it."""

from __future__ import annotations

from typing import Any

import pytest

from gpuready.model.facts.cluster import Node, Placement, PodToleration, Requirement, Taint
from gpuready.model.placement import unmet, untolerated

NODE = Node(name="gpu-1", uid="u", labels={"pool": "gpu", "cores": "16", "odd": "many"})


@pytest.mark.parametrize(
    ("key", "operator", "values", "holds"),
    [
        ("pool", "In", ("cpu", "gpu"), True),
        ("pool", "In", ("cpu",), False),
        ("zone", "In", ("a",), False),
        ("pool", "NotIn", ("cpu",), True),
        ("zone", "NotIn", ("a",), True),
        ("pool", "Exists", (), True),
        ("zone", "Exists", (), False),
        ("zone", "DoesNotExist", (), True),
        ("cores", "Gt", ("8",), True),
        ("cores", "Lt", ("8",), False),
        ("odd", "Gt", ("8",), False),
        ("cores", "Gt", (), False),
        ("metadata.name", "In", ("gpu-1",), True),
        ("pool", "Unheard", (), False),
    ],
)
def test_a_requirement_on_a_label(key: str, operator: str, values: tuple[str, ...], holds: bool) -> None:
    asked = Requirement(key=key, operator=operator, values=values)
    assert (unmet(Placement(terms=((asked,),)), NODE) == ()) is holds


def test_all_of_the_selector_and_all_of_one_term() -> None:
    here, there = Requirement(key="pool", values=("gpu",)), Requirement(key="zone", values=("a", "b"))
    other = Requirement(key="rack", operator="DoesNotExist")
    assert unmet(Placement(selector={"pool": "gpu"}, terms=((here, there), (here, other))), NODE) == ()
    assert unmet(Placement(selector={"pool": "cpu", "disk": "ssd"}, terms=((here, there),)), NODE) == (
        "disk=ssd",
        "pool=cpu",
        "zone In (a, b)",
    )


TAINT = Taint(key="dedicated", value="ml", effect="NoSchedule")


@pytest.mark.parametrize(
    ("toleration", "passes"),
    [
        ({"key": "dedicated", "value": "ml"}, True),
        ({"key": "dedicated", "value": "web"}, False),
        ({"key": "dedicated", "operator": "Exists", "effect": "NoSchedule"}, True),
        ({"key": "dedicated", "operator": "Exists", "effect": "NoExecute"}, False),
        ({"operator": "Exists"}, True),
        ({"value": "ml"}, False),
        ({"key": "nvidia.com/gpu", "operator": "Exists"}, False),
    ],
)
def test_a_toleration_of_a_taint(toleration: dict[str, Any], passes: bool) -> None:
    node = Node(name="n", uid="u", taints=(TAINT,))
    assert (list(untolerated(Placement(tolerations=(PodToleration(**toleration),)), node)) == []) is passes


@pytest.mark.parametrize(
    "taint",
    [
        Taint(key="node.kubernetes.io/unschedulable", effect="NoSchedule"),
        Taint(key="dedicated", effect="PreferNoSchedule"),
    ],
)
def test_what_is_no_bar_of_the_owners(taint: Taint) -> None:
    assert list(untolerated(Placement(), Node(name="n", uid="u", taints=(taint,)))) == []
