"""Rotations of clients' keys over a real Postgres and a real NATS: keyd, the registry, and clients on paper."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from altnet.common.bus.connect import BusSettings
from altnet.common.bus.identity import BusIdentity
from altnet.common.db.engine import DatabaseSettings
from integration.keyd.running import FAST, RunningKeyd, enrol_agent, meet, running_keyd
from integration.registry.paper_clients import PaperClient, events_of, paper_client
from integration.registry.running import FAST as REGISTRY_FAST
from integration.registry.running import Relay, RunningRegistry, eventually, running
from support.postgres import DatabaseFactory

pytestmark = [pytest.mark.server]

ENV = {**FAST, "ALTNET_KEYD_ROTATIONS__TICK": "0.05", "ALTNET_KEYD_ROTATIONS__IDLE": "0.1"}
PLAN = {"canary": 1, "wave": 2, "wave_timeout": 600, "grace": 86_400}
REGISTRY = Path(__file__).parents[3] / "services/registry/alembic"


@dataclass
class Crowd:
    """Clients at one relay. `away`, `deaf` (they announce, and no handshake comes) and the others, which follow."""

    relay: Relay
    clients: list[PaperClient]
    away: set[str] = field(default_factory=set)
    deaf: set[str] = field(default_factory=set)
    waits: set[str] = field(default_factory=set)
    """They are there and have not got to it yet."""
    most: int = 0
    """Most that were under way at a time."""

    async def step(self) -> None:
        there = [one for one in self.clients if one.id not in self.away]
        await self.relay.beat(clients=[one.here() for one in there])
        shown = {one.id: await one.shown() for one in self.clients}
        self.most = max(self.most, sum(bool(one["key_wished"]) for one in shown.values()))
        for one in there:
            if one.id in self.waits or not shown[one.id]["key_wished"]:
                continue
            if not shown[one.id]["next_key"]:
                if (wish := (await one.configuration())["wish"]) is not None:  # it may be dropped meanwhile
                    await one.ask("PUT", "/next-key", one.answer_to(wish))
            elif one.id not in self.deaf:
                await one.keep()

    def changed(self) -> set[str]:
        """Those that go by another key, as they know it."""
        return {one.id for one in self.clients if one.key != self.began[one.id]}

    def __post_init__(self) -> None:
        self.began = {one.id: one.key for one in self.clients}


@dataclass
class Place:
    keyd: RunningKeyd
    registry: RunningRegistry
    relay: Relay

    async def crowd(self, count: int, *, plain: int = 0) -> Crowd:
        made = [await paper_client(self.registry, f"laptop-{number}") for number in range(count)]
        files = [await paper_client(self.registry, f"phone-{number}", movable=False) for number in range(plain)]
        return Crowd(self.relay, sorted(made, key=lambda one: one.id) + files)

    async def start(self, **plan: Any) -> str:
        body = {"kind": "client", "plan": {**PLAN, **plan}}
        answer = await self.keyd.api.post("/v1/rotations", json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def show(self, id: str) -> dict[str, Any]:
        return dict((await self.keyd.api.get(f"/v1/rotations/{id}")).json())

    async def until(self, crowd: Crowd, id: str, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Let the clients live until the rotation is so."""
        found: list[dict[str, Any]] = []

        async def there() -> bool:
            await crowd.step()
            found[:] = [await self.show(id)]
            return condition(found[0])

        await eventually(there, timeout=60)
        return found[0]

    async def time_is_up(self, crowd: Crowd, id: str, **counts: int) -> dict[str, Any]:
        """Once the clients are so far, a wave's time is over for those that are under way; the rotation, then."""
        await self.until(crowd, id, lambda shown: counts.items() <= shown["clients"].items())
        async with self.keyd.db.raw() as sql:
            await sql.execute(
                "UPDATE keyd.rotations SET plan = plan || '{\"wave_timeout\": 0.001}'::jsonb WHERE id = $1", id
            )
        return await self.until(crowd, id, lambda shown: over(shown) or bool(shown["clients"]["late"]))

    async def told(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in await self.keyd.events() if event["kind"] == f"keyd.rotation.{kind}"]


def over(shown: dict[str, Any]) -> bool:
    return shown["ended_at"] is not None


@pytest_asyncio.fixture
async def place(
    database_factory: DatabaseFactory,
    keyd_database: DatabaseSettings,
    bus_settings: BusSettings,
    bus_identity: BusIdentity,
) -> AsyncIterator[Place]:
    env = {**REGISTRY_FAST, "ALTNET_REGISTRY_HOUSEKEEPING__EVERY": "0.2"}
    async with (
        running(database_factory("registry", REGISTRY), bus_settings, bus_identity, env=env) as registry,
        running_keyd(keyd_database, bus_settings, bus_identity, env=ENV) as keyd,
    ):
        agent = await enrol_agent(registry, "alpha")
        await meet(agent)
        await keyd.until(agent.id, "active")
        yield Place(keyd, registry, agent.relay)


