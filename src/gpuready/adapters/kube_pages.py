"""Whole-cluster lists, page by page: what is not asked for is never built, and what is folded is never kept."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

import msgspec

from gpuready.adapters.kube_http import Call, Transport
from gpuready.model.errors import ApiError, Gone, Target, Unreachable

PAGE = 500  # as kubectl and client-go's reflector

T = TypeVar("T")


class Page(msgspec.Struct, Generic[T], frozen=True):
    """`resource_version` is that of the first page, so a watch from it misses nothing. `consistent` is False from
    the page on which the server had to go on at a newer state, because it no longer kept the first."""

    items: list[T]
    resource_version: str
    consistent: bool = True
    raw: bytes = b""


class _Meta(msgspec.Struct, frozen=True, rename="camel"):
    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")


class _ListOf(msgspec.Struct, Generic[T]):
    metadata: _Meta = _Meta()
    items: list[T] | None = None  # Go writes null for an empty slice


def read_pages(
    transport: Transport, call: Call, item: type[T], *, limit: int = PAGE, keep_raw: bool = False
) -> Iterator[Page[T]]:
    """Each item decoded into `item` (a narrow msgspec Struct, or dict). Gone when the server cannot go on at all."""
    decoder = msgspec.json.Decoder(_ListOf[item])  # type: ignore[valid-type]
    more, first, consistent = "", "", True
    while True:
        query = (*call.query, ("limit", str(limit)), *((("continue", more),) if more else ()))
        try:
            body = transport.send(msgspec.structs.replace(call, query=query))
        except Gone as gone:
            # the server names a token with which the rest can be read, though of a newer state
            if not more or not gone.continue_at:
                raise
            more, consistent = gone.continue_at, False
            continue
        page = decode(body, decoder.decode, call.target)
        first = first or page.metadata.resource_version
        yield Page(page.items or [], first, consistent, body if keep_raw else b"")
        more = page.metadata.continue_
        if not more:
            return


def decode(body: bytes, decoder: Callable[[bytes], T], target: Target) -> T:
    """ApiError with the place in it when the answer is cut off, no JSON, or not of the expected form."""
    try:
        with _gc_paused():
            return decoder(body)
    except msgspec.ValidationError as error:
        raise ApiError(f"the answer about {target} has another form than expected: {error}", target=target) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unreachable(
            f"the answer about {target} is cut off or no JSON ({error})",
            "a proxy between here and the API server may have replaced it; check HTTPS_PROXY and proxy-url",
            target=target,
        ) from None


@contextlib.contextmanager
def _gc_paused() -> Iterator[None]:
    """The collector walks what is being built again and again: half of the time of a large list, and finds nothing."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
