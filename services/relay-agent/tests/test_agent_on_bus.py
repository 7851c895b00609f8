"""Agents on a real NATS: documents, acknowledgements, heartbeats, restarts of the server, revocation of a pass."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from altnet.common.bus import desired, rpc, subjects
from altnet.common.bus.connect import Bus, BusSettings, Message
from altnet.common.bus.jwt import BusIdentity
from altnet.common.clock import SystemClock
from altnet.common.contracts.agent import Applied, Heartbeat, Versions
from altnet.common.contracts.desired import MeshSettings, pack
from altnet.common.contracts.digest import document_digest
from altnet.common.contracts.routing import LEARNED, ROUTES, LearnedTable, RouteQuery, RouteTable
from altnet.common.embedded.nats import NatsServer
from altnet.common.errors import Invalid
from altnet.common.kernel.memory import MemoryHost
from altnet.relay_agent.agent import Agent
from altnet.relay_agent.host import memory_host
from altnet.relay_agent.membership import Membership
from altnet.relay_agent.memory_state import MemoryState
from altnet.relay_agent.settings import AgentSettings, Timers
from support.nats import ServiceBus, relay_credentials
from support.relays import NETWORK, PLAN, Paper, document, enrolment_of, entry, identity_of, relay_id

WITHIN = 10.0
SETTINGS = AgentSettings(timers=Timers(fetch_jitter=0.05, resync=2.0, keyd_spread=0, keyd_retry_most=0.1))


class Registry:
    """What the registry does on the bus, by hand."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.paper = Paper(settings=MeshSettings(heartbeat=0.5))
        self.applied: dict[str, Applied] = {}
        self.beats: dict[str, list[Heartbeat]] = {}
        self.heard = asyncio.Condition()

    async def listen(self) -> None:
        async def on_applied(message: Message) -> None:
            async with self.heard:
                relay = subjects.relay_of(message.subject)
                self.applied[relay] = msgspec.json.decode(message.data, type=Applied)
                self.heard.notify_all()

        async def on_status(message: Message) -> None:
            async with self.heard:
                relay = subjects.relay_of(message.subject)
                self.beats.setdefault(relay, []).append(msgspec.json.decode(message.data, type=Heartbeat))
                self.heard.notify_all()

        await self.bus.subscribe(subjects.ALL_APPLIED, on_applied)
        await self.bus.subscribe(subjects.ALL_STATUS, on_status)

    async def publish(self, delta: bytes | None = None) -> None:
        await desired.put(self.bus, "mesh", subjects.mesh_snapshot_key(NETWORK), self.paper.snapshot())
        if delta is not None:
            await desired.put(self.bus, "mesh", subjects.mesh_delta_key(NETWORK), delta)

    async def give(self, name: str, **fields: Any) -> str:
        wanted = document(name, **fields)
        await desired.put(self.bus, "relay", relay_id(name), pack(wanted))
        return document_digest(wanted).text

    async def until(self, check: Callable[[], bool]) -> None:
        async with asyncio.timeout(WITHIN), self.heard:
            await self.heard.wait_for(check)

    async def until_applied(self, *names: str) -> None:
        """Wait until these relays have said that they are as planned."""

        def all_equal() -> bool:
            said = [self.applied.get(relay_id(name)) for name in names]
            return all(one is not None and one.mesh_digest == self.paper.digest for one in said)

        await self.until(all_equal)


@pytest_asyncio.fixture
async def registry(registry_bus: Bus) -> Registry:
    made = Registry(registry_bus)
    await made.listen()
    return made


Join = Callable[..., Awaitable[Agent]]


@pytest_asyncio.fixture
async def join(bus_settings: BusSettings, bus_identity: BusIdentity) -> AsyncIterator[Join]:
    """`await join("a", 2)` → a running agent on a host in memory; ended after the test."""
    async with contextlib.AsyncExitStack() as stack:

        async def make(name: str, slot: int, *, life: timedelta = timedelta(hours=1)) -> Agent:
            credentials = relay_credentials(bus_identity, relay_id(name), network=NETWORK, life=life)
            bus = await stack.enter_async_context(Bus(bus_settings, credentials, name=relay_id(name)))
            state = MemoryState(identity_of(name), enrolment_of(name, slot))
            enrolment = state.enrolment()
            assert enrolment is not None
            agent = Agent(
                SETTINGS,
                host=memory_host(MemoryHost(prefix="alt")),
                state=state,
                membership=Membership(state, enrolment, clock=SystemClock()),
                clock=SystemClock(),
                random=random.Random(slot).random,
                versions=Versions(agent="test"),
                boot=f"boot {name}",
                bus=bus,
                poke=False,
            )
            task = asyncio.create_task(agent.run())

            async def end() -> None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

            stack.push_async_callback(end)
            return agent

        yield make


async def test_a_change_is_applied_and_acknowledged_by_all_with_the_planned_digest(
    registry: Registry, join: Join
) -> None:
    registry.paper.put(entry("a", 1), entry("b", 2), entry("c", 3))
    await registry.publish()
    digests = {name: await registry.give(name) for name in "abc"}
    for slot, name in enumerate("abc", 1):
        await join(name, slot)
    await registry.until_applied(*"abc")
    assert {name: registry.applied[relay_id(name)].document_digest for name in "abc"} == digests

    await registry.publish(registry.paper.put(entry("d", 4)))
    await registry.until_applied(*"abc")
    assert all(registry.applied[relay_id(name)].mesh_generation == 2 for name in "abc")
    assert all(registry.applied[relay_id(name)].failed == () for name in "abc")


