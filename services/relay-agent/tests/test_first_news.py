"""Agents that were off while somebody was revoked: real NATS, hosts in memory that remember every peer they had."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from altnet.common.bus import desired, subjects
from altnet.common.bus.connect import Bus, BusSettings
from altnet.common.bus.jwt import BusIdentity, make_nkey, revoke_user
from altnet.common.calls import Answer
from altnet.common.clock import SystemClock
from altnet.common.contracts.agent import Versions
from altnet.common.contracts.desired import pack
from altnet.common.embedded.nats import NatsServer
from altnet.common.errors import Unauthenticated, Unavailable
from altnet.common.kernel.memory import MemoryHost
from altnet.common.kernel.wireguard import PeerChange
from altnet.relay_agent.agent import Agent
from altnet.relay_agent.enrol import Registry
from altnet.relay_agent.host import memory_host
from altnet.relay_agent.membership import Membership
from altnet.relay_agent.news import DOWN, hear_first
from altnet.relay_agent.settings import AgentSettings, Timers
from altnet.relay_agent.state import Identity, MemoryState
from support.nats import ServiceBus, relay_credentials
from support.relays import NETWORK, Paper, client, document, enrolment_of, entry, identity_of, key_of, relay_id

WITHIN = 10.0
PATIENT = Timers(first_news=8.0, keyd_spread=0, fetch_jitter=0.05)
"""Longer than a loaded machine needs to connect: these tests are about order, not speed."""


def _identity() -> Identity:
    nkey, seed = make_nkey()
    return msgspec.structs.replace(identity_of("me"), nkey=nkey, nkey_seed=seed.decode())


@dataclass
class Machine:
    """A host that can be switched off and on; `ever` is every peer that its WireGuard was given since it booted."""

    bus_settings: BusSettings
    credentials: Any
    state: MemoryState = field(default_factory=lambda: MemoryState(_identity(), enrolment_of("me", 1)))
    registry: Registry | None = None
    ever: set[str] = field(default_factory=set)
    memory: MemoryHost = field(default_factory=lambda: MemoryHost(prefix="alt"))
    agent: Agent | None = None
    _stack: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    async def on(self, timers: Timers = PATIENT) -> Agent:
        """Boot: an empty kernel, the same disk."""
        self.memory, self.ever = MemoryHost(prefix="alt"), set()
        real = self.memory.wireguard.apply

        async def apply(name: str, changes: Sequence[PeerChange]) -> None:
            self.ever |= {change.key.base64 for change in changes}
            await real(name, changes)

        self.memory.wireguard.apply = apply  # type: ignore[method-assign]  # the same, and it is written down
        enrolment = self.state.enrolment()
        assert enrolment is not None
        bus = await self._stack.enter_async_context(Bus(self.bus_settings, self.credentials, name=enrolment.relay.id))
        membership = Membership(self.state, enrolment, clock=SystemClock())
        self.agent = Agent(
            AgentSettings(timers=timers),
            host=memory_host(self.memory),
            state=self.state,
            membership=membership,
            clock=SystemClock(),
            random=lambda: 0.5,
            versions=Versions(agent="test"),
            boot="boot",
            bus=bus,
            registry=self.registry,
            poke=False,
        )
        applied = asyncio.Event()
        task = asyncio.create_task(self.agent.run(applied.set))
        self._stack.push_async_callback(_ended, task)
        async with asyncio.timeout(WITHIN):
            await applied.wait()
        return self.agent

    async def off(self) -> None:
        await self._stack.aclose()
        self._stack = contextlib.AsyncExitStack()
        self.agent = None

    async def until(self, check: Callable[[Agent], bool]) -> None:
        assert self.agent is not None
        async with asyncio.timeout(WITHIN):
            while not check(self.agent):  # noqa: ASYNC110 - an agent announces nothing to its host
                await asyncio.sleep(0.01)

    def peers(self) -> set[str]:
        return {key.base64 for device in self.memory.devices.values() for key in device.peers}


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


class Truth:
    """What the registry has put on the bus."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.paper = Paper()

    async def put(self, *names: str, remove: tuple[str, ...] = ()) -> None:
        self.paper.put(*(entry(name, 2 + ord(name) - ord("a")) for name in names), remove=remove)
        await desired.put(self.bus, "mesh", subjects.mesh_snapshot_key(NETWORK), self.paper.snapshot())

    async def give(self, generation: int = 1, **fields: Any) -> None:
        await desired.put(self.bus, "relay", relay_id("me"), pack(document("me", generation, **fields)))


@pytest_asyncio.fixture
async def truth(registry_bus: Bus) -> Truth:
    made = Truth(registry_bus)
    made.paper.put(entry("me", 1))
    await made.put("a", "b")
    await made.give(clients=(client("phone", "fd42:1337:beef:1001::10"), client("lost", "fd42:1337:beef:1001::11")))
    return made


