"""The outbox relay: nothing lost, nothing out of order, whatever fails."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta

import asyncpg
import msgspec
import pytest
from altnet.common.bus.publish import OutgoingEvent
from altnet.common.clock import SystemClock
from altnet.common.contracts.envelope import HEADER_ACTOR, HEADER_KIND, HEADER_TIME, HEADER_TRACE, HEADER_VERSION
from altnet.common.contracts.registry import KeyRevoked, RelayHealthChanged
from altnet.common.db import outbox
from altnet.common.db.advisory import LeaderSettings
from altnet.common.db.engine import Database, DatabaseSettings
from altnet.common.db.outbox import OutboxRelay, OutboxSettings, backlog, replay
from altnet.common.embedded.postgres import PostgresServer
from altnet.common.errors import Forbidden, TooLarge, Unavailable
from altnet.common.metrics import Metrics
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from support.postgres import DatabaseFactory, owner_dsn
from support.thing_event import ThingChanged

QUICK = OutboxSettings(batch=7, poll=0.5, first_rest=0.01, longest_rest=0.02)
LEADER = LeaderSettings(campaign=0.02, check=0.2, check_timeout=0.5)


class Stream:
    """A JetStream stream as a relay sees it: stores in order, knows what it has by its id, can be away."""

    def __init__(self) -> None:
        self.stored: list[OutgoingEvent] = []
        self.calls: list[int] = []
        self.away = False
        self.wanted = asyncio.Event()
        self._known: set[str] = set()
        self.before: Callable[[Sequence[OutgoingEvent]], Awaitable[None]] | None = None
        self.after: Callable[[], Awaitable[None]] | None = None

    async def publish(self, events: Sequence[OutgoingEvent]) -> None:
        self.wanted.set()
        if self.away:
            raise Unavailable("bus_down", "no bus.")
        if self.before is not None:
            await self.before(events)
        self.calls.append(len(events))
        for event in events:
            if event.id not in self._known:
                self._known.add(event.id)
                self.stored.append(event)
        if self.after is not None:
            await self.after()

    def numbers(self, thing: str | None = None) -> list[int]:
        found = [msgspec.json.decode(event.payload, type=ThingChanged) for event in self.stored]
        return [item.number for item in found if thing in (None, item.thing)]


@pytest.fixture
async def db(database_factory: DatabaseFactory) -> AsyncIterator[Database]:
    async with Database(database_factory(), schema="example", clock=SystemClock()) as opened:
        yield opened


@contextlib.asynccontextmanager
async def relaying(
    db: Database, stream: Stream, settings: OutboxSettings = QUICK, metrics: Metrics | None = None
) -> AsyncIterator[OutboxRelay]:
    relay = OutboxRelay(db, stream.publish, settings=settings, leader_settings=LEADER, metrics=metrics)
    task = asyncio.create_task(relay.run())
    try:
        yield relay
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def tell(db: Database, *numbers: int, thing: str = "t") -> None:
    async with db.transaction(actor="usr_1", trace="00-aa-bb-01") as uow:
        for number in numbers:
            uow.emit(ThingChanged(thing=thing, number=number))


async def until(condition: Callable[[], bool | Awaitable[bool]], seconds: float = 15.0) -> None:
    async with asyncio.timeout(seconds):
        while True:
            met = condition()
            if met if isinstance(met, bool) else await met:
                return
            await asyncio.sleep(0.005)


async def all_published(db: Database) -> bool:
    return (await backlog(db)).waiting == 0


async def _sql(db: Database, statement: str, *values: object) -> list[asyncpg.Record]:
    async with db.raw() as connection:
        return await connection.fetch(statement, *values)


async def test_events_reach_the_bus_in_order_with_their_headers_and_are_marked(db: Database) -> None:
    stream = Stream()
    await tell(db, *range(20))
    async with relaying(db, stream):
        await until(lambda: all_published(db))
    assert stream.numbers() == list(range(20))
    first = stream.stored[0]
    assert first.subject == "alt.v1.evt.registry.thing.changed.t"
    assert first.payload == b'{"thing":"t","number":0}'
    assert first.headers[HEADER_KIND] == "registry.thing.changed"
    assert (first.headers[HEADER_VERSION], first.headers[HEADER_ACTOR]) == ("1", "usr_1")
    assert first.headers[HEADER_TRACE] == "00-aa-bb-01"
    assert datetime.fromisoformat(first.headers[HEADER_TIME]).tzinfo is not None
    assert len(await _sql(db, "SELECT FROM example.outbox WHERE published_at IS NOT NULL")) == 20


async def test_a_commit_wakes_the_relay_long_before_its_poll(db: Database) -> None:
    stream = Stream()
    async with relaying(db, stream, msgspec.structs.replace(QUICK, poll=30.0)):
        await tell(db, 0)
        await until(lambda: len(stream.stored) == 1)
        for number in range(1, 6):
            await tell(db, number)
            await until(lambda wanted=number: len(stream.stored) > wanted, 5)  # type: ignore[misc]  # bound at once


async def test_a_lost_notification_costs_one_poll(db: Database) -> None:
    stream = Stream()
    async with relaying(db, stream, msgspec.structs.replace(QUICK, poll=0.05)):
        await tell(db, 0)
        await until(lambda: len(stream.stored) == 1)
        await until(lambda: all_published(db))
        await _sql(db, "UPDATE example.outbox SET published_at = NULL")  # says nothing to anybody
        await until(lambda: len(stream.calls) == 2)


async def test_events_wait_while_the_bus_is_away_and_follow_when_it_is_back(db: Database) -> None:
    stream = Stream()
    stream.away = True
    async with relaying(db, stream):
        await tell(db, *range(30))
        await stream.wanted.wait()
        assert (await backlog(db)).waiting == 30
        stream.away = False
        await until(lambda: all_published(db))
    assert stream.numbers() == list(range(30))


async def test_an_ordinal_that_commits_late_is_published_too(db: Database) -> None:
    """Ordinals are given before commits: a relay that paged by 'greater than the last' would lose this one."""
    stream = Stream()
    async with relaying(db, stream), db.dedicated() as slow:
        async with slow.transaction():
            await slow.execute(
                "INSERT INTO example.outbox (id, kind, version, subject, subject_id, payload, actor, at)"
                " VALUES ('evt_late', 'registry.thing.changed', 1, 's', 'late', '{\"thing\":\"late\"}', 'me', now())"
            )
            await tell(db, 1)
            await until(lambda: len(stream.stored) == 1)
        await until(lambda: len(stream.stored) == 2)
    assert [event.id for event in stream.stored][1] == "evt_late"


async def test_a_crash_between_publishing_and_marking_publishes_again_and_is_stored_once(db: Database) -> None:
    stream = Stream()
    crash = asyncio.Event()

    async def hang() -> None:
        crash.set()
        await asyncio.Event().wait()

    await tell(db, *range(5))
    stream.after = hang
    async with relaying(db, stream):
        await crash.wait()  # stored, not marked; the relay dies here
    assert (await backlog(db)).waiting == 5
    stream.after = None
    async with relaying(db, stream):
        await until(lambda: all_published(db))
    assert stream.calls == [5, 5]
    assert stream.numbers() == list(range(5))


async def test_two_relays_share_one_lead_and_the_second_takes_over(db: Database) -> None:
    one, other = Stream(), Stream()
    async with relaying(db, one):
        await tell(db, 1)
        await until(lambda: len(one.stored) == 1)
        async with relaying(db, other):
            await tell(db, 2)
            await until(lambda: all_published(db))
            assert other.stored == []
            await _sql(db, "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE locktype = 'advisory'")
            await tell(db, 3)
            await until(lambda: all_published(db))
    assert sorted(one.numbers() + other.numbers()) == [1, 2, 3]


async def test_an_event_that_can_never_be_published_is_set_aside_and_the_others_flow(db: Database) -> None:
    stream = Stream()
    registry = CollectorRegistry()

    async def too_large(events: Sequence[OutgoingEvent]) -> None:
        if any(b'"number":3}' in event.payload for event in events):
            raise TooLarge("too_large", "1 MiB is the most.")

    stream.before = too_large
    await tell(db, *range(6))
    async with relaying(db, stream, metrics=Metrics(registry, service="example")):
        await until(lambda: all_published(db))
    assert stream.numbers() == [0, 1, 2, 4, 5]
    found = await backlog(db)
    assert (found.waiting, found.refused) == (0, 1)
    (row,) = await _sql(db, "SELECT refusal FROM example.outbox WHERE refused_at IS NOT NULL")
    assert "1 MiB is the most." in row["refusal"]
    assert registry.get_sample_value("altnet_example_outbox_refused_events_total") == 1
    assert registry.get_sample_value("altnet_example_outbox_published_events_total") == 5


async def test_an_event_that_fails_for_no_known_reason_holds_up_only_its_own_thing_and_not_for_ever(
    db: Database,
) -> None:
    stream = Stream()
    tries: Counter[str] = Counter()

    async def faulty(events: Sequence[OutgoingEvent]) -> None:
        for event in events:
            if b'"bad","number":1}' in event.payload:
                tries[event.id] += len(events) == 1
                raise RuntimeError("who knows")

    stream.before = faulty
    await tell(db, 0, 1, 2, thing="bad")
    await tell(db, 0, 1, 2, thing="good")
    async with relaying(db, stream, msgspec.structs.replace(QUICK, attempts=3)):
        await until(lambda: len(stream.numbers("good")) == 3)
        await until(lambda: all_published(db))
    assert stream.numbers("bad") == [0, 2]
    assert list(tries.values()) == [3]
    # What came after the bad one about the same thing had to wait for the verdict.
    assert stream.stored[-1].subject.endswith(".bad")


async def test_a_missing_right_sets_nothing_aside_and_other_things_flow(db: Database) -> None:
    stream = Stream()
    tries = 0
    granted = False

    async def guard(events: Sequence[OutgoingEvent]) -> None:
        nonlocal tries
        if not granted and any(event.subject.endswith(".secret") for event in events):
            tries += 1
            raise Forbidden("bus_permission", "may not publish there.")

    stream.before = guard
    await tell(db, 1, thing="secret")
    await tell(db, 2, thing="open")
    async with relaying(db, stream, msgspec.structs.replace(QUICK, attempts=2)):
        await until(lambda: tries > 8)
        assert stream.numbers() == [2]
        granted = True
        await until(lambda: all_published(db))
    assert (stream.numbers(), (await backlog(db)).refused) == ([2, 1], 0)


async def test_a_relay_whose_connections_are_cut_leads_and_listens_again(db: Database) -> None:
    stream = Stream()
    async with relaying(db, stream, msgspec.structs.replace(QUICK, poll=60.0)):  # only notifications can wake it
        await tell(db, 1)
        await until(lambda: len(stream.stored) == 1)
        for number in range(2, 5):
            await _sql(
                db,
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()",
            )
            await tell(db, number)
            await until(lambda wanted=number: len(stream.stored) >= wanted)  # type: ignore[misc]  # bound at once
            await until(lambda: all_published(db))
    assert stream.numbers() == [1, 2, 3, 4]


async def test_replay_gives_a_wiped_stream_everything_since_and_nothing_before(db: Database) -> None:
    await tell(db, 1, 2)
    await _sql(db, "UPDATE example.outbox SET created_at = now() - interval '1 day'")
    await tell(db, 3, 4)
    stream = Stream()
    async with relaying(db, stream):
        await until(lambda: all_published(db))
    wiped = Stream()
    assert await replay(db, datetime.now(UTC) - timedelta(hours=1)) == 2
    async with relaying(db, wiped):
        await until(lambda: all_published(db))
    assert wiped.numbers() == [3, 4]
    assert await replay(db, datetime.now(UTC) - timedelta(days=2), datetime.now(UTC) - timedelta(hours=1)) == 2


# -- partitions ----------------------------------------------------------------------------------------------------


async def _partitions(db: Database) -> set[str]:
    found = await _sql(
        db,
        "SELECT relname FROM pg_inherits JOIN pg_class ON oid = inhrelid WHERE inhparent = 'example.outbox'::regclass",
    )
    return {row["relname"] for row in found}


def _part(days: int) -> str:
    return f"outbox_{datetime.now(UTC) + timedelta(days=days):%Y%m%d}"


async def test_partitions_are_made_ahead_and_dropped_by_age_but_never_with_unpublished_events(
    db: Database, postgres_server: PostgresServer
) -> None:
    owner = await asyncpg.connect(owner_dsn(postgres_server, db.settings))
    for days in (-9, -8, -2):
        day = f"current_date + {days}"
        await owner.execute(
            f"DO $$ BEGIN EXECUTE format('CREATE TABLE example.{_part(days)} PARTITION OF example.outbox"
            f" FOR VALUES FROM (%L) TO (%L)', {day}, {day} + 1); END $$"
        )
    for days, published in ((-9, True), (-8, False), (-2, True)):
        await owner.execute(
            "INSERT INTO example.outbox (id, kind, version, subject, subject_id, payload, actor, at, created_at,"
            " published_at) SELECT $1, 'k', 1, 's', 's', '{}', 'a', now(), current_date + $2::int + interval '1 hour',"
            " CASE WHEN $3 THEN now() END",
            f"evt{days}",
            days,
            published,
        )
    await owner.close()
    assert {_part(-9), _part(-8), _part(-2)} <= await _partitions(db)

    await _sql(db, "SELECT example.keep_outbox_partitions(5, 7)")

    left = await _partitions(db)
    assert _part(-9) not in left
    assert {_part(-8), _part(-2), "outbox_default"} <= left
    assert {_part(days) for days in range(6)} <= left


async def test_events_of_a_day_without_a_partition_are_kept_and_moved_when_it_gets_one(
    db: Database, postgres_server: PostgresServer
) -> None:
    owner = await asyncpg.connect(owner_dsn(postgres_server, db.settings))
    await owner.execute(f"DROP TABLE example.{_part(0)}")
    await owner.close()
    await tell(db, 1, 2)
    assert len(await _sql(db, "SELECT FROM example.outbox_default")) == 2

    stream = Stream()
    async with relaying(db, stream):
        await until(lambda: all_published(db))

    assert stream.numbers() == [1, 2]
    assert await _sql(db, "SELECT FROM example.outbox_default") == []
    assert len(await _sql(db, f"SELECT FROM example.{_part(0)}")) == 2
    await tell(db, 3)
    assert (await _sql(db, "SELECT max(ordinal) - min(ordinal) AS span FROM example.outbox"))[0]["span"] == 2


@pytest.mark.slow
async def test_a_busy_table_postpones_housekeeping_and_stops_nothing(db: Database) -> None:
    stream = Stream()
    async with db.transaction(actor="reader") as reader:
        await reader.connection.exec_driver_sql("SELECT * FROM example.outbox_default")
        await _sql(db, "SELECT 1")
        async with relaying(db, stream, msgspec.structs.replace(QUICK, ahead_days=9)):
            await tell(db, 1)
            await until(lambda: len(stream.stored) == 1)
    assert _part(9) not in await _partitions(db)


async def test_the_waiting_events_are_found_by_their_index_among_many_published(db: Database) -> None:
    await _sql(
        db,
        "INSERT INTO example.outbox (id, kind, version, subject, subject_id, payload, actor, at, published_at)"
        " SELECT 'e' || n, 'k', 1, 's', 's', '{}', 'a', now(), now() FROM generate_series(1, 20000) AS n",
    )
    await tell(db, 1)
    async with db.raw() as connection:
        plan = await connection.fetch(
            "EXPLAIN SELECT * FROM example.outbox WHERE published_at IS NULL AND refused_at IS NULL"
            " ORDER BY ordinal LIMIT 500"
        )
    text = "\n".join(row[0] for row in plan)
    assert "ordinal" in text
    assert "Seq Scan" not in text, text


# -- every story ---------------------------------------------------------------------------------------------------

STEPS = st.lists(
    st.sampled_from(["tell a", "tell b", "tell both", "rollback", "bus away", "bus back", "crash", "wipe and replay"]),
    min_size=3,
    max_size=14,
)


@pytest.fixture
def one_database(database_factory: DatabaseFactory) -> DatabaseSettings:
    """One for all examples, which empty it first."""
    return database_factory()


@pytest.mark.slow
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(STEPS)
def test_whatever_happens_each_committed_event_is_stored_once_and_in_order_per_thing(
    one_database: DatabaseSettings, steps: list[str]
) -> None:
    asyncio.run(_story(one_database, steps))


async def _story(one_database: DatabaseSettings, steps: list[str]) -> None:
    told: dict[str, list[int]] = {"a": [], "b": []}
    number = 0
    since = datetime.now(UTC) - timedelta(days=1)
    async with Database(one_database, schema="example", clock=SystemClock()) as db:
        await _sql(db, "DELETE FROM example.outbox")
        stream = Stream()
        async with contextlib.AsyncExitStack() as stack:
            crash = await _start(db, stream, stack)
            for step in steps:
                number += 1
                match step.split():
                    case ["tell", which]:
                        things = ["a", "b"] if which == "both" else [which]
                        async with db.transaction(actor="me") as uow:
                            for thing in things:
                                uow.emit(ThingChanged(thing=thing, number=number))
                                told[thing].append(number)
                    case ["rollback"]:
                        with contextlib.suppress(KeyError):
                            async with db.transaction(actor="me") as uow:
                                uow.emit(ThingChanged(thing="a", number=number))
                                raise KeyError
                    case ["bus", state]:
                        stream.away = state == "away"
                    case ["crash"]:
                        crash.cancel()
                        await asyncio.wait([crash])
                        crash = await _start(db, stream, stack)
                    case _:
                        crash.cancel()
                        await asyncio.wait([crash])
                        away, stream = stream.away, Stream()
                        stream.away = away
                        await replay(db, since)
                        crash = await _start(db, stream, stack)
            stream.away = False
            await until(lambda: all_published(db))
            assert {thing: stream.numbers(thing) for thing in told} == told
            crash.cancel()
            await asyncio.wait([crash])


async def _start(db: Database, stream: Stream, stack: contextlib.AsyncExitStack) -> asyncio.Task[None]:
    task = asyncio.create_task(OutboxRelay(db, stream.publish, settings=QUICK, leader_settings=LEADER).run())
    stack.callback(task.cancel)
    return task


async def test_security_events_are_counted_by_kind_and_others_are_not(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert KeyRevoked.kind in outbox._security_kinds()
    assert RelayHealthChanged.kind not in outbox._security_kinds()
    kinds = {ThingChanged.kind}
    monkeypatch.setattr(outbox, "_security_kinds", lambda: kinds)
    name, labels = "altnet_example_security_events_total", {"kind": ThingChanged.kind}
    stream, registry = Stream(), CollectorRegistry()
    async with relaying(db, stream, metrics=Metrics(registry, service="example")):
        await tell(db, 1, 2)
        await until(lambda: registry.get_sample_value(name, labels) == 2)
        kinds.clear()
        await tell(db, 3)
        await until(lambda: registry.get_sample_value("altnet_example_outbox_published_events_total") == 3)
    assert registry.get_sample_value(name, labels) == 2
