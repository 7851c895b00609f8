"""The unit of work: rows, and the events that tell of them, in one transaction.

It ends with its context, which `Database.transaction` owns: then the session is flushed, the events become outbox rows,
one NOTIFY is sent, and the transaction commits. An error rolls everything back, events too.

Order of events: before its outbox rows are inserted, a unit of work takes a lock for each thing that they are about,
and holds it until the commit. So two units of work that tell of the same thing number their events in the order in
which they commit. The lock is taken last, when no other lock will be asked for, and in one order, so it adds no
deadlock. Security events get their numbers just before it, in a row of the schema that everybody locks then.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from typing import Final

import asyncpg
import msgspec
from altnet.common.bus.subjects import event_subject
from altnet.common.contracts.envelope import Event, encode_event
from altnet.common.contracts.security import SecurityEvent
from altnet.common.db.failures import Conflicts, translated
from altnet.common.errors import AltnetError
from altnet.common.ids import EVENT, EventId, Randomness, new_id
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

_LOCKS: Final = 256
"""Things share that many locks: few enough for the server's lock table, enough that strangers seldom meet."""

_INSERT: Final = """
WITH held AS MATERIALIZED (
    SELECT count(pg_advisory_xact_lock(key)) AS locks
    FROM (SELECT DISTINCT hashtext($1) * 1024::bigint + abs(hashtext(thing)::bigint) % {locks} AS key
          FROM unnest($6::text[]) AS thing ORDER BY key) AS keys
), rows AS (
    INSERT INTO {schema}.outbox (id, kind, version, subject, subject_id, payload, actor, trace, at)
    SELECT row.id, row.kind, row.version, row.subject, row.subject_id, row.payload, $8, $9, $10
    FROM held, unnest($2::text[], $3::text[], $4::int[], $5::text[], $6::text[], $7::json[]) WITH ORDINALITY
        AS row (id, kind, version, subject, subject_id, payload, number)
    WHERE held.locks > 0 ORDER BY row.number
    RETURNING 1
)
SELECT pg_notify($1, '') FROM (SELECT count(*) FROM rows) AS done
"""

_PLACE: Final = 8_070_450_532_247_928_834
"""Where the number of a security event will be: no number of anything else. One round trip less than asking first."""

_NUMBER_AND_INSERT: Final = """
WITH numbers AS (
    INSERT INTO {schema}.emitters AS e (emitter, number) VALUES ($11, $13::bigint)
    ON CONFLICT (emitter) DO UPDATE SET number = e.number + $13::bigint
    RETURNING number - $13::bigint AS before
), held AS MATERIALIZED (
    SELECT count(pg_advisory_xact_lock(key + 0 * numbers.before)) AS locks
    FROM (SELECT DISTINCT hashtext($1) * 1024::bigint + abs(hashtext(thing)::bigint) % {locks} AS key
          FROM unnest($6::text[]) AS thing ORDER BY key) AS keys, numbers
), rows AS (
    INSERT INTO {schema}.outbox (id, kind, version, subject, subject_id, payload, actor, trace, at)
    SELECT row.id, row.kind, row.version, row.subject, row.subject_id,
           replace(row.payload, '"number":{place}', '"number":' || (numbers.before + row.place))::json, $8, $9, $10
    FROM held, numbers,
         unnest($2::text[], $3::text[], $4::int[], $5::text[], $6::text[], $7::text[], $12::int[]) WITH ORDINALITY
        AS row (id, kind, version, subject, subject_id, payload, place, number)
    WHERE held.locks > 0 ORDER BY row.number
    RETURNING 1
)
SELECT pg_notify($1, '') FROM (SELECT count(*) FROM rows) AS done
"""
"""The same, and numbers for security events (`altnet.common.db.numbers`) in the order in which they were told.

The emitter is an argument of the locks, so that everybody locks it before the things.
"""


@dataclass(frozen=True)
class _Emitted:
    id: EventId
    subject: str
    event: Event


class UnitOfWork:
    """One transaction. Made by `Database.transaction`; never commit or roll back in it."""

    def __init__(
        self,
        connection: AsyncConnection,
        *,
        schema: str,
        actor: str,
        trace: str | None,
        now: datetime,
        randomness: Randomness,
    ) -> None:
        self.connection = connection
        """For Core and raw statements, which cost a quarter of the session's."""
        self.actor = actor
        self.trace = trace
        self.now = now
        """When it began: every row and event of it has this time."""
        self.known_conflicts: dict[str, Callable[[], AltnetError]] = {}
        self._schema = schema
        self._randomness = randomness
        self._session: AsyncSession | None = None
        self._events: list[_Emitted] = []

    @property
    def session(self) -> AsyncSession:
        """The ORM's session on this transaction; made when first asked for."""
        if self._session is None:
            self._session = AsyncSession(self.connection, expire_on_commit=False)
        return self._session

    def event_id(self) -> EventId:
        """The identifier of an event that `emit` gets later: for rows that are written before the event is known."""
        return EventId(new_id(EVENT, self.now, self._randomness))

    def emit(self, event: Event, *, identifier: EventId | None = None) -> EventId:
        """Tell of something; it is published if, and after, this unit of work commits. In order within it."""
        item = _Emitted(identifier or self.event_id(), event_subject(event), event)
        self._events.append(item)
        return item.id

    def conflicts(self, conflicts: Conflicts) -> None:
        """From here on, the violation of a named constraint leaves this unit of work as the error given for it."""
        self.known_conflicts.update(conflicts)

    @contextlib.asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """What fails in here is undone alone, its events too, and the unit of work may go on: to try another number."""
        told = len(self._events)
        try:
            with translated(self.known_conflicts):
                async with self.session.begin_nested():
                    yield
        except BaseException:
            del self._events[told:]
            raise

    async def driver(self) -> asyncpg.Connection:
        """asyncpg's connection, inside this transaction: for COPY and the functions of `altnet.common.db.bulk`."""
        if self._session is not None:
            await self._session.flush()
        await self.connection.exec_driver_sql("SELECT")  # SQLAlchemy begins at the first statement it sees
        raw = await self.connection.get_raw_connection()
        driver = raw.driver_connection
        assert isinstance(driver, asyncpg.Connection)
        return driver

    async def __aenter__(self) -> UnitOfWork:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        try:
            if kind is None:
                if self._session is not None:
                    await self._session.flush()
                if self._events:
                    await self._write_events()
        finally:
            if self._session is not None:
                await self._session.close()

    async def _write_events(self) -> None:
        numbered = [isinstance(item.event, SecurityEvent) and not item.event.number for item in self._events]
        statement = (_NUMBER_AND_INSERT if any(numbered) else _INSERT).format(
            schema=self._schema, locks=_LOCKS, place=_PLACE
        )
        columns = (
            [item.id for item in self._events],
            [item.event.kind for item in self._events],
            [item.event.version for item in self._events],
            [item.subject for item in self._events],
            [item.event.subject_id for item in self._events],
            [
                encode_event(_unnumbered(item.event, self._schema) if unnumbered else item.event).decode()
                for item, unnumbered in zip(self._events, numbered, strict=True)
            ],
        )
        more = (self._schema, list(accumulate(numbered)), sum(numbered)) if any(numbered) else ()
        await self.connection.exec_driver_sql(
            statement, (f"{self._schema}_outbox", *columns, self.actor, self.trace, self.now, *more)
        )


def _unnumbered(event: Event, emitter: str) -> Event:
    """The event as the statement can number it."""
    return msgspec.structs.replace(event, emitter=emitter, number=_PLACE)
