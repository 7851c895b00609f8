"""The pull consumer on a real JetStream: order, retries, what is broken, crashes of either side."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from altnet.common.bus import jsapi
from altnet.common.bus.connect import Bus, BusSettings
from altnet.common.bus.consume import Delivery, PullConsumer
from altnet.common.bus.jwt import BusIdentity, service_credentials
from altnet.common.bus.publish import OutgoingEvent, outgoing, publish_events
from altnet.common.bus.streams import ensure_streams
from altnet.common.bus.subjects import event_filter
from altnet.common.contracts.registry import NetworkCreated
from altnet.common.embedded.nats import NatsServer
from altnet.common.errors import Broken, Retry, Unavailable
from altnet.common.ids import EventId
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.nats import ServiceBus

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
WITHIN = 15.0


def made(*numbers: int) -> list[OutgoingEvent]:
    return [
        outgoing(NetworkCreated(network=f"net_{n}"), id=EventId(f"evt_{n}"), at=NOW, actor="tests") for n in numbers
    ]


def number_of(delivery: Delivery) -> int:
    event = delivery.envelope.event
    assert isinstance(event, NetworkCreated)
    return int(event.network.removeprefix("net_"))


class Work:
    """What a consumer processed, in order, each event once as an inbox would have it."""

    def __init__(self, verdict: Callable[[int, int], Awaitable[None]] | None = None) -> None:
        self.done: list[int] = []
        self.tries: dict[int, int] = {}
        self.broken: list[tuple[int, str]] = []
        self._verdict = verdict
        self._changed = asyncio.Event()

    async def process(self, delivery: Delivery) -> None:
        number = number_of(delivery)
        self.tries[number] = self.tries.get(number, 0) + 1
        self._changed.set()
        if self._verdict is not None:
            await self._verdict(number, self.tries[number])
        if number not in self.done:
            self.done.append(number)
        self._changed.set()

    async def on_broken(self, delivery: Delivery, reason: str) -> None:
        self.broken.append((delivery.sequence, reason))
        self._changed.set()

    async def until(self, enough: Callable[[], bool]) -> None:
        async with asyncio.timeout(WITHIN):
            while not enough():
                self._changed.clear()
                await self._changed.wait()


def consumer(bus: Bus, work: Work, **options: Any) -> PullConsumer:
    defaults: dict[str, Any] = {"ack_wait": 1.0, "pull_expires": 1.0, "retry_wait": 0.01, "retry_wait_max": 0.2}
    return PullConsumer(
        bus,
        durable="keyd",
        filters=[event_filter("registry")],
        process=work.process,
        on_broken=work.on_broken,
        **(defaults | options),
    )


@asynccontextmanager
async def running(pull: PullConsumer) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(pull.run())
    try:
        yield task
        assert not task.done(), task
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_events_are_processed_in_order_each_once(registry_bus: Bus, service_bus: ServiceBus) -> None:
    work = Work()
    async with running(consumer(await service_bus("keyd"), work, batch=7)):
        await publish_events(registry_bus, made(*range(50)), timeout=WITHIN)
        await work.until(lambda: len(work.done) == 50)
        await publish_events(registry_bus, made(*range(50, 60)), timeout=WITHIN)
        await work.until(lambda: len(work.done) == 60)
    assert work.done == list(range(60))
    assert set(work.tries.values()) == {1}


async def test_an_event_says_who_when_and_where(registry_bus: Bus, service_bus: ServiceBus) -> None:
    seen: list[Delivery] = []
    arrived = asyncio.Event()

    async def process(delivery: Delivery) -> None:
        seen.append(delivery)
        arrived.set()

    pull = PullConsumer(
        await service_bus("keyd"), durable="keyd", filters=[event_filter("registry", "network")], process=process
    )
    async with running(pull):
        await publish_events(registry_bus, made(1), timeout=WITHIN)
        async with asyncio.timeout(WITHIN):
            await arrived.wait()
    (delivery,) = seen
    assert (delivery.message_id, delivery.delivered, delivery.sequence) == ("evt_1", 1, 1)
    assert delivery.subject == "alt.v1.evt.registry.network.created.net_1"
    envelope = delivery.envelope
    assert (envelope.id, envelope.at, envelope.actor, envelope.sequence) == ("evt_1", NOW, "tests", 1)


@pytest.mark.parametrize("failure", [Retry("later", after=0.01), Unavailable("database_unavailable", "away")])
async def test_what_asks_for_a_retry_is_tried_as_often_as_it_takes_and_the_others_wait(
    registry_bus: Bus, service_bus: ServiceBus, failure: Exception
) -> None:
    async def verdict(number: int, tries: int) -> None:
        if number == 2 and tries <= 8:
            assert work.done == [0, 1]
            raise failure

    work = Work(verdict)
    pull = consumer(await service_bus("keyd"), work, max_deliver=3)
    async with running(pull):
        await publish_events(registry_bus, made(*range(5)), timeout=WITHIN)
        await work.until(lambda: len(work.done) == 5)
        assert pull.stuck_since is None
    assert work.done == [0, 1, 2, 3, 4]
    assert (work.tries[2], pull.retried, work.broken) == (9, 8, [])


async def test_a_fault_is_tried_max_deliver_times_and_then_set_aside(
    registry_bus: Bus, service_bus: ServiceBus
) -> None:
    async def verdict(number: int, tries: int) -> None:
        if number == 1:
            raise KeyError("bug")

    work = Work(verdict)
    async with running(consumer(await service_bus("keyd"), work, max_deliver=3)):
        await publish_events(registry_bus, made(0, 1, 2), timeout=WITHIN)
        await work.until(lambda: len(work.done) == 2)
    assert work.done == [0, 2]
    assert work.tries[1] == 3
    assert [sequence for sequence, _ in work.broken] == [2]
    assert "KeyError" in work.broken[0][1]


async def test_broken_and_unreadable_events_are_set_aside_with_the_reason_and_never_come_again(
    registry_bus: Bus, service_bus: ServiceBus
) -> None:
    async def verdict(number: int, tries: int) -> None:
        if number == 1:
            raise Broken("never")

    work = Work(verdict)
    await publish_events(registry_bus, made(0, 1), timeout=WITHIN)
    await jsapi.store(registry_bus, "alt.v1.evt.registry.network.unknown.x", b"{}", headers={"Nats-Msg-Id": "odd"})
    unreadable = made(7)[0]
    await publish_events(
        registry_bus,
        [OutgoingEvent(id=EventId("bad"), subject=unreadable.subject, payload=b"{", headers=unreadable.headers)],
        timeout=WITHIN,
    )
    await publish_events(registry_bus, made(2), timeout=WITHIN)
    keyd = await service_bus("keyd")
    async with running(consumer(keyd, work)):
        await work.until(lambda: len(work.done) == 2)
    assert work.done == [0, 2]
    assert [sequence for sequence, _ in work.broken] == [2, 3, 4]
    assert work.broken[0][1] == "never"
    again = Work()
    async with running(consumer(keyd, again)):
        await publish_events(registry_bus, made(3), timeout=WITHIN)
        await again.until(lambda: again.done == [3])


async def test_what_can_not_be_set_aside_holds_up_the_line_until_it_can(
    registry_bus: Bus, service_bus: ServiceBus
) -> None:
    work = Work()
    refused = 0

    async def process(delivery: Delivery) -> None:
        if number_of(delivery) == 0:
            raise Broken("never")
        await work.process(delivery)

    async def on_broken(delivery: Delivery, reason: str) -> None:
        nonlocal refused
        if refused < 3:
            refused += 1
            raise Unavailable("database_unavailable", "away")
        await work.on_broken(delivery, reason)

    pull = PullConsumer(
        await service_bus("keyd"),
        durable="keyd",
        filters=[event_filter("registry")],
        process=process,
        on_broken=on_broken,
        retry_wait=0.01,
    )
    async with running(pull):
        await publish_events(registry_bus, made(0, 1), timeout=WITHIN)
        await work.until(lambda: work.done == [1])
    assert (refused, work.broken) == (3, [(1, "never")])


async def test_a_long_piece_of_work_is_not_given_out_twice(registry_bus: Bus, service_bus: ServiceBus) -> None:
    async def verdict(number: int, tries: int) -> None:
        if number == 0:
            await asyncio.sleep(1.2)  # longer than ack_wait below

    work = Work(verdict)
    async with running(consumer(await service_bus("keyd"), work, ack_wait=0.4)):
        await publish_events(registry_bus, made(0, 1, 2), timeout=WITHIN)
        await work.until(lambda: len(work.done) == 3)
    assert work.tries == {0: 1, 1: 1, 2: 1}


async def test_a_stopped_consumer_gives_back_what_it_holds_at_once(registry_bus: Bus, service_bus: ServiceBus) -> None:
    async def stuck(number: int, tries: int) -> None:
        if number == 1:
            await asyncio.Event().wait()

    keyd = await service_bus("keyd")
    first, second = Work(stuck), Work()
    async with running(consumer(keyd, first, ack_wait=600.0)):
        await publish_events(registry_bus, made(*range(5)), timeout=WITHIN)
        await first.until(lambda: first.tries.get(1) == 1)
    async with running(consumer(keyd, second, ack_wait=600.0)):
        await second.until(lambda: len(second.done) == 4)
    assert (first.done, second.done) == ([0], [1, 2, 3, 4])


async def test_a_stopped_consumer_gives_back_what_it_has_not_looked_at_yet_as_well(
    registry_bus: Bus, service_bus: ServiceBus
) -> None:
    async def stuck(number: int, tries: int) -> None:
        await asyncio.Event().wait()

    keyd = await service_bus("keyd")
    first, second = Work(stuck), Work()
    pull = consumer(keyd, first, ack_wait=600.0)
    async with running(pull):
        await publish_events(registry_bus, made(0), timeout=WITHIN)
        await first.until(lambda: first.tries.get(0) == 1)
        await publish_events(registry_bus, made(1, 2, 3), timeout=WITHIN)
        async with asyncio.timeout(WITHIN):
            while (await pull._ensure())["num_ack_pending"] < 4:  # noqa: ASYNC110 - the server tells nobody
                await asyncio.sleep(0.01)
    async with running(consumer(keyd, second, ack_wait=600.0)):
        await second.until(lambda: len(second.done) == 4)
    assert second.done == [0, 1, 2, 3]


async def test_after_a_crash_of_the_consumer_nothing_new_overtakes_what_it_held(
    registry_bus: Bus, bus_settings: BusSettings, bus_identity: BusIdentity, service_bus: ServiceBus
) -> None:
    async def stuck(number: int, tries: int) -> None:
        if number == 1:
            await asyncio.Event().wait()

    first, second = Work(stuck), Work()
    async with Bus(bus_settings, service_credentials(bus_identity, "keyd"), name="doomed") as doomed:
        await doomed.wait_connected(WITHIN)
        task = asyncio.create_task(consumer(doomed, first, batch=4).run())
        await publish_events(registry_bus, made(0, 1), timeout=WITHIN)
        await first.until(lambda: first.tries.get(1) == 1)
        doomed._connected.clear()  # as kill -9: it says nothing more
        task.cancel()
        await asyncio.wait([task])
    async with running(consumer(await service_bus("keyd"), second, batch=4)):
        await publish_events(registry_bus, made(2, 3, 4, 5, 6), timeout=WITHIN)
        await second.until(lambda: len(second.done) == 6)
    assert second.done == [1, 2, 3, 4, 5, 6]


async def test_a_restart_of_nats_loses_nothing_and_keeps_the_order(
    registry_bus: Bus, service_bus: ServiceBus, nats_server: NatsServer
) -> None:
    async def brief(number: int, tries: int) -> None:
        await asyncio.sleep(0.005)

    work = Work(brief)
    async with running(consumer(await service_bus("keyd"), work, batch=10)):
        await publish_events(registry_bus, made(*range(100)), timeout=WITHIN)
        for count in (20, 40, 60):
            await work.until(lambda: len(work.done) >= count)  # noqa: B023 - awaited in this very turn
            await nats_server.kill()
            await nats_server.start()
        await work.until(lambda: len(work.done) == 100)
    assert work.done == list(range(100))


async def test_after_a_wipe_the_consumer_is_made_anew_and_goes_on(
    registry_bus: Bus, service_bus: ServiceBus, nats_server: NatsServer
) -> None:
    work = Work()

    async def ensure() -> None:
        await ensure_streams(registry_bus)

    registry_bus.on_connect(ensure)
    async with running(consumer(await service_bus("keyd"), work)):
        await publish_events(registry_bus, made(*range(5)), timeout=WITHIN)
        await work.until(lambda: len(work.done) == 5)
        await nats_server.wipe()
        await published(registry_bus, made(*range(3, 10)))  # a replay out of the ledger, and what is new
        await work.until(lambda: len(work.done) == 10)
    assert work.done == list(range(10))
    assert work.tries[3] == 2  # came again, and an inbox knows it


async def test_an_old_acknowledgement_never_reaches_another_lifes_event(
    registry_bus: Bus, service_bus: ServiceBus, nats_server: NatsServer
) -> None:
    started, go_on = asyncio.Event(), asyncio.Event()

    async def hold(number: int, tries: int) -> None:
        if number == 0:
            started.set()
            await go_on.wait()

    async def ensure() -> None:
        await ensure_streams(registry_bus)

    registry_bus.on_connect(ensure)
    work = Work(hold)
    keyd = await service_bus("keyd")
    async with running(consumer(keyd, work)):
        await publish_events(registry_bus, made(0), timeout=WITHIN)
        async with asyncio.timeout(WITHIN):
            await started.wait()
        await nats_server.wipe()
        await published(registry_bus, made(1))  # has the number that 0 had
        await keyd.wait_connected(WITHIN)
        go_on.set()
        await work.until(lambda: work.done == [0, 1])


async def test_a_consumer_waits_for_the_stream_and_for_nats(service_bus: ServiceBus, nats_server: NatsServer) -> None:
    work = Work()
    keyd, registry = await service_bus("keyd"), await service_bus("registry")
    await nats_server.stop()
    async with running(consumer(keyd, work)):
        await nats_server.start()
        await registry.wait_connected(WITHIN)
        await published(registry, [], streams=True)
        await published(registry, made(1))
        await work.until(lambda: work.done == [1])


async def test_a_deleted_consumer_is_made_again(registry_bus: Bus, service_bus: ServiceBus) -> None:
    work = Work()
    admin = await service_bus("admin")
    async with running(consumer(await service_bus("keyd"), work)):
        await publish_events(registry_bus, made(0), timeout=WITHIN)
        await work.until(lambda: work.done == [0])
        await jsapi.call(admin, "CONSUMER.DELETE.EVT.keyd")
        await publish_events(registry_bus, made(1), timeout=WITHIN)
        await work.until(lambda: work.done == [0, 1])


chances = st.lists(st.sampled_from(["ok", "ok", "retry", "fault", "restart", "reconnect"]), min_size=1, max_size=12)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fate=chances)
async def test_whatever_goes_wrong_meanwhile_each_event_is_done_in_order(
    registry_bus: Bus, service_bus: ServiceBus, fate: list[str]
) -> None:
    admin = await service_bus("admin")
    keyd = await service_bus("keyd")
    await jsapi.call(admin, "STREAM.DELETE.EVT")
    await ensure_streams(registry_bus)

    async def verdict(number: int, tries: int) -> None:
        match fate[number] if tries == 1 else "ok":
            case "retry":
                raise Retry("later", after=0.001)
            case "fault":
                raise RuntimeError("bug")
            case "reconnect":
                keyd.reconnect()
            case "restart":
                restart.set()

    work, restart = Work(verdict), asyncio.Event()
    await publish_events(registry_bus, made(*range(len(fate))), timeout=WITHIN)
    for _ in range(fate.count("restart") + 1):
        restart.clear()
        async with running(consumer(keyd, work, batch=3, ack_wait=0.5, pull_expires=0.5)):
            finished = asyncio.create_task(work.until(lambda: len(work.done) == len(fate)))
            stopped = asyncio.create_task(restart.wait())
            await asyncio.wait([finished, stopped], return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            if finished.done():
                finished.result()
                break
            finished.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await finished
    else:
        async with running(consumer(keyd, work, batch=3, ack_wait=0.5, pull_expires=0.5)):
            await work.until(lambda: len(work.done) == len(fate))
    assert work.done == list(range(len(fate)))


async def published(bus: Bus, events: list[OutgoingEvent], *, streams: bool = False) -> None:
    """Publish as an outbox relay does: again and again until it is certain."""
    async with asyncio.timeout(WITHIN):
        while True:
            try:
                if streams:
                    await ensure_streams(bus)
                await publish_events(bus, events, timeout=1.0)
            except Unavailable:
                await asyncio.sleep(0.01)
                continue
            return
