"""keyd dies at every step, shares its work, and loses its bus; nothing of it is a secret on the bus."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from altnet.common.bus import rpc
from altnet.common.bus.channel import Remote
from altnet.common.bus.connect import Bus, BusSettings, Credentials, Message
from altnet.common.bus.identity import encode_jwt
from altnet.common.bus.jwt import BusIdentity
from altnet.common.bus.nkey import make_nkey, sign
from altnet.common.clock import SystemClock
from altnet.common.contracts.keyd import (
    FIRST_CONTACT,
    HELLO,
    REGISTER,
    FirstContact,
    FirstContactQuery,
    Frame,
    IdentityState,
    Register,
    Standing,
)
from altnet.common.contracts.registry import RelayRegistered, RelaySnapshot
from altnet.common.db.engine import Database
from altnet.common.db.settings import DatabaseSettings
from altnet.common.embedded.nats import NatsServer
from altnet.common.errors import AltnetError, Unauthenticated
from altnet.common.keys import PrivateKey, PublicKey
from altnet.common.noise.first_contact import answer_bytes, query_bytes, seal_context
from altnet.common.noise.pins import current
from altnet.common.seal import seal
from altnet.keyd.handlers.relays import heard_of_relay
from altnet.keyd.keyring import ACTOR
from altnet.relay_agent.keyd import KeydContact
from altnet.relay_agent.membership import Membership
from altnet.relay_agent.memory_state import MemoryState
from altnet.relay_agent.settings import Timers
from altnet.relay_agent.state import Keyd, make_identity
from integration.keyd.processes import keyd_process
from integration.keyd.running import Agent, RunningKeyd, enrol_agent, meet, running_keyd
from integration.registry.running import RunningRegistry, eventually
from support.nats import RelayBus, ServiceBus
from support.relays import enrolment_of

STEPS = ("before anything", "after the hello", "after the registration", "after a look")


async def take_step(agent: Agent, step: int) -> None:
    """What an agent does, as far as `step`; each with an agent that knows what the disk knows."""
    contact = agent.contact
    if step >= 2:
        await meet(agent, timeout=40)
    elif step == 1:
        await patiently(lambda: prepared(agent))
    if step >= 3:
        await contact.meet()


async def prepared(agent: Agent) -> None:
    """A handshake and nothing in it."""
    shown = current((await agent.contact._keys()).keys)
    kept = agent.state.keyd()
    psk = base64.b64decode(kept.psk) if kept.psk else None
    agent.contact._remote = Remote(key=PublicKey.parse(kept.static or shown.static), psk=psk)
    assert agent.contact._channel is not None
    await agent.contact._channel.binding()


async def patiently(do: Callable[[], Awaitable[Any]], *, timeout: float = 40) -> Any:
    """Until it works: what an agent's `run` does, for a single step."""
    async with asyncio.timeout(timeout):
        while True:
            try:
                return await do()
            except AltnetError:
                await asyncio.sleep(0.1)


@pytest.mark.timeout(180)
async def test_kill_9_between_each_step_loses_nothing_and_confirms_once(
    registry: RunningRegistry, keyd_database: DatabaseSettings, bus_settings: BusSettings, bus_identity: BusIdentity
) -> None:
    async with (
        keyd_process(keyd_database, bus_settings, bus_identity) as process,
        Database(keyd_database, schema="keyd", clock=registry.db.clock) as db,
    ):
        agents = [await enrol_agent(registry, f"host-{step}") for step, _ in enumerate(STEPS)]
        psks = [agent.state.keyd().psk for agent in agents]
        for step, agent in enumerate(agents):
            await take_step(agent, step)
            await process.kill()
            await process.start()
            # The same agent goes on, whose session is gone; another start of it knows its disk alone.
            assert (await meet(agent, timeout=40)).state is IdentityState.ACTIVE, STEPS[step]
            assert (await meet(agent.again(), timeout=40)).state is IdentityState.ACTIVE, STEPS[step]

        async with db.raw() as connection:
            rows = await connection.fetch("SELECT kind, payload FROM keyd.outbox ORDER BY ordinal")
            static_keys = await connection.fetchval("SELECT count(*) FROM keyd.service_keys WHERE use = 'static'")
        kept = [agent.state.identity() for agent in agents]
        secrets = [key for own in kept for key in (own.identity_key, own.signing_key, own.nkey_seed)]
        secrets += [process.kek, *psks]
        assert "keyd" in process.log()
        assert not [secret for secret in secrets if secret in process.log()]
        confirmed = [json.loads(row["payload"])["identity"] for row in rows if row["kind"] == "keyd.identity.confirmed"]
        numbers = sorted(json.loads(row["payload"])["number"] for row in rows)
        assert sorted(confirmed) == sorted(agent.id for agent in agents)
        assert numbers == list(range(1, len(rows) + 1))
        assert static_keys == 1


