"""What belongs to one request: its id and its place in a trace (W3C Trace Context).

The middleware in `altnet.common.http.frame` makes it; handlers read it as a dependency or, far from the request,
through `current()`.
"""

from __future__ import annotations

import re
import secrets
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Annotated, Final, cast

from altnet.common.clock import Clock
from altnet.common.ids import REQUEST, Randomness, new_id
from fastapi import Depends
from starlette.requests import HTTPConnection

REQUEST_ID_HEADER: Final = "X-Request-Id"
SCOPE_KEY: Final = "altnet.context"

_REQUEST_ID: Final = re.compile(r"^[A-Za-z0-9_-]{8,64}$")
_TRACEPARENT: Final = re.compile(r"^00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})$")


@dataclass(frozen=True, kw_only=True)
class RequestContext:
    """`traceparent` is the header to send on, with our own span in it."""

    request_id: str
    traceparent: str

    @property
    def trace_id(self) -> str:
        return self.traceparent.split("-")[1]


_current: ContextVar[RequestContext | None] = ContextVar("altnet_request", default=None)


def current() -> RequestContext | None:
    """The request that this code runs for; None in background work."""
    return _current.get()


def enter(context: RequestContext) -> None:
    """Make `context` the current one of this task."""
    _current.set(context)


def open_context(
    request_id: str | None, traceparent: str | None, *, clock: Clock, randomness: Randomness = secrets.token_bytes
) -> RequestContext:
    """Take over what the client sent where it is well formed, and make up the rest."""
    if request_id is None or not _REQUEST_ID.match(request_id):
        request_id = new_id(REQUEST, clock.now(), randomness)
    found = _TRACEPARENT.match(traceparent or "")
    trace, flags = found.groups() if found else (randomness(16).hex(), "01")
    return RequestContext(request_id=request_id, traceparent=f"00-{trace}-{randomness(8).hex()}-{flags}")


def _of_request(connection: HTTPConnection) -> RequestContext:
    return cast(RequestContext, connection.scope[SCOPE_KEY])


Context = Annotated[RequestContext, Depends(_of_request)]
"""For handlers: `async def create_relay(context: Context, …)`."""