@pytest_asyncio.fixture
async def machine(bus_settings: BusSettings, bus_identity: BusIdentity) -> AsyncIterator[Machine]:
    made = Machine(bus_settings, relay_credentials(bus_identity, relay_id("me"), network=NETWORK))
    yield made
    await made.off()


def keys(*names: str) -> set[str]:
    return {key_of(name).public().base64 for name in names}


PHONE, LOST = (key_of(name, "client").public().base64 for name in ("phone", "lost"))


async def test_an_agent_that_was_off_never_brings_back_what_was_revoked_meanwhile(
    truth: Truth, machine: Machine
) -> None:
    await machine.on()
    await machine.until(lambda agent: agent.desired.complete and machine.peers() == keys("a", "b") | {PHONE, LOST})
    await machine.off()
    await truth.put(remove=("b",))
    await truth.give(2, clients=(client("phone", "fd42:1337:beef:1001::10"),))
    await machine.on()
    assert machine.peers() == keys("a") | {PHONE}
    assert machine.ever == keys("a") | {PHONE}, "a revoked relay or client was spoken to after the boot"


async def test_without_a_bus_the_cache_has_to_do_and_what_was_revoked_goes_when_the_bus_is_back(
    truth: Truth, machine: Machine, nats_server: NatsServer
) -> None:
    await machine.on()
    await machine.until(lambda agent: agent.desired.complete and keys("a", "b") <= machine.peers())
    await machine.off()
    await truth.put(remove=("b",))
    await nats_server.stop()
    loop = asyncio.get_running_loop()
    began = loop.time()
    await machine.on(Timers(first_news=60, keyd_spread=0, fetch_jitter=0.05))
    assert loop.time() - began < 10, "a closed port was waited for as if it could still answer"
    assert machine.peers() == keys("a", "b") | {PHONE, LOST}
    await nats_server.restart()
    await machine.until(lambda _: machine.peers() == keys("a") | {PHONE, LOST})


async def test_a_relay_that_was_revoked_while_it_was_off_stays_dark_although_the_bus_does_not_let_it_in(
    truth: Truth, machine: Machine, bus_identity: BusIdentity, service_bus: ServiceBus
) -> None:
    await machine.on()
    await machine.until(lambda agent: agent.desired.complete and keys("a", "b") <= machine.peers())
    await machine.off()
    asked: list[str] = []

    async def post(url: str, _body: bytes, _headers: Mapping[str, str], _timeout: float) -> Answer:
        asked.append(url)
        return Answer(status=403, headers={}, body=json.dumps({"code": "relay_revoked", "detail": "out."}).encode())

    machine.registry = Registry("http://registry.test", post=post, clock=SystemClock(), timeout=5.0)
    sys_bus = await service_bus("sys")
    mine = copy.deepcopy(bus_identity)  # that of the session revokes nobody
    await revoke_user(sys_bus, mine, machine.credentials.claims["sub"], datetime.now(UTC) + timedelta(seconds=1))
    agent = await machine.on()
    assert (machine.ever, machine.memory.devices) == (set(), {})
    assert agent.health() == "revoked by the registry"
    assert len(asked) == 1


class Deaf:
    """A bus that never connects."""

    def __init__(self, failure: Unauthenticated | None = None, *, nobody_listens: bool = False) -> None:
        self.last_failure = failure
        self.connected = False
        self.nobody_listens = nobody_listens

    async def wait_connected(self, timeout: float | None = None) -> None:
        await asyncio.sleep(timeout or 0)
        raise Unavailable("bus_down", "no.")


@pytest.mark.looptime
@pytest.mark.parametrize("refused", [False, True])
async def test_whatever_the_bus_does_a_start_waits_no_longer_than_its_bound(refused: bool) -> None:
    asked = []

    async def ask() -> bool:
        asked.append(1)
        await asyncio.sleep(100)  # a registry that takes its time
        return True

    async def fetch() -> bool:
        raise AssertionError("there is nothing to fetch from")

    began = asyncio.get_running_loop().time()
    bus = Deaf(Unauthenticated("bus_refused", "no.") if refused else None)
    assert not await hear_first(bus, within=2.0, fetch=fetch, ask=ask)
    assert asyncio.get_running_loop().time() - began == pytest.approx(2.0)
    assert len(asked) == refused


@pytest.mark.looptime
async def test_a_closed_port_is_waited_for_less_than_a_bus_that_may_still_answer() -> None:
    async def fetch() -> bool:
        raise AssertionError("there is nothing to fetch from")

    began = asyncio.get_running_loop().time()
    assert not await hear_first(Deaf(nobody_listens=True), within=2.0, fetch=fetch, ask=None)
    assert asyncio.get_running_loop().time() - began == pytest.approx(DOWN, abs=0.06)
