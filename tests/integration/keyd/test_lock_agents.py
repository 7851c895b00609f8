"""The network lock with whole agents, a real Postgres and a real NATS: who writes there what he likes gets no peer."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import msgspec
import pytest
import pytest_asyncio
from altnet.common.bus import desired, rights, subjects
from altnet.common.bus.connect import Bus, BusSettings
from altnet.common.bus.identity import BusIdentity
from altnet.common.bus.jwt import service_credentials
from altnet.common.contracts import lock as pages
from altnet.common.contracts.desired import MeshDelta, MeshSnapshot, RelayEntry, pack
from altnet.common.contracts.keyd import KeyReport
from altnet.common.contracts.mesh_keys import KeyKind
from altnet.common.contracts.registry import PlanRenumbered
from altnet.common.db.engine import DatabaseSettings
from altnet.common.embedded.postgres import PostgresServer
from altnet.common.errors import AltnetError
from altnet.common.keys import PrivateKey, PublicKey
from altnet.common.lock.certificates import WgUse
from altnet.common.lock.log import LockChange
from altnet.registry.store import changes
from integration.keyd.lock_agents import Member, Meshed, join, meshed, start
from integration.keyd.running import FAST, running_keyd
from integration.registry.paper_clients import paper_client
from integration.registry.running import RunningRegistry, eventually
from support.locksmith import Locksmith, entry_body, statements_body
from support.postgres import owner_dsn

pytestmark = [pytest.mark.server]

ENV = {**FAST, "ALTNET_KEYD_ROTATIONS__TICK": "0.05", "ALTNET_KEYD_ROTATIONS__IDLE": "0.1"}
EVIL = PrivateKey(b"e" * 32).public().base64


@pytest_asyncio.fixture
async def network(
    registry: RunningRegistry, keyd_database: DatabaseSettings, bus_settings: BusSettings, bus_identity: BusIdentity
) -> AsyncIterator[Meshed]:
    async with (
        running_keyd(keyd_database, bus_settings, bus_identity, env=ENV) as keyd,
        meshed(registry, keyd, "alpha", "beta", "gamma") as made,
    ):
        yield made


async def mesh_of(network: Meshed) -> MeshSnapshot:
    mesh = await network.members[0].enrolled.relay.mesh()
    assert mesh is not None
    return mesh


def hostile(mesh: MeshSnapshot, network: Meshed) -> tuple[MeshSnapshot, MeshDelta]:
    """A relay of one's own, and one's own key in the place of a relay's."""
    evil = RelayEntry(id="rly_evil", name="evil", slot=99, key=EVIL, endpoints=("203.0.113.6:51820",))
    victim = next(one for one in mesh.relays if one.id == network.members[2].id)
    stolen = msgspec.structs.replace(victim, key=PrivateKey(b"f" * 32).public().base64, origins=("fd00:66::/48",))
    kept = tuple(one for one in mesh.relays if one.id != victim.id)
    generation = mesh.generation + 1000
    relays = tuple(sorted((*kept, evil, stolen), key=lambda one: one.id))
    after = msgspec.structs.replace(mesh, generation=generation, relays=relays)
    delta = MeshDelta(network=mesh.network, prev=mesh.generation, generation=generation, changed=(evil, stolen))
    return after, delta


async def assert_nobody_has_it(network: Meshed, generation: int) -> None:
    """Every agent has the hostile documents, says so, and is as before."""
    await network.until(lambda: all(one.agent.heard.generation >= generation for one in network.members))
    told = await network.until_told("keyd.lock.refused", by=3, object="rly_evil", what="identity")
    assert {one["relay"] for one in told} == {one.id for one in network.members}
    await network.until_told("keyd.lock.refused", by=2, object=network.members[2].id, what="key")
    keys = {one.key for one in network.members}
    for one in network.members:
        await one.agent.reconciler.wait_until(generation)
        assert one.peers == keys - {one.key}
        assert "fd00:66::/48" not in one.prefixes
        assert "network lock" in one.agent.health()
        assert one.agent.applied().failed_count >= 1