@pytest.mark.timeout(180)
async def test_kills_at_any_moment_under_contacts_end_in_the_same_state(
    registry: RunningRegistry, keyd_database: DatabaseSettings, bus_settings: BusSettings, bus_identity: BusIdentity
) -> None:
    async with (
        keyd_process(keyd_database, bus_settings, bus_identity) as process,
        Database(keyd_database, schema="keyd", clock=registry.db.clock) as db,
    ):
        agents = [await enrol_agent(registry, f"host-{number}") for number in range(6)]
        tasks = [asyncio.create_task(agent.contact.run()) for agent in agents]
        for pause in (1.4, 1.7, 2.1):
            await asyncio.sleep(pause)
            await process.kill()
            await process.start()

        async def all_met() -> bool:
            return all(
                agent.contact.standing is not None and agent.contact.standing.state is IdentityState.ACTIVE
                for agent in agents
            )

        await eventually(all_met, timeout=60)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        async with db.raw() as connection:
            states = await connection.fetch("SELECT state, count(*) FROM keyd.identities GROUP BY state")
            rows = await connection.fetch("SELECT payload FROM keyd.outbox")
        assert [tuple(row) for row in states] == [("active", 6)]
        numbers = sorted(json.loads(row["payload"])["number"] for row in rows)
        assert numbers == list(range(1, len(rows) + 1))


