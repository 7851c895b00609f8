"""Two agents agree on pre-shared keys over a real bus, beside a real registry and a real keyd: who else sees what.

The agents are whole; only their hosts are in memory.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from altnet.common.bus import subjects
from altnet.common.bus.connect import Bus, BusSettings, Credentials, Message
from altnet.common.bus.jwt import BusIdentity, encode_jwt, make_nkey
from altnet.common.clock import SystemClock
from altnet.common.contracts.agent import Versions
from altnet.common.contracts.preshared import PairMessage, Refusal, Refused
from altnet.common.kernel.memory import MemoryHost
from altnet.common.signing import SigningKey
from altnet.relay_agent.agent import Agent
from altnet.relay_agent.host import memory_host
from altnet.relay_agent.membership import Membership
from altnet.relay_agent.psk import keeper, wire
from altnet.relay_agent.settings import AgentSettings, Timers
from integration.keyd import running as keyds
from integration.keyd.running import RunningKeyd, enrol_agent
from integration.registry.running import RunningRegistry, eventually

pytestmark = [pytest.mark.server, pytest.mark.timeout(240)]

SETTINGS = AgentSettings(
    timers=Timers(
        fetch_jitter=0.05,
        resync=2.0,
        keyd_spread=0,
        keyd_retry_first=0.05,
        keyd_retry_most=0.1,
        preshared_refresh=1.0,
    )
)


@dataclass
class Host:
    """A relay with a whole agent."""

    contact: keyds.Agent
    agent: Agent
    memory: MemoryHost
    seen: set[bytes] = field(default_factory=set)
    """Every pre-shared key that its device has had for the other one."""

    @property
    def id(self) -> str:
        return self.contact.id

    async def psk(self) -> bytes:
        """What its device has for its only neighbour."""
        host = memory_host(self.memory)
        if "altm0" not in await host.wireguard.list():
            return b""
        peers = (await host.wireguard.read("altm0")).peers.values()
        found = next((peer.psk.reveal() for peer in peers if peer.psk is not None), b"")
        if found:
            self.seen.add(found)
        return found


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "TELL", 0.1)


@dataclass
class Capture:
    """Everything on the bus, answers in inboxes too, as its operator could see it; and the operator's own voice."""

    messages: list[Message]
    bus: Bus


@pytest_asyncio.fixture
async def capture(bus_settings: BusSettings, bus_identity: BusIdentity) -> AsyncIterator[Capture]:
    public, seed = make_nkey()
    nats = {"pub": {"allow": [">"]}, "sub": {"allow": [">"]}, "subs": -1, "data": -1, "payload": -1}
    claims = {"sub": public, "name": "observer", "iat": 0, "nats": {**nats, "type": "user", "version": 2}}
    credentials = Credentials(encode_jwt(claims, bus_identity._saved.account_seed.encode()), seed)
    kept: list[Message] = []

    async def keep(message: Message) -> None:
        kept.append(message)

    async with Bus(bus_settings, credentials, name="observer") as bus:
        await bus.wait_connected(20)
        await bus.subscribe(">", keep)
        await bus.flush(20)
        yield Capture(kept, bus)


@pytest_asyncio.fixture
async def pair(capture: Capture, registry: RunningRegistry, keyd: RunningKeyd) -> AsyncIterator[list[Host]]:
    """Two relays of one network; the capture began before them."""
    async with contextlib.AsyncExitStack() as stack:
        hosts = [await start(stack, registry, name) for name in ("berlin-1", "paris-1")]
        for host in hosts:
            await keyd.until(host.id, "active")
        yield hosts


async def start(stack: contextlib.AsyncExitStack, registry: RunningRegistry, name: str) -> Host:
    contact = await enrol_agent(registry, name)
    memory, state, enrolment = MemoryHost(prefix="alt"), contact.state, contact.state.enrolment()
    assert enrolment is not None
    agent = Agent(
        SETTINGS,
        host=memory_host(memory),
        state=state,
        membership=Membership(state, enrolment, clock=SystemClock()),
        clock=SystemClock(),
        random=random.Random(name).random,
        versions=Versions(agent="test"),
        boot=name,
        bus=contact.bus,
        poke=False,
    )
    task = asyncio.create_task(agent.run())

    async def end() -> None:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    stack.push_async_callback(end)
    return Host(contact, agent, memory)


async def policy(registry: RunningRegistry, wanted: str) -> None:
    found = (await registry.api.get("/v1/networks")).json()["items"][0]
    path = f"/v1/networks/{found['id']}"
    etag = (await registry.api.get(path)).headers["ETag"]
    body = {"settings": {"preshared_keys": wanted}}
    answer = await registry.api.patch(path, json=body, headers={"If-Match": etag})
    assert answer.status_code == 200, answer.text


async def until_same(hosts: list[Host], *, number: int = 1) -> None:
    """Until both devices have had so many keys, and have the same one."""

    async def same() -> bool:
        one, other = [await host.psk() for host in hosts]
        return one == other != b"" and min(len(host.seen) for host in hosts) >= number

    await eventually(same, timeout=30)


async def dump(*databases: Any) -> list[bytes]:
    """Every row of every table of these services, as text."""
    rows = []
    for database, schema in databases:
        async with database.raw() as connection:
            for table in await connection.fetch(f"SELECT tablename FROM pg_tables WHERE schemaname = '{schema}'"):
                found = await connection.fetch(f"SELECT t::text FROM {schema}.{table['tablename']} t")
                rows += [row[0].encode() for row in found]
    return rows


