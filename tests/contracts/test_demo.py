"""The demo's cluster answers as the real API server did to the same requests, and serves nothing that it does not ask.

tests/cluster/test_demo.py made the recording, and makes it anew on every run of the cluster tests.
"""

from __future__ import annotations

import pytest

from gpuready.adapters.demo.server import SERVES, Api, Request
from tests.contracts.exchanges import Form, by_kind, left_out, recorded, simulated, strangers

pytestmark = pytest.mark.slow

OTHERS = {  # what is no object or list
    "GET /version",
    "GET /apis/nfd.k8s-sigs.io ?limit",  # groups that the cluster does not have
    "GET /apis/nvidia.com ?limit",
    "GET /apis/resource.k8s.io ?limit",
    "GET /apis/resource.k8s.io/v1 ?limit",
    "GET /api/v1/namespaces/*/pods/*/log ?limitBytes",
    "GET /api/v1/namespaces/*/pods/*/log ?container,limitBytes,tailLines",
    "GET /api/v1/namespaces/*/pods/*/log ?container,limitBytes,previous,tailLines",
    "GET /api/v1/namespaces/*/pods/*/proxy/gpus",
    "GET /api/v1/namespaces/*/pods/*/proxy/host",
    "POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews application/json",
}


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Form]:
    return simulated(tmp_path_factory.mktemp("demo"))


def test_every_request_was_made_of_the_real_one_too(ours: dict[str, Form]) -> None:
    assert sorted(set(ours) - set(recorded().exchanges)) == []


def test_no_key_and_no_type_that_the_real_one_does_not_answer(ours: dict[str, Form]) -> None:
    assert strangers(ours, recorded().exchanges) == {}


def test_what_is_left_out_is_written_down(ours: dict[str, Form]) -> None:
    """Mostly what an API server fills in by default: a field that somebody begins to read is to be seen here."""
    kept = recorded()
    real, mine = by_kind(kept.exchanges), by_kind(ours)
    more = {kind: sorted(set(left_out(mine[kind], real[kind])) - set(kept.left_out[kind])) for kind in mine}
    assert {kind: keys for kind, keys in more.items() if keys} == {}


def test_it_serves_what_the_demo_asks_and_no_more(ours: dict[str, Form]) -> None:
    requests = {key.partition(" -> ")[0] for key in ours}
    assert requests & OTHERS == OTHERS
    used = set()
    for text in requests - OTHERS:
        method, path, *rest = text.split()
        content_type = rest[-1] if rest and "/" in rest[-1] else ""
        query = {"watch": "true"} if any("watch" in word for word in rest) else {}
        key, verb = Api.meant(Request(method, path, query, content_type, b""))
        used.add((key.base, key.plural, verb))
    assert used == {(base, plural, verb) for (base, plural), (_, verbs) in SERVES.items() for verb in verbs}


def test_nothing_is_refused_on_the_way(ours: dict[str, Form]) -> None:
    """A 405 of the demo's own, or a 404 of a path that it does not know, would be a gap in it."""
    assert [key for key in ours if " -> 405" in key or " -> 401" in key] == []
