"""Whether a service's security events are all in the stream: looked at now and then, and said while one is missing.

It counts along what has come since the last look, and now and then all of it anew, for what was there may be taken out
later. What the service itself has numbered and given to the bus has to be there, too. Each replica looks for itself:
it is one read of what is new. Leaves out why they are missing, and other services' (`altnet admin security-gaps` names
all), and resolving: what somebody can account for is a row in `known_gaps` (docs/operations.md).

Invariant: what is only on its way is not missing, and looking changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from altnet.common import log
from altnet.common.bus import subjects
from altnet.common.bus.connect import Bus
from altnet.common.bus.reading import read_events
from altnet.common.contracts.security import Gap, Reader, SecurityEvent
from altnet.common.db import numbers
from altnet.common.db.engine import Database
from altnet.common.errors import AltnetError, Broken
from altnet.common.jobs import Job, every
from altnet.common.metrics import Metrics

LOOK_EVERY: Final = 60.0
"""Seconds between two looks: how late it is said. A look costs a query, and a read of what is new."""
ANEW_EVERY: Final = 6 * 3600.0
"""Seconds between two counts from the stream's beginning."""
MOST: Final = 20_000
"""Events in one look, which is below a second of the processor; the next one goes on."""
ON_THE_WAY: Final = 2.0
"""Seconds for a copy of the stream that lags behind, before what it lacks at its end counts as missing."""
NAMED: Final = 3
"""Gaps in a remark."""

_LOG: Final = log.get(__name__)


@dataclass(frozen=True, kw_only=True)
class _Books:
    """What the service's own rows say, all as of one moment."""

    given: Mapping[str, int]
    """Emitter → the last number that it gave, or passed on."""
    waiting: bool
    """Some events are not with the bus yet."""
    known: Mapping[str, tuple[Gap, ...]]


class SecurityGaps:
    """Those of one schema. The gauge `security_events_missing` and `remarks` tell how many there are."""

    def __init__(
        self,
        db: Database,
        bus: Bus,
        metrics: Metrics,
        *,
        most: int = MOST,
        anew_every: float = ANEW_EVERY,
        on_the_way: float = ON_THE_WAY,
    ) -> None:
        self._db = db
        self._bus = bus
        self._most = most
        self._anew_every = anew_every
        self._on_the_way = on_the_way
        self._reader = Reader()
        self._after = 0
        self._began = db.clock.monotonic()
        self._ends: dict[str, int] = {}
        """By emitter: its last number in the stream, where more were given, as a read from the beginning confirmed."""
        self.missing: Mapping[str, tuple[Gap, ...]] = {}
        """By emitter, as last counted."""
        metrics.gauge("security_events_missing", "Numbers of security events that the stream lacks.").set_function(
            lambda: self.count
        )

    @property
    def count(self) -> int:
        return sum(gap.last - gap.first + 1 for gaps in self.missing.values() for gap in gaps)

    async def look(self) -> None:
        """Count along what has come. Raises `Unavailable`."""
        now = self._db.clock.monotonic()
        if now - self._began >= self._anew_every:
            self._reader, self._after, self._began = Reader(), 0, now
        books = await self._books()  # before the stream: all that is given by now is in there when it is read
        if not await self._read():
            return
        ends = self._short(books)
        if ends != self._ends:  # or it is another stream, whose sequences began anew
            await asyncio.sleep(self._on_the_way)
            self._after = 0
            if not await self._read():
                return
            self._ends = ends = self._short(books)
        self._judge(books, ends)

    def _short(self, books: _Books) -> dict[str, int]:
        """By emitter, the last number that came, where more were given. Nothing while some are on their way."""
        if books.waiting:
            return self._ends
        last = self._reader.last
        return {
            emitter: last[emitter]
            for emitter, given in books.given.items()
            if emitter in last and last[emitter] < given
        }

    def _judge(self, books: _Books, ends: Mapping[str, int]) -> None:
        found: dict[str, tuple[Gap, ...]] = {}
        gaps = self._reader.gaps
        for emitter in sorted({*gaps, *ends}):
            tail = (Gap(ends[emitter] + 1, books.given[emitter]),) if emitter in ends else ()
            parts = (*gaps.get(emitter, ()), *tail)
            left = tuple(part for gap in parts for part in gap.without(books.known.get(emitter, ())))
            if left:
                found[emitter] = left
        if found and found != self.missing:
            _LOG.error("security events are missing", schema=self._db.schema, missing=_named(found))
        self.missing = found

    async def _read(self) -> bool:
        """Take in what the stream has beyond the last look; False where there is more."""
        left = self._most
        async with aclosing(
            read_events(self._bus, after=self._after, of=subjects.events_of(self._db.schema))
        ) as deliveries:
            async for delivery in deliveries:
                self._after = delivery.sequence
                try:
                    event = delivery.envelope.event
                except Broken:
                    continue  # of another version: its number shows as missing, which is right
                if isinstance(event, SecurityEvent) and event.number > 0:
                    self._reader.take(event.emitter, event.number)
                left -= 1
                if not left:
                    return False
                if not left % 256:
                    await asyncio.sleep(0)  # others have the loop between two batches
        return True

    async def _books(self) -> _Books:
        schema = self._db.schema
        async with self._db.raw() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
            emitters = await connection.fetch(f"SELECT emitter, number FROM {schema}.emitters WHERE number > 0")  # noqa: S608 - the schema is a checked name
            waiting = await connection.fetchval(
                f"SELECT EXISTS (SELECT FROM {schema}.outbox WHERE published_at IS NULL AND refused_at IS NULL)"  # noqa: S608 - as above
            )
            known = await numbers.known_gaps(connection, schema)
        return _Books(given={row["emitter"]: row["number"] for row in emitters}, waiting=bool(waiting), known=known)

    def remarks(self) -> Mapping[str, str]:
        """For `/readyz`: requests succeed all the same, so it makes nobody unready."""
        if not self.missing:
            return {}
        where = f"see `altnet admin security-gaps`, {self._db.schema}.known_gaps, and docs/operations.md"
        return {f"{self._db.schema} security events": f"{self.count} missing ({_named(self.missing)}): {where}."}

    def job(self) -> Job:
        """The job that looks."""

        async def look() -> None:
            try:
                await self.look()
            except AltnetError as error:  # the bus or the database is away: what was found stays said
                _LOG.info("security events were not counted", schema=self._db.schema, reason=str(error))

        return Job(f"{self._db.schema}-security-gaps", every(LOOK_EVERY, look))


def _named(missing: Mapping[str, tuple[Gap, ...]]) -> str:
    texts = [
        f"{emitter} {gap.first}" if gap.first == gap.last else f"{emitter} {gap.first}-{gap.last}"
        for emitter, gaps in missing.items()
        for gap in gaps
    ]
    return ", ".join(texts[:NAMED]) + (", …" if len(texts) > NAMED else "")
