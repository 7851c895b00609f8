"""A service sees by itself that one of its security events is not in the stream: real Postgres, real NATS."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from altnet.common.bus.connect import Bus
from altnet.common.bus.jsapi import call
from altnet.common.bus.publish import outgoing, publish_events
from altnet.common.bus.streams import ensure_streams
from altnet.common.bus.subjects import EVENT_STREAM
from altnet.common.clock import SystemClock
from altnet.common.contracts.keyd import HostTold
from altnet.common.contracts.registry import AttemptRefused
from altnet.common.contracts.security import Gap
from altnet.common.db import numbers
from altnet.common.db.engine import Database
from altnet.common.db.security_gaps import SecurityGaps
from altnet.common.embedded.postgres import PostgresServer
from altnet.common.errors import Unavailable
from altnet.common.ids import EventId
from altnet.common.metrics import Metrics
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from support.nats import ServiceBus
from support.postgres import DatabaseFactory, owner_dsn

REGISTRY = Path(__file__).parents[3] / "services/registry/alembic"
IDS = count()


@dataclass
class Place:
    """A service with rows of its own, its bus, and what it counts."""

    db: Database
    bus: Bus
    admin: Bus
    metrics: CollectorRegistry
    owner: asyncpg.Connection

    def watch(self, **more: float) -> SecurityGaps:
        self.metrics = CollectorRegistry()
        metrics = Metrics(self.metrics, service="registry")
        return SecurityGaps(self.db, self.bus, metrics, **{"on_the_way": 0, **more})  # type: ignore[arg-type]

    async def given(self, number: int, emitter: str = "registry") -> None:
        """The service says that this is the last number that it gave."""
        await self.owner.execute(
            "INSERT INTO registry.emitters VALUES ($1, $2) ON CONFLICT (emitter) DO UPDATE SET number = $2",
            emitter,
            number,
        )

    async def publish(self, *numbers: int, emitter: str = "registry") -> None:
        at = self.db.clock.now()
        events = [
            AttemptRefused(emitter=emitter, number=one, actor="x", reason="bad_join_token", count=1, since=at)
            for one in numbers
        ]
        made = [outgoing(event, id=EventId(f"evt_{next(IDS)}"), at=at, actor="tests") for event in events]
        await publish_events(self.bus, made, timeout=10)

    def gauge(self) -> float:
        lines = generate_latest(self.metrics).decode().splitlines()
        (line,) = [one for one in lines if one.startswith("altnet_registry_security_events_missing")]
        return float(line.rsplit(" ", 1)[1])


@pytest_asyncio.fixture
async def place(
    database_factory: DatabaseFactory, postgres_server: PostgresServer, registry_bus: Bus, service_bus: ServiceBus
) -> AsyncIterator[Place]:
    settings = database_factory("registry", REGISTRY)
    owner = await asyncpg.connect(owner_dsn(postgres_server, settings, "registry"))
    async with Database(settings, schema="registry", clock=SystemClock()) as db:
        yield Place(db, registry_bus, await service_bus("admin"), CollectorRegistry(), owner)
    await owner.close()


pytestmark = [pytest.mark.server]


async def test_where_nothing_is_missing_nothing_is_said(place: Place) -> None:
    watch = place.watch()
    await watch.look()
    assert (watch.missing, watch.remarks(), place.gauge()) == ({}, {}, 0)
    await place.given(3)
    await place.publish(1, 2, 3)
    for _ in range(2):
        await watch.look()
        assert (watch.missing, watch.remarks(), place.gauge()) == ({}, {}, 0)


async def test_a_gap_is_said_until_what_was_missing_comes_or_somebody_accounts_for_it(place: Place) -> None:
    watch = place.watch()
    await place.given(9)
    await place.publish(1, 2, 5, 9)
    await watch.look()
    assert watch.missing == {"registry": (Gap(3, 4), Gap(6, 8))}
    assert place.gauge() == 5
    (said,) = watch.remarks().values()
    assert "5 missing (registry 3-4, registry 6-8)" in said
    await place.publish(3, 4)
    await watch.look()
    assert watch.missing == {"registry": (Gap(6, 8),)}
    async with place.db.raw() as sql:
        await sql.execute(
            "INSERT INTO registry.known_gaps (emitter, first, last, why) VALUES ('registry', 6, 7, 'lost')"
        )
    await watch.look()
    assert watch.missing == {"registry": (Gap(8, 8),)}
    assert "1 missing (registry 8)" in "".join(watch.remarks().values())


async def test_numbers_that_were_given_and_never_came_are_missing_and_those_on_their_way_are_not(place: Place) -> None:
    watch = place.watch()
    await place.publish(1, 2)
    at = place.db.clock.now()
    async with place.db.transaction(actor="tests") as uow:
        await numbers.take(uow.connection, "registry", "registry", 2)
        uow.emit(AttemptRefused(actor="x", reason="bad_join_token", count=1, since=at))
    await watch.look()
    assert watch.missing == {}, "it waits in the outbox"
    async with place.db.raw() as sql:
        await sql.execute("UPDATE registry.outbox SET published_at = now()")
    await watch.look()
    assert watch.missing == {"registry": (Gap(3, 3),)}
    await place.publish(3)
    await watch.look()
    assert watch.missing == {}


async def test_what_comes_into_the_stream_a_moment_later_is_not_missing(place: Place) -> None:
    watch = place.watch(on_the_way=1)
    await place.given(3)
    await place.publish(1, 2)
    looking = asyncio.create_task(watch.look())
    await asyncio.sleep(0.3)
    await place.publish(3)
    await looking
    assert watch.missing == {}


async def test_what_a_restore_leaves_out_is_accounted_for(place: Place) -> None:
    watch = place.watch()
    await place.given(2)
    await place.publish(1, 2)
    async with place.db.transaction(actor="host") as uow:
        await numbers.skip(uow.connection, "registry", "registry", 1000)
    await watch.look()
    assert watch.missing == {}
    await place.given(1003)
    await place.publish(1003)
    await watch.look()
    assert watch.missing == {}
    await place.given(1005)
    await place.publish(1005)
    await watch.look()
    assert watch.missing == {"registry": (Gap(1004, 1004),)}


async def test_a_stream_that_was_lost_and_made_anew_is_read_from_its_beginning(place: Place) -> None:
    watch = place.watch()
    await place.given(4)
    await place.publish(1, 2, 3, 4)
    await watch.look()
    await call(place.admin, f"STREAM.DELETE.{EVENT_STREAM}")
    await ensure_streams(place.admin)
    await place.given(6)
    await place.publish(6)
    await watch.look()
    assert watch.missing == {"registry": (Gap(5, 5),)}, "what was heard before is not missed"
    await place.publish(5)
    await watch.look()
    assert watch.missing == {}


async def test_what_is_taken_out_of_the_stream_later_is_noticed_when_all_is_counted_anew(place: Place) -> None:
    watch = place.watch(anew_every=0)
    await place.given(3)
    await place.publish(1, 2, 3)
    await watch.look()
    assert watch.missing == {}
    await call(place.admin, f"STREAM.DELETE.{EVENT_STREAM}")
    await ensure_streams(place.admin)
    await place.publish(1, 3)
    await watch.look()
    assert watch.missing == {"registry": (Gap(2, 2),)}


async def test_a_look_is_bounded_and_the_next_one_goes_on(place: Place) -> None:
    watch = place.watch(most=2)
    await place.given(5)
    await place.publish(1, 3, 4, 5)
    await watch.look()
    assert watch.missing == {}, "not before all is read"
    for _ in range(2):
        await watch.look()
    assert watch.missing == {"registry": (Gap(2, 2),)}


async def test_other_services_events_are_theirs_to_count(place: Place, service_bus: ServiceBus) -> None:
    watch = place.watch()
    await place.given(1)
    await place.publish(1)
    keyd = await service_bus("keyd")
    told = [HostTold(emitter="rly_1", number=one, at=place.db.clock.now(), code="x", text="") for one in (1, 3)]
    made = [outgoing(it, id=EventId(f"evt_{next(IDS)}"), at=it.at, actor="tests") for it in told]
    await publish_events(keyd, made, timeout=10)
    await watch.look()
    assert watch.missing == {}


async def test_without_a_bus_what_was_found_stays_said(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = place.watch()
    await place.given(3)
    await place.publish(1, 3)
    await watch.look()

    async def away(*_: object, **__: object) -> None:
        raise Unavailable("bus_down", "away.")

    monkeypatch.setattr(place.bus, "subscribe_inbox", away)
    job = asyncio.create_task(watch.job().run())
    await asyncio.sleep(0.2)
    assert not job.done()
    job.cancel()
    assert watch.missing == {"registry": (Gap(2, 2),)}


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 5)), max_size=6))
def test_what_is_left_of_a_gap_is_exactly_what_nobody_accounts_for(known: list[tuple[int, int]]) -> None:
    others = [Gap(first, first + more) for first, more in known]
    left = Gap(5, 25).without(others)
    accounted = {number for gap in others for number in range(gap.first, gap.last + 1)}
    assert [it for gap in left for it in range(gap.first, gap.last + 1)] == sorted(set(range(5, 26)) - accounted)