async def test_a_peer_written_into_the_kv_is_accepted_by_no_agent_and_told(network: Meshed) -> None:
    await network.lock()
    mesh = await mesh_of(network)
    snapshot, delta = hostile(mesh, network)
    bus = network.registry.bus
    await desired.put(bus, subjects.MESH_BUCKET, subjects.mesh_snapshot_key(network.network), pack(snapshot))
    await desired.put(bus, subjects.MESH_BUCKET, subjects.mesh_delta_key(network.network), pack(delta))
    await assert_nobody_has_it(network, snapshot.generation)


async def test_without_the_lock_the_same_peer_is_accepted_by_all(network: Meshed) -> None:
    mesh = await mesh_of(network)
    snapshot, delta = hostile(mesh, network)
    bus = network.registry.bus
    await desired.put(bus, subjects.MESH_BUCKET, subjects.mesh_snapshot_key(network.network), pack(snapshot))
    await desired.put(bus, subjects.MESH_BUCKET, subjects.mesh_delta_key(network.network), pack(delta))
    await network.until(lambda: all(EVIL in one.peers for one in network.members))  # so the tests beside this one bite


async def test_a_peer_told_on_the_bus_by_its_master_is_accepted_by_no_agent_and_told(
    network: Meshed, bus_settings: BusSettings, bus_identity: BusIdentity, monkeypatch: pytest.MonkeyPatch
) -> None:
    await network.lock()
    everything = rights.Rights(publish=(">",), subscribe=(">",))
    monkeypatch.setattr(rights, "service_rights", lambda _name: everything)
    mesh = await mesh_of(network)
    snapshot, delta = hostile(mesh, network)
    key = subjects.mesh_delta_key(network.network)
    headers = {"Nats-Subject": subjects.kv_subject(subjects.MESH_BUCKET, key)}
    async with Bus(bus_settings, service_credentials(bus_identity, "dnsd"), name="thief") as bus:
        await bus.wait_connected(10)
        await bus.publish(subjects.desired(subjects.MESH_BUCKET, key), pack(delta), headers=headers)
        await bus.flush(5)
        await assert_nobody_has_it(network, snapshot.generation)


async def test_a_peer_written_into_postgres_is_accepted_by_no_agent_and_told(network: Meshed) -> None:
    await network.lock()
    victim = network.members[2].id
    async with network.registry.db.transaction(actor="thief") as uow:
        connection = uow.connection
        await connection.exec_driver_sql(
            "INSERT INTO registry.relays SELECT (jsonb_populate_record(r, jsonb_build_object("
            " 'id', 'rly_evil', 'name', 'evil', 'slot', 99, 'nkey', 'UEVIL', 'key', $2::text, 'access_key', $2::text)"
            " )).* FROM registry.relays r WHERE id = $1",
            (victim, EVIL),
        )
        await connection.exec_driver_sql(
            "UPDATE registry.relays SET key = $2 WHERE id = $1", (victim, PrivateKey(b"f" * 32).public().base64)
        )
        number = await changes.record(
            uow,
            lambda change: PlanRenumbered(reason="theft", change=change),
            touched=[("relay", "rly_evil"), ("relay", victim)],
            summary="theft",
            network=network.network,
        )
    await assert_nobody_has_it(network, number)


async def test_a_relay_that_enrols_rightly_waits_for_a_signature_and_is_taken_then(network: Meshed) -> None:
    await network.lock()
    delta = await join(network.registry, "delta")
    network.members.append(delta)
    await network.keyd.until(delta.id, "active")
    await network.until_told("keyd.lock.refused", by=3, object=delta.id, what="identity")
    assert not any(delta.key in one.peers for one in network.members)
    assert delta.peers == {one.key for one in network.members[:3]}  # it found the lock at once
    await network.certified()
    await network.post("statements", statements_body(network.statement(delta)))
    await network.until_meshed()

    async def all_well() -> bool:  # the others may know of the statement before it does itself
        return [one.agent.health() for one in network.members] == ["ok"] * 4

    await eventually(all_well)


async def test_a_rotation_of_all_keys_with_the_lock_on_breaks_no_pair_and_is_accepted(network: Meshed) -> None:
    await network.lock()
    await rotate(network)
    assert [one.agent.health() for one in network.members] == ["ok"] * 3
    assert await network.told("keyd.lock.refused") == []
    await rotate(network)  # and from there


