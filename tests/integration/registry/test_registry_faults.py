"""Parts that die under a running registry: nothing is lost, and the end is what Postgres says."""

from __future__ import annotations

import asyncio
import random
import shutil
import tempfile
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from altnet.common.bus import desired
from altnet.common.bus.connect import BusSettings
from altnet.common.bus.jwt import BusIdentity
from altnet.common.bus.subjects import RELAY_BUCKET
from altnet.common.clock import SystemClock
from altnet.common.contracts.desired import unpack_relay_document
from altnet.common.db import names
from altnet.common.db.engine import Database
from altnet.common.db.migrate import upgrade
from altnet.common.db.provision import ServicePasswords, provision
from altnet.common.db.settings import DatabaseSettings
from altnet.common.embedded.nats import NatsServer
from altnet.common.embedded.postgres import PostgresServer
from altnet.common.errors import AltnetError, Exhausted
from altnet.common.keys import PrivateKey
from altnet.common.net import AddressPlan
from altnet.common.settings import Secret
from altnet.registry.handlers.admin import renumber_after_restore
from altnet.registry.store import allocations, changes, networks
from integration.registry.conftest import MIGRATIONS
from integration.registry.running import Relay, RunningRegistry, eventually, running


def key() -> str:
    return PrivateKey.generate().public().base64


async def test_a_bus_that_lost_everything_gets_it_back(registry: RunningRegistry, nats_server: NatsServer) -> None:
    one, two = await registry.enrol("one"), await registry.enrol("two")
    before = await two.until(mesh=two.change, document=two.change)
    await nats_server.wipe()
    async with asyncio.timeout(20):
        while True:
            try:
                after = await two.until(mesh=two.change, document=two.change, timeout=1)
                break
            except (AltnetError, TimeoutError):
                await asyncio.sleep(0.05)
    assert after == before
    assert (await one.document()) is not None


async def test_a_document_that_vanished_is_put_again(registry: RunningRegistry) -> None:
    relay = await registry.enrol("one")
    _, before = await relay.until(document=relay.change)
    await desired.put(registry.bus, RELAY_BUCKET, relay.id, b"rubbish", timeout=5)
    registry.app.state.registry.director._verify.set()

    async def is_put() -> bool:
        return await desired.fetch(registry.bus, RELAY_BUCKET, relay.id, timeout=5) != b"rubbish"

    await eventually(is_put)
    assert await relay.document() == before


async def test_everything_is_put_again_when_an_administrator_says_so(registry: RunningRegistry) -> None:
    relay = await registry.enrol("one")
    await relay.until(mesh=relay.change, document=relay.change)
    heard = asyncio.Event()

    async def hear(_: bytes) -> None:
        heard.set()

    await desired.subscribe(await relay.connect(), RELAY_BUCKET, relay.id, hear)
    await relay.connect()
    assert (await registry.api.post("/v1/mesh/rebuild")).status_code == 202
    async with asyncio.timeout(10):
        await heard.wait()


async def test_after_a_restore_every_document_is_newer_than_any_before(
    registry_database: DatabaseSettings, bus_settings: BusSettings, bus_identity: BusIdentity
) -> None:
    async with running(registry_database, bus_settings, bus_identity) as first:
        relay = await first.enrol("one")
        await relay.until(mesh=relay.change, document=relay.change)
    async with (
        Database(registry_database, schema="registry", clock=SystemClock()) as db,
        db.transaction(actor="t") as uow,
    ):
        assert await renumber_after_restore(uow, skip=5000) == 5000 + relay.change
    async with running(registry_database, bus_settings, bus_identity) as second:
        planning = second.app.state.registry.director.planning
        assert planning.plan.documents[relay.id].generation == relay.change + 5001
        assert planning.plan.meshes[relay.network].generation == relay.change + 5001


