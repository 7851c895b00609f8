"""A registry on paper and agents on hosts in memory: for tests of the relay agent without a control plane.

`Paper` makes the documents that the registry would; `Shelf` stores and tells them as the bus would, or loses them on
demand; `Rig` is one agent with its host, its state and a clock that moves when told to.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import IPv6Network
from random import Random

import msgspec
from altnet.common.bus import subjects
from altnet.common.clock import FixedClock
from altnet.common.contracts.agent import Versions
from altnet.common.contracts.desired import (
    AccessClient,
    MeshDelta,
    MeshSettings,
    MeshSnapshot,
    RelayDocument,
    RelayEntry,
    pack,
)
from altnet.common.contracts.digest import document_digest, mesh_digest
from altnet.common.errors import Unavailable
from altnet.common.kernel.memory import MemoryHost
from altnet.common.keys import PrivateKey
from altnet.common.net import AddressPlan
from altnet.relay_agent.agent import Agent
from altnet.relay_agent.host import memory_host
from altnet.relay_agent.membership import Membership
from altnet.relay_agent.memory_state import MemoryState
from altnet.relay_agent.planes.firewall import MemoryTables
from altnet.relay_agent.settings import AgentSettings
from altnet.relay_agent.state import (
    BusAccess,
    Enrolment,
    Identity,
    NetworkIdentity,
    RelayIdentity,
    State,
    make_identity,
)

NETWORK = "net_1"
PREFIX = IPv6Network("fd42:1337:beef::/48")
PLAN = AddressPlan(PREFIX)
START = datetime(2026, 1, 1, tzinfo=UTC)


def key_of(name: str, kind: str = "mesh") -> PrivateKey:
    """A key that follows from a name, so that a test's texts can speak of it."""
    return PrivateKey.generate(lambda _: hashlib.sha256(f"{kind} {name}".encode()).digest())


def relay_id(name: str) -> str:
    return f"rly_{name}"


def identity_of(name: str) -> Identity:
    keys = iter((key_of(name), key_of(name, "access"), key_of(name, "identity")))
    return make_identity(make_nkey=lambda: (f"U{name}", b"SU-not-used"), make_key=lambda: next(keys))


def entry(name: str, slot: int, **fields: object) -> RelayEntry:
    """A relay of the mesh; endpoints in 192.0.2.0/24 unless given."""
    made = RelayEntry(
        id=relay_id(name),
        name=name,
        slot=slot,
        key=key_of(name).public().base64,
        endpoints=(f"192.0.2.{slot % 250 + 1}:51820",),
    )
    return msgspec.structs.replace(made, **fields)


def client(name: str, *addresses: str) -> AccessClient:
    return AccessClient(id=f"cli_{name}", key=key_of(name, "client").public().base64, addresses=addresses)


def enrolment_of(name: str, slot: int) -> Enrolment:
    return Enrolment(
        relay=RelayIdentity(id=relay_id(name), name=name, slot=slot, address=str(PLAN.relay_address(slot))),
        network=NetworkIdentity(id=NETWORK, name="test", prefix=str(PREFIX)),
        bus=BusAccess(
            servers=("nats://127.0.0.1:9",),
            jwt="",
            expires_at="2026-01-02T00:00:00Z",
            issued_at="2026-01-01T00:00:00Z",
        ),
    )


@dataclass
class Paper:
    """What the registry wants, and what it would publish."""

    relays: dict[str, RelayEntry] = field(default_factory=dict)
    settings: MeshSettings = field(default_factory=MeshSettings)
    generation: int = 0

    def put(self, *entries: RelayEntry, remove: tuple[str, ...] = (), settings: MeshSettings | None = None) -> bytes:
        """Change the mesh; returns the delta."""
        before, self.generation = self.generation, self.generation + 1
        for item in entries:
            self.relays[item.id] = item
        for name in remove:
            self.relays.pop(relay_id(name), None)
        self.settings = settings or self.settings
        return pack(
            MeshDelta(
                network=NETWORK,
                prev=before,
                generation=self.generation,
                settings=settings,
                changed=tuple(entries),
                removed=tuple(relay_id(name) for name in remove),
            )
        )

    def snapshot(self) -> bytes:
        return pack(
            MeshSnapshot(
                network=NETWORK,
                prefix=str(PREFIX),
                generation=self.generation,
                settings=self.settings,
                relays=tuple(self.relays[relay] for relay in sorted(self.relays)),
            )
        )

    @property
    def digest(self) -> str:
        return mesh_digest(self.settings, self.relays.values()).text


def document(name: str, generation: int = 1, **fields: object) -> RelayDocument:
    made = RelayDocument(relay=relay_id(name), network=NETWORK, generation=generation)
    return msgspec.structs.replace(made, **fields)


