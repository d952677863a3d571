"""Lists page by page, against a server that plays an API server."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest
from kube_client_of import Name, Named, pod, query
from kube_double import Answer, Reply, Server, status

from gpuready.adapters.kube import Client
from gpuready.adapters.kube_pages import Page
from gpuready.model.errors import ApiError, Gone

Json = dict[str, Any]


def page(*names: str, version: str = "10", more: str = "") -> Answer:
    meta = {"resourceVersion": version, **({"continue": more} if more else {})}
    return Answer(200, {"kind": "PodList", "metadata": meta, "items": [pod(n) for n in names] or None})


def named(*names: str) -> list[Named]:
    return [Named(Name(n)) for n in names]


def expired(more: str = "") -> Answer:
    answer = status(410, "Expired", "The provided continue parameter is too old")
    assert isinstance(answer.body, dict)
    return Answer(410, {**answer.body, "metadata": {"continue": more}})


# sentence, answers, pages, tokens that were sent
LISTS: list[tuple[str, list[Reply], list[Page[Named]], list[str]]] = [
    ("nothing (Go writes null)", [page()], [Page([], "10")], [""]),
    ("one page", [page("a", "b")], [Page(named("a", "b"), "10")], [""]),
    (
        "three pages; the state is that of the first",
        [page("a", more="t1"), page("b", more="t2"), page("c")],
        [Page(named("a"), "10"), Page(named("b"), "10"), Page(named("c"), "10")],
        ["", "t1", "t2"],
    ),
    (
        "the first state is no longer kept: on at a newer one, and said so",
        [page("a", more="t1"), expired("t1-new"), page("b", version="20", more="t2"), page("c", version="20")],
        [Page(named("a"), "10"), Page(named("b"), "10", False), Page(named("c"), "10", False)],
        ["", "t1", "t1-new", "t2"],
    ),
]


@pytest.mark.parametrize(("answers", "pages", "tokens"), [c[1:] for c in LISTS], ids=[c[0] for c in LISTS])
def test_list_pages(
    answers: list[Reply], pages: list[Page[Named]], tokens: list[str], client: Client, server: Server
) -> None:
    server.replies = list(answers)
    assert list(client.list_pages("v1", "Pod", Named)) == pages
    assert [query(a).get("continue", "") for a in server.asked] == tokens
    assert {query(a)["limit"] for a in server.asked} == {"500"}


def test_a_list_that_cannot_go_on_is_gone_and_a_whole_one_begins_again(client: Client, server: Server) -> None:
    server.replies = [page("a", more="t1"), expired()]
    pages = client.list_pages("v1", "Pod", Named)
    assert next(pages) == Page(named("a"), "10")
    with pytest.raises(Gone):
        next(pages)
    server.replies = [page("a", more="t1"), expired(), page("a", "b")]
    assert client.list_objects("v1", "Pod") == [
        {"apiVersion": "v1", "kind": "Pod", **pod("a")},
        {"apiVersion": "v1", "kind": "Pod", **pod("b")},
    ]


def test_raw_pages_are_what_was_answered(client: Client, server: Server) -> None:
    bodies = [b'{ "metadata": {"continue": "t"}, "items": [1]}', b'{"items":[{"odd":2}]}']
    server.replies = [Answer(200, b) for b in bodies]
    assert list(client.pages("/api/v1/pods", {"labelSelector": "a=b"})) == bodies
    assert [query(a) for a in server.asked] == [
        {"labelSelector": "a=b", "limit": "500"},
        {"labelSelector": "a=b", "limit": "500", "continue": "t"},
    ]
    server.replies = [Answer(200, b'{"gitVersion":"v1"}')]
    assert list(client.pages("/version")) == [b'{"gitVersion":"v1"}']


def test_an_item_of_another_form_is_named(client: Client, server: Server) -> None:
    server.replies = [Answer(200, {"metadata": {}, "items": [pod("a"), {"metadata": {"name": 7}}]})]
    with pytest.raises(ApiError) as caught:
        list(client.list_pages("v1", "Pod", Named, namespace="ns"))
    assert caught.value.what == (
        "the answer about pods in namespace ns has another form than expected: "
        "Expected `str`, got `int` - at `$.items[1].metadata.name`"
    )


def test_folding_pages_takes_the_memory_of_one(client: Client, server: Server) -> None:
    """40 pages of 1 MB, of which the names are kept."""
    items = [pod(f"p{i}", filler="x" * 2000) for i in range(500)]
    body = {"metadata": {"continue": "t"}, "items": items}
    data = json.dumps(body).encode()
    server.replies = [*[Answer(200, data)] * 39, page("last")]
    names: list[str] = []
    tracemalloc.start()
    try:
        for one in client.list_pages("v1", "Pod", Named):
            names += [item.metadata.name for item in one.items]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert names == [f"p{i}" for i in range(500)] * 39 + ["last"]
    assert peak < 12 * len(data)
