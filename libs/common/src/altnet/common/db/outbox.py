"""The outbox: a ledger of every event, from which the bus is fed and can be fed again.

A unit of work writes the rows (`altnet.common.db.uow`). One replica's relay publishes what is not marked as published,
in the order of the ordinals, and marks it. It never remembers how far it came: ordinals are given before commits, so a
smaller one may appear later; the mark in the row is the only memory. Rows stay for days, so `replay` can restore a
wiped stream.

Invariant: a committed event is published at least once. A crash between publishing and marking publishes again, and the
stream drops the second one by its id (Nats-Msg-Id). An event that cannot be published is set aside with its reason,
alone; nothing unpublished is ever dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import asyncpg
import msgspec
from altnet.common import log
from altnet.common.bus.publish import OutgoingEvent, event_headers
from altnet.common.contracts.envelope import event_classes
from altnet.common.contracts.security import SecurityEvent
from altnet.common.db.advisory import LeaderSettings, leader
from altnet.common.db.engine import Database, RawConnection
from altnet.common.errors import Broken, Forbidden, Invalid, TooLarge, Unavailable
from altnet.common.jobs import Backoff
from altnet.common.metrics import Metrics
from prometheus_client import Counter

Publish = Callable[[Sequence[OutgoingEvent]], Awaitable[None]]
"""Returns when the bus has stored all of them; raises `Unavailable` when it cannot now."""

_LOG: Final = log.get(__name__)
_HOPELESS: Final = (Invalid, TooLarge, Broken)
"""Another try would end the same way."""


class OutboxSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How events are relayed. Times in seconds."""

    batch: int = 500
    """Events at a time; the bus takes up to 1,000 as one atomic batch (ADR-50)."""
    poll: float = 1.0
    """Looks this often where no notification came: one that was lost costs no more."""
    first_rest: float = 0.1
    """After the bus did not take them; doubles up to `longest_rest`."""
    longest_rest: float = 2.0
    """Bounds how long events wait after the bus has come back."""
    attempts: int = 10
    """For an event that is refused alone, without a reason that says for ever; then it is set aside."""
    keep_days: int = 7
    """How long published events stay for a replay. Other services' inboxes and the stream keep longer."""
    ahead_days: int = 3
    """Partitions that exist before their day comes: a weekend without a relay."""
    housekeeping: float = 3600.0
    """Between two looks at the partitions."""


@dataclass(frozen=True, kw_only=True)
class Backlog:
    """What lies in the outbox and is not published."""

    waiting: int
    oldest: datetime | None
    refused: int


@dataclass(frozen=True)
class _Pass:
    """What one look at the outbox came to."""

    rows: int
    stuck: bool


