"""Agents that were off while somebody was revoked: real NATS, hosts in memory that remember every peer they had."""

from __future__ import annotations

import asyncio
import copy
import hashlib
import json
import zlib
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
import pytest_asyncio
from altnet.common.bus import desired, rpc, subjects
from altnet.common.bus.connect import Bus, BusSettings
from altnet.common.bus.jwt import BusIdentity, revoke_user
from altnet.common.calls import Answer
from altnet.common.clock import SystemClock
from altnet.common.contracts import lock as pages
from altnet.common.contracts.keyd import SERVICE
from altnet.common.contracts.lock import LOCK, HostCertificates, LockPage, LockQuery
from altnet.common.embedded.nats import NatsServer
from altnet.common.errors import Unauthenticated, Unavailable
from altnet.common.lock.log import LockChange
from altnet.common.lock.statements import SignedStatement
from altnet.common.signing import SigningKey
from altnet.relay_agent.enrol import Registry
from altnet.relay_agent.lock.memory import LockMemory
from altnet.relay_agent.news import DOWN, hear_first
from altnet.relay_agent.settings import Timers
from support.locksmith import Locksmith
from support.machines import Machine, Truth
from support.nats import ServiceBus, relay_credentials
from support.relays import NETWORK, client, entry, key_of, relay_id


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


# -- the network lock ------------------------------------------------------------------------------------------------


def host_key(name: str) -> SigningKey:
    return SigningKey(hashlib.sha256(name.encode()).digest())


class Locked:
    """A network lock that is on, and vouches for this relay, two others and a client. `page` is what is new of it."""

    def __init__(self) -> None:
        self.smith = Locksmith(NETWORK)
        self.smith.take(self.smith.init())
        relays = {"me": 1, "a": 2, "b": 3}
        hosts = [(name, self.smith.certificate(relay_id(name), _mesh(name), by=host_key(name))) for name in relays]
        phone = client("phone", "fd42:1337:beef:1001::10")
        self.kept = LockMemory(
            network=NETWORK,
            entries=self.smith.log.entries,
            version=1,
            statements=(
                *(self.relay(name, slot) for name, slot in relays.items()),
                self.smith.client(phone.id, key=phone.key, addresses=phone.addresses),
            ),
            hosts=tuple(HostCertificates(relay=relay_id(name), certificates=(one,)) for name, one in hosts),
        )

    def relay(self, name: str, slot: int, *, by: SigningKey | None = None, **fields: object) -> SignedStatement:
        opened = self.smith.relay(relay_id(name), slot=slot, identity=host_key(name).public().base64).opened()
        return self.smith.sign(msgspec.structs.replace(opened, **fields), by=by)

    def page(self, *statements: SignedStatement, since: int = 1, version: int = 2) -> LockPage:
        log = self.smith.log
        return LockPage(
            network=NETWORK,
            since=since,
            version=version,
            length=log.length,
            head=log.head,
            entries=log.entries[-1:],
            statements=statements,
        )


def _mesh(name: str) -> str:
    return key_of(name).public().base64


async def put_page(bus: Bus, page: LockPage | bytes) -> None:
    data = page if isinstance(page, bytes) else pages.pack(page)
    await desired.put(bus, subjects.MESH_BUCKET, subjects.lock_key(NETWORK), data)


@pytest_asyncio.fixture
async def locked(truth: Truth, machine: Machine) -> Locked:
    """The lock is on, the machine has gone by it, and is off now."""
    made = Locked()
    await machine.state.save_lock(made.kept)
    await put_page(truth.bus, made.page(since=1, version=1))
    await machine.on()
    await machine.until(lambda agent: agent.desired.complete and machine.peers() == keys("a", "b") | {PHONE})
    await machine.off()
    return made


async def test_an_agent_that_was_off_never_brings_back_whom_the_lock_lets_out_meanwhile(
    truth: Truth, machine: Machine, locked: Locked
) -> None:
    """The registry still has the relay, as one would that somebody else has taken over; keyd is away."""
    await put_page(truth.bus, locked.page(locked.relay("b", 3, serial=2, revoked=True)))
    await machine.on()
    assert machine.peers() == keys("a") | {PHONE}
    assert machine.ever == keys("a") | {PHONE}, "a relay was spoken to that is out under the lock"


async def test_a_restarted_agent_hears_of_a_removed_authority_before_it_brings_anybody_back(
    machine: Machine, truth: Truth, locked: Locked, service_bus: ServiceBus
) -> None:
    """The log is longer: that page alone is not enough, and keyd has the rest."""
    other = SigningKey.generate()
    change = locked.smith.change(LockChange.AUTHORITIES, authorities=[other.public().base64])
    locked.smith.take(change)
    resigned = [locked.relay(name, slot, by=other) for name, slot in {"me": 1, "a": 2}.items()]
    asked: list[LockQuery] = []

    async def tell(query: LockQuery, _: rpc.RpcContext) -> LockPage:
        asked.append(query)
        return locked.page(*resigned, since=query.since, version=4)

    await rpc.serve(await service_bus("keyd"), SERVICE, LOCK, LockQuery, tell, callers="relays")
    await put_page(truth.bus, locked.page(*resigned, version=4))
    await machine.on()
    assert machine.peers() == keys("a"), "the old authority vouched for the rest"
    assert machine.ever == keys("a")
    assert asked


async def test_a_keyd_that_never_answers_keeps_a_start_no_longer_than_its_bound(
    machine: Machine, truth: Truth, locked: Locked, service_bus: ServiceBus
) -> None:
    silence = asyncio.Event()

    async def wait(_: LockQuery, __: rpc.RpcContext) -> LockPage:
        await silence.wait()
        raise Unavailable("late", "too late.")

    await rpc.serve(await service_bus("keyd"), SERVICE, LOCK, LockQuery, wait, callers="relays")
    locked.smith.take(locked.smith.change(LockChange.AUTHORITIES, authorities=[SigningKey.generate().public().base64]))
    await put_page(truth.bus, locked.page(version=4))
    loop = asyncio.get_running_loop()
    began = loop.time()
    await machine.on(Timers(first_news=1.5, keyd_spread=0, keyd_timeout=60, fetch_jitter=0.05))
    assert 1.4 < loop.time() - began < 8
    assert machine.peers() == keys("a", "b") | {PHONE}, "what is not known does not take away what was"
    silence.set()


@pytest.mark.parametrize("page", [b"no page", zlib.compress(b'{"network":"\x80"}'), zlib.compress(b"[" * 5000)])
async def test_a_page_that_cannot_be_read_is_an_alarm_and_changes_nothing(
    machine: Machine, truth: Truth, locked: Locked, page: bytes
) -> None:
    await put_page(truth.bus, page)
    agent = await machine.on()
    assert agent.lock.alarm == "lock_unreadable"
    assert "network lock" in agent.health()
    assert machine.peers() == keys("a", "b") | {PHONE}