async def test_access_keys_rotate_with_the_lock_on_by_what_each_host_has_certified(network: Meshed) -> None:
    await network.lock()
    before = {one.id: access_key(one) for one in network.members}
    plan = {"canary": 1, "wave": 1, "drain": 0, "prepare_timeout": 60, "wave_timeout": 60}
    answer = await network.keyd.api.post("/v1/rotations", json={"kind": "access", "plan": plan})
    assert answer.status_code == 201, answer.text

    done = await rotation_over(network, answer.json()["id"])

    assert (done["phase"], [one["left"] for one in done["relays"]]) == ("done", ["", "", ""])
    await network.until(lambda: all(access_key(one) != before[one.id] for one in network.members))
    certified = {(key["use"], key["epoch"], key["key"]) for host in await hosts(network) for key in host["keys"]}
    assert {("access", 1, access_key(one)) for one in network.members} <= certified
    assert [one.agent.health() for one in network.members] == ["ok"] * 3
    assert await network.told("keyd.lock.refused") == []


async def test_with_the_lock_on_an_access_key_that_its_host_has_not_certified_is_taken_into_no_rotation(
    network: Meshed,
) -> None:
    await network.lock()
    alpha = network.members[0]
    key = PrivateKey.generate().public().base64
    report = KeyReport(of=KeyKind.ACCESS, epoch=1, key=key, port=51831, generation=0)
    mesh = alpha.agent.lock.certificate(use=WgUse.MESH, epoch=1, key=key)
    for wrong in (report, msgspec.structs.replace(report, certificate=mesh)):
        with pytest.raises(AltnetError) as refused:
            await alpha.agent.keyd.tell(wrong)
        assert refused.value.code == "key_not_certified"


async def test_a_clients_key_rotates_with_the_lock_on_once_an_authority_has_signed_the_next_one(
    network: Meshed,
) -> None:
    await network.lock()
    alpha = network.members[0]
    client = await paper_client(network.registry, "phone", movable=False)
    await network.registry.api.patch(f"/v1/clients/{client.id}", json={"relay": alpha.id})
    addresses = [f"{(await client.shown())['address']}/128"]
    await network.post(
        "statements", statements_body(network.smith.client(client.id, key=client.key, addresses=addresses))
    )
    await network.until(lambda: alpha.clients == {client.key})
    answer = await network.keyd.api.post("/v1/rotations", json={"kind": "client"})
    assert answer.status_code == 201, answer.text

    async def wished() -> bool:
        return (await client.configuration())["wish"] is not None

    await eventually(wished)
    assert (await client.announce()).status_code == 200
    await network.until_told("keyd.lock.refused", by=1, object=client.id, what="next_key")
    assert at_doors(alpha) == {client.key}, "the present key goes on, and the next one is not let in"

    signed = network.smith.client(client.id, key=client.next_key, addresses=addresses, serial=2)
    await network.post("statements", statements_body(signed))

    await network.until(lambda: client.next_key in at_doors(alpha))
    assert (await client.keep()).status_code == 200
    await network.until(lambda: at_doors(alpha) == {client.key})
    done = await rotation_over(network, answer.json()["id"])
    assert (done["phase"], done["clients"]["done"]) == ("done", 1)


def access_key(member: Member) -> str:
    return member.agent.rotation.identity().access.public().base64


def at_doors(member: Member) -> set[str]:
    """Clients' keys on any of its access devices."""
    devices = [device for name, device in member.memory.devices.items() if name.startswith("alta")]
    return {key.base64 for device in devices for key in device.peers}


async def hosts(network: Meshed) -> list[dict[str, Any]]:
    return list((await network.keyd.api.get("/v1/lock/hosts")).json()["items"])


async def rotation_over(network: Meshed, id: str) -> dict[str, Any]:
    shown: dict[str, Any] = {}

    async def over() -> bool:
        shown.update((await network.keyd.api.get(f"/v1/rotations/{id}")).json())
        return shown["ended_at"] is not None

    await eventually(over, timeout=60)
    return shown


