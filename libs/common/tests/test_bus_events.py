"""Streams and the way of events into them, on a real JetStream."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from altnet.common.bus import jsapi, streams, subjects
from altnet.common.bus.connect import Bus, BusSettings
from altnet.common.bus.identity import BusIdentity
from altnet.common.bus.jsapi import JetStreamError
from altnet.common.bus.jwt import service_credentials
from altnet.common.bus.publish import OutgoingEvent, outgoing, publish_events
from altnet.common.bus.streams import ensure_streams, stream_configs
from altnet.common.contracts.envelope import decode_event
from altnet.common.contracts.registry import NetworkCreated
from altnet.common.embedded.nats import NatsServer, NatsSettings
from altnet.common.errors import Forbidden, Unavailable
from altnet.common.ids import EventId
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.nats import ServiceBus

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
WITHIN = 10.0


def made(*numbers: int) -> list[OutgoingEvent]:
    return [
        outgoing(NetworkCreated(network=f"net_{n}"), id=EventId(f"evt_{n}"), at=NOW, actor="tests") for n in numbers
    ]


async def stored(bus: Bus) -> list[tuple[str, str]]:
    """Id and network of every event in the stream, in order."""
    state = (await jsapi.call(bus, "STREAM.INFO.EVT"))["state"]
    found: list[tuple[str, str]] = []
    for sequence in range(max(1, state["first_seq"]), state["last_seq"] + 1):
        message = await bus.request("$JS.API.DIRECT.GET.EVT", b'{"seq":%d}' % sequence)
        assert not message.status
        event = decode_event(message.headers["Alt-Kind"], int(message.headers["Alt-Version"]), message.data)
        assert isinstance(event, NetworkCreated)
        found.append((message.headers["Nats-Msg-Id"], event.network))
    return found


def expected(numbers: Sequence[int]) -> list[tuple[str, str]]:
    return [(f"evt_{n}", f"net_{n}") for n in numbers]


async def test_events_are_stored_in_order_with_what_their_headers_say(
    registry_bus: Bus, service_bus: ServiceBus
) -> None:
    admin = await service_bus("admin")
    await publish_events(registry_bus, made(1, 2, 3), timeout=WITHIN)
    await publish_events(registry_bus, made(4), timeout=WITHIN)
    await publish_events(registry_bus, [], timeout=WITHIN)
    assert await stored(admin) == expected([1, 2, 3, 4])
    message = await admin.request("$JS.API.DIRECT.GET.EVT", b'{"seq":2}')
    assert message.headers["Nats-Subject"] == "alt.v1.evt.registry.network.created.net_2"
    assert message.headers["Alt-Time"] == NOW.isoformat()
    assert message.headers["Alt-Actor"] == "tests"


async def test_publishing_again_stores_nothing_twice_and_misses_nothing(
    registry_bus: Bus, service_bus: ServiceBus
) -> None:
    admin = await service_bus("admin")
    await publish_events(registry_bus, made(1, 2, 3), timeout=WITHIN)
    await publish_events(registry_bus, made(2, 3, 4, 5), timeout=WITHIN)  # the batch is refused whole, then goes singly
    await publish_events(registry_bus, made(5), timeout=WITHIN)
    assert await stored(admin) == expected([1, 2, 3, 4, 5])


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.tuples(st.integers(0, 11), st.integers(1, 6)), max_size=6))
async def test_whatever_is_repeated_the_stream_has_each_event_once_in_order(
    registry_bus: Bus, service_bus: ServiceBus, cuts: list[tuple[int, int]]
) -> None:
    # as an outbox relay does: always from the first unpublished on, sometimes not knowing that it was stored
    admin = await service_bus("admin")
    await jsapi.call(admin, "STREAM.DELETE.EVT")
    await ensure_streams(registry_bus)
    upto = 0
    for back, length in cuts:
        start = max(0, upto - back)
        await publish_events(registry_bus, made(*range(start, start + length)), timeout=WITHIN)
        upto = max(upto, start + length)
    assert await stored(admin) == expected(range(upto))


async def test_more_than_a_batch_goes_in_several(registry_bus: Bus, service_bus: ServiceBus) -> None:
    admin = await service_bus("admin")
    await publish_events(registry_bus, made(*range(2_345)), timeout=WITHIN)
    state = (await jsapi.call(admin, "STREAM.INFO.EVT"))["state"]
    assert state["messages"] == 2_345


async def test_without_nats_publishing_says_so_at_once(registry_bus: Bus, nats_server: NatsServer) -> None:
    await nats_server.stop()
    with pytest.raises(Unavailable):
        await publish_events(registry_bus, made(1, 2), timeout=60)


async def test_without_the_stream_publishing_says_so(service_bus: ServiceBus) -> None:
    bus = await service_bus("registry")
    with pytest.raises(Unavailable):
        await publish_events(bus, made(1), timeout=WITHIN)
    with pytest.raises(Unavailable):
        await publish_events(bus, made(1, 2), timeout=WITHIN)


async def test_a_service_can_not_publish_anothers_events(registry_bus: Bus, service_bus: ServiceBus) -> None:
    keyd = await service_bus("keyd")
    with pytest.raises(Forbidden):
        await publish_events(keyd, made(1, 2), timeout=WITHIN)


async def test_a_batch_in_which_nats_dies_is_published_again_without_loss(
    registry_bus: Bus, service_bus: ServiceBus, nats_server: NatsServer
) -> None:
    admin = await service_bus("admin")
    events = made(*range(500))
    async with asyncio.TaskGroup() as group:
        killing = group.create_task(killed_and_started(nats_server))
        while True:
            try:
                await publish_events(registry_bus, events, timeout=WITHIN)
            except Unavailable:
                await registry_bus.wait_connected(WITHIN)
                continue
            if killing.done():
                break
    await admin.wait_connected(WITHIN)
    assert await stored(admin) == expected(range(500))


async def killed_and_started(server: NatsServer) -> None:
    for _ in range(3):
        await asyncio.sleep(0.02)
        await server.kill()
        await server.start()


async def test_streams_are_made_once_and_mended_when_changed(registry_bus: Bus, service_bus: ServiceBus) -> None:
    admin = await service_bus("admin")
    await publish_events(registry_bus, made(1), timeout=WITHIN)
    present = (await jsapi.call(admin, "STREAM.INFO.EVT"))["config"]
    await jsapi.call(admin, "STREAM.UPDATE.EVT", present | {"max_age": 10**9 * 3600})
    await ensure_streams(registry_bus)
    for config in stream_configs(replicas=1):
        present = (await jsapi.call(admin, f"STREAM.INFO.{config['name']}"))["config"]
        assert {key: present[key] for key in config} == config
    assert await stored(admin) == expected([1])


async def test_streams_are_made_with_as_many_copies_as_the_buss_settings_say(
    registry_bus: Bus, bus_settings: BusSettings, bus_identity: BusIdentity, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, int] = {}

    async def call(bus: Bus, subject: str, config: Any = None, *, timeout: float | None = None) -> Any:
        if config is not None:
            asked[config["name"]] = config["num_replicas"]
        return await jsapi.call(bus, subject, None if config is None else config | {"num_replicas": 1}, timeout=timeout)

    three = msgspec.structs.replace(bus_settings, replicas=3)
    async with Bus(three, service_credentials(bus_identity, "registry"), name="three") as bus:
        await bus.wait_connected(WITHIN)
        with pytest.raises(JetStreamError, match="replicas"):  # a server alone has no place for three, and says so
            await ensure_streams(bus)
        monkeypatch.setattr(streams, "call", call)
        await ensure_streams(bus)

    assert set(asked.values()) == {3}
    assert len(asked) == 3


async def test_streams_come_back_after_a_wipe_by_the_callback_on_connect(
    registry_bus: Bus, service_bus: ServiceBus, nats_server: NatsServer
) -> None:
    admin = await service_bus("admin")
    ensured = asyncio.Event()

    async def ensure() -> None:
        await ensure_streams(registry_bus)
        ensured.set()

    registry_bus.on_connect(ensure)
    await publish_events(registry_bus, made(1), timeout=WITHIN)
    await ensured.wait()
    ensured.clear()
    await nats_server.wipe()
    async with asyncio.timeout(WITHIN):
        await ensured.wait()
    await publish_events(registry_bus, made(1, 2), timeout=WITHIN)
    await admin.wait_connected(WITHIN)
    assert await stored(admin) == expected([1, 2])


def test_the_dedup_window_outlasts_the_tries_of_an_outbox() -> None:
    assert streams.DEDUP_WINDOW >= 600
    assert subjects.EVENT_STREAM == "EVT"


async def test_events_survive_a_kill_when_each_write_is_synced(registry_bus: Bus, nats_server: NatsServer) -> None:
    assert NatsSettings().sync_always  # what `altnet up` uses; the fixtures turn it off
    await publish_events(registry_bus, made(1, 2), timeout=WITHIN)
    await nats_server.kill()
    await nats_server.start()
    await registry_bus.wait_connected(WITHIN)
    async with asyncio.timeout(WITHIN):
        while registry_bus.counters.connects < 2:  # noqa: ASYNC110 - nothing but this test waits for it
            await asyncio.sleep(0.005)
    state = (await jsapi.call(registry_bus, "STREAM.INFO.EVT"))["state"]
    assert state["messages"] == 2
