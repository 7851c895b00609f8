"""Many real agents in one process: each with its own keys, its own pass to the bus, its own connection, and a host
in memory. Driven by JSON lines on standard input, answered on standard output; see `support.swarm`.

What is not real: WireGuard, links and routes below them (`kernel/memory.py`), and the disk. What all agents of the
process share is how documents are decoded: the last few are remembered, as a thousand machines would each decode
their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import random
import resource
import secrets
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import msgspec
import uvloop
from altnet.common import heap, log
from altnet.common.bus.connect import Bus, BusSettings, Message
from altnet.common.bus.nkey import make_nkey
from altnet.common.bus.subjects import relay_status
from altnet.common.calls import Answer
from altnet.common.clock import SystemClock
from altnet.common.contracts.agent import Applied, Versions
from altnet.common.contracts.desired import unpack_delta, unpack_relay_document, unpack_snapshot
from altnet.common.errors import AltnetError, TooMany, Unavailable
from altnet.common.kernel.memory import MemoryHost, MemoryWireGuard
from altnet.common.kernel.wireguard import Action, DeviceState, PeerChange
from altnet.common.settings import Secret
from altnet.relay_agent.agent import Agent
from altnet.relay_agent.desired import Decode
from altnet.relay_agent.enrol import Registry
from altnet.relay_agent.host import memory_host
from altnet.relay_agent.keyd import remember_token
from altnet.relay_agent.membership import Membership
from altnet.relay_agent.memory_state import MemoryState
from altnet.relay_agent.planes.firewall import MemoryTables
from altnet.relay_agent.settings import AgentSettings, Timers
from altnet.relay_agent.state import Enrolment, make_identity

REMEMBERED = 1024
"""Acknowledgements kept per agent: more changes than any bench looks back on."""
PATIENCE = 60.0
"""Seconds for which a host asks again when the registry does not answer."""
ENDING = 120.0
"""Seconds in which a cancelled agent must have ended, on a machine that a thousand of them share."""
VERSIONS = Versions(agent="simulated", wireguard="memory")
CLOCK = SystemClock()


@dataclass(frozen=True, slots=True)
class Said:
    """One acknowledgement, with the monotonic second at which the agent handed it to the bus."""

    at: float
    mesh: int
    document: int


class Outlet:
    """The agent's way out: notes what it acknowledges, and hands it on."""

    def __init__(self, bus: Bus, said: deque[Said]) -> None:
        self._bus = bus
        self._said = said
        self._decode = msgspec.json.Decoder(Applied).decode
        self.acknowledged = 0

    @property
    def connected(self) -> bool:
        return self._bus.connected

    async def publish(self, subject: str, payload: bytes) -> None:
        await self._bus.publish(subject, payload)
        if subject.endswith(".applied"):
            self.acknowledged += 1
            applied = self._decode(payload)
            self._said.append(Said(time.monotonic(), applied.mesh_generation, applied.document_generation))


DECODE = Decode(
    snapshot=functools.lru_cache(maxsize=4)(unpack_snapshot),
    delta=functools.lru_cache(maxsize=64)(unpack_delta),
    document=unpack_relay_document,
)
"""Shared by all agents here: what a thousand machines decode once each, this one decodes once in all."""


class Talkative(MemoryWireGuard):
    """WireGuard whose handshakes all succeed at once, and that writes down when each peer was removed."""

    def __init__(self, host: MemoryHost) -> None:
        super().__init__(host)
        self.removed: dict[str, float] = {}
        """By public key, monotonic seconds."""

    async def apply(self, name: str, changes: Sequence[PeerChange]) -> None:
        had = set(self._host.devices[name].peers) if name in self._host.devices else set()
        await super().apply(name, changes)
        now = time.monotonic()
        self.removed.update(
            (change.key.base64, now) for change in changes if change.action is Action.REMOVE and change.key in had
        )

    async def read(self, name: str) -> DeviceState:
        state, now = await super().read(name), time.time()
        peers = {key: msgspec.structs.replace(peer, last_handshake=now) for key, peer in state.peers.items()}
        return msgspec.structs.replace(state, peers=peers)


def talkative(prefix: str) -> MemoryHost:
    memory = MemoryHost(prefix=prefix)
    memory.wireguard = Talkative(memory)
    return memory


