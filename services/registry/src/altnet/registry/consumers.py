"""What the registry hears: heartbeats and acknowledgements of relays.

They are plain messages, of which the last one counts. Who sent one is the subject's word, which the bus guards. A
message that cannot be read is counted and left; it must not stop the next.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec
import structlog
from altnet.common.bus.connect import Bus, Message
from altnet.common.bus.subjects import ALL_APPLIED, ALL_STATUS, relay_of
from altnet.common.contracts.agent import Applied, Heartbeat
from altnet.common.errors import UNREADABLE
from altnet.registry.jobs.client_sessions import ClientSessions
from altnet.registry.jobs.convergence import Convergence
from altnet.registry.jobs.learning import Learning
from altnet.registry.jobs.pulse import Pulse
from altnet.registry.jobs.sessions import Sessions

_log = structlog.get_logger("altnet.registry.consumers")

Report = TypeVar("Report", Applied, Heartbeat)

LARGEST_REPORT = 1024 * 1024
"""Bytes: a heartbeat about a thousand links and as many clients has half of that."""


class Reports:
    """Listens on this replica. `unreadable` and `heard` are for metrics."""

    def __init__(
        self,
        bus: Bus,
        *,
        convergence: Convergence,
        pulse: Pulse,
        sessions: Sessions,
        learning: Learning,
        client_sessions: ClientSessions,
    ) -> None:
        self._bus = bus
        self._convergence = convergence
        self._pulse = pulse
        self._sessions = sessions
        self._learning = learning
        self._client_sessions = client_sessions
        self._status = msgspec.json.Decoder(Heartbeat)
        self._applied = msgspec.json.Decoder(Applied)
        self.heard = 0
        self.unreadable = 0

    async def listen(self) -> None:
        """Subscribe; it holds across reconnects."""
        await self._bus.subscribe(ALL_STATUS, self.on_status)
        await self._bus.subscribe(ALL_APPLIED, self.on_applied)

    async def on_status(self, message: Message) -> None:
        heartbeat = self._read(message, self._status)
        if heartbeat is not None:
            relay = relay_of(message.subject)
            self._pulse.heard(relay, heartbeat)
            self._convergence.heard(relay, heartbeat.applied)
            self._sessions.heard(relay, heartbeat)
            self._learning.heard(relay, heartbeat)
            self._client_sessions.heard(relay, heartbeat)

    async def on_applied(self, message: Message) -> None:
        applied = self._read(message, self._applied)
        if applied is not None:
            self._convergence.heard(relay_of(message.subject), applied)

    def _read(self, message: Message, decoder: msgspec.json.Decoder[Report]) -> Report | None:
        self.heard += 1
        try:
            if len(message.data) > LARGEST_REPORT:
                raise msgspec.DecodeError(f"{len(message.data)} bytes")
            return decoder.decode(message.data)
        except UNREADABLE as error:
            self.unreadable += 1
            _log.warning("unreadable_report", subject=message.subject, reason=str(error)[:200])
            return None