class Shelf:
    """Stored documents, as `Documents`. `away` behaves like a bus that is down."""

    def __init__(self) -> None:
        self.stored: dict[tuple[str, str], bytes] = {}
        self.away = False
        self.fetches = 0
        self._heard: dict[tuple[str, str], list[Callable[[bytes], Awaitable[None]]]] = {}
        self._callbacks: list[Callable[[], Awaitable[None]]] = []

    @property
    def connected(self) -> bool:
        return not self.away

    async def fetch(self, bucket: str, key: str, *, timeout: float) -> bytes | None:
        if self.away:
            raise Unavailable("bus_down", "the bus is away.")
        self.fetches += 1
        return self.stored.get((bucket, key))

    async def subscribe(self, bucket: str, key: str, on_data: Callable[[bytes], Awaitable[None]]) -> None:
        self._heard.setdefault((bucket, key), []).append(on_data)

    def on_connect(self, callback: Callable[[], Awaitable[None]]) -> None:
        self._callbacks.append(callback)

    def put_mesh(self, paper: Paper) -> None:
        self.stored[subjects.MESH_BUCKET, subjects.mesh_snapshot_key(NETWORK)] = paper.snapshot()

    def put_document(self, wanted: RelayDocument) -> bytes:
        data = pack(wanted)
        self.stored[subjects.RELAY_BUCKET, wanted.relay] = data
        return data

    def forget_listeners(self) -> None:
        """The agent is gone, and with it what it listened to."""
        self._heard.clear()
        self._callbacks.clear()

    async def tell_delta(self, data: bytes) -> None:
        await self._tell(subjects.MESH_BUCKET, subjects.mesh_delta_key(NETWORK), data)

    async def tell_document(self, relay: str, data: bytes) -> None:
        await self._tell(subjects.RELAY_BUCKET, relay, data)

    async def _tell(self, bucket: str, key: str, data: bytes) -> None:
        for on_data in self._heard.get((bucket, key), ()):
            await on_data(data)


class Rig:
    """One agent on one host in memory. `crash()` loses the process; host, state and shelf stay."""

    def __init__(
        self,
        name: str = "me",
        slot: int = 1,
        *,
        shelf: Shelf | None = None,
        settings: AgentSettings | None = None,
        poke: bool = False,
        state: State | None = None,
        seed: int = 7,
    ) -> None:
        self.name, self.slot = name, slot
        self.settings = settings or AgentSettings()
        self.memory = MemoryHost(prefix=self.settings.interface_prefix)
        self.tables = MemoryTables()
        self.clock = FixedClock(START)
        self.shelf = shelf or Shelf()
        self.poke = poke
        self.random = Random(seed).random
        self.state = state or MemoryState(identity_of(name), enrolment_of(name, slot))
        self.agent = self._make()

    def _make(self) -> Agent:
        enrolment = self.state.enrolment()
        assert enrolment is not None
        return Agent(
            self.settings,
            host=memory_host(self.memory, self.tables),
            state=self.state,
            membership=Membership(self.state, enrolment, clock=self.clock),
            clock=self.clock,
            random=self.random,
            versions=Versions(agent="test", wireguard="memory"),
            boot="boot",
            documents=self.shelf,
            poke=self.poke,
        )

    async def start(self) -> None:
        await self.agent.start()
        await self.settle()

    async def crash(self) -> None:
        """The agent dies at once; a new one comes with `start`."""
        self.shelf.forget_listeners()
        self.agent = self._make()

    async def settle(self) -> None:
        """Do what is due at this instant."""
        for _ in range(100):
            await self.agent.reconciler.step()
            due = self.agent.reconciler.next_due() <= self.clock.monotonic()
            if not due and not self.agent.wanted.waiting:
                return
        raise AssertionError("the reconciler does not come to rest")

    async def advance(self, seconds: float) -> None:
        """Let time pass, doing what falls due on the way."""
        end = self.clock.monotonic() + seconds
        while (now := self.clock.monotonic()) < end:
            due = self.agent.reconciler.next_due()
            longest = now + 0.1 if self.poke else end
            step = min(end, longest, max(due, now + 0.05)) - now
            self.clock.advance(step)
            await self.agent.poker.poke()
            await self.settle()

    async def fetch(self) -> None:
        await self.agent.feed.fetch()
        await self.settle()

    async def tell(self, delta: bytes) -> None:
        await self.shelf.tell_delta(delta)
        await self.settle()

    async def give(self, wanted: RelayDocument) -> None:
        await self.shelf.tell_document(wanted.relay, self.shelf.put_document(wanted))
        await self.settle()

    @property
    def peers(self) -> set[str]:
        """Names of the relays on the mesh device."""
        device = self.memory.devices.get(self.agent.names.mesh)
        return set() if device is None else {_NAMES.get(key.base64, key.base64) for key in device.peers}

    def as_planned(self, paper: Paper) -> bool:
        """Whether the agent's digests are the registry's."""
        applied = self.agent.reconciler.applied()
        wanted = self.agent.desired.document
        return (
            wanted is not None
            and applied.mesh_digest == paper.digest
            and applied.document_digest == document_digest(wanted).text
        )


_NAMES = {key_of(name).public().base64: name for name in [*"abcdefghijklmnopqrstuvwxyz", "me"]}