@dataclass
class Simulated:
    """One simulated host: `state` and `memory` outlive its agent, as a disk and a kernel do."""

    name: str
    state: MemoryState
    memory: MemoryHost
    tables: MemoryTables
    said: deque[Said] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    heard_at: float | None = None
    """When it got what `listen` listens to."""
    agent: Agent | None = None
    bus: Bus | None = None
    outlet: Outlet | None = None
    task: asyncio.Task[None] | None = None

    @property
    def relay(self) -> str:
        enrolment = self.state.enrolment()
        assert enrolment is not None
        return enrolment.relay.id


class Worker:
    """The agents of this process."""

    def __init__(self) -> None:
        self.hosts: dict[str, Simulated] = {}
        # Hundreds of agents share this loop, so an answer may wait in it for longer than a host of its own would.
        self.settings = AgentSettings(backend="memory", timers=Timers(keyd_timeout=20.0))
        self.registry_url = ""
        self.crashes: list[str] = []
        self.retries = 0
        self.talk = False

    # -- commands ------------------------------------------------------------------------------------------------

    async def enrol(
        self, *, api: str, token: str, names: list[str], at_once: int, talk: bool = False
    ) -> dict[str, Any]:
        """Make hosts and have them enrol; every refusal is told.

        `talk`: they prove themselves to keyd by their token, and their handshakes succeed.
        """
        self.registry_url = api
        self.talk = talk
        waiting = list(reversed(names))
        delays: list[float] = []
        limits = httpx.Limits(max_connections=at_once, max_keepalive_connections=at_once)
        begin = time.monotonic()
        async with httpx.AsyncClient(limits=limits, timeout=30, trust_env=False) as client:
            registry = Registry(api, post=_post(client), clock=CLOCK, timeout=30)

            async def work() -> None:
                while waiting:
                    name = waiting.pop()
                    started = time.monotonic()
                    await self._enrol(registry, token, name)
                    delays.append(time.monotonic() - started)

            async with asyncio.TaskGroup() as group:
                for _ in range(at_once):
                    group.create_task(work())
        return {
            "relays": {name: self.hosts[name].relay for name in names},
            "slots": {name: self._slot(name) for name in names},
            "began": begin,
            "ended": time.monotonic(),
            "delays": delays,
            "retries": self.retries,
        }

    async def start(self, *, names: list[str] | None = None) -> int:
        """Start agents that do not run."""
        started = 0
        for host in self._of(names):
            if host.task is None:
                host.task = asyncio.create_task(self._live(host), name=host.name)
                started += 1
                if started % 25 == 0:
                    await asyncio.sleep(0)
        return started

    async def crash(self, *, names: list[str], reboot: bool = False) -> int:
        """End agents at once, all together. `reboot` loses what their kernels held as well."""
        falling = {host.task: host for host in self._of(names) if host.task is not None}
        for task in falling:
            task.cancel()
        _, running = await asyncio.wait(falling, timeout=ENDING) if falling else (set(), set())
        for task in running:
            raise AssertionError(f"{task.get_name()} runs {ENDING} s after it was cancelled: {_where(falling[task])}")
        for host in falling.values():
            host.task = host.agent = host.bus = host.outlet = None
            if reboot:
                prefix = self.settings.interface_prefix
                host.memory = talkative(prefix) if self.talk else MemoryHost(prefix=prefix)
                host.tables = MemoryTables()
        return len(falling)

    async def seen(self, *, generation: int, names: list[str] | None = None) -> dict[str, float | None]:
        """By relay: when it first said that it has applied this generation in either document; null if never."""
        found: dict[str, float | None] = {}
        for host in self._of(names):
            times = (said.at for said in host.said if max(said.mesh, said.document) >= generation)
            found[host.relay] = next(times, None)
        return found

    async def last(self) -> dict[str, float | None]:
        """By relay: when it last acknowledged anything."""
        return {host.relay: host.said[-1].at if host.said else None for host in self._of(None)}

    async def digests(self) -> dict[str, dict[str, Any]]:
        """By relay: what its agent holds now."""
        found = {}
        for host in self._of(None):
            if host.agent is None or host.bus is None:
                found[host.relay] = {"running": False}
                continue
            applied = host.agent.reconciler.applied()
            found[host.relay] = {
                "running": True,
                "connected": host.bus.connected,
                "settled": host.agent.reconciler.settled,
                "failed": applied.failed_count,
                "mesh": [applied.mesh_generation, applied.mesh_digest],
                "document": [applied.document_generation, applied.document_digest],
            }
        return found

    async def beat(self, *, rate: float, seconds: float) -> dict[str, float]:
        """Send heartbeats beyond the agents' own, `rate` a second in all, evenly over the agents."""
        hosts = [host for host in self._of(None) if host.bus is not None and host.agent is not None]
        beats = [await host.agent.reporter.heartbeat() for host in hosts if host.agent is not None]
        sent, begin = 0, time.monotonic()
        total = round(rate * seconds)
        while sent < total:
            due = min(total, int((time.monotonic() - begin) * rate) + 1)
            while sent < due:
                at = sent % len(hosts)
                host, bus = hosts[at], hosts[at].bus
                assert bus is not None
                beats[at] = msgspec.structs.replace(beats[at], number=beats[at].number + 1)
                await bus.publish(relay_status(host.relay), msgspec.json.encode(beats[at]))
                sent += 1
            await asyncio.sleep(0.005)
        return {"sent": sent, "seconds": time.monotonic() - begin}

    async def secrets(self) -> dict[str, dict[str, str]]:
        """By name: every secret that a host holds now, as its state file has it. For tests that look for them."""
        found: dict[str, dict[str, str]] = {}
        for host in self._of(None):
            held = msgspec.to_builtins(host.state.identity())
            names = ("nkey_seed", "mesh_key", "next_mesh_key", "access_key", "identity_key", "signing_key")
            found[host.name] = {name: held[name] for name in names if held[name]} | {"psk": host.state.keyd().psk}
        return found

    async def keys(self) -> dict[str, dict[str, Any]]:
        """By relay: the public keys that its disk has, and its WireGuard devices with the keys of their peers."""
        found: dict[str, dict[str, Any]] = {}
        for host in self._of(None):
            held = host.state.identity()
            found[host.relay] = {
                "mesh": held.mesh.public().base64,
                "next_mesh": held.next_mesh.public().base64 if held.next_mesh is not None else "",
                "access": held.access.public().base64,
                "next_access": held.next_access.public().base64 if held.next_access is not None else "",
                "devices": {
                    name: {
                        "key": device.public_key.base64 if device.public_key is not None else "",
                        "peers": sorted(peer.base64 for peer in device.peers),
                    }
                    for name, device in host.memory.devices.items()
                },
            }
        return found

    async def removed(self, *, key: str) -> dict[str, float | None]:
        """By relay that has or had this key as a peer: when it was removed, null where it is still there."""
        found: dict[str, float | None] = {}
        for host in self._of(None):
            wireguard = host.memory.wireguard
            assert isinstance(wireguard, Talkative)
            there = any(peer.base64 == key for device in host.memory.devices.values() for peer in device.peers)
            if there or key in wireguard.removed:
                found[host.relay] = None if there else wireguard.removed[key]
        return found

    async def listen(self, *, subject: str) -> int:
        """Have every agent's connection listen to this subject too, and note when it last heard something there."""
        for host in self._of(None):
            if host.bus is not None and host.bus.connected:
                await host.bus.subscribe(subject, functools.partial(_note, host))
                await host.bus.flush()
        return len(self.hosts)

    async def heard(self) -> dict[str, float | None]:
        """By relay: when it last heard something where `listen` listens."""
        return {host.relay: host.heard_at for host in self._of(None) if host.bus is not None}

    async def settle_heap(self) -> None:
        """What is held now is not looked through for garbage any more."""
        heap.settle()

    async def cost(self) -> dict[str, float]:
        """What this process used so far."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "cpu": used.ru_utime + used.ru_stime,
            "rss": used.ru_maxrss / 1024,
            "acknowledged": sum(host.outlet.acknowledged for host in self.hosts.values() if host.outlet is not None),
        }

    async def faults(self) -> list[str]:
        """Agents that ended by themselves, with why."""
        return self.crashes

    # -- how -----------------------------------------------------------------------------------------------------

    async def _enrol(self, registry: Registry, token: str, name: str) -> None:
        identity = make_identity(make_nkey=make_nkey)
        number = int(name.rpartition("-")[2])
        enrolment = await self._patiently(
            registry.enrol,
            identity,
            token=Secret(token),
            name=name,
            endpoints=(f"198.18.{number // 250}.{number % 250 + 1}:51820",),
            mesh_port=51820,
            access_port=51830,
            region="",
            labels={},
            versions=VERSIONS,
        )
        state, prefix = MemoryState(identity, enrolment), self.settings.interface_prefix
        if self.talk:
            await remember_token(state, Secret(token))
        memory = talkative(prefix) if self.talk else MemoryHost(prefix=prefix)
        self.hosts[name] = Simulated(name=name, state=state, memory=memory, tables=MemoryTables())

    async def _patiently(self, enrol: Callable[..., Awaitable[Enrolment]], *args: Any, **wishes: Any) -> Enrolment:
        """Ask until there is an answer, as `altnet-agent` does: the same host again is the same relay."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return await enrol(*args, **wishes)
            except (Unavailable, TooMany):
                self.retries += 1
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.2 + 0.3 * random.random())

    async def _live(self, host: Simulated) -> None:
        enrolment = host.state.enrolment()
        assert enrolment is not None
        membership = Membership(host.state, enrolment, clock=CLOCK)
        bus = Bus(BusSettings(servers=enrolment.bus.servers), membership.credentials, name=host.relay)
        host.bus, host.outlet = bus, Outlet(bus, host.said)
        host.agent = Agent(
            self.settings,
            host=memory_host(host.memory, host.tables),
            state=host.state,
            membership=membership,
            clock=CLOCK,
            random=random.random,
            versions=VERSIONS,
            boot=secrets.token_hex(8),
            bus=bus,
            outlet=host.outlet,
            decode=DECODE,
            poke=False,
        )
        try:
            async with bus:
                await host.agent.run()
        except Exception as error:
            self.crashes.append(f"{host.name}: {error!r}")
            raise

    def _of(self, names: list[str] | None) -> list[Simulated]:
        return list(self.hosts.values()) if names is None else [self.hosts[n] for n in names if n in self.hosts]

    def _slot(self, name: str) -> int:
        enrolment = self.hosts[name].state.enrolment()
        assert enrolment is not None
        return enrolment.relay.slot


