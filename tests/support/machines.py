"""Whole agents on a real NATS and on hosts in memory that remember every peer they had: what a start brings back.

`Truth` puts on the bus what the registry would; `Machine` is a host that is switched off and on, with the same disk.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from altnet.common.bus import desired, subjects
from altnet.common.bus.connect import Bus, BusSettings
from altnet.common.bus.jwt import make_nkey
from altnet.common.clock import SystemClock
from altnet.common.contracts.agent import Versions
from altnet.common.contracts.desired import pack
from altnet.common.kernel.memory import MemoryHost
from altnet.common.kernel.wireguard import PeerChange
from altnet.relay_agent.agent import Agent
from altnet.relay_agent.enrol import Registry
from altnet.relay_agent.host import memory_host
from altnet.relay_agent.membership import Membership
from altnet.relay_agent.memory_state import MemoryState
from altnet.relay_agent.settings import AgentSettings, Timers
from altnet.relay_agent.state import Identity

from support.relays import NETWORK, Paper, document, enrolment_of, entry, identity_of, relay_id

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
