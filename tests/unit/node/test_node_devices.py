from __future__ import annotations

import time

import pytest
from node_builders import gpu, snapshot, t4, uuid, well

from gpuready.model.unknown import Unknown
from gpuready.node.devices import AllocationError, Device, advertised, preferred, refusals
from gpuready.node.gpus import Links, Refused, Snapshot
from gpuready.node.health import Fault, Health

FAILED = Health(fault=Fault(reason="Xid 79"))


@pytest.mark.parametrize(
    ("sentence", "gpus", "health", "expected"),
    [
        ("no GPU is no device", [], {}, ()),
        (
            "a GPU on NUMA node 1 is told with it, node 0 is told as node 0",
            [gpu(0, numa=0), gpu(1, numa=1)],
            {},
            (Device(id=uuid(0), healthy=True, numa=0), Device(id=uuid(1), healthy=True, numa=1)),
        ),
        ("without a NUMA node none is told", [t4()], {}, (Device(id=uuid(0), healthy=True, numa=None),)),
        (
            "a failed GPU stays in the list, unhealthy",
            [gpu(0), gpu(1)],
            {uuid(0): FAILED},
            (Device(id=uuid(0), healthy=False, numa=0), Device(id=uuid(1), healthy=True, numa=0)),
        ),
        (
            "a GPU that nobody can look at is not offered as healthy",
            [gpu(0)],
            {uuid(0): Health(blind="events cannot be listened to")},
            (Device(id=uuid(0), healthy=False, numa=0),),
        ),
        (
            "the console GPU of a DGX Station is never a device",
            [gpu(0, name="NVIDIA DGX Display"), gpu(1, name="DGX Display"), gpu(2)],
            {},
            (Device(id=uuid(2), healthy=True, numa=0),),
        ),
        (
            "under MIG strategy none a GPU in MIG mode is one device",
            [gpu(0, mig=True)],
            {},
            (Device(id=uuid(0), healthy=True, numa=0),),
        ),
        ("a GPU without a minor number has no device node to give", [gpu(0, minor=Unknown("Not Supported"))], {}, ()),
    ],
)
def test_advertised(sentence: str, gpus: list, health: dict, expected: tuple) -> None:
    assert advertised(gpus, well(*gpus) | health) == expected, sentence


def test_every_gpu_that_is_not_advertised_has_a_reason() -> None:
    told = Snapshot(
        driver="580.65.06",
        cuda="13.0",
        gpus=(gpu(0), gpu(1, name="DGX Display"), gpu(2, minor=Unknown("Not Supported"))),
        refused=(Refused(index=3, why="GPU is lost"),),
    )
    assert refusals(told) == {
        1: "it drives the display of the machine",
        2: "the driver names no device node for it: Not Supported",
        3: "the driver does not describe it: GPU is lost",
    }
    assert refusals(snapshot(gpu(0))) == {}


def links(**scores: int) -> Links:
    """ab=100: the pair a, b scores 100."""
    return {frozenset(pair): score for pair, score in scores.items()}


# Four GPUs in two NVLink pairs (a-b, c-d) on two sockets.
PAIRS = links(ab=210, cd=210, ac=10, ad=10, bc=10, bd=10)


@pytest.mark.parametrize(
    ("sentence", "available", "must", "size", "scores", "expected"),
    [
        ("an NVLink pair goes before a pair across sockets", "acbd", "", 2, PAIRS, "ab"),
        ("the pair of the device that must be in it", "abcd", "d", 2, PAIRS, "dc"),
        ("one device: the one whose loss leaves the better rest", "abc", "", 1, PAIRS, "c"),
        ("all of them", "abcd", "", 4, PAIRS, "abcd"),
        ("nothing known of links: the first ones", "abcd", "", 2, {}, "ab"),
        ("three that hang together", "abcd", "", 3, links(ab=10, bc=50, bd=50, cd=50, ac=1, ad=1), "bcd"),
        ("must and size alike", "abcd", "bd", 2, PAIRS, "bd"),
        ("a pair without a score (one GPU is lost) counts nothing", "abc", "", 2, links(bc=10), "bc"),
        ("an id that is named twice is one device", "aab", "", 2, PAIRS, "ab"),
    ],
)
def test_preferred(sentence: str, available: str, must: str, size: int, scores: Links, expected: str) -> None:
    assert "".join(preferred(list(available), list(must), size, scores)) == expected, sentence


@pytest.mark.parametrize(
    ("available", "must", "size"),
    [("ab", "", 3), ("ab", "ab", 1), ("ab", "c", 1), ("ab", "", 0), ("ab", "", -1), ("", "", 1), ("aa", "", 2)],
)
def test_what_is_impossible_is_an_error(available: str, must: str, size: int) -> None:
    with pytest.raises(AllocationError):
        preferred(list(available), list(must), size, PAIRS)


def test_eight_of_sixteen_take_less_than_a_second_and_so_do_thirty_of_sixty() -> None:
    for count in (16, 60):
        ids = [str(number) for number in range(count)]
        scores = {
            frozenset((one, two)): (int(one) // 4 == int(two) // 4) * 100 for one in ids for two in ids if one != two
        }
        began = time.process_time()
        chosen = preferred(ids, [], count // 2, scores)
        assert time.process_time() - began < 1
        assert len(set(chosen)) == count // 2
        assert len({int(one) // 4 for one in chosen}) == -(-count // 2 // 4), "boards of four are not torn apart"
