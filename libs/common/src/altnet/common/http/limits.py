"""Request bodies are bounded, in size and in time, before anything looks at them.

The body is read here, whole, up to the route's limit, and more is never kept; only then do idempotency, parsing and
authentication start. That is the same memory that the framework would use, and it holds for chunked bodies, whose size
nobody announces.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from altnet.common.errors import TooLarge
from altnet.common.http import context as contexts
from altnet.common.http import problems, routes
from altnet.common.http.settings import MIB, HttpSettings
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_KEY: Final = "altnet.body"
"""In the ASGI scope: the whole body, for middleware below; absent where there is none."""

DRAINED: Final = 16 * MIB
"""Of a refused body, so much is read and thrown away."""


class BodyLimit:
    """See the module. The frame must lie around it."""

    def __init__(self, app: ASGIApp, *, settings: HttpSettings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _has_body(Headers(scope=scope)):
            await self._app(scope, receive, send)
            return
        route: routes.Route = scope[routes.SCOPE_KEY]
        limit = route.body_limit or self._settings.body_limit
        context: contexts.RequestContext = scope[contexts.SCOPE_KEY]
        try:
            async with asyncio.timeout(self._settings.body_timeout):
                body = await _read(receive, limit, Headers(scope=scope))
        except TooLarge as error:
            await self._refuse(error, scope, receive, send)
            return
        except TimeoutError:
            response = problems.respond(
                status=408,
                code="body_too_slow",
                detail=f"The body did not arrive within {self._settings.body_timeout:g} s.",
                context=context,
                headers={"Connection": "close"},
            )
            await response(scope, receive, send)
            return
        if body is not None:  # None: the client has gone
            scope[BODY_KEY] = body
            await self._app(scope, _replay(body, receive), send)

    async def _refuse(self, error: TooLarge, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, then let the rest of the body pass for a while: many clients send it all before they read, and a
        connection that is closed on them at once takes the answer with it."""
        response = problems.of_error(error, scope[contexts.SCOPE_KEY], retry_after=self._settings.retry_after)
        response.headers["Connection"] = "close"
        await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
        await send({"type": "http.response.body", "body": bytes(response.body), "more_body": True})
        if "expect" not in Headers(scope=scope):  # who asks first does not send at all
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._settings.drain_timeout):
                    await _discard(receive, DRAINED)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _has_body(headers: Headers) -> bool:
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


async def _read(receive: Receive, limit: int, headers: Headers) -> bytes | None:
    announced = headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limit:
        raise _too_large(limit)
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


async def _discard(receive: Receive, size: int) -> None:
    while size > 0:
        message = await receive()
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return
        size -= len(message.get("body", b""))


def _replay(body: bytes, receive: Receive) -> Receive:
    given = False

    async def receive_again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again


def _too_large(limit: int) -> TooLarge:
    return TooLarge(
        "body_too_large",
        f"The body is over {limit} bytes.",
        field="",  # the body as a whole
        mend="Send less, or in several requests.",
    )
