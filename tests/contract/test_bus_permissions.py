"""Who may say, hear and fetch what on the bus, as the server itself enforces it; and how a pass ends."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import msgspec
import pytest
from altnet.common.bus import rights
from altnet.common.bus.connect import Bus, BusSettings, Message
from altnet.common.bus.credentials import Credentials
from altnet.common.bus.identity import encode_jwt, stamp
from altnet.common.bus.jwt import (
    BusIdentity,
    make_nkey,
    relay_user_jwt,
    revoke_user,
    revoke_users,
    service_credentials,
)
from altnet.common.clock import FixedClock, SystemClock
from altnet.common.embedded.nats import NatsServer
from altnet.common.errors import Forbidden, Unauthenticated, Unavailable
from support.nats import RelayBus, ServiceBus, relay_credentials

WITHIN = 10.0
ME, OTHER, NET, FOREIGN = "rly_1", "rly_2", "net_1", "net_2"

ALLOWED, REFUSED = True, False

RELAY_SAYS = {
    f"alt.v1.relay.{ME}.status": ALLOWED,
    f"alt.v1.relay.{ME}.applied": ALLOWED,
    f"alt.v1.relay.{ME}.rpc.registry.renew": ALLOWED,
    f"$JS.API.DIRECT.GET.KV_relay.$KV.relay.{ME}": ALLOWED,
    f"$JS.API.DIRECT.GET.KV_mesh.$KV.mesh.{NET}.snapshot": ALLOWED,
    f"alt.v1.pair.{NET}.{OTHER}.{ME}": ALLOWED,
    f"alt.v1.pair.{NET}.{ME}.{OTHER}": REFUSED,
    f"alt.v1.pair.{NET}.{ME}.rly_3": REFUSED,
    f"alt.v1.pair.{FOREIGN}.{OTHER}.{ME}": REFUSED,
    f"alt.v1.relay.{OTHER}.status": REFUSED,
    f"alt.v1.relay.{OTHER}.rpc.registry.renew": REFUSED,
    "alt.v1.rpc.registry.renew": REFUSED,
    f"alt.v1.ask.{OTHER}.routes": REFUSED,
    f"alt.v1.ask.{ME}.routes": REFUSED,
    "_INBOX_registry.x": REFUSED,  # only as an answer
    f"alt.v1.evt.registry.relay.revoked.{OTHER}": REFUSED,
    f"alt.v1.desired.relay.{OTHER}": REFUSED,
    f"alt.v1.desired.relay.{ME}": REFUSED,
    f"$KV.relay.{ME}": REFUSED,
    f"$KV.relay.{OTHER}": REFUSED,
    f"$KV.mesh.{NET}.snapshot": REFUSED,
    f"$KV.mesh.{NET}.lock": REFUSED,
    f"$JS.API.DIRECT.GET.KV_relay.$KV.relay.{OTHER}": REFUSED,
    f"$JS.API.DIRECT.GET.KV_mesh.$KV.mesh.{FOREIGN}.snapshot": REFUSED,
    "$JS.API.DIRECT.GET.KV_relay": REFUSED,  # the form that names its key in the payload
    "$JS.API.DIRECT.GET.EVT": REFUSED,
    "$JS.API.STREAM.MSG.GET.KV_relay": REFUSED,
    "$JS.API.STREAM.INFO.KV_relay": REFUSED,
    "$JS.API.STREAM.PURGE.KV_relay": REFUSED,
    "$JS.API.STREAM.DELETE.KV_relay": REFUSED,
    "$JS.API.STREAM.CREATE.MINE": REFUSED,
    "$JS.API.CONSUMER.CREATE.KV_relay": REFUSED,
    "$JS.API.CONSUMER.CREATE.EVT.mine": REFUSED,
    "$JS.API.INFO": REFUSED,
    f"_INBOX_{OTHER}.x": REFUSED,
    f"_INBOX_{ME}.x": REFUSED,
    "$SYS.REQ.CLAIMS.UPDATE": REFUSED,
}

RELAY_HEARS = {
    f"_INBOX_{ME}.>": ALLOWED,
    f"alt.v1.ask.{ME}.routes": ALLOWED,
    f"alt.v1.ask.{ME}.*": ALLOWED,
    f"alt.v1.pair.{NET}.{ME}.*": ALLOWED,
    f"alt.v1.pair.{NET}.{OTHER}.*": REFUSED,
    f"alt.v1.pair.{NET}.{OTHER}.{ME}": REFUSED,
    f"alt.v1.pair.{FOREIGN}.{ME}.*": REFUSED,
    f"alt.v1.pair.{NET}.*.*": REFUSED,
    f"alt.v1.desired.relay.{ME}": ALLOWED,
    f"alt.v1.desired.mesh.{NET}.delta": ALLOWED,
    f"alt.v1.desired.mesh.{NET}.>": ALLOWED,
    f"alt.v1.desired.relay.{OTHER}": REFUSED,
    f"alt.v1.ask.{OTHER}.routes": REFUSED,
    f"alt.v1.ask.{OTHER}.*": REFUSED,
    "alt.v1.ask.*.routes": REFUSED,
    "alt.v1.ask.>": REFUSED,
    "alt.v1.desired.relay.*": REFUSED,
    "alt.v1.desired.>": REFUSED,
    f"alt.v1.desired.mesh.{FOREIGN}.delta": REFUSED,
    "alt.v1.desired.mesh.*.delta": REFUSED,
    "alt.v1.desired.mesh.>": REFUSED,
    f"alt.v1.relay.{OTHER}.status": REFUSED,
    "alt.v1.relay.*.status": REFUSED,
    "alt.v1.evt.>": REFUSED,
    "$KV.relay.>": REFUSED,
    f"$KV.relay.{ME}": REFUSED,
    f"_INBOX_{OTHER}.>": REFUSED,
    "_INBOX.>": REFUSED,
    "alt.v1.rpc.registry.*": REFUSED,
    ">": REFUSED,
}

SERVICE_SAYS = {
    ("registry", "alt.v1.evt.registry.relay.registered.x"): ALLOWED,
    ("registry", f"alt.v1.ask.{ME}.routes"): ALLOWED,
    ("registry", f"$KV.relay.{ME}"): ALLOWED,
    ("registry", f"$KV.mesh.{NET}.snapshot"): ALLOWED,
    ("registry", "$JS.API.STREAM.CREATE.EVT"): ALLOWED,
    ("registry", "$JS.API.STREAM.UPDATE.KV_mesh"): ALLOWED,
    ("registry", "$JS.API.STREAM.PURGE.KV_relay"): ALLOWED,
    ("registry", "alt.v1.evt.keyd.key.rotated.x"): REFUSED,
    ("registry", "$JS.API.STREAM.PURGE.EVT"): REFUSED,
    ("registry", "$JS.API.STREAM.DELETE.EVT"): REFUSED,
    ("registry", f"alt.v1.relay.{ME}.status"): REFUSED,
    ("registry", f"alt.v1.desired.relay.{ME}"): REFUSED,
    ("registry", f"_INBOX_{ME}.x"): REFUSED,  # only as an answer
    ("registry", "$SYS.REQ.CLAIMS.UPDATE"): REFUSED,
    ("keyd", f"$KV.mesh.{NET}.lock"): ALLOWED,
    ("keyd", f"$JS.API.DIRECT.GET.KV_mesh.$KV.mesh.{NET}.lock"): ALLOWED,
    ("keyd", f"$KV.mesh.{NET}.delta"): REFUSED,
    ("dnsd", f"$KV.mesh.{NET}.lock"): REFUSED,
    ("admin", "$JS.API.STREAM.PURGE.EVT"): ALLOWED,
    ("admin", "alt.v1.rpc.registry.replan"): ALLOWED,
    ("admin", f"alt.v1.ask.{ME}.routes"): REFUSED,
    ("admin", f"$KV.relay.{ME}"): REFUSED,
    ("admin", "alt.v1.evt.registry.relay.registered.x"): REFUSED,
    ("admin", f"alt.v1.relay.{ME}.status"): REFUSED,
    ("sys", "$SYS.REQ.CLAIMS.UPDATE"): ALLOWED,
    ("sys", "$SYS.REQ.SERVER.PING"): REFUSED,
    ("sys", "$SYS.REQ.CLAIMS.DELETE"): REFUSED,
    ("sys", f"$KV.relay.{ME}"): REFUSED,
    **{
        (service, subject): verdict
        for service in ("keyd", "dnsd", "eventlog")
        for subject, verdict in {
            f"alt.v1.evt.{service}.x.y.z": ALLOWED,
            "alt.v1.rpc.registry.x": ALLOWED,
            f"$JS.API.CONSUMER.CREATE.EVT.{service}": ALLOWED,
            "$JS.API.DIRECT.GET.EVT": ALLOWED,
            f"$JS.API.CONSUMER.CREATE.EVT.{service}.alt.v1.evt.registry.>": ALLOWED,
            f"$JS.API.CONSUMER.MSG.NEXT.EVT.{service}": ALLOWED,
            f"$JS.ACK.EVT.{service}.1.1.1.1.0": ALLOWED,
            f"alt.v1.ask.{ME}.routes": REFUSED,
            "alt.v1.evt.registry.relay.revoked.x": REFUSED,
            f"$KV.relay.{ME}": REFUSED,
            f"$KV.mesh.{NET}.snapshot": REFUSED,
            f"alt.v1.desired.relay.{ME}": REFUSED,
            f"alt.v1.relay.{ME}.status": REFUSED,
            f"alt.v1.pair.{NET}.{ME}.{OTHER}": REFUSED,
            f"$JS.API.DIRECT.GET.KV_relay.$KV.relay.{ME}": REFUSED,
            "$JS.API.STREAM.MSG.GET.KV_relay": REFUSED,
            "$JS.API.STREAM.MSG.GET.EVT": REFUSED,
            "$JS.API.STREAM.DELETE.EVT": REFUSED,
            "$JS.API.STREAM.CREATE.OWN": REFUSED,
            "$JS.API.STREAM.UPDATE.EVT": REFUSED,
            "$JS.API.CONSUMER.CREATE.EVT": REFUSED,  # without a name: anybody's
            "$JS.API.CONSUMER.CREATE.KV_relay.x": REFUSED,
            "$JS.API.CONSUMER.CREATE.EVT.registry": REFUSED,
            "$JS.API.CONSUMER.DELETE.EVT.registry": REFUSED,
            "$JS.API.CONSUMER.MSG.NEXT.EVT.registry": REFUSED,
            "$JS.ACK.EVT.registry.1.1.1.1.0": REFUSED,
            "$SYS.REQ.CLAIMS.UPDATE": REFUSED,
        }.items()
    },
}

SERVICE_HEARS = {
    ("registry", "alt.v1.relay.*.status"): ALLOWED,
    ("registry", "alt.v1.relay.*.applied"): ALLOWED,
    ("registry", "alt.v1.relay.*.rpc.registry.renew"): ALLOWED,
    ("registry", "alt.v1.rpc.registry.*"): ALLOWED,
    ("registry", f"alt.v1.ask.{ME}.routes"): REFUSED,
    ("registry", "alt.v1.evt.>"): REFUSED,
    ("registry", "alt.v1.relay.*.rpc.keyd.*"): REFUSED,
    ("registry", "_INBOX_keyd.>"): REFUSED,
    ("registry", "$KV.relay.>"): REFUSED,
    ("admin", "alt.v1.evt.>"): ALLOWED,
    ("admin", "_INBOX_registry.>"): REFUSED,
    ("sys", "$SYS.>"): REFUSED,
    **{
        (service, subject): verdict
        for service in ("keyd", "dnsd", "eventlog")
        for subject, verdict in {
            f"alt.v1.rpc.{service}.*": ALLOWED,
            f"alt.v1.relay.*.rpc.{service}.*": ALLOWED,
            f"_INBOX_{service}.>": ALLOWED,
            "alt.v1.relay.*.status": REFUSED,
            "alt.v1.pair.>": REFUSED,
            "alt.v1.desired.>": REFUSED,
            "alt.v1.rpc.registry.*": REFUSED,
            "_INBOX_registry.>": REFUSED,
            "_INBOX.>": REFUSED,
            ">": REFUSED,
        }.items()
    },
}


async def says(bus: Bus, subject: str) -> bool:
    """Whether the server lets `bus` publish there; what becomes of the message does not matter."""
    before = bus.violations
    await bus.publish(subject, b"")
    await bus.flush()
    return bus.violations == before


async def hears(bus: Bus, subject: str) -> bool:
    """Whether the server lets `bus` subscribe to that."""

    async def ignore(message: Message) -> None: ...

    subscription = await bus.subscribe(subject, ignore)
    await bus.flush()
    await subscription.stop()
    return subscription.refused is None


async def test_a_relay_speaks_for_itself_alone(relay_bus: RelayBus, registry_bus: Bus) -> None:
    relay = await relay_bus(ME, network=NET)
    assert {subject: await says(relay, subject) for subject in RELAY_SAYS} == RELAY_SAYS


async def test_a_relay_hears_what_is_meant_for_it_alone(relay_bus: RelayBus, registry_bus: Bus) -> None:
    relay = await relay_bus(ME, network=NET)
    assert {subject: await hears(relay, subject) for subject in RELAY_HEARS} == RELAY_HEARS


@pytest.mark.parametrize("user", [*rights.USERS, rights.SYSTEM])
async def test_a_service_speaks_and_hears_what_it_needs_and_no_more(
    user: str, service_bus: ServiceBus, registry_bus: Bus
) -> None:
    bus = await service_bus(user)
    said = {key: verdict for key, verdict in SERVICE_SAYS.items() if key[0] == user}
    heard = {key: verdict for key, verdict in SERVICE_HEARS.items() if key[0] == user}
    assert said
    assert heard
    assert {key: await says(bus, key[1]) for key in said} == said
    assert {key: await hears(bus, key[1]) for key in heard} == heard


async def test_a_service_may_answer_a_request_once(service_bus: ServiceBus, relay_bus: RelayBus) -> None:
    registry, relay = await service_bus("registry"), await relay_bus(ME)
    asked: asyncio.Queue[Message] = asyncio.Queue()
    await registry.subscribe("alt.v1.relay.*.rpc.registry.*", asked.put)
    await registry.flush()
    async with asyncio.TaskGroup() as group:
        answer = group.create_task(relay.request(f"alt.v1.relay.{ME}.rpc.registry.x", b"?"))
        message = await asked.get()
        assert await says(registry, message.reply)
    assert answer.result().subject == message.reply
    assert not await says(registry, message.reply)


async def test_a_relay_may_answer_a_question_once_and_says_nothing_there_unasked(
    service_bus: ServiceBus, relay_bus: RelayBus
) -> None:
    registry, relay = await service_bus("registry"), await relay_bus(ME)
    asked: asyncio.Queue[Message] = asyncio.Queue()
    await relay.subscribe(f"alt.v1.ask.{ME}.*", asked.put)
    await relay.flush()
    assert not await says(relay, "_INBOX_registry.unasked")
    async with asyncio.TaskGroup() as group:
        answer = group.create_task(registry.request(f"alt.v1.ask.{ME}.routes", b"?"))
        message = await asked.get()
        assert message.reply.startswith("_INBOX_registry.")
        assert await says(relay, message.reply)
    assert answer.result().subject == message.reply
    assert not await says(relay, message.reply)


def relay_pass(identity: BusIdentity, nkey: str, *, relay: str = ME, life: float = 3600) -> str:
    expires = SystemClock().now() + timedelta(seconds=life)
    return relay_user_jwt(identity, relay=relay, network=NET, nkey=nkey, expires=expires)


async def refused(settings: BusSettings, credentials: Credentials) -> bool:
    """Whether the server turns these credentials away."""
    async with Bus(settings, credentials, name="stranger") as bus:
        async with asyncio.timeout(WITHIN):
            while not bus.connected and not bus.counters.refusals:  # noqa: ASYNC110 - whichever comes first
                await asyncio.sleep(0.005)
        return not bus.connected


async def test_an_expired_pass_is_refused(bus_settings: BusSettings, bus_identity: BusIdentity) -> None:
    public, seed = make_nkey()
    yesterday = SystemClock().now() - timedelta(days=1)
    jwt = relay_user_jwt(
        bus_identity,
        relay=ME,
        network=NET,
        nkey=public,
        expires=yesterday + timedelta(hours=1),
        clock=FixedClock(yesterday),
    )
    assert await refused(bus_settings, Credentials(jwt, seed))


async def test_a_pass_is_worthless_without_its_key(bus_settings: BusSettings, bus_identity: BusIdentity) -> None:
    public, _ = make_nkey()
    _, other_seed = make_nkey()
    assert await refused(bus_settings, Credentials(relay_pass(bus_identity, public), other_seed))


async def test_a_changed_pass_is_refused(bus_settings: BusSettings, bus_identity: BusIdentity) -> None:
    public, seed = make_nkey()
    mine, theirs = relay_pass(bus_identity, public), relay_pass(bus_identity, make_nkey()[0], relay=OTHER)
    head, _, signature = mine.split(".")
    assert await refused(bus_settings, Credentials(f"{head}.{theirs.split('.')[1]}.{signature}", seed))


async def test_the_registrys_signing_key_makes_relays_and_nothing_else(
    bus_settings: BusSettings, bus_identity: BusIdentity
) -> None:
    # rights of its own in a pass signed by the scoped key: the server refuses the whole pass
    issuer = bus_identity.relay_issuer
    public, seed = make_nkey()
    nats = {
        "type": "user",
        "version": 2,
        "issuer_account": issuer.account,
        "pub": {"allow": [">"]},
        "sub": {"allow": [">"]},
        "subs": -1,
        "data": -1,
        "payload": -1,
    }
    claims = {"sub": public, "name": ME, "iat": stamp(SystemClock().now()), "nats": nats}
    assert await refused(bus_settings, Credentials(encode_jwt(claims, issuer.seed), seed))


async def test_a_pass_signed_by_a_stranger_is_refused(bus_settings: BusSettings, bus_identity: BusIdentity) -> None:
    stranger = BusIdentity.create(SystemClock())
    public, seed = make_nkey()
    claims = Credentials(relay_pass(stranger, public), seed).claims
    claims["nats"]["issuer_account"] = bus_identity.account
    assert await refused(bus_settings, Credentials(encode_jwt(claims, stranger.relay_issuer.seed), seed))


async def until_lost(bus: Bus) -> None:
    async with asyncio.timeout(WITHIN):
        while bus.connected:  # noqa: ASYNC110 - nothing but tests waits for it
            await asyncio.sleep(0.001)


async def test_a_live_connection_ends_when_its_pass_does(bus_settings: BusSettings, bus_identity: BusIdentity) -> None:
    credentials = relay_credentials(bus_identity, ME, life=timedelta(seconds=3))
    async with Bus(bus_settings, credentials, name=ME) as bus:
        await bus.wait_connected(WITHIN)
        await until_lost(bus)
        assert isinstance(bus.last_failure, Unauthenticated)


async def test_a_revoked_relay_is_dropped_and_kept_out_also_after_a_restart_and_others_stay(
    nats_server: NatsServer, bus_settings: BusSettings, service_bus: ServiceBus, bus_identity: BusIdentity
) -> None:
    sys_bus = await service_bus("sys")
    public, seed = make_nkey()
    credentials = Credentials(relay_pass(bus_identity, public), seed)
    other = relay_credentials(bus_identity, OTHER)
    async with (
        Bus(bus_settings, credentials, name=ME) as bus,
        Bus(bus_settings, other, name=OTHER) as innocent,
    ):
        await bus.wait_connected(WITHIN)
        await innocent.wait_connected(WITHIN)
        await revoke_user(sys_bus, bus_identity, public, SystemClock().now())
        await until_lost(bus)
        assert isinstance(bus.last_failure, Unauthenticated)
        assert innocent.connected
        assert innocent.counters.losses == 0
    assert await refused(bus_settings, credentials)
    await nats_server.restart()
    assert await refused(bus_settings, credentials)


async def test_two_revocations_within_a_second_both_hold(
    bus_settings: BusSettings, service_bus: ServiceBus, bus_identity: BusIdentity
) -> None:
    sys_bus = await service_bus("sys")
    passes = []
    for name in (ME, OTHER):
        public, seed = make_nkey()
        passes.append((public, Credentials(relay_pass(bus_identity, public, relay=name), seed)))
    for public, _ in passes:
        await revoke_user(sys_bus, bus_identity, public, SystemClock().now())
    for _, credentials in passes:
        assert await refused(bus_settings, credentials)


async def test_a_revocation_made_elsewhere_is_not_undone(
    bus_settings: BusSettings, service_bus: ServiceBus, nats_server: NatsServer, bus_identity: BusIdentity
) -> None:
    # two control planes with separate copies of the identity; the second does not know the first's revocation
    sys_bus = await service_bus("sys")
    bus_identity.save(nats_server.directory / "copy")
    try:
        copy = BusIdentity.load(nats_server.directory / "copy")
    finally:
        bus_identity.directory = None
    public, seed = make_nkey()
    credentials = Credentials(relay_pass(bus_identity, public), seed)  # a later one would be a new admission
    await revoke_user(sys_bus, copy, public, SystemClock().now())
    await revoke_users(sys_bus, bus_identity, {make_nkey()[0]: SystemClock().now()})
    assert public in bus_identity.revocations
    assert await refused(bus_settings, credentials)


async def test_a_relay_that_is_let_in_again_gets_in_with_a_later_pass(
    bus_settings: BusSettings, service_bus: ServiceBus, bus_identity: BusIdentity
) -> None:
    sys_bus = await service_bus("sys")
    public, seed = make_nkey()
    await revoke_user(sys_bus, bus_identity, public, SystemClock().now() - timedelta(seconds=2))
    assert not await refused(bus_settings, Credentials(relay_pass(bus_identity, public), seed))


async def test_a_revocation_without_nats_fails_aloud_and_holds_once_it_is_back(
    nats_server: NatsServer, bus_settings: BusSettings, service_bus: ServiceBus, bus_identity: BusIdentity
) -> None:
    sys_bus = await service_bus("sys")
    public, seed = make_nkey()
    credentials = Credentials(relay_pass(bus_identity, public), seed)
    await nats_server.stop()
    with pytest.raises(Unavailable):
        await revoke_user(sys_bus, bus_identity, public, SystemClock().now())
    await nats_server.start()
    assert await refused(bus_settings, credentials)


async def test_rights_of_service_users_are_those_of_the_code_not_of_a_file(
    bus_identity: BusIdentity, bus_settings: BusSettings, registry_bus: Bus
) -> None:
    claims = service_credentials(bus_identity, "keyd").claims["nats"]
    assert claims["pub"]["allow"] == list(rights.service_rights("keyd").publish)
    assert claims["resp"] == {"max": 1, "ttl": rights.ANSWER_WITHIN * 10**9}


@pytest.mark.parametrize("user", [*rights.USERS, rights.SYSTEM])
def test_no_user_is_allowed_everything(user: str) -> None:
    allowed = rights.service_rights(user)
    for subject in (*allowed.publish, *allowed.subscribe):
        assert subject not in (">", "*", "$KV.>", "$SYS.>", "alt.>", "_INBOX.>")
    assert allowed.publish
    assert allowed.subscribe


async def test_a_relay_without_a_network_in_its_pass_gets_no_mesh(
    bus_settings: BusSettings, bus_identity: BusIdentity, registry_bus: Bus
) -> None:
    issuer = bus_identity.relay_issuer
    public, seed = make_nkey()
    nats = {"type": "user", "version": 2, "issuer_account": issuer.account}
    claims = {"sub": public, "name": ME, "iat": stamp(SystemClock().now()), "nats": nats}
    async with Bus(bus_settings, Credentials(encode_jwt(claims, issuer.seed), seed), name=ME) as bus:
        try:
            await bus.wait_connected(1.0)
        except (Unauthenticated, Unavailable):
            return  # the server may refuse it altogether
        assert not await hears(bus, f"alt.v1.desired.mesh.{NET}.delta")
        with pytest.raises(Forbidden):
            await bus.request(f"$JS.API.DIRECT.GET.KV_mesh.$KV.mesh.{NET}.snapshot", msgspec.json.encode({}))