async def test_a_prefix_that_is_not_covered_is_refused_and_one_that_is_gets_routes(network: Meshed) -> None:
    await network.lock()
    alpha, beta = network.members[:2]
    body = {"name": "office", "prefixes": ["fd00:12::/48"], "relays": [beta.id]}
    answer = await network.registry.api.post("/v1/sites", json=body)
    assert answer.status_code == 201, answer.text
    await network.until_told("keyd.lock.refused", by=3, object=beta.id, what="prefix")
    assert "fd00:12::/48" not in alpha.prefixes
    assert beta.key in alpha.peers
    await network.post("statements", statements_body(network.statement(beta, serial=2, prefixes=("fd00:12::/48",))))
    await network.until(lambda: "fd00:12::/48" in alpha.prefixes and alpha.agent.health() == "ok")


async def test_a_client_waits_for_a_signature_and_a_stranger_with_its_name_gets_nothing(network: Meshed) -> None:
    await network.lock()
    key = PrivateKey.generate().public().base64
    alpha = network.members[0]
    body = {"name": "phone", "key": key, "relay": alpha.id}
    answer = await network.registry.api.post("/v1/clients", json=body)
    assert answer.status_code == 201, answer.text
    made = answer.json()["client"] if "client" in answer.json() else answer.json()
    await network.until_told("keyd.lock.refused", by=1, object=made["id"], what="identity")
    assert alpha.clients == set()
    signed = network.smith.client(made["id"], key=key, addresses=[f"{made['address'].split('/')[0]}/128"])
    await network.post("statements", statements_body(signed))
    await network.until(lambda: alpha.clients == {key})
    async with network.registry.db.transaction(actor="thief") as uow:
        await uow.connection.exec_driver_sql("UPDATE registry.clients SET key = $2 WHERE id = $1", (made["id"], EVIL))
        await changes.record(
            uow,
            lambda change: PlanRenumbered(reason="theft", change=change),
            touched=[("client", made["id"])],
            summary="theft",
            network=network.network,
        )
    await network.until_told("keyd.lock.refused", by=1, object=made["id"], what="key")
    assert alpha.clients == {key}


async def test_off_by_k_owners_lets_all_in_again_and_without_them_nothing_moves(network: Meshed) -> None:
    await network.lock()
    answer = await network.keyd.api.post(
        "/v1/lock/entries", json=entry_body(network.smith.change(LockChange.DISABLE, signers=1))
    )
    assert answer.json()["code"] == "lock_unsigned"
    mesh = await mesh_of(network)
    snapshot, delta = hostile(mesh, network)
    bus, net = network.registry.bus, network.network
    await desired.put(bus, subjects.MESH_BUCKET, subjects.mesh_snapshot_key(net), pack(snapshot))
    await desired.put(bus, subjects.MESH_BUCKET, subjects.mesh_delta_key(net), pack(delta))
    await assert_nobody_has_it(network, snapshot.generation)
    await network.change(LockChange.DISABLE)
    await network.until(lambda: all(EVIL in one.peers for one in network.members))


async def test_another_log_and_unsigned_entries_are_refused_and_alarm(network: Meshed) -> None:
    await network.lock()
    other = Locksmith(network.network)
    fork = other.take(other.init())
    unsigned = network.smith.change(LockChange.DISABLE, signers=1)
    net, bus = network.network, network.registry.bus
    for page, code in (
        (_page(network, length=1, head=fork.hash, entries=(fork,)), "lock_forked"),
        (_page(network, length=2, head=unsigned.hash, entries=(unsigned,)), "lock_unsigned"),
    ):
        await desired.put(bus, subjects.MESH_BUCKET, subjects.lock_key(net), pages.pack(page))
        await network.until_told("keyd.lock.alarmed", by=3, why=code)
        assert all(one.agent.lock.log.head == network.smith.log.head for one in network.members)
    await network.keyd.app.state.keyd.teller.look()  # it is put right, and so is the agents' health
    await network.until(lambda: all(one.agent.health() == "ok" for one in network.members))


