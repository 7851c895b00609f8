"""Whole agents on hosts in memory, beside a registry and keyd: what the network lock's tests stand on."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from altnet.common.clock import SystemClock
from altnet.common.contracts.agent import Versions
from altnet.common.kernel.memory import MemoryHost
from altnet.common.lock.log import LockChange
from altnet.common.net import AddressPlan
from altnet.relay_agent import agent as whole
from altnet.relay_agent.host import memory_host
from altnet.relay_agent.membership import Membership
from altnet.relay_agent.settings import AgentSettings, Timers
from integration.keyd.running import Agent, RunningKeyd, enrol_agent
from integration.registry.running import RunningRegistry, eventually
from support.locksmith import Locksmith, entry_body, statements_body

TIMERS = Timers(
    fetch_jitter=0.02,
    resync=1.0,
    keyd_spread=0,
    keyd_timeout=3,
    keyd_retry_first=0.05,
    keyd_retry_most=0.1,
    lock_retry_most=1.0,
    switch_check=0.02,
)


@dataclass
class Member:
    """One relay: enrolled, and its agent on a host in memory."""

    enrolled: Agent
    memory: MemoryHost
    agent: whole.Agent
    task: asyncio.Task[None]

    @property
    def id(self) -> str:
        return self.enrolled.id

    @property
    def slot(self) -> int:
        return int(self.enrolled.relay.answer["relay"]["slot"])

    @property
    def key(self) -> str:
        return self.agent.rotation.identity().mesh.public().base64

    @property
    def peers(self) -> set[str]:
        """Keys on any of its mesh devices."""
        devices = [self.memory.devices[name] for name in ("altm0", "altm1") if name in self.memory.devices]
        return {key.base64 for device in devices for key in device.peers}

    @property
    def clients(self) -> set[str]:
        return {key.base64 for key in self.memory.devices["alta0"].peers}

    @property
    def prefixes(self) -> set[str]:
        """That it has routes to."""
        return {str(prefix) for _, prefix, _ in self.memory.routes}


@dataclass
class Meshed:
    """A network of such relays."""

    registry: RunningRegistry
    keyd: RunningKeyd
    members: list[Member] = field(default_factory=list)
    smith: Locksmith = field(init=False)

    def begin(self) -> None:
        self.smith = Locksmith(self.network)

    @property
    def network(self) -> str:
        return self.members[0].enrolled.relay.network

    @property
    def plan(self) -> AddressPlan:
        return AddressPlan(self.members[0].agent.heard.prefix)

    async def until(self, check: Callable[[], bool], *, timeout: float = 20) -> None:
        async def there() -> bool:
            return check()

        await eventually(there, timeout=timeout)

    async def until_meshed(self) -> None:
        keys = {one.id: one.key for one in self.members}
        await self.until(lambda: all(one.peers == set(keys.values()) - {one.key} for one in self.members), timeout=30)

    def statement(self, member: Member, **fields: Any) -> Any:
        identity = member.enrolled.state.identity().signing.public().base64
        return self.smith.relay(member.id, slot=member.slot, identity=identity, **fields)

    async def certified(self) -> None:
        """Every relay has told keyd its keys, signed."""

        async def there() -> bool:
            hosts = (await self.keyd.api.get("/v1/lock/hosts")).json()["items"]
            return len([one for one in hosts if one["keys"]]) == len(self.members)

        await eventually(there)

    async def lock(self, **fields: Any) -> None:
        """Turn it on for those that are there, and wait until all have heard of it."""
        await self.certified()
        await self.post("statements", statements_body(*(self.statement(one, **fields) for one in self.members)))
        await self.post("entries", entry_body(self.smith.take(self.smith.init())))
        await self.heard()

    async def change(self, change: LockChange, **fields: Any) -> None:
        await self.post("entries", entry_body(self.smith.take(self.smith.change(change, **fields))))
        await self.heard()

    async def heard(self) -> None:
        await self.until(lambda: all(one.agent.lock.log.head == self.smith.log.head for one in self.members))

    async def post(self, what: str, body: dict[str, Any]) -> None:
        answer = await self.keyd.api.post(f"/v1/lock/{what}", json=body)
        assert answer.status_code in (200, 201), answer.text

    async def told(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in await self.keyd.events() if event["kind"] == kind]

    async def until_told(self, kind: str, *, by: int, **fields: Any) -> list[dict[str, Any]]:
        """Wait until so many relays have had this security event."""
        found: list[dict[str, Any]] = []

        async def there() -> bool:
            events = await self.told(kind)
            found[:] = [one for one in events if all(one[name] == value for name, value in fields.items())]
            return len({one["relay"] for one in found}) >= by

        await eventually(there)
        return found


@contextlib.asynccontextmanager
async def meshed(registry: RunningRegistry, keyd: RunningKeyd, *names: str) -> AsyncIterator[Meshed]:
    made = Meshed(registry, keyd)
    try:
        for name in names:
            made.members.append(await join(registry, name))
        made.begin()
        for member in made.members:
            await keyd.until(member.id, "active")
        await made.until_meshed()
        yield made
    finally:
        for member in made.members:
            member.task.cancel()
        await asyncio.gather(*(member.task for member in made.members), return_exceptions=True)


async def join(registry: RunningRegistry, name: str, settings: AgentSettings | None = None) -> Member:
    """Enrol a host and start its agent."""
    return start(await enrol_agent(registry, name), settings=settings)


def start(enrolled: Agent, memory: MemoryHost | None = None, *, settings: AgentSettings | None = None) -> Member:
    memory = memory or MemoryHost(prefix="alt")
    enrolment = enrolled.state.enrolment()
    assert enrolment is not None
    made = whole.Agent(
        settings or AgentSettings(timers=TIMERS),
        host=memory_host(memory),
        state=enrolled.state,
        membership=Membership(enrolled.state, enrolment, clock=SystemClock()),
        clock=SystemClock(),
        random=random.Random(enrolled.id).random,
        versions=Versions(agent="test"),
        boot=enrolled.id,
        bus=enrolled.bus,
        poke=False,
    )
    return Member(enrolled, memory, made, asyncio.create_task(made.run()))
