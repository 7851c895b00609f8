"""The inbox: once per consumer, whatever the bus repeats."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from altnet.common.bus.consume import Delivery
from altnet.common.bus.publish import outgoing
from altnet.common.clock import SystemClock
from altnet.common.contracts.envelope import HEADER_ID, Envelope
from altnet.common.db.dead_letters import DeadLetters
from altnet.common.db.engine import Database
from altnet.common.db.inbox import InboxSettings, once, sweep_job
from altnet.common.db.uow import UnitOfWork
from altnet.common.errors import Broken, Retry
from altnet.common.ids import EventId
from altnet.common.metrics import Metrics
from prometheus_client import CollectorRegistry
from support.postgres import DatabaseFactory
from support.thing_event import ThingChanged, readable


@pytest.fixture(autouse=True)
def _readable(monkeypatch: pytest.MonkeyPatch) -> None:
    readable(monkeypatch)


@pytest.fixture
async def db(database_factory: DatabaseFactory) -> AsyncIterator[Database]:
    async with Database(database_factory(), schema="example", clock=SystemClock()) as opened:
        yield opened


def delivery(number: int, *, delivered: int = 1) -> Delivery:
    event = outgoing(
        ThingChanged(thing="t", number=number),
        id=EventId(f"evt_{number}"),
        at=SystemClock().now(),
        actor="usr_1",
        trace="00-aa-bb-01",
    )
    return Delivery(event.subject, event.payload, {**event.headers, HEADER_ID: event.id}, delivered, number + 1)


async def _tell_on(envelope: Envelope, uow: UnitOfWork) -> None:
    assert isinstance(envelope.event, ThingChanged)
    uow.emit(ThingChanged(thing="derived", number=envelope.event.number))


async def _derived(db: Database) -> list[tuple[int, str, str | None]]:
    async with db.raw() as connection:
        found = await connection.fetch("SELECT payload, actor, trace FROM example.outbox ORDER BY ordinal")
    return [(json.loads(row["payload"])["number"], row["actor"], row["trace"]) for row in found]


async def test_a_repeated_delivery_is_worked_on_once_per_consumer(db: Database) -> None:
    process, other = once(db, "one", _tell_on), once(db, "other", _tell_on, actor="other")
    for item in (delivery(1), delivery(2), delivery(1, delivered=2)):
        await process(item)
    await other(delivery(1))
    trace = "00-aa-bb-01"
    assert await _derived(db) == [
        (1, "service:example", trace),
        (2, "service:example", trace),
        (1, "other", trace),
    ]


async def test_deliveries_at_the_same_time_are_worked_on_once(db: Database) -> None:
    async def slowly(envelope: Envelope, uow: UnitOfWork) -> None:
        await asyncio.sleep(0.02)
        await _tell_on(envelope, uow)

    process = once(db, "one", slowly)
    await asyncio.gather(*(process(delivery(1)) for _ in range(5)))
    assert len(await _derived(db)) == 1


@pytest.mark.parametrize("verdict", [Retry("not yet", after=3), Broken("never"), RuntimeError("a fault")])
async def test_a_handler_that_fails_leaves_nothing_and_is_asked_again(db: Database, verdict: Exception) -> None:
    failures = [verdict]

    async def handler(envelope: Envelope, uow: UnitOfWork) -> None:
        await _tell_on(envelope, uow)
        if failures:
            raise failures.pop()

    process = once(db, "one", handler)
    with pytest.raises(type(verdict)):
        await process(delivery(1))
    assert await _derived(db) == []
    await process(delivery(1, delivered=2))
    assert len(await _derived(db)) == 1


async def test_a_message_that_cannot_be_read_is_broken_and_kept_whole(db: Database) -> None:
    unreadable = Delivery("alt.v1.evt.x.y.z.1", b"\x00not json", {"Alt-Kind": "x.y.z"}, 1, 7)
    with pytest.raises(Broken) as verdict:
        await once(db, "one", _tell_on)(unreadable)

    store = DeadLetters(db, Metrics(CollectorRegistry(), service="example")).of("one")
    await store(unreadable, verdict.value.reason)
    await store(unreadable, "again\0")

    async with db.raw() as connection:
        (row,) = await connection.fetch("SELECT * FROM example.dead_letter")
    assert row["payload"] == b"\x00not json"
    assert json.loads(row["headers"]) == {"Alt-Kind": "x.y.z"}
    assert (row["message_id"], row["reason"], row["delivered"]) == ("EVT-7", "again", 2)
    assert row["last_at"] > row["first_at"]


async def test_what_was_set_aside_is_told_until_somebody_has_resolved_it(db: Database) -> None:
    registry = CollectorRegistry()
    dead = DeadLetters(db, Metrics(registry, service="example"))
    assert dead.remarks() == {}

    await dead.of("one")(delivery(1), "never")
    assert registry.get_sample_value("altnet_example_dead_letters") == 1
    assert "1 set aside" in dead.remarks()["example dead letters"]

    after_a_restart = DeadLetters(db, Metrics(CollectorRegistry(), service="example"))
    await after_a_restart.look()
    assert after_a_restart.waiting == 1

    async with db.raw() as connection:
        await connection.execute("UPDATE example.dead_letter SET resolved_at = now()")
    await dead.look()
    assert (dead.remarks(), registry.get_sample_value("altnet_example_dead_letters")) == ({}, 0)


async def test_old_entries_are_forgotten_and_younger_ones_kept(db: Database) -> None:
    process = once(db, "one", _tell_on)
    await process(delivery(1))
    await process(delivery(2))
    async with db.raw() as connection:
        await connection.execute(
            "UPDATE example.inbox SET received_at = now() - interval '31 days' WHERE message_id = 'evt_1'"
        )
    sweep = asyncio.create_task(_run(sweep_job(db, settings=InboxSettings(keep_days=30)).run()))
    async with asyncio.timeout(5):
        while True:
            async with db.raw() as connection:
                left = [row[0] for row in await connection.fetch("SELECT message_id FROM example.inbox")]
            if left == ["evt_2"]:
                break
            await asyncio.sleep(0.01)
    sweep.cancel()
    await asyncio.wait([sweep])


async def _run(work: object) -> None:
    await work  # type: ignore[misc]  # Job.run gives an awaitable, and a task wants a coroutine
