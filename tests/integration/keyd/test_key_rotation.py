"""Rotations of mesh keys over a real Postgres and a real NATS: keyd, the registry, and agents with hosts on paper."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import httpx
import msgspec
import pytest
import pytest_asyncio
from altnet.common.bus.connect import Bus, BusSettings
from altnet.common.bus.identity import BusIdentity
from altnet.common.clock import SystemClock
from altnet.common.contracts.desired import KeyStage, MeshSnapshot
from altnet.common.contracts.keyd import KeyReport
from altnet.common.db.engine import Database, DatabaseSettings
from altnet.common.errors import AltnetError
from altnet.common.keys import PrivateKey
from altnet.relay_agent.epochs import KeySet, pair, roles
from altnet.relay_agent.rotation import Seen, followed, split
from integration.keyd.conftest import SERVICES
from integration.keyd.processes import service_process
from integration.keyd.running import FAST, Agent, RunningKeyd, enrol_agent, meet, running_keyd
from integration.registry.running import RunningRegistry, eventually, running
from support.postgres import DatabaseFactory

pytestmark = [pytest.mark.server]

ENV = {**FAST, "ALTNET_KEYD_ROTATIONS__TICK": "0.05", "ALTNET_KEYD_ROTATIONS__IDLE": "0.1"}
PLAN = {"canary": 1, "wave": 1, "drain": 0, "prepare_timeout": 60, "wave_timeout": 60}


@dataclass
class Paper:
    """An agent whose handshakes all succeed, unless `deaf` names the neighbour. `silent`: it does nothing."""

    agent: Agent
    silent: bool = False
    deaf: set[str] = field(default_factory=set)
    switched: frozenset[str] = frozenset()
    private: set[str] = field(default_factory=set)

    async def step(self) -> MeshSnapshot | None:
        mesh = await self.agent.relay.mesh()
        if mesh is None or self.silent:
            return mesh
        entries = {one.id: one for one in mesh.relays}
        own = entries[self.agent.id]
        identity = followed(self.agent.state.identity(), own, PrivateKey.generate)
        if identity != self.agent.state.identity():
            await self.agent.state.save_identity(identity)
            self.switched = frozenset()
        self.private |= {text for text in (identity.mesh_key, identity.next_mesh_key) if text}
        mine = roles(KeySet.of(identity), own)
        if mine.next is None or identity.next_mesh is None:
            return mesh
        others = {id: one for id, one in entries.items() if id != self.agent.id}
        self.switched |= {id for id, one in others.items() if pair(mine, one).open and id not in self.deaf}
        seen = Seen(generation=mesh.generation, keys=mine, switched=self.switched, pending=frozenset())
        switched, waiting = split(seen, others)
        report = KeyReport(
            epoch=mine.next.epoch,
            key=identity.next_mesh.public().base64,
            port=51821,
            generation=mesh.generation,
            switched=switched,
            waiting=waiting,
        )
        with contextlib.suppress(AltnetError):  # keyd may be away
            await self.agent.contact.tell(report)
        return mesh


@pytest_asyncio.fixture
async def rotating(
    registry: RunningRegistry, keyd_database: DatabaseSettings, bus_settings: BusSettings, bus_identity: BusIdentity
) -> AsyncIterator[tuple[RunningKeyd, list[Paper]]]:
    async with running_keyd(keyd_database, bus_settings, bus_identity, env=ENV) as keyd:
        yield keyd, await papers(registry, keyd)


async def papers(registry: RunningRegistry, keyd: RunningKeyd) -> list[Paper]:
    made = [Paper(await enrol_agent(registry, name)) for name in ("alpha", "beta", "gamma")]
    for one in made:
        await meet(one.agent)
        await keyd.until(one.agent.id, "active")
    return made


async def start(keyd: RunningKeyd, **plan: Any) -> str:
    answer = await keyd.api.post("/v1/rotations", json={"plan": {**PLAN, **plan}})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def show(keyd: RunningKeyd, id: str) -> dict[str, Any]:
    answer = await keyd.api.get(f"/v1/rotations/{id}")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def until(
    keyd: RunningKeyd, hosts: list[Paper], id: str, condition: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    """Let the agents work until the rotation is so."""
    found: list[dict[str, Any]] = []

    async def there() -> bool:
        for host in hosts:
            await host.step()
        found[:] = [await show(keyd, id)]
        return condition(found[0])

    await eventually(there, timeout=40)
    return found[0]


def over(shown: dict[str, Any]) -> bool:
    return shown["ended_at"] is not None


async def mesh_keys(hosts: list[Paper]) -> dict[str, tuple[str, int]]:
    mesh = await hosts[0].agent.relay.mesh()
    assert mesh is not None
    return {one.id: (one.key, one.epoch) for one in mesh.relays}


async def counters(keyd: RunningKeyd) -> dict[str, float]:
    """What keyd counts of rotations."""
    lines = (await keyd.api.get("/metrics")).text.splitlines()
    pairs = [line.removeprefix("altnet_keyd_").rsplit(" ", 1) for line in lines if line.startswith("altnet_keyd_rot")]
    return {name: float(value) for name, value in pairs}


async def test_a_rotation_by_the_api_gives_every_relay_a_key_of_its_own_making(
    rotating: tuple[RunningKeyd, list[Paper]],
) -> None:
    keyd, hosts = rotating
    done = await until(keyd, hosts, await start(keyd), over)
    assert (done["phase"], [part["left"] for part in done["relays"]]) == ("done", ["", "", ""])

    async def kept() -> bool:
        for host in hosts:
            await host.step()
        wanted = {host.agent.id: (host.agent.state.identity().mesh.public().base64, 1) for host in hosts}
        return await mesh_keys(hosts) == wanted

    await eventually(kept)
    kinds = [event["kind"] for event in await keyd.events() if event["kind"].startswith("keyd.rotation.")]
    assert kinds == ["keyd.rotation.started", *["keyd.rotation.advanced"] * 5, "keyd.rotation.completed"]


async def test_no_private_key_is_in_keyds_database_or_the_registrys(
    rotating: tuple[RunningKeyd, list[Paper]], registry: RunningRegistry
) -> None:
    keyd, hosts = rotating
    await until(keyd, hosts, await start(keyd), over)
    kept = ""
    for db, schema in ((keyd.db, "keyd"), (registry.db, "registry")):
        async with db.raw() as connection:
            tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = $1", schema)
            for table in tables:
                rows = await connection.fetch(f"SELECT t::text AS line FROM {schema}.{table['tablename']} t")
                kept += "\n".join(row["line"] for row in rows)
    assert hosts[0].agent.state.identity().mesh.public().base64 in kept  # the search finds what is there
    for host in hosts:
        assert len(host.private) >= 2
        assert not [text for text in host.private if text in kept]


async def test_missing_handshakes_roll_it_back_by_itself_and_say_with_whom(
    rotating: tuple[RunningKeyd, list[Paper]],
) -> None:
    keyd, hosts = rotating
    before = await mesh_keys(hosts)
    hosts[1].deaf.add(hosts[0].agent.id)
    done = await until(keyd, hosts, await start(keyd, wave_timeout=1), over)
    assert (done["phase"], done["ended"], done["blamed"]) == ("rolled_back", "no_handshake", [hosts[0].agent.id])
    assert await mesh_keys(hosts) == before
    (event,) = [one for one in await keyd.events() if one["kind"] == "keyd.rotation.rolled_back"]
    assert (event["why"], event["relays"]) == ("no_handshake", [hosts[0].agent.id])


async def test_a_silent_relay_is_left_behind_or_ends_it_as_the_plan_says(
    rotating: tuple[RunningKeyd, list[Paper]],
) -> None:
    keyd, hosts = rotating
    hosts[2].silent = True
    back = await until(keyd, hosts, await start(keyd, prepare_timeout=6, silent="roll_back"), over)
    assert (back["phase"], back["ended"], back["blamed"]) == ("rolled_back", "silent", [hosts[2].agent.id])
    done = await until(keyd, hosts, await start(keyd, prepare_timeout=6, silent="leave"), over)
    left = {part["relay"]: part["left"] for part in done["relays"] if part["left"]}
    assert (done["phase"], left) == ("done", {hosts[2].agent.id: "no_key_in_time"})
    told = [event for event in await keyd.events() if event["kind"] == "keyd.rotation.relay_left"]
    assert [(event["relay"], event["why"]) for event in told] == [(hosts[2].agent.id, "no_key_in_time")]
    counted = await counters(keyd)
    assert counted['rotations_total{kind="mesh",outcome="done"}'] == 1
    assert counted['rotations_total{kind="mesh",outcome="rolled_back"}'] == 1
    assert counted['rotations_rolled_back_total{kind="mesh",why="silent"}'] == 1
    assert counted['rotation_relays_left_total{why="no_key_in_time"}'] == 1


async def test_a_paused_rotation_waits_and_a_rolled_back_one_returns_to_the_old_keys(
    rotating: tuple[RunningKeyd, list[Paper]],
) -> None:
    keyd, hosts = rotating
    before, id = await mesh_keys(hosts), await start(keyd, drain=300)
    again = await keyd.api.post("/v1/rotations", json={})
    assert (again.status_code, again.json()["code"]) == (409, "rotation_open")
    await until(keyd, hosts, id, lambda shown: bool(shown["phase"] == "drain"))
    paused = await keyd.api.post(f"/v1/rotations/{id}/pause")
    assert paused.json()["paused"] is True
    assert (await keyd.api.post(f"/v1/rotations/{id}/resume")).json()["paused"] is False
    assert (await keyd.api.post(f"/v1/rotations/{id}/rollback")).status_code == 200
    done = await until(keyd, hosts, id, over)
    assert (done["phase"], done["ended"]) == ("rolled_back", "asked")
    assert await mesh_keys(hosts) == before


async def test_keyd_may_die_at_any_step_and_another_one_goes_on(
    registry: RunningRegistry, keyd_database: DatabaseSettings, bus_settings: BusSettings, bus_identity: BusIdentity
) -> None:
    async with running_keyd(keyd_database, bus_settings, bus_identity, env=ENV) as keyd:
        hosts = await papers(registry, keyd)
        id = await start(keyd)
    for _life in range(100):
        async with running_keyd(keyd_database, bus_settings, bus_identity, env=ENV) as keyd:
            before = await show(keyd, id)
            if over(before):
                break
            was = (before["phase"], before["wave"], [part["stage"] for part in before["relays"]])

            def moved(shown: dict[str, Any], was: Any = was) -> bool:
                return was != (shown["phase"], shown["wave"], [part["stage"] for part in shown["relays"]])

            await until(keyd, hosts, id, moved)
    else:
        raise AssertionError("it does not end")
    assert before["phase"] == "done"


async def test_time_in_which_no_keyd_led_is_not_held_against_relays(
    registry: RunningRegistry, keyd_database: DatabaseSettings, bus_settings: BusSettings, bus_identity: BusIdentity
) -> None:
    async with running_keyd(keyd_database, bus_settings, bus_identity, env=ENV) as keyd:
        hosts = await papers(registry, keyd)
        id = await start(keyd, wave_timeout=4)
        waiting = await until(keyd, hosts, id, lambda shown: bool(shown["phase"] == "connect"))
    await asyncio.sleep(4.2)  # what the wave had is over, and nobody was there to hear of it
    async with running_keyd(keyd_database, bus_settings, bus_identity, env=ENV) as keyd:
        done = await until(keyd, hosts, id, over)
    assert (waiting["wave"], done["phase"], [part["left"] for part in done["relays"]]) == (0, "done", [""] * 3)


async def test_time_in_which_the_registry_was_away_is_not_held_against_relays(
    rotating: tuple[RunningKeyd, list[Paper]], registry: RunningRegistry
) -> None:
    keyd, hosts = rotating
    id = await start(keyd, wave_timeout=3)
    await until(keyd, hosts, id, lambda shown: bool(shown["phase"] == "connect"))
    async with registry.db.raw() as connection, connection.transaction():
        await connection.execute("LOCK TABLE registry.relays IN ACCESS EXCLUSIVE MODE")

        async def waits() -> bool:
            return (await show(keyd, id))["problem"] != ""

        await eventually(waits, timeout=30)  # the wave's time is over, and the registry takes no order to leave anybody
    await asyncio.sleep(0.5)  # it does again, and the relays have not said anything yet
    done = await until(keyd, hosts, id, over)
    assert (done["phase"], done["problem"], [part["left"] for part in done["relays"]]) == ("done", "", [""] * 3)
    told = [event for event in await keyd.events() if event["kind"] == "keyd.rotation.waits"]
    assert [event["rotation"] for event in told] == [id] * len(told)
    codes = [event["why"] for event in told]
    assert (len(codes), "database_busy" in codes or "bus_timeout" in codes) == (len(set(codes)), True), "once each"
    counted = await counters(keyd)
    assert {code: counted[f'rotation_waits_total{{why="{code}"}}'] for code in codes} == dict.fromkeys(codes, 1)


async def test_a_policy_starts_a_rotation_when_keys_are_old(rotating: tuple[RunningKeyd, list[Paper]]) -> None:
    keyd, hosts = rotating
    network = hosts[0].agent.relay.network
    wish = {"max_age": 60, "jitter": 0, "plan": PLAN}
    answer = await keyd.api.put(f"/v1/rotation-policies/{network}", json=wish)
    assert answer.status_code == 200, answer.text

    async def dated() -> bool:
        return (await keyd.api.get("/v1/rotation-policies?kind=mesh")).json()["items"][0]["due_at"] is not None

    await eventually(dated)
    other = await keyd.api.put(f"/v1/rotation-policies/{network}?kind=access", json={"jitter": 0, "plan": PLAN})
    assert other.status_code == 200, other.text
    first = (await keyd.api.get("/v1/rotation-policies?limit=1")).json()
    second = (await keyd.api.get(f"/v1/rotation-policies?limit=1&cursor={first['next_cursor']}")).json()
    assert ([it["kind"] for it in (*first["items"], *second["items"])], second["next_cursor"]) == (
        ["access", "mesh"],
        None,
    )
    mesh = (await keyd.api.get(f"/v1/rotation-policies?kind=mesh&network={network}")).json()["items"]
    assert [it["kind"] for it in mesh] == ["mesh"]
    assert (await keyd.api.get("/v1/rotation-policies?network=net_other")).json()["items"] == []
    assert (await keyd.api.get("/v1/rotations")).json()["items"] == []
    async with keyd.db.transaction(actor="test") as uow:  # an age passes
        await uow.connection.exec_driver_sql("UPDATE keyd.rotation_policies SET due_at = now()")

    async def started() -> bool:
        return bool((await keyd.api.get("/v1/rotations")).json()["items"])

    await eventually(started)
    (shown,) = (await keyd.api.get("/v1/rotations")).json()["items"]
    assert shown["reason"] == "maximum age"
    assert (await until(keyd, hosts, shown["id"], over))["phase"] == "done"


async def test_a_watcher_hears_each_step_to_the_end(rotating: tuple[RunningKeyd, list[Paper]]) -> None:
    keyd, hosts = rotating
    id = await start(keyd)

    async def watch() -> list[str]:
        answer = await keyd.api.get(f"/v1/rotations/{id}/watch")
        assert answer.status_code == 200, answer.text
        return [line.removeprefix("event: ") for line in answer.text.splitlines() if line.startswith("event: ")]

    watching = asyncio.create_task(watch())
    await until(keyd, hosts, id, over)
    heard = await watching
    assert (heard[-1], heard[0] in ("prepare", "connect")) == ("done", True)


async def test_a_key_is_taken_from_a_proven_host_alone(rotating: tuple[RunningKeyd, list[Paper]]) -> None:
    keyd, hosts = rotating
    id = await start(keyd)
    told = (KeyStage.READY, KeyStage.OPEN)
    await until(keyd, hosts, id, lambda shown: any(part["stage"] in told for part in shown["relays"]))
    async with keyd.db.transaction(actor="test") as uow:
        await uow.connection.exec_driver_sql(
            "UPDATE keyd.identities SET state = 'pending', reason = 'no_token' WHERE id = $1", (hosts[1].agent.id,)
        )
    report = KeyReport(epoch=1, key=PrivateKey.generate().public().base64, port=1, generation=0)
    with pytest.raises(AltnetError, match="nothing proves"):
        await hosts[1].agent.contact.tell(report)
    other = msgspec.structs.replace(report, key=PrivateKey.generate().public().base64, generation=10**6)
    with pytest.raises(AltnetError, match="another next key"):
        await hosts[0].agent.contact.tell(other)

    async def refused() -> bool:
        events = [event for event in await keyd.events() if event["kind"] == "keyd.channel.refused"]
        return [(one["relay"], one["reason"]) for one in events] == [(hosts[0].agent.id, "next_key_taken")]

    await eventually(refused)


@contextlib.asynccontextmanager
async def no_order_is_taken(database: DatabaseSettings) -> AsyncIterator[None]:
    """The registry's table of relays is locked: what it is ordered waits."""
    async with (
        Database(database, schema="registry", clock=SystemClock()) as db,
        db.raw() as connection,
        connection.transaction(),
    ):
        await connection.execute("LOCK TABLE registry.relays IN EXCLUSIVE MODE")
        yield