async def test_a_canary_changes_over_alone_and_the_others_a_wave_at_a_time(place: Place) -> None:
    crowd = await place.crowd(6)
    crowd.waits = {one.id for one in crowd.clients}
    id = await place.start()

    await place.until(crowd, id, lambda shown: bool(shown["clients"].get("under_way") == 1))
    canary = crowd.clients[0].id
    await crowd.step()
    assert (crowd.most, (await place.show(id))["phase"]) == (1, "prepare")
    crowd.waits.remove(canary)
    await place.until(crowd, id, lambda shown: bool(shown["clients"].get("under_way") == 2))
    assert crowd.changed() == {canary}
    crowd.waits.clear()
    done = await place.until(crowd, id, over)

    assert (done["phase"], done["clients"]["done"], done["clients"]["changed"], done["blamed"]) == ("done", 6, 6, [])
    assert crowd.changed() == {one.id for one in crowd.clients}
    assert crowd.most <= PLAN["wave"]
    advanced = [(one["phase"], one["wave"]) for one in await place.told("advanced")]
    assert advanced == [("connect", 1)]


async def test_a_canary_that_is_there_and_does_not_come_ends_it_with_the_keys_of_before(place: Place) -> None:
    crowd = await place.crowd(4)
    crowd.deaf = {crowd.clients[0].id}
    id = await place.start()

    await place.time_is_up(crowd, id, announced=1)

    back = await place.until(crowd, id, over)
    assert (back["phase"], back["ended"], back["blamed"]) == ("rolled_back", "no_handshake", list(crowd.deaf))
    assert (crowd.changed(), crowd.most) == (set(), 1), "nobody else was asked"
    await nobody_is_asked(crowd)
    (event,) = await place.told("rolled_back")
    assert (event["why"], event["clients"]) == ("no_handshake", list(crowd.deaf))


async def nobody_is_asked(crowd: Crowd) -> None:
    """And each goes by the key that it knows."""
    for one in crowd.clients:
        shown = await one.shown()
        assert (shown["key"], shown["next_key"], shown["key_wished"]) == (one.key, "", False)


async def test_too_many_late_ones_end_it_and_who_has_changed_over_keeps_the_new_key(place: Place) -> None:
    crowd = await place.crowd(5)
    crowd.deaf = {one.id for one in crowd.clients[2:]}
    id = await place.start()

    await place.time_is_up(crowd, id, changed=2, announced=2)

    back = await place.until(crowd, id, over)
    assert (back["phase"], back["ended"]) == ("rolled_back", "no_handshake")
    assert back["blamed"] == [one.id for one in crowd.clients[2:4]]
    assert crowd.changed() == {one.id for one in crowd.clients[:2]}
    await nobody_is_asked(crowd)


async def test_a_late_one_ends_it_where_the_plan_says_so(place: Place) -> None:
    crowd = await place.crowd(5)
    crowd.deaf = {crowd.clients[4].id}
    id = await place.start(silent="roll_back")

    await place.time_is_up(crowd, id, changed=4, announced=1)

    back = await place.until(crowd, id, over)
    assert (back["phase"], back["blamed"]) == ("rolled_back", list(crowd.deaf))


async def test_a_late_one_among_many_is_left_behind_at_the_date_with_its_key_and_named(place: Place) -> None:
    crowd = await place.crowd(5)
    late = crowd.clients[4]
    crowd.deaf = {late.id}
    id = await place.start()

    goes_on = await place.time_is_up(crowd, id, changed=4, announced=1)
    assert goes_on["phase"] == "connect"
    await the_date_is_there(place, id)

    done = await place.until(crowd, id, over)
    assert (done["phase"], done["blamed"]) == ("done", [late.id])

    async def left() -> bool:
        return not (await late.shown())["key_wished"]

    await eventually(left)
    assert (await late.shown())["key"] == late.key
    (event,) = await events_of(place.registry, "registry.client.key_left")
    assert (event["client"], event["why"], event["rotation"]) == (late.id, "no_handshake", id)
    (completed,) = await place.told("completed")
    assert (completed["relays"], completed["left"]) == (4, 1)


