"""A standing wish to hear a subject, across any number of connections.

Invariant: a message reaches the handler only under a subject that the subscription names. JetStream delivers stored
messages to whatever inbox a consumer was told, under their first subject: without this check a service could have
the server deliver its own event where a relay expects its orders.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import nats.errors
from altnet.common import log
from altnet.common.bus.client import Connection, Message, message_of
from altnet.common.errors import Forbidden
from nats.aio.msg import Msg

if TYPE_CHECKING:
    from altnet.common.bus.connect import Bus

_LOG: Final = log.get(__name__)

Handler = Callable[[Message], Awaitable[None]]


@dataclass(eq=False)
class Subscription:
    """A standing wish to hear a subject. `refused` says so when the server forbids it."""

    bus: Bus
    subject: str
    queue: str
    handler: Handler
    any_subject: bool = False
    refused: Forbidden | None = None
    _on: Connection | None = field(default=None, repr=False)
    _live: Any = field(default=None, repr=False)

    async def stop(self) -> None:
        """Hear no more. Messages that wait for the handler are dropped."""
        self.bus.forget(self)
        live, self._live, self._on = self._live, None, None
        if live is not None:
            with contextlib.suppress(nats.errors.Error):  # the connection is gone, and the subscription with it
                await live.unsubscribe()

    async def drain(self) -> None:
        """Hear no more, once the handler has had all that the server sent before it knew. Raises `TimeoutError` where
        the server does not say that it knows; then the rest is dropped."""
        live = self._live
        try:
            if live is not None and self._on is not None and self._on.is_connected:
                with contextlib.suppress(nats.errors.Error):  # the connection went meanwhile
                    async with asyncio.timeout(self.bus.settings.request_timeout):
                        await live.drain()
                    self._live = None
        finally:
            await self.stop()

    async def attach(self, connection: Connection) -> None:
        if self._on is connection:
            return
        self._on, self.refused = connection, None
        settings = self.bus.settings
        self._live = await connection.subscribe(
            self.subject,
            queue=self.queue,
            cb=self._hear,
            pending_msgs_limit=settings.pending_messages,
            pending_bytes_limit=settings.pending_bytes,
        )

    async def _hear(self, raw: Msg) -> None:
        if not self.any_subject and not _covers(self.subject, raw.subject):
            self.bus.counters.dropped += 1
            _LOG.warning("bus_foreign_subject", bus=self.bus.name, subscription=self.subject, subject=raw.subject)
            return
        try:
            await self.handler(message_of(raw))
        except Exception as error:  # noqa: BLE001
            # the boundary: a handler's failure belongs to that message, the next one is another matter
            self.bus.counters.handler_errors += 1
            _LOG.error("bus_handler_failed", bus=self.bus.name, subject=raw.subject, error=repr(error), exc_info=error)


def _covers(pattern: str, subject: str) -> bool:
    if pattern == subject:
        return True
    wanted, had = pattern.split("."), subject.split(".")
    for place, token in enumerate(wanted):
        if token == ">":
            return len(had) > place
        if place >= len(had) or token not in ("*", had[place]):
            return False
    return len(wanted) == len(had)
