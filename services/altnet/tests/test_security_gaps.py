"""`altnet admin security-gaps`: what is missing in the stream, by the numbers of security events."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import count
from types import SimpleNamespace

import pytest
import pytest_asyncio
from altnet.common.bus import reading
from altnet.common.bus.connect import Bus
from altnet.common.bus.publish import outgoing, publish_events
from altnet.common.bus.reading import read_events
from altnet.common.contracts.envelope import Event
from altnet.common.contracts.keyd import HostTold
from altnet.common.contracts.registry import RelayHealthChanged
from altnet.common.contracts.security import Gap
from altnet.common.ids import EventId
from altnet.host.admin import gaps
from altnet.host.admin.gaps import Heard, heard_numbers
from support.nats import ServiceBus

pytestmark = [pytest.mark.server]

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
IDS = count()


def security(emitter: str, *numbers: int) -> list[Event]:
    return [HostTold(emitter=emitter, number=number, at=NOW, code="test", text="") for number in numbers]


async def publish(bus: Bus, events: Sequence[Event]) -> None:
    made = [outgoing(event, id=EventId(f"evt_{next(IDS)}"), at=NOW, actor="tests") for event in events]
    await publish_events(bus, made, timeout=10)


@pytest_asyncio.fixture
async def keyd_bus(registry_bus: Bus, service_bus: ServiceBus) -> Bus:
    return await service_bus("keyd")


@pytest_asyncio.fixture
async def admin(registry_bus: Bus, service_bus: ServiceBus) -> Bus:
    return await service_bus("admin")


async def test_the_whole_stream_is_read_in_order_across_batches_and_further_from_a_place(
    keyd_bus: Bus, admin: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "BATCH", 4)
    assert [one async for one in read_events(admin)] == []
    await publish(keyd_bus, security("rly_1", *range(1, 11)))
    found = [one async for one in read_events(admin)]
    assert [one.sequence for one in found] == list(range(1, 11))
    assert [one.envelope.event for one in found] == security("rly_1", *range(1, 11))
    assert [one.sequence async for one in read_events(admin, after=7)] == [8, 9, 10]
    assert [one async for one in read_events(admin, after=10)] == []


async def test_missing_numbers_are_named_by_emitter_and_other_events_are_none_of_it(
    registry_bus: Bus, keyd_bus: Bus, admin: Bus
) -> None:
    health = RelayHealthChanged(relay="rly_1", name="alpha", before="up", after="late", silence=9.0)
    await publish(keyd_bus, security("rly_1", 7, 8, 12))
    await publish(registry_bus, [health])
    await publish(keyd_bus, security("rly_2", 1, 2, 2, 3))

    found = await heard_numbers(admin, {"rly_1": 12, "rly_2": 3})

    assert found == {
        "rly_1": Heard(first=7, last=12, missing=(Gap(9, 11),)),
        "rly_2": Heard(first=1, last=3, missing=()),
    }
    assert found["rly_1"].count == 3


async def test_numbers_that_a_service_gave_and_the_stream_has_not_are_missing_at_its_end(
    keyd_bus: Bus, admin: Bus
) -> None:
    await publish(keyd_bus, security("registry", 1, 2))

    found = await heard_numbers(admin, {"registry": 5, "silent": 9}, on_the_way=0)

    assert found == {"registry": Heard(first=1, last=2, missing=(Gap(3, 5),))}


async def test_what_comes_into_the_stream_a_moment_later_is_not_missing(
    keyd_bus: Bus, admin: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    await publish(keyd_bus, security("registry", 1, 2))

    async def meanwhile(_seconds: float) -> None:
        await publish(keyd_bus, security("registry", 3))

    monkeypatch.setattr(gaps, "asyncio", SimpleNamespace(sleep=meanwhile))

    assert (await heard_numbers(admin, {"registry": 3}))["registry"].missing == ()