class OutboxRelay:
    """Publishes one schema's events. `run` is a job; any number of replicas may run it, one of them works."""

    def __init__(
        self,
        db: Database,
        publish: Publish,
        *,
        settings: OutboxSettings | None = None,
        leader_settings: LeaderSettings | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self._db = db
        self._publish = publish
        self._settings = settings or OutboxSettings()
        self._leader_settings = leader_settings
        self._rest = Backoff(first=self._settings.first_rest, ceiling=self._settings.longest_rest)
        self._table = f"{db.schema}.outbox"
        self._away: str | None = None
        self._published = metrics.counter("outbox_published_events", "Events given to the bus.") if metrics else None
        self._security = _security_counter(metrics) if metrics else None
        self._refused = metrics.counter("outbox_refused_events", "Events set aside.") if metrics else None
        self._age = metrics.gauge("outbox_oldest_seconds", "Age of the oldest waiting event.") if metrics else None

    async def run(self) -> None:
        """Relay until cancelled. Waits while the database or the bus is away."""
        crashes = 0
        while True:
            try:
                await leader(self._db, "outbox", self._work, settings=self._leader_settings)
            except Unavailable as error:
                crashes += 1
                _LOG.warning("the outbox relay lost the database", schema=self._db.schema, reason=error.detail)
                await asyncio.sleep(self._rest.rest(crashes))

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        wake = asyncio.Event()

        def on_notice(*_notice: object) -> None:
            wake.set()

        async with self._db.dedicated() as connection:
            await connection.add_listener(f"{self._db.schema}_outbox", on_notice)
            tidy_at = loop.time()
            failures = 0
            while True:
                if loop.time() >= tidy_at:
                    tidy_at = loop.time() + self._settings.housekeeping
                    await self._keep_partitions(connection)
                wake.clear()
                outcome = await self._pass(connection)
                if outcome.stuck:
                    failures += 1
                    await asyncio.sleep(self._rest.rest(failures))
                    continue
                failures = 0
                if outcome.rows < self._settings.batch:
                    await _wait(wake, self._settings.poll)

    async def _pass(self, connection: RawConnection) -> _Pass:
        rows = await connection.fetch(
            f"""
            SELECT ordinal, created_at, id, kind, version, subject, subject_id, payload, actor, trace, at, attempts,
                   extract(epoch FROM now() - created_at)::float8 AS age
            FROM {self._table} WHERE published_at IS NULL AND refused_at IS NULL ORDER BY ordinal LIMIT $1
            """,  # noqa: S608 - the schema is a checked name
            self._settings.batch,
        )
        if self._age is not None:
            self._age.set(rows[0]["age"] if rows else 0)
        if not rows:
            return _Pass(0, stuck=False)
        failure = await self._offer([_outgoing(row) for row in rows])
        if failure is None:
            await self._mark(connection, rows)
            return _Pass(len(rows), stuck=False)
        if _is_away(failure):
            return _Pass(len(rows), stuck=True)
        return await self._one_by_one(connection, rows)

    async def _one_by_one(self, connection: RawConnection, rows: Sequence[asyncpg.Record]) -> _Pass:
        """A batch was refused: find the one that is to blame, and let the others through.

        What comes after a refused event about the same thing waits with it, until it is set aside.
        """
        done: list[asyncpg.Record] = []
        held: set[str] = set()
        stuck = False
        for row in rows:
            if row["subject_id"] in held:
                continue
            failure = await self._offer([_outgoing(row)])
            if failure is None:
                done.append(row)
            elif _is_away(failure):
                stuck = True
                break
            elif isinstance(failure, Forbidden):
                held.add(row["subject_id"])  # a right that is missing is the installation's fault, not the event's
            elif isinstance(failure, _HOPELESS) or row["attempts"] + 1 >= self._settings.attempts:
                await self._set_aside(connection, row, failure)
            else:
                held.add(row["subject_id"])
                await connection.execute(
                    f"UPDATE {self._table} SET attempts = attempts + 1 WHERE ordinal = $1 AND created_at = $2",  # noqa: S608 - as above
                    row["ordinal"],
                    row["created_at"],
                )
        await self._mark(connection, done)
        return _Pass(len(rows), stuck=stuck or bool(held))

    async def _offer(self, events: Sequence[OutgoingEvent]) -> Exception | None:
        """Publish; returns what went wrong."""
        try:
            await self._publish(events)
        except Exception as error:  # noqa: BLE001 - returned: whatever a publisher raises, the other events must flow
            if _is_away(error) and self._away is None:
                self._away = str(error)
                _LOG.warning("events wait, the bus does not take them", schema=self._db.schema, reason=self._away)
            return error
        if self._away is not None:
            self._away = None
            _LOG.info("events flow again", schema=self._db.schema)
        return None

    async def _mark(self, connection: RawConnection, rows: Sequence[asyncpg.Record]) -> None:
        if not rows:
            return
        days = [row["created_at"] for row in rows]
        await connection.execute(
            f"UPDATE {self._table} SET published_at = now() "  # noqa: S608 - as above
            "WHERE ordinal = ANY($1) AND created_at BETWEEN $2 AND $3 AND published_at IS NULL",
            [row["ordinal"] for row in rows],
            min(days),
            max(days),
        )
        if self._published is not None:
            self._published.inc(len(rows))
        if self._security is not None:
            kinds = _security_kinds()
            for row in rows:
                if row["kind"] in kinds:
                    self._security.labels(row["kind"]).inc()

    async def _set_aside(self, connection: RawConnection, row: asyncpg.Record, failure: Exception) -> None:
        _LOG.error(
            "an event cannot be published and is set aside",
            event_id=row["id"],
            kind=row["kind"],
            subject_id=row["subject_id"],
            reason=str(failure),
        )
        await connection.execute(
            f"UPDATE {self._table} SET refused_at = now(), refusal = $3, attempts = attempts + 1 "  # noqa: S608 - as above
            "WHERE ordinal = $1 AND created_at = $2",
            row["ordinal"],
            row["created_at"],
            f"{type(failure).__name__}: {failure}"[:1000],
        )
        if self._refused is not None:
            self._refused.inc()

    async def _keep_partitions(self, connection: RawConnection) -> None:
        try:
            await connection.execute(
                f"SELECT {self._db.schema}.keep_outbox_partitions($1, $2)",
                self._settings.ahead_days,
                self._settings.keep_days,
            )
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError) as error:
            # Days are made ahead, and rows without a day go to the default partition: it can wait an hour.
            _LOG.warning("the outbox's partitions are busy", schema=self._db.schema, reason=str(error))


