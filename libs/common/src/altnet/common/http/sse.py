"""Server-sent events (HTML Living Standard §9.2): a stream that a client resumes where it broke off.

A route gives an async iterator of events, and this sends them: with comments as heartbeats while there is nothing, with
a deadline for a client that does not read, and to an end when the client leaves, the server stops, or the stream has
lived so long that its token should be looked at again. The iterator is run by one task from start to end, and always
closed.

Invariant: an event stream never keeps a server from stopping.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated, Any, Final

from altnet.common import log
from altnet.common.errors import Invalid
from altnet.common.http.settings import HttpSettings
from fastapi import Header
from pydantic import BaseModel
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

MEDIA_TYPE: Final = "text/event-stream"
CLOSING_KEY: Final = "altnet.closing"
"""In the ASGI scope: an `asyncio.Event` that is set when the server stops."""

_COMMENT: Final = b": still here\n\n"
_NUMBER: Final = r"^[0-9]{1,18}$"
_log = log.get(__name__)

LastEventId = Annotated[
    str | None,
    Header(alias="Last-Event-ID", pattern=_NUMBER, description="The id of the last event seen: go on behind it."),
]
"""Parameter of a handler that streams; browsers send it when they reconnect."""


@dataclass(frozen=True, kw_only=True)
class SseEvent:
    """One event. `data` is JSON text; `id` is what a client sends back as Last-Event-ID; `retry` in milliseconds."""

    data: str
    event: str | None = None
    id: str | None = None
    retry: int | None = None

    def __post_init__(self) -> None:
        for name, text in (("event", self.event), ("id", self.id)):
            if text is not None and any(sign in text for sign in "\r\n\0"):
                raise ValueError(f"{name} of an event must be one line")

    def encode(self) -> bytes:
        """The bytes of this event on the wire."""
        lines = []
        if self.id is not None:
            lines.append(f"id: {self.id}")
        if self.event is not None:
            lines.append(f"event: {self.event}")
        if self.retry is not None:
            lines.append(f"retry: {self.retry}")
        # The standard ends lines at CR, LF and CRLF alike, so a bare CR must not slip through.
        lines += [f"data: {line}" for line in self.data.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
        return ("\n".join(lines) + "\n\n").encode()


class EventStreamResponse(Response):
    """The answer of a streaming route; name it as the route's `response_class`, for the API document."""

    media_type = MEDIA_TYPE

    def __init__(
        self,
        source: AsyncIterator[SseEvent],
        *,
        heartbeat: float,
        write_timeout: float,
        lifetime: float,
        status_code: int = 200,  # FastAPI reads this default for the API document
    ) -> None:
        super().__init__(status_code=status_code)
        del self.headers["content-length"]
        self.headers["Cache-Control"] = "no-store"
        self.headers["X-Accel-Buffering"] = "no"  # nginx would hold events back
        self._source = source
        self._heartbeat = heartbeat
        self._write_timeout = write_timeout
        self._lifetime = lifetime

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        # One event in the queue: a slow client slows the source down instead of filling memory.
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(maxsize=1)
        async with asyncio.TaskGroup() as group:
            pump = group.create_task(self._pump(queue))
            write = group.create_task(self._write(queue, send))
            gone = group.create_task(_until_gone(receive))
            closing = group.create_task(_until_closing(scope))
            await asyncio.wait((write, gone, closing), timeout=self._lifetime, return_when=asyncio.FIRST_COMPLETED)
            ours = not write.done() and not gone.done()
            for task in (pump, write, gone, closing):
                task.cancel()
        if ours:  # a proper end, so that the client sees no fault, and comes again
            await self._end(send)

    async def _pump(self, queue: asyncio.Queue[bytes | None]) -> None:
        try:
            async with aclosing(_as_generator(self._source)) as source:
                async for event in source:
                    await queue.put(event.encode())
        except Exception as error:  # noqa: BLE001 - the answer has begun: it ends here, and the client comes again
            _log.error("an event stream failed", exc_info=error)
        await queue.put(None)

    async def _write(self, queue: asyncio.Queue[bytes | None], send: Send) -> None:
        async def write(body: bytes) -> None:
            async with asyncio.timeout(self._write_timeout):
                await send({"type": "http.response.body", "body": body, "more_body": True})

        try:
            # At once, so that the client sees the stream open and proxies pass its headers on.
            await write(_COMMENT)
            while True:
                try:
                    async with asyncio.timeout(self._heartbeat):
                        chunk = await queue.get()
                except TimeoutError:
                    chunk = _COMMENT
                if chunk is None:
                    break
                await write(chunk)
            await self._end(send)
        except TimeoutError:
            _log.info("a client of an event stream does not read; cut off", waited_seconds=self._write_timeout)

    async def _end(self, send: Send) -> None:
        async with asyncio.timeout(self._write_timeout):
            await send({"type": "http.response.body", "body": b"", "more_body": False})


def event_stream(
    source: AsyncIterator[SseEvent],
    *,
    heartbeat: float = HttpSettings().heartbeat,
    write_timeout: float = HttpSettings().write_timeout,
    lifetime: float = HttpSettings().stream_lifetime,
) -> EventStreamResponse:
    """Answer with the events of `source`. Times in seconds, as in `HttpSettings`.

    Check the request before: once this is returned, a failure can only end the stream.
    """
    return EventStreamResponse(source, heartbeat=heartbeat, write_timeout=write_timeout, lifetime=lifetime)


def responses(model: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """For a streaming route's `responses=`: the schema of each event's data."""
    return {200: {"model": model, "description": "Events, each with this schema as its data, until one side leaves."}}


def sequence_after(last_event_id: str | None) -> int | None:
    """Last-Event-ID as a sequence number. Raises `Invalid` (`bad_last_event_id`)."""
    if last_event_id is None:
        return None
    if not re.fullmatch(_NUMBER, last_event_id):
        raise Invalid(
            "bad_last_event_id",
            "Last-Event-ID is not an id of this stream.",
            field="/Last-Event-ID",
            mend="Send the last id back as it was, or leave the header out.",
        )
    return int(last_event_id)


async def _as_generator(source: AsyncIterator[SseEvent]) -> AsyncGenerator[SseEvent, None]:
    try:
        async for event in source:
            yield event
    finally:
        if isinstance(source, AsyncGenerator):
            await source.aclose()


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _until_closing(scope: Scope) -> None:
    closing: asyncio.Event | None = scope.get(CLOSING_KEY)
    await (closing.wait() if closing is not None else asyncio.Event().wait())
