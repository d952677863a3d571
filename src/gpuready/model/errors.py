"""What reaches a user when something cannot go on: what is so and where, and what to do next."""

from __future__ import annotations

from typing import NamedTuple


class UserError(Exception):
    """`what` says what is so and where, `next` what to do about it (empty where nothing can be advised).

    Both may quote names that others chose: what is not printable is escaped, so that no terminal obeys it.
    """

    def __init__(self, what: str, next: str = "") -> None:
        self.what = _printable(what)
        self.next = _printable(next)
        super().__init__(self.what, self.next)

    def __str__(self) -> str:
        return f"{self.what}; {self.next}" if self.next else self.what


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


class Incomplete(UserError):
    """There is more of a list than was read: what was read counts, its end does not."""


class TimedOut(UserError, TimeoutError):
    """What was waited for did not come true in time."""


class Cause(NamedTuple):
    """One entry of an API Status' `details.causes`: `field` is a path such as `.spec.replicas`, or empty."""

    reason: str
    message: str
    field: str = ""


class Target(NamedTuple):
    """What a request was about. `verb` as in RBAC rules, `resource` as kubectl takes it ("daemonsets.apps")."""

    verb: str = ""
    resource: str = ""
    name: str = ""
    namespace: str = ""

    def __str__(self) -> str:
        kind, slash, sub = self.resource.partition("/") if self.name else (self.resource, "", "")
        one = f"{kind}/{self.name}" if self.name else kind
        one += f" ({sub})" if slash else ""
        return f"{one} in namespace {self.namespace}" if self.namespace else one


class ApiError(UserError):
    """The API server refused or failed. Nothing in it is secret: messages are redacted and bounded at the edge.

    `code` is the HTTP status, 0 when no answer came; `reason` and `message` are the server's own words.
    `maybe_done`: a write was sent and nothing says whether it was carried out; look before repeating it.
    """

    def __init__(
        self,
        what: str,
        next: str = "",
        *,
        code: int = 0,
        reason: str = "",
        message: str = "",
        target: Target | None = None,
        causes: tuple[Cause, ...] = (),
        maybe_done: bool = False,
    ) -> None:
        super().__init__(what, next)
        self.code = code
        self.reason = reason
        self.message = message
        self.target = target or Target()
        self.causes = causes
        self.maybe_done = maybe_done

    @property
    def verb(self) -> str:
        return self.target.verb

    @property
    def resource(self) -> str:
        return self.target.resource

    @property
    def name(self) -> str:
        return self.target.name


class Unreachable(ApiError):
    """No answer from an API server: name, network, proxy or TLS stands in the way, or something else answered."""


class Unauthorized(ApiError):
    """401: the server does not accept the credentials."""


class Forbidden(ApiError):
    """403: authenticated, but RBAC, an admission plugin, policy or webhook says no."""


class NotFound(ApiError):
    """404: the object, or the API that would serve it, is not there."""


class AlreadyExists(ApiError):
    """409 on create."""


class FieldConflict(NamedTuple):
    """Server-side apply: `manager` owns `field`."""

    manager: str
    field: str


class Conflict(ApiError):
    """409: changed or replaced since it was read, or (`fields`) owned by other managers."""

    fields: tuple[FieldConflict, ...] = ()


class Gone(ApiError):
    """410: the resourceVersion or continue token is older than what the server keeps; list again.

    `continue_at`: with this token the rest of a list can still be read, of a newer state.
    """

    continue_at = ""


class Invalid(ApiError):
    """422: the object is not valid; `causes` name the fields."""