async def replay(db: Database, since: datetime, until: datetime | None = None) -> int:
    """Publish again what was stored from `since` (and before `until`), and what was set aside; returns how many.

    To restore a wiped stream. Consumers that have seen an event skip it by its id.
    """
    async with db.raw() as connection, connection.transaction():
        done = await connection.execute(
            f"UPDATE {db.schema}.outbox SET published_at = NULL, refused_at = NULL, refusal = NULL, attempts = 0 "  # noqa: S608 - as above
            "WHERE created_at >= $1 AND ($2::timestamptz IS NULL OR created_at < $2) "
            "AND (published_at IS NOT NULL OR refused_at IS NOT NULL)",
            since,
            until,
        )
        await connection.execute("SELECT pg_notify($1, '')", f"{db.schema}_outbox")
    return int(done.rpartition(" ")[2])


async def backlog(db: Database) -> Backlog:
    """How much waits, since when, and how much was set aside."""
    async with db.raw() as connection:
        row = await connection.fetchrow(
            f"""
            SELECT count(*) FILTER (WHERE refused_at IS NULL) AS waiting,
                   min(created_at) FILTER (WHERE refused_at IS NULL) AS oldest,
                   count(*) FILTER (WHERE refused_at IS NOT NULL) AS refused
            FROM {db.schema}.outbox WHERE published_at IS NULL
            """  # noqa: S608 - as above
        )
    assert row is not None
    return Backlog(waiting=row["waiting"], oldest=row["oldest"], refused=row["refused"])


def _security_kinds() -> frozenset[str]:
    return frozenset(one.kind for one in event_classes() if issubclass(one, SecurityEvent))


def _security_counter(metrics: Metrics) -> Counter:
    """By kind, so that each failure that is told as an event is a series as well."""
    return metrics.counter("security_events", "Security events given to the bus, by kind.", labels=("kind",))


def _outgoing(row: asyncpg.Record) -> OutgoingEvent:
    return OutgoingEvent(
        id=row["id"],
        subject=row["subject"],
        payload=row["payload"].encode(),
        headers=event_headers(
            kind=row["kind"], version=row["version"], at=row["at"], actor=row["actor"], trace=row["trace"]
        ),
    )


def _is_away(error: Exception) -> bool:
    return isinstance(error, Unavailable | TimeoutError | OSError)


async def _wait(wake: asyncio.Event, timeout: float) -> None:
    try:
        async with asyncio.timeout(timeout):
            await wake.wait()
    except TimeoutError:
        return  # time for a look all the same
