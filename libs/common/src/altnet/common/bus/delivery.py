"""One event as it comes out of the stream: what a consumer processes, an inbox remembers, a dead letter keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from altnet.common.bus import subjects
from altnet.common.contracts import envelope as wire
from altnet.common.contracts.envelope import Envelope, decode_event
from altnet.common.errors import Broken
from altnet.common.ids import EventId


@dataclass(frozen=True)
class Delivery:
    """One event as it came. `delivered` counts the server's deliveries, from 1; `sequence` is the stream's."""

    subject: str
    payload: bytes
    headers: Mapping[str, str]
    delivered: int
    sequence: int

    @cached_property
    def message_id(self) -> EventId:
        """The event's id; for a foreign message without one its place in the stream."""
        return EventId(self.headers.get(wire.HEADER_ID) or f"{subjects.EVENT_STREAM}-{self.sequence}")

    @cached_property
    def envelope(self) -> Envelope:
        """The event with its metadata. Raises `Broken` where it can not be read."""
        headers = self.headers
        try:
            kind, version = headers[wire.HEADER_KIND], int(headers[wire.HEADER_VERSION])
            at = datetime.fromisoformat(headers[wire.HEADER_TIME])
            return Envelope(
                id=EventId(headers[wire.HEADER_ID]),
                at=at,
                actor=headers[wire.HEADER_ACTOR],
                event=decode_event(kind, version, self.payload),
                trace=headers.get(wire.HEADER_TRACE),
                sequence=self.sequence,
            )
        except (KeyError, ValueError) as error:
            raise Broken(f"headers can not be read: {error!r}") from None
