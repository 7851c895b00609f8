"""Outbox, JetStream and inbox together, on real servers: at least once on the way, exactly once at the end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from altnet.common.bus import subjects
from altnet.common.bus.connect import Bus
from altnet.common.bus.consume import PullConsumer
from altnet.common.bus.publish import OutgoingEvent, publish_events
from altnet.common.bus.streams import ensure_streams
from altnet.common.clock import SystemClock
from altnet.common.contracts.envelope import Envelope
from altnet.common.db.advisory import LeaderSettings
from altnet.common.db.dead_letters import DeadLetters
from altnet.common.db.engine import Database
from altnet.common.db.inbox import once
from altnet.common.db.outbox import OutboxRelay, OutboxSettings, backlog, replay
from altnet.common.db.uow import UnitOfWork
from altnet.common.embedded.nats import NatsServer
from altnet.common.metrics import Metrics
from prometheus_client import CollectorRegistry
from support.nats import ServiceBus
from support.postgres import DatabaseFactory
from support.thing_event import ThingChanged, readable

QUICK = OutboxSettings(batch=50, poll=0.2, first_rest=0.02, longest_rest=0.1)
LEADER = LeaderSettings(campaign=0.02, check=0.2, check_timeout=0.5)


@pytest.fixture(autouse=True)
def _readable(monkeypatch: pytest.MonkeyPatch) -> None:
    readable(monkeypatch)


@pytest.fixture
async def db(database_factory: DatabaseFactory) -> AsyncIterator[Database]:
    async with Database(database_factory(), schema="example", clock=SystemClock()) as opened:
        yield opened


class Projection:
    """Counts each number in the consumer's own database, in the order of arrival."""

    def __init__(self, db: Database) -> None:
        self.db = db

    async def apply(self, envelope: Envelope, uow: UnitOfWork) -> None:
        assert isinstance(envelope.event, ThingChanged)
        await uow.connection.exec_driver_sql(
            "INSERT INTO example.idempotency (principal, key, request_hash) VALUES ('p', $1, '')",
            (f"{envelope.event.number:06}",),
        )

    async def numbers(self) -> list[int]:
        async with self.db.raw() as connection:
            found = await connection.fetch("SELECT key FROM example.idempotency ORDER BY key")
        return [int(row[0]) for row in found]


async def _tell(db: Database, numbers: Sequence[int]) -> None:
    async with db.transaction(actor="me") as uow:
        for number in numbers:
            uow.emit(ThingChanged(thing="t", number=number))


async def _until_applied(projection: Projection, count: int) -> None:
    async with asyncio.timeout(30):
        while len(await projection.numbers()) < count:  # noqa: ASYNC110 - a row in a database sends no event
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def _running(db: Database, other: Database, bus: Bus, other_bus: Bus) -> AsyncIterator[Projection]:
    async def publish(events: Sequence[OutgoingEvent]) -> None:
        await publish_events(bus, events, timeout=2.0)

    async def streams() -> None:
        await ensure_streams(bus)

    bus.on_connect(streams)
    await ensure_streams(bus)
    projection = Projection(other)
    relay = OutboxRelay(db, publish, settings=QUICK, leader_settings=LEADER)
    consumer = PullConsumer(
        other_bus,
        durable="dnsd",
        filters=[subjects.event_filter("registry")],
        process=once(other, "projection", projection.apply),
        on_broken=DeadLetters(other, Metrics(CollectorRegistry(), service="example")).of("projection"),
        ack_wait=1.0,
        pull_expires=0.5,
        retry_wait=0.05,
    )
    tasks = [asyncio.create_task(relay.run()), asyncio.create_task(consumer.run())]
    try:
        yield projection
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


@pytest.mark.slow
async def test_events_survive_kills_and_a_wiped_stream_and_are_applied_once(
    db: Database, database_factory: DatabaseFactory, nats_server: NatsServer, service_bus: ServiceBus
) -> None:
    bus = await service_bus("registry")
    async with (
        Database(database_factory(), schema="example", clock=SystemClock()) as other,
        _running(db, other, bus, await service_bus("dnsd")) as projection,
    ):
        await _tell(db, range(100))
        await _until_applied(projection, 100)

        await nats_server.kill()
        await _tell(db, range(100, 200))  # writes go on without a bus
        assert (await backlog(db)).waiting > 0
        await nats_server.start()
        await _until_applied(projection, 200)

        await nats_server.stop()
        await nats_server.wipe()
        await _tell(db, range(200, 300))
        await nats_server.start()
        await _until_applied(projection, 300)
        assert await replay(db, datetime.now(UTC) - timedelta(hours=1)) > 0
        await _tell(db, range(300, 310))
        await _until_applied(projection, 310)
        assert await projection.numbers() == list(range(310))
        async with asyncio.timeout(20):
            while (await backlog(db)).waiting:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.02)
        stream = await bus.jetstream.stream_info(subjects.EVENT_STREAM)
        assert stream.state.messages == 310  # the wiped stream is whole again
        async with other.raw() as connection:
            assert await connection.fetchval("SELECT count(*) FROM example.dead_letter") == 0


async def test_an_event_published_twice_is_in_the_stream_once(db: Database, registry_bus: Bus) -> None:
    bus = registry_bus
    crash = asyncio.Event()

    async def publish_and_hang(events: Sequence[OutgoingEvent]) -> None:
        await publish_events(bus, events, timeout=2.0)
        crash.set()
        await asyncio.Event().wait()

    async def publish(events: Sequence[OutgoingEvent]) -> None:
        await publish_events(bus, events, timeout=2.0)

    await _tell(db, range(20))
    first = asyncio.create_task(OutboxRelay(db, publish_and_hang, settings=QUICK, leader_settings=LEADER).run())
    await crash.wait()
    first.cancel()
    await asyncio.wait([first])
    await _tell(db, range(20, 30))
    second = asyncio.create_task(OutboxRelay(db, publish, settings=QUICK, leader_settings=LEADER).run())
    async with asyncio.timeout(10):
        while (await backlog(db)).waiting:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.01)
    second.cancel()
    await asyncio.wait([second])
    stream = await bus.jetstream.stream_info(subjects.EVENT_STREAM)
    assert stream.state.messages == 30