def written(secret: bytes) -> set[bytes]:
    """Ways in which somebody might have written it down."""
    base = base64.b64encode(secret)
    return {secret, base.rstrip(b"="), base64.urlsafe_b64encode(secret).rstrip(b"="), secret.hex().encode()}


async def test_a_capture_of_the_bus_and_dumps_of_the_databases_hold_no_pre_shared_key_and_no_private_key(
    pair: list[Host],
    capture: Capture,
    registry: RunningRegistry,
    keyd: RunningKeyd,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    await policy(registry, "required")
    await until_same(pair, number=4)
    secrets: dict[str, bytes] = {}
    for host in pair:
        identity = host.contact.state.identity()
        secrets |= {f"{host.id}'s key {number}": key for number, key in enumerate(sorted(host.seen))}
        for what, key in (
            ("mesh key", identity.mesh.reveal()),
            ("access key", identity.access.reveal()),
            ("identity key", identity.sealed_for.reveal()),
            ("signing key", identity.signing.reveal()),
            ("nkey seed", identity.nkey_seed.encode()),
        ):
            secrets[f"{host.id}'s {what}"] = key
        for record in host.contact.state.pairs().values():
            if record.proof is not None:
                secrets[f"{host.id}'s MAC key"] = record.proof.responder_mac
    statuses = [msgspec.json.encode(await host.agent.status()) for host in pair]
    api = [
        (await registry.api.get("/v1/relays")).content,
        (await registry.api.get("/v1/networks")).content,
        (await registry.api.get("/metrics")).content,
        (await keyd.api.get("/v1/identities")).content,
        (await keyd.api.get("/metrics")).content,
    ]
    shown = capsys.readouterr()
    places = {
        "bus": [message.data + str(message.headers).encode() for message in capture.messages],
        "databases": await dump((registry.db, "registry"), (keyd.db, "keyd")),
        "API": api,
        "status": statuses,
        "log": [caplog.text.encode(), shown.out.encode(), shown.err.encode()],
    }
    said = [message.subject for message in capture.messages]
    kinds = [
        msgspec.json.decode(msgspec.json.decode(message.data, type=PairMessage).word)["type"]
        for message in capture.messages
        if ".pair." in message.subject
    ]
    assert {"offer", "answer", "confirm", "installed", "done", "acknowledged"} <= set(kinds)
    assert any(subject.startswith("_INBOX_keyd") for subject in said)
    # What is public is found where it should be, so a secret would be, too.
    public = pair[0].contact.state.identity().signing.public().raw
    assert found_in(public, places["databases"])
    assert min(len(host.seen) for host in pair) >= 4
    for place, pieces in places.items():
        for what, secret in secrets.items():
            assert not found_in(secret, pieces), f"{what} is in the {place}"


def found_in(secret: bytes, pieces: list[bytes]) -> bool:
    return any(form in piece for form in written(secret) for piece in pieces)


async def test_what_the_bus_forges_or_repeats_changes_no_key_and_is_a_numbered_security_event(
    pair: list[Host], capture: Capture, registry: RunningRegistry, keyd: RunningKeyd
) -> None:
    await policy(registry, "on")
    await until_same(pair)
    network, (one, other) = pair[0].contact.relay.network, (pair[0].id, pair[1].id)
    words = [message for message in capture.messages if ".pair." in message.subject]
    for message in words:
        await capture.bus.publish(message.subject, message.data)
    false = wire.encoded(Refused(exchange=bytes(16), why=Refusal.UNKNOWN))
    forged = wire.sealed(false, sender=one, receiver=other, network=network, key=SigningKey.generate())
    await capture.bus.publish(subjects.pair(network, other, one), forged)
    await capture.bus.publish(subjects.pair(network, other, one), b"{}")

    async def told() -> bool:
        events = [it for it in await keyd.events() if it["kind"] == "keyd.preshared_key.failed"]
        return {"bad_signature", "broken"} <= {
            it["why"] for it in events if (it["relay"], it["neighbour"]) == (other, one)
        }

    await eventually(told)
    numbers = sorted(it["number"] for it in await keyd.events() if "number" in it)
    assert numbers == list(range(1, len(numbers) + 1))
    before = len(pair[0].seen)

    async def metrics() -> str:
        return str((await keyd.api.get("/metrics")).text)

    assert 'altnet_keyd_preshared_key_troubles_total{why="bad_signature"} 1.0' in await metrics()
    await until_same(pair, number=before + 2)


async def test_the_mesh_knows_an_identity_once_it_is_proven_and_a_pair_is_closed_until_then(
    capture: Capture, registry: RunningRegistry, keyd: RunningKeyd
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        first = await start(stack, registry, "berlin-1")
        second = await start(stack, registry, "paris-1")
        await policy(registry, "required")

        async def closed() -> bool:
            one, other = await first.psk(), await second.psk()
            return b"" not in (one, other)

        await eventually(closed)
        for host in (first, second):
            await keyd.until(host.id, "active")
        await until_same([first, second])
        assert json.loads(msgspec.json.encode(await first.agent.status()))["preshared"].startswith("required: 1 of 1")