async def test_without_the_bus_writes_succeed_and_follow_later(
    registry: RunningRegistry, nats_server: NatsServer
) -> None:
    relay = await registry.enrol("one")
    await relay.until(document=relay.change)
    await nats_server.kill()
    answer = await registry.api.post("/v1/clients", json={"name": "laptop", "key": key(), "relay": relay.id})
    assert answer.status_code == 201, answer.text
    assert (await registry.anonymous.get("/readyz")).status_code == 200
    await nats_server.start()
    _, document = await relay.until(document=answer.json()["change"], timeout=20)
    assert [client.id for client in document.clients] == [answer.json()["id"]]

    async def all_told() -> bool:
        async with registry.db.raw() as sql:
            return not await sql.fetchval("SELECT count(*) FROM registry.outbox WHERE published_at IS NULL")

    await eventually(all_told)


async def change_by_hand(settings: DatabaseSettings, *statements: str) -> None:
    """What no code of ours does, while no registry runs."""
    async with Database(settings, schema="registry", clock=SystemClock()) as db, db.raw() as sql:
        for statement in statements:
            await sql.execute(statement)


async def test_a_registry_that_starts_again_changes_no_generation(
    registry_database: DatabaseSettings, bus_settings: BusSettings, bus_identity: BusIdentity
) -> None:
    async with running(registry_database, bus_settings, bus_identity) as first:
        relay = await first.enrol("one")
        before = await relay.until(mesh=relay.change, document=relay.change)
    async with running(registry_database, bus_settings, bus_identity) as second:
        planning = second.app.state.registry.director.planning
        assert planning.plan.documents[relay.id].document() == before[1]
        assert planning.plan.meshes[relay.network].snapshot() == before[0]
        async with second.db.read() as session:
            assert await changes.newest(session) == relay.change


async def test_a_change_whose_planner_died_is_planned_by_the_next(
    registry_database: DatabaseSettings, bus_settings: BusSettings, bus_identity: BusIdentity
) -> None:
    async with running(registry_database, bus_settings, bus_identity) as first:
        relay = await first.enrol("one")
        await relay.until(mesh=relay.change, document=relay.change)
    await change_by_hand(
        registry_database,
        "UPDATE registry.changes SET planned_at = NULL, completed_at = NULL",
        "DELETE FROM registry.documents",
    )
    async with running(registry_database, bus_settings, bus_identity) as second:
        told = await second.applied(relay.change, timeout=0)
        assert (told["planned"], told["concerned"]) == (True, 1)
        planning = second.app.state.registry.director.planning
        assert planning.plan.documents[relay.id].generation == relay.change


async def test_documents_that_differ_without_a_change_get_a_number_of_their_own(
    registry_database: DatabaseSettings, bus_settings: BusSettings, bus_identity: BusIdentity
) -> None:
    async with running(registry_database, bus_settings, bus_identity) as first:
        relay = await first.enrol("one")
        await relay.until(mesh=relay.change, document=relay.change)
    await change_by_hand(
        registry_database, "UPDATE registry.documents SET digest = 'by an older version' WHERE kind = 'relay'"
    )
    async with running(registry_database, bus_settings, bus_identity) as second:
        planning = second.app.state.registry.director.planning
        assert planning.plan.documents[relay.id].generation == relay.change + 1
        assert planning.plan.meshes[relay.network].generation == relay.change
        assert (await second.applied(relay.change + 1, timeout=0))["kind"] == "registry.plan.renumbered"


@pytest_asyncio.fixture
async def own_postgres() -> AsyncIterator[tuple[PostgresServer, DatabaseSettings]]:
    """A server that may be killed."""
    directory = Path(tempfile.mkdtemp(prefix="altnet-pg-own-"))
    directory.chmod(0o711)
    server = PostgresServer(directory / "data")  # in earnest: what was answered survives the kill
    await server.start()
    secret = Secret("only-for-tests")
    await provision(server.superuser_dsn, "altnet", {"registry": ServicePasswords(owner=secret, runtime=secret)})
    await upgrade(server.dsn(names.owner_role("registry"), "altnet", password=secret), MIGRATIONS, "registry")
    dsn = server.dsn(names.runtime_role("registry"), "altnet", password=secret)
    yield server, DatabaseSettings.from_dsn(dsn, pool_size=5)
    await server.stop()
    shutil.rmtree(directory, ignore_errors=True)