def _where(host: Simulated) -> str:
    """Where an agent and its connection stand: for each task, the chain of what it awaits."""
    waiting = [host.task, *((host.bus._keeper, *host.bus._tasks) if host.bus is not None else ())]
    return "; ".join(f"{task.get_name()} ({task.cancelling()}): {_chain(task)}" for task in waiting if task is not None)


def _chain(task: asyncio.Task[Any]) -> str:
    told, awaited = [], task.get_coro()
    while awaited is not None:
        frame = getattr(awaited, "cr_frame", None) or getattr(awaited, "gi_frame", None)
        if frame is None:
            break
        told.append(f"{frame.f_code.co_qualname}:{frame.f_lineno}")
        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "gi_yieldfrom", None)
    return " > ".join(told) or repr(task)


async def _note(host: Simulated, _: Message) -> None:
    host.heard_at = time.monotonic()


def _post(client: httpx.AsyncClient) -> Callable[[str, bytes, Mapping[str, str], float], Awaitable[Answer]]:
    async def post(url: str, body: bytes, headers: Mapping[str, str], timeout: float) -> Answer:
        try:
            found = await client.post(url, content=body, headers=dict(headers), timeout=timeout)
        except httpx.HTTPError as error:
            raise Unavailable("registry_unavailable", repr(error)) from None
        return Answer(status=found.status_code, headers=dict(found.headers), body=found.content)

    return post


async def main() -> None:
    log.configure(json=True, level="error")
    worker = Worker()
    reader = asyncio.StreamReader(limit=2**26)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    while line := await reader.readline():
        order = json.loads(line)
        verb = order.pop("do")
        try:
            answer: dict[str, Any] = {"ok": await getattr(worker, verb)(**order)}
        except* (AltnetError, AssertionError) as errors:
            answer = {"error": "; ".join(str(error) for error in errors.exceptions[:3])}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    tasks = [host.task for host in worker.hosts.values() if host.task is not None]
    for task in tasks:
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(*tasks, return_exceptions=True)


if __name__ == "__main__":
    uvloop.run(main())
