"""Routes that neighbours outside told: asked of the relays whose digest has changed, and recorded.

A heartbeat carries a digest only; when it differs from what is recorded, the leader asks that relay for its whole
table. Few are asked at once, each at most so often, and one that does not answer is asked again later and later. The
next heartbeat says again what is still different, so nothing has to be remembered across a change of leaders.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable
from typing import Final

import structlog
from altnet.common.bus import rpc
from altnet.common.bus.connect import Bus
from altnet.common.clock import Clock
from altnet.common.contracts.agent import Heartbeat
from altnet.common.contracts.routing import LEARNED, Engine, LearnedTable, RouteQuery
from altnet.common.db.engine import Database
from altnet.common.errors import AltnetError, Unavailable
from altnet.registry.settings import LearningSettings
from altnet.registry.store import learned

_log = structlog.get_logger("altnet.registry.learning")

_NOTHING: Final = LearnedTable(digest="")
"""What a relay without a routing engine has learned."""


class Learning:
    """Which relays have to be asked, on the leader."""

    def __init__(
        self,
        db: Database,
        bus: Bus,
        clock: Clock,
        *,
        settings: LearningSettings,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._db = db
        self._bus = bus
        self._clock = clock
        self._settings = settings
        self._uniform = uniform
        self._known: Callable[[str], bool] | None = None
        self._recorded: dict[str, str] = {}
        self._due: dict[str, float] = {}
        self._rested: dict[str, float] = {}
        self._failures: dict[str, int] = {}
        self._static: set[str] = set()
        self._busy: dict[str, str | None] = {}
        """Relays that are being asked, and the digest that a heartbeat told meanwhile."""
        self._wake = asyncio.Event()
        self.asked = 0
        self.unanswered = 0
        self.ignored = 0
        """Routes in answers that made no sense or were over a limit."""
        self.learned = 0
        self.refused = 0
        """How many are recorded, as of the last answer or start."""

    @property
    def waiting(self) -> int:
        """Relays whose table is not as recorded."""
        return len(self._due) + len(self._busy)

    async def begin(self, known: Callable[[str], bool]) -> None:
        """This replica asks from now on. `known`: whether a relay is in the network."""
        self._recorded = await learned.digests(self._db)
        self.learned, self.refused = await learned.counts(self._db)
        for held in (self._due, self._rested, self._failures):
            held.clear()
        self._busy.clear()
        self._known = known

    def end(self) -> None:
        """Another replica may ask."""
        self._known = None
        self._due.clear()

    def heard(self, relay: str, heartbeat: Heartbeat) -> None:
        """A heartbeat arrived: note whether what it learned differs from what is recorded."""
        routing = heartbeat.routing
        if self._known is None or routing is None or not self._known(relay):
            return
        static = routing.engine is Engine.STATIC
        digest = "" if static else routing.learned_digest
        (self._static.add if static else self._static.discard)(relay)
        if relay in self._busy:
            self._busy[relay] = digest
        elif digest == self._recorded.get(relay, ""):
            self._due.pop(relay, None)
        elif relay not in self._due:
            self._ask_soon(relay)

    async def run(self) -> None:
        """Ask whoever is due, until cancelled. Raises `Unavailable` where the database does not take an answer."""
        slots = asyncio.Semaphore(self._settings.at_once)
        async with asyncio.TaskGroup() as group:
            while True:
                self._wake.clear()
                now = self._clock.monotonic()
                for relay in [relay for relay, due in self._due.items() if due <= now]:
                    del self._due[relay]
                    self._busy[relay] = None
                    group.create_task(self._look(relay, slots), name=f"registry learned {relay}")
                pause = min([due - now for due in self._due.values()], default=None)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._wake.wait()

    async def _look(self, relay: str, slots: asyncio.Semaphore) -> None:
        try:
            async with slots:
                table = _NOTHING if relay in self._static else await self._ask(relay)
                if table is None:
                    self._later(relay)
                    return
                found = await learned.record(self._db, relay, table)
                self._failures.pop(relay, None)
                self._recorded[relay] = table.digest
                self.learned, self.refused = await learned.counts(self._db)
                if found.ignored:
                    self.ignored += found.ignored
                    _log.warning("learned_routes_ignored", relay=relay, routes=found.ignored)
                self._rested[relay] = self._clock.monotonic() + self._settings.pause
        except Unavailable:  # the database: the leader starts anew when it is back
            raise
        except Exception as error:  # noqa: BLE001 - what one relay says must not stop the leader
            _log.error("learned_routes_not_recorded", relay=relay, error=repr(error), exc_info=error)
            self._later(relay)
        finally:
            missed = self._busy.pop(relay, None)
            if missed not in (None, self._recorded.get(relay, "")) and relay not in self._due:
                self._ask_soon(relay)
            self._wake.set()

    def _ask_soon(self, relay: str) -> None:
        now = self._clock.monotonic()
        self._due[relay] = max(now, self._rested.get(relay, now))
        self._wake.set()

    def _later(self, relay: str) -> None:
        failures = self._failures[relay] = self._failures.get(relay, 0) + 1
        wait = min(self._settings.retry_longest, self._settings.retry_first * 2 ** min(failures - 1, 16))
        self._due[relay] = self._clock.monotonic() + wait * self._uniform(0.5, 1.0)

    async def _ask(self, relay: str) -> LearnedTable | None:
        self.asked += 1
        try:
            return await rpc.ask_relay(
                self._bus, relay, LEARNED, RouteQuery(), LearnedTable, timeout=self._settings.ask_timeout
            )
        except AltnetError as error:
            self.unanswered += 1
            _log.info("relay_does_not_tell_routes", relay=relay, code=error.code, reason=error.detail)
            return None