@pytest.mark.slow
async def test_the_registry_alone_may_die_at_any_step(
    registry_bus: Bus,
    database_factory: DatabaseFactory,
    keyd_database: DatabaseSettings,
    bus_settings: BusSettings,
    bus_identity: BusIdentity,
) -> None:
    database = database_factory("registry", SERVICES / "registry/alembic")
    async with running(database, bus_settings, bus_identity) as first:
        token = await first.join_token(uses=3)
    async with contextlib.AsyncExitStack() as stack:
        process = await stack.enter_async_context(service_process("registry", database, bus_settings, bus_identity))
        api = await stack.enter_async_context(
            httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(process.socket)), base_url="http://registry")
        )
        apart = cast(RunningRegistry, SimpleNamespace(anonymous=api, bus_settings=bus_settings, stack=stack))

        async def up() -> bool:
            try:
                return (await api.get("/readyz")).status_code == 200
            except httpx.HTTPError:
                return False

        await eventually(up, timeout=30)
        keyd = await stack.enter_async_context(running_keyd(keyd_database, bus_settings, bus_identity, env=ENV))
        hosts = [Paper(await enrol_agent(apart, name, token=token)) for name in ("alpha", "beta", "gamma")]
        for one in hosts:
            await meet(one.agent)
            await keyd.until(one.agent.id, "active")

        for step in ("prepare", "connect", "drain", "keep"):
            before = await mesh_keys(hosts)
            id = await start(keyd, drain=1 if step == "drain" else 0)
            if step == "keep":
                await until(keyd, hosts, id, lambda shown: bool(shown["phase"] == "connect" and shown["wave"] == 2))
                async with no_order_is_taken(database):
                    await until(keyd, hosts, id, lambda shown: bool(shown["phase"] == "keep"))
                    await process.kill()
            else:
                await until(keyd, hosts, id, lambda shown, step=step: bool(shown["phase"] == step))  # type: ignore[misc]  # bound now
                await process.kill()
            await process.start()
            done = await until(keyd, hosts, id, over)
            assert (done["phase"], [part["left"] for part in done["relays"]]) == ("done", [""] * 3), process.log()

            async def kept() -> bool:
                for host in hosts:
                    await host.step()
                held = {host.agent.id: host.agent.state.identity().mesh.public().base64 for host in hosts}
                return {relay: key for relay, (key, _) in (await mesh_keys(hosts)).items()} == held

            await eventually(kept)
            assert not {key for key, _ in before.values()} & {key for key, _ in (await mesh_keys(hosts)).values()}
            assert [host.agent.state.identity().next_mesh_key for host in hosts] == [""] * 3