async def the_date_is_there(place: Place, id: str) -> None:
    """Its latest date is now, for keyd and for each client that was asked."""
    async with place.keyd.db.raw() as sql:
        await sql.execute("UPDATE keyd.rotations SET until = now() WHERE id = $1", id)
    async with place.registry.db.raw() as sql:
        await sql.execute("UPDATE registry.clients SET key_until = now() WHERE key_until IS NOT NULL")


async def test_who_is_away_holds_nobody_up_and_is_asked_when_it_is_there(place: Place) -> None:
    crowd = await place.crowd(4)
    crowd.away = {crowd.clients[0].id, crowd.clients[3].id}
    id = await place.start()
    await place.until(crowd, id, lambda shown: bool(shown["clients"].get("changed") == 2))
    shown = await place.show(id)
    assert (shown["phase"], shown["clients"]["following"], shown["clients"]["late"]) == ("connect", 2, 0)
    crowd.away.clear()
    done = await place.until(crowd, id, over)
    assert (done["phase"], done["clients"]["done"]) == ("done", 4)


async def test_plain_files_are_no_canary_and_hold_nobody_up_and_keep_their_key_without_an_operator(
    place: Place,
) -> None:
    crowd = await place.crowd(2, plain=2)
    quiet, announced = crowd.clients[2:]
    crowd.waits = {quiet.id, announced.id}
    id = await place.start()
    await place.until(crowd, id, lambda shown: bool(shown["clients"].get("changed") == 2))
    answer = await place.registry.api.post(f"/v1/clients/{announced.id}/key-change", json={"key": announced.next_key})
    assert answer.status_code == 200, answer.text
    await the_date_is_there(place, id)
    done = await place.until(crowd, id, over)
    assert (done["phase"], done["clients"]["late"]) == ("done", 0)

    async def ended() -> bool:
        return not any([(await one.shown())["key_wished"] for one in (quiet, announced)])

    await eventually(ended)
    assert (await quiet.shown())["key"] == quiet.key
    assert (await announced.shown())["key"] == announced.next_key
    (event,) = await events_of(place.registry, "registry.client.key_left")
    assert (event["client"], event["why"]) == (quiet.id, "no_answer")


async def test_one_that_is_rolled_back_by_hand_asks_nobody_any_more_and_a_paused_one_waits(place: Place) -> None:
    crowd = await place.crowd(3)
    crowd.waits = {one.id for one in crowd.clients}
    id = await place.start()
    await place.until(crowd, id, lambda shown: bool(shown["clients"].get("under_way") == 1))
    assert (await place.keyd.api.post(f"/v1/rotations/{id}/pause")).status_code == 200
    crowd.waits.clear()
    for _ in range(10):
        await crowd.step()
    assert len(crowd.changed()) == 1, "the one that was asked goes on, and nobody is asked meanwhile"
    assert (await place.keyd.api.post(f"/v1/rotations/{id}/resume")).status_code == 200
    crowd.waits = {one.id for one in crowd.clients}
    await place.until(crowd, id, lambda shown: bool(shown["clients"].get("under_way") == 2))

    assert (await place.keyd.api.post(f"/v1/rotations/{id}/rollback")).status_code == 200

    back = await place.until(crowd, id, over)
    assert (back["phase"], back["ended"], back["blamed"]) == ("rolled_back", "asked", [])
    assert not any([(await one.shown())["key_wished"] for one in crowd.clients])
    assert len(crowd.changed()) == 1


async def test_keyd_may_die_in_between_and_the_next_one_asks_nobody_twice(
    place: Place, keyd_database: DatabaseSettings, bus_settings: BusSettings, bus_identity: BusIdentity
) -> None:
    crowd = await place.crowd(4)
    place.keyd.jobs.cancel()
    await asyncio.wait([place.keyd.jobs])
    id = await place.start()
    for _life in range(50):
        async with running_keyd(keyd_database, bus_settings, bus_identity, env=ENV) as keyd:
            place.keyd = keyd
            before = await place.show(id)
            if over(before):
                break
            with contextlib.suppress(TimeoutError):
                await place.until(crowd, id, moved_from(before))
    else:
        raise AssertionError("it does not end")
    assert (before["phase"], before["clients"]["done"]) == ("done", 4)
    assert crowd.most <= PLAN["wave"]
    wished = await events_of(place.registry, "registry.client_keys.wished")
    asked: Sequence[str] = [client for event in wished for client in event["clients"]]
    assert sorted(asked) == sorted(one.id for one in crowd.clients)
    assert [event["number"] > 0 for event in wished] == [True] * len(wished)


def moved_from(before: dict[str, Any]) -> Callable[[dict[str, Any]], bool]:
    return lambda shown: bool((shown["phase"], shown["clients"]) != (before["phase"], before["clients"]))