async def test_a_keyd_whose_log_was_replaced_is_believed_by_no_agent(
    network: Meshed, postgres_server: PostgresServer, keyd_database: DatabaseSettings
) -> None:
    """Who owns keyd's database shows a log of his own: the hosts keep the one that they know."""
    await network.lock()
    other = Locksmith(network.network)
    fork = other.take(other.init())
    thief = await asyncpg.connect(owner_dsn(postgres_server, keyd_database, "keyd"))
    try:
        await thief.execute("ALTER TABLE keyd.lock_entries DISABLE TRIGGER lock_entries_grow")
        signatures = msgspec.json.encode(fork.signatures).decode()
        await thief.execute(
            "UPDATE keyd.lock_entries SET entry = $1, hash = $2, signatures = $3", fork.entry, fork.hash, signatures
        )
        await thief.execute("UPDATE keyd.lock_networks SET version = version + 1")
    finally:
        await thief.close()
    await network.until_told("keyd.lock.alarmed", by=3, why="lock_forked")
    await network.until(lambda: all("differs from the one known here" in one.agent.health() for one in network.members))
    keys = {one.key for one in network.members}
    for one in network.members:
        assert one.agent.lock.log.head == network.smith.log.head
        assert one.peers == keys - {one.key}


async def test_a_restarted_agent_goes_by_what_it_kept_although_nobody_tells_it_anything(network: Meshed) -> None:
    await network.lock()
    alpha = network.members[0]
    kept = alpha.enrolled.state.lock()
    assert kept.entries == network.smith.log.entries
    alpha.task.cancel()
    await asyncio.wait([alpha.task])
    again = start(alpha.enrolled, alpha.memory)
    network.members[0] = again
    assert again.agent.lock.log.head == network.smith.log.head
    await network.until_meshed()
    assert again.agent.desired.refusals == ()


async def rotate(network: Meshed) -> None:
    """Rotate all keys, with handshakes between whoever are each other's peers; no pair may be without a session."""
    plan: dict[str, Any] = {"canary": 1, "wave": 1, "drain": 0.2, "prepare_timeout": 60, "wave_timeout": 60}
    before = {one.id: one.key for one in network.members}
    answer = await network.keyd.api.post("/v1/rotations", json={"plan": plan})
    assert answer.status_code == 201, answer.text
    broken: list[str] = []
    wire = asyncio.create_task(_wire(network, broken))
    try:

        async def over() -> bool:
            shown = (await network.keyd.api.get(f"/v1/rotations/{answer.json()['id']}")).json()
            return shown["ended_at"] is not None

        await eventually(over, timeout=60)
        shown = (await network.keyd.api.get(f"/v1/rotations/{answer.json()['id']}")).json()
        assert (shown["phase"], [one["left"] for one in shown["relays"]]) == ("done", ["", "", ""])
        await network.until(lambda: all(one.key != before[one.id] for one in network.members))
        await network.until_meshed()
    finally:
        wire.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await wire
    assert broken == []


async def _wire(network: Meshed, broken: list[str]) -> None:
    while True:
        for one in network.members:
            for other in network.members:
                if one is not other:
                    _shake(one, other)
                    if not _carries(network, one, other):
                        broken.append(f"{one.id} to {other.id}")
        await asyncio.sleep(0.005)


def _shake(one: Any, other: Any) -> None:
    now = time.time()
    for mine, device in one.memory.devices.items():
        for theirs, far in other.memory.devices.items():
            if not mine.startswith("altm") or not theirs.startswith("altm"):
                continue
            if far.public_key in device.peers and device.public_key in far.peers:
                one.memory.handshake(mine, far.public_key, at=now)
                other.memory.handshake(theirs, device.public_key, at=now)


def _carries(network: Meshed, one: Any, other: Any) -> bool:
    """Whether the route to the other's locator leads into a device where both have each other."""
    locator = network.plan.locator(other.slot)
    routes = [
        route for route in one.memory.routes.values() if locator in route.prefix and route.prefix.prefixlen == 128
    ]
    if not routes:
        return False
    device = one.memory.devices.get(routes[0].device)
    keys: dict[PublicKey, Any] = {far.public_key: far for far in other.memory.devices.values()}
    return device is not None and any(
        key in keys and device.public_key in keys[key].peers and locator in prefix
        for key, peer in device.peers.items()
        for prefix in peer.allowed
    )


def _page(network: Meshed, **fields: Any) -> pages.LockPage:
    return pages.LockPage(network=network.network, since=0, version=10**6, **fields)