async def test_two_replicas_share_hosts_and_one_takes_over_when_the_other_goes(
    registry: RunningRegistry, keyd_database: DatabaseSettings, bus_settings: BusSettings, bus_identity: BusIdentity
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        one = await stack.enter_async_context(running_keyd(keyd_database, bus_settings, bus_identity))
        dying = await stack.enter_async_context(contextlib.AsyncExitStack())
        await dying.enter_async_context(running_keyd(keyd_database, bus_settings, bus_identity))
        agents = [await enrol_agent(registry, f"host-{number}") for number in range(6)]
        for agent in agents:
            await one.until(agent.id, "expected")
        for agent in agents:
            assert (await meet(agent)).state is IdentityState.ACTIVE
            assert (await agent.contact.meet()).state is IdentityState.ACTIVE  # in the same session, at its replica
        shaken = [agent.contact._channel.handshakes for agent in agents if agent.contact._channel]
        assert shaken == [1] * 6

        await dying.aclose()

        for agent in agents:
            assert (await agent.contact.meet()).state is IdentityState.ACTIVE  # at once, without waiting for a timeout
        async with one.db.raw() as connection:
            keys = await connection.fetchval("SELECT count(*) FROM keyd.service_keys")
        assert keys == 2  # the two replicas made one pair


async def test_a_replica_learns_of_a_rotation_that_another_one_made(
    registry: RunningRegistry, keyd_database: DatabaseSettings, bus_settings: BusSettings, bus_identity: BusIdentity
) -> None:
    async with (
        running_keyd(keyd_database, bus_settings, bus_identity) as one,
        running_keyd(keyd_database, bus_settings, bus_identity) as other,
    ):
        made = await one.api.post("/v1/keyd/keys/rotate", json={"use": "static"})
        assert made.status_code == 200, made.text

        async def learned() -> bool:
            return bool((await other.api.get("/v1/keyd/keys")).json() == made.json())

        await eventually(learned)


async def test_contact_goes_on_after_the_bus_was_away(
    registry: RunningRegistry, keyd: RunningKeyd, nats_server: NatsServer
) -> None:
    agent = await enrol_agent(registry, "berlin-1")
    await meet(agent)
    await nats_server.stop()
    with pytest.raises(AltnetError):
        await agent.contact.meet()
    await nats_server.start()

    assert (await meet(agent, timeout=30)).state is IdentityState.ACTIVE


async def test_a_replayed_hello_and_a_replayed_record_do_nothing(
    captured: list[Message], registry: RunningRegistry, keyd: RunningKeyd
) -> None:
    agent = await enrol_agent(registry, "berlin-1")
    await meet(agent)
    before = await keyd.identity(agent.id)
    said = [message for message in captured if ".rpc.keyd." in message.subject]
    hello = next(message for message in said if message.subject.endswith(".hello"))
    record = next(message for message in said if ".rpc.keyd.r-" in message.subject)

    first = await rpc.call(agent.bus, "keyd", HELLO, msgspec.json.decode(hello.data, type=Frame), Frame, relay=agent.id)
    again = await rpc.call(agent.bus, "keyd", HELLO, msgspec.json.decode(hello.data, type=Frame), Frame, relay=agent.id)
    verb = record.subject.rpartition(".")[2]
    with pytest.raises(Unauthenticated) as refusal:
        await rpc.call(agent.bus, "keyd", verb, msgspec.json.decode(record.data, type=Frame), Frame, relay=agent.id)

    assert first == again
    assert refusal.value.code == "noise_replayed"
    assert await keyd.identity(agent.id) == before
    assert (await agent.contact.meet()).state is IdentityState.ACTIVE
    assert agent.contact._channel is not None
    assert agent.contact._channel.handshakes == 1  # still the first session


async def test_a_registration_that_was_made_for_another_channel_is_refused(
    registry: RunningRegistry, keyd: RunningKeyd
) -> None:
    agent = await enrol_agent(registry, "berlin-1")
    await meet(agent)
    channel = agent.contact._channel
    assert channel is not None
    key = agent.state.identity().signing
    content = b"h" * 32 + agent.id.encode() + b"\0" + key.public().raw
    signature = base64.b64encode(key.sign(content, purpose=REGISTER)).decode()

    with pytest.raises(Unauthenticated, match="bind"):
        await channel.call(Register(signing_key=key.public().base64, signature=signature), Standing)


async def test_the_registry_answers_the_secret_of_a_token_to_keyds_signature_alone(
    registry: RunningRegistry, keyd: RunningKeyd, service_bus: ServiceBus
) -> None:
    agent = await enrol_agent(registry, "berlin-1")
    other = await service_bus("dnsd")  # a service, so the bus lets it ask
    to = PrivateKey.generate().public().base64
    _, seed = make_nkey()
    signature = base64.b64encode(sign(seed, query_bytes(agent.id, to))).decode()

    with pytest.raises(Unauthenticated, match="did not sign"):
        await rpc.call(
            other,
            "registry",
            FIRST_CONTACT,
            FirstContactQuery(relay=agent.id, to=to, signature=signature),
            FirstContact,
        )


@pytest_asyncio.fixture
async def captured(bus_settings: BusSettings, bus_identity: BusIdentity) -> AsyncIterator[list[Message]]:
    """Everything on the bus, answers in inboxes too, as its operator could see it."""
    public, seed = make_nkey()
    nats = {"pub": {"deny": [">"]}, "sub": {"allow": [">"]}, "subs": -1, "data": -1, "payload": -1}
    claims = {"sub": public, "name": "observer", "iat": 0, "nats": {**nats, "type": "user", "version": 2}}
    pass_of_observer = Credentials(encode_jwt(claims, bus_identity._saved.account_seed.encode()), seed)
    kept: list[Message] = []

    async def keep(message: Message) -> None:
        kept.append(message)

    async with Bus(bus_settings, pass_of_observer, name="observer") as bus:
        await bus.wait_connected(20)
        await bus.subscribe(">", keep)
        await bus.flush(20)
        yield kept


async def test_a_capture_of_the_bus_and_a_dump_of_the_database_hold_no_secret(
    captured: list[Message], registry: RunningRegistry, keyd: RunningKeyd
) -> None:
    token = await registry.join_token()
    agent = await enrol_agent(registry, "berlin-1", token=token)
    psk = base64.b64decode(agent.state.keyd().psk)
    await meet(agent)
    await keyd.api.post("/v1/keyd/keys/rotate", json={"use": "static"})
    await keyd.api.post("/v1/keyd/keys/rotate", json={"use": "signing"})
    await meet(agent.again())
    keyring = keyd.app.state.keyd.keyring
    identity = agent.state.identity()
    secrets = {
        "the token": token.encode(),
        "the token's secret part": token.rpartition("_")[2].encode(),
        "the psk": psk,
        "the host's identity key": identity.sealed_for.reveal(),
        "the host's signing key": identity.signing.reveal(),
        "the host's nkey seed": identity.nkey_seed.encode(),
        "the key-encryption key": b"k" * 32,
        **{f"keyd's static key {number}": key.reveal() for number, key in enumerate(keyring._opened.values())},
    }
    async with keyd.db.raw() as connection:
        tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'keyd'")
        dump = [
            row[0].encode()
            for table in tables
            for row in await connection.fetch(f"SELECT t::text FROM keyd.{table['tablename']} t")
        ]
    api = [
        (await keyd.api.get(path)).content
        for path in ("/v1/identities", f"/v1/identities/{agent.id}", "/v1/keyd/keys", "/metrics")
    ]

    assert any(".rpc.registry.first_contact" in message.subject for message in captured)
    assert any(".evt.keyd." in message.subject for message in captured)
    assert any(message.subject.startswith("_INBOX_keyd") for message in captured)
    assert any(message.subject.startswith(f"_INBOX_{agent.id}") for message in captured)
    for place, pieces in (
        ("bus", [m.data + str(m.headers).encode() for m in captured]),
        ("database", dump),
        ("API", api),
    ):
        for piece in pieces:
            for what, secret in secrets.items():
                for form in written(secret):
                    assert form not in piece, f"{what} is in the {place}"


def written(secret: bytes) -> set[bytes]:
    """Ways in which somebody might have written it down."""
    base = base64.b64encode(secret)
    return {secret, base.rstrip(b"="), base64.urlsafe_b64encode(secret).rstrip(b"="), secret.hex().encode()}


async def test_an_event_that_arrives_twice_or_late_changes_nothing_more(
    registry: RunningRegistry, keyd: RunningKeyd
) -> None:
    agent = await enrol_agent(registry, "berlin-1")
    await meet(agent)
    before = await keyd.identity(agent.id)
    async with registry.db.raw() as connection:
        row = await connection.fetchrow("SELECT payload FROM registry.outbox WHERE kind = 'registry.relay.registered'")
    event = msgspec.json.decode(row["payload"], type=RelayRegistered)
    for _ in itertools.repeat(None, 3):
        async with keyd.db.transaction(actor=ACTOR) as uow:
            await heard_of_relay(uow, event)

    assert await keyd.identity(agent.id) == before


async def test_a_forged_word_of_the_registry_lets_nobody_in(
    keyd_database: DatabaseSettings,
    bus_settings: BusSettings,
    bus_identity: BusIdentity,
    registry_bus: Bus,
    relay_bus: RelayBus,
) -> None:
    """Somebody with the registry's place on the bus, without its nkey, tells keyd a secret of a token of its own."""
    thief = make_identity(make_nkey=make_nkey)
    public = thief.sealed_for.public().base64
    psk = b"t" * 32
    _, forger = make_nkey()

    async def lie(query: FirstContactQuery, _: rpc.RpcContext) -> FirstContact:
        sealed = seal(psk, to=PublicKey.parse(query.to), context=seal_context(query.relay))
        said = answer_bytes(query.relay, query.to, public, sealed)
        return FirstContact(identity=public, psk=sealed, signature=base64.b64encode(sign(forger, said)).decode())

    await rpc.serve(registry_bus, "registry", FIRST_CONTACT, FirstContactQuery, lie)
    async with running_keyd(keyd_database, bus_settings, bus_identity) as keyd:
        async with keyd.db.transaction(actor=ACTOR) as uow:
            await heard_of_relay(uow, RelayRegistered(relay="rly_thief", after=snapshot("rly_thief", public)))
        bus = await relay_bus("rly_thief")
        state = MemoryState(thief, enrolment_of("thief", 1))
        await state.save_keyd(Keyd(psk=base64.b64encode(psk).decode()))
        membership = Membership(state, enrolment_of("thief", 1), clock=SystemClock())
        contact = KeydContact(
            state, membership, bus=bus, clock=SystemClock(), random=lambda: 0.5, timers=Timers(keyd_timeout=5)
        )

        with pytest.raises(Unauthenticated) as refusal:
            await contact.meet()

        assert refusal.value.code == "first_contact_forged"
        async with keyd.db.raw() as connection:
            state_of = await connection.fetchval("SELECT state FROM keyd.identities WHERE id = 'rly_thief'")
        assert state_of == "expected"


def snapshot(relay: str, identity_key: str) -> RelaySnapshot:
    return RelaySnapshot(
        id=relay,
        network="net_1",
        name=relay.removeprefix("rly_"),
        slot=1,
        address="fd42:1337:beef::1",
        key="",
        access_key="",
        identity_key=identity_key,
        nkey="U",
        endpoints=(),
        mesh_port=51820,
        access_port=51830,
        region="",
        labels={},
        state="active",
        weight=1.0,
        revoked=False,
        version=1,
    )