async def test_a_killed_postgres_is_a_503_and_nothing_has_to_be_restarted(
    own_postgres: tuple[PostgresServer, DatabaseSettings], bus_settings: BusSettings, bus_identity: BusIdentity
) -> None:
    server, settings = own_postgres
    async with running(settings, bus_settings, bus_identity) as registry:
        relay = await registry.enrol("one")
        await relay.until(document=relay.change)
        await server.kill()
        gone = await registry.api.get("/v1/relays")
        assert (gone.status_code, gone.json()["code"]) == (503, "database_unavailable")
        assert "retry-after" in gone.headers
        assert (await registry.anonymous.get("/livez")).status_code == 200
        assert (await registry.anonymous.get("/readyz")).status_code == 503
        await server.start()

        async def answers() -> bool:
            return (await registry.api.get("/v1/relays")).status_code == 200

        await eventually(answers, timeout=30)
        answer = await registry.api.post("/v1/clients", json={"name": "laptop", "key": key(), "relay": relay.id})
        assert answer.status_code == 201, answer.text
        _, document = await relay.until(document=answer.json()["change"], timeout=30)
        assert len(document.clients) == 1


async def test_random_writes_end_in_what_a_fresh_plan_says(
    registry_database: DatabaseSettings, bus_settings: BusSettings, bus_identity: BusIdentity
) -> None:
    async with running(registry_database, bus_settings, bus_identity) as first:
        relays = await write_at_random(first)
        planning = first.app.state.registry.director.planning
        async with first.db.read() as session:
            newest = await changes.newest(session)

        async def all_put() -> bool:
            return planning.newest == newest and not planning.behind

        await eventually(all_put)
        stored = {}
        for relay in relays:
            data = await desired.fetch(first.bus, RELAY_BUCKET, relay.id, timeout=5)
            assert data is not None
            stored[relay.id] = unpack_relay_document(data)
        digests = {relay: it.digest for relay, it in planning.plan.documents.items()}
    async with running(registry_database, bus_settings, bus_identity) as second:
        planning = second.app.state.registry.director.planning
        assert {relay: it.document() for relay, it in planning.plan.documents.items()} == stored
        assert {relay: it.digest for relay, it in planning.plan.documents.items()} == digests


async def write_at_random(registry: RunningRegistry) -> list[Relay]:
    choose = random.Random(7)
    relays = [await registry.enrol(f"r{number}") for number in range(4)]
    clients: list[str] = []
    for step in range(60):
        match choose.randrange(4):
            case 0 | 1:
                wish = {"name": f"c{step}", "key": key(), "relay": choose.choice(relays).id}
                clients.append((await registry.api.post("/v1/clients", json=wish)).json()["id"])
            case 2 if clients:
                path = f"/v1/clients/{choose.choice(clients)}"
                await registry.api.patch(path, json={"relay": choose.choice(relays).id}, headers={"If-Match": "*"})
            case 3 if clients:
                gone = clients.pop(choose.randrange(len(clients)))
                await registry.api.delete(f"/v1/clients/{gone}", headers={"If-Match": "*"})
            case _:
                continue
    return relays


async def test_allocation_agrees_with_a_model_over_many_steps(registry: RunningRegistry) -> None:
    choose, rest = random.Random(11), 100.0
    async with registry.db.read() as session:
        network = await networks.only(session)
    plan = AddressPlan(network.prefix)
    now = registry.app.state.registry.clock.now()
    held: dict[str, int] = {}
    resting: dict[int, datetime] = {}
    highest = 6
    for step in range(150):
        now += timedelta(seconds=choose.choice([1, 30, 60]))
        free = [
            slot
            for slot in range(1, highest + 1)
            if slot not in held.values() and not (slot in resting and now - resting[slot] <= timedelta(seconds=rest))
        ]
        async with registry.db.transaction(actor="test") as uow:
            uow.now = now
            if held and choose.random() < 0.4:
                owner = choose.choice(sorted(held))
                await allocations.release(uow, owner)
                resting[held.pop(owner)] = now
                continue
            wish = {"network": network.id, "plan": plan, "owner": f"o{step}", "rest": rest, "highest": highest}
            if free:
                assert await allocations.allocate_slot(uow, **wish) == free[0]
                held[f"o{step}"] = free[0]
            else:
                with pytest.raises(Exhausted, match="used up"):
                    await allocations.allocate_slot(uow, **wish)