async def test_heartbeats_count_up_and_name_every_link(registry: Registry, join: Join) -> None:
    registry.paper.put(entry("a", 1), entry("b", 2))
    await registry.publish()
    await registry.give("a")
    await join("a", 1)
    beats = registry.beats.setdefault(relay_id("a"), [])
    await registry.until(lambda: len(beats) >= 4 and bool(beats[-1].links))
    assert [beat.number for beat in beats] == list(range(len(beats)))
    assert {beat.boot for beat in beats} == {"boot a"}
    assert [link.neighbour for link in beats[-1].links] == [relay_id("b")]
    assert beats[-1].health == "ok"
    assert beats[-1].applied.mesh_digest == registry.paper.digest


async def test_after_a_restart_of_the_server_everybody_catches_up(
    registry: Registry, join: Join, nats_server: NatsServer
) -> None:
    registry.paper.put(entry("a", 1), entry("b", 2))
    await registry.publish()
    for slot, name in enumerate("ab", 1):
        await registry.give(name)
        await join(name, slot)
    await registry.until_applied("a", "b")

    await nats_server.kill()
    await nats_server.restart()
    await registry.bus.wait_connected(WITHIN)
    registry.paper.put(entry("c", 3))  # its delta is never told
    await registry.publish()

    await registry.until_applied("a", "b")


async def test_a_lost_delta_is_made_good_by_the_next_one(registry: Registry, join: Join) -> None:
    registry.paper.put(entry("a", 1), entry("b", 2))
    await registry.publish()
    await registry.give("a")
    agent = await join("a", 1)
    await registry.until_applied("a")
    registry.paper.put(entry("c", 3))
    await registry.publish(registry.paper.put(entry("d", 4)))
    await registry.until_applied("a")
    assert set(agent.desired.entries) == {relay_id(name) for name in "abcd"}


async def test_an_agent_hears_no_other_relays_document(registry: Registry, join: Join) -> None:
    registry.paper.put(entry("a", 1), entry("b", 2))
    await registry.publish()
    await registry.give("a")
    agent = await join("a", 1)
    await registry.until_applied("a")
    await registry.give("b", generation=9, revoked=True)
    await registry.publish(registry.paper.put(entry("c", 3)))
    await registry.until_applied("a")
    assert not agent.desired.revoked
    assert agent.desired.document_generation == 1


async def test_a_revoked_relay_goes_dark_within_a_second(registry: Registry, join: Join) -> None:
    registry.paper.put(entry("a", 1), entry("b", 2))
    await registry.publish()
    await registry.give("a")
    agent = await join("a", 1)
    await registry.until_applied("a")
    async with asyncio.timeout(1.0):
        await registry.give("a", generation=2, revoked=True)
        await registry.until(lambda: registry.applied[relay_id("a")].document_generation == 2)
    assert agent.health() == "revoked by the registry"


async def test_without_keyd_or_with_one_that_talks_nonsense_the_relay_does_all_its_work(
    registry: Registry, join: Join, service_bus: ServiceBus
) -> None:
    registry.paper.put(entry("a", 1), entry("b", 2))
    await registry.publish()
    await registry.give("a")
    agent = await join("a", 1)
    await registry.until_applied("a")
    heard = asyncio.Event()
    keyd = await service_bus("keyd")

    async def nonsense(message: Message) -> None:
        heard.set()
        await keyd.publish(message.reply, b'{"keys": 7}')

    async with asyncio.timeout(WITHIN):
        while not agent.keyd.problem:  # noqa: ASYNC110 - the agent announces this to nobody
            await asyncio.sleep(0.01)
    assert (await agent.status()).keyd.startswith("no contact: ")
    await keyd.subscribe(subjects.all_relays_rpc("keyd", "keys"), nonsense)
    await asyncio.wait_for(heard.wait(), WITHIN)

    await registry.publish(registry.paper.put(entry("c", 3)))
    await registry.until_applied("a")
    assert agent.health() == "ok"
    assert (await agent.status()).keyd.startswith("no contact: ")


async def test_a_relay_answers_questions_about_its_routes(registry: Registry, join: Join) -> None:
    registry.paper.put(entry("a", 1), entry("b", 2))
    await registry.publish()
    await registry.give("a")
    await join("a", 1)
    await registry.until_applied("a")
    target = str(PLAN.relay_address(2))

    async def ask(**fields: object) -> RouteTable:
        query = RouteQuery(**fields)  # type: ignore[arg-type]  # the test's own
        return await rpc.ask_relay(registry.bus, relay_id("a"), ROUTES, query, RouteTable)

    (route,) = (await ask(to=target)).routes
    assert (route.prefix, route.used, route.source) == (f"{target}/128", True, "static")
    assert [hop.relay for hop in route.next_hops] == [relay_id("b")]

    whole = (await ask()).routes
    assert {view.source for view in whole} == {"static", "own", "unreachable"}
    pages, after = [], ""
    while True:
        page = await ask(after=after, limit=1)
        pages += page.routes
        if not page.more:
            break
        after = page.routes[-1].prefix
    assert pages == list(whole)
    with pytest.raises(Invalid, match="not an address"):
        await ask(to="nonsense")
    learned = await rpc.ask_relay(registry.bus, relay_id("a"), LEARNED, RouteQuery(), LearnedTable)
    assert learned.learned == ()
