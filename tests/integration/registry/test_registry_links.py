"""Links of a network beyond the full mesh, on a real Postgres and a real NATS: chosen, published, told, moved."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest_asyncio
from altnet.common.bus.connect import BusSettings
from altnet.common.bus.jwt import BusIdentity
from altnet.common.clock import SystemClock
from altnet.common.contracts.agent import LinkStatus
from altnet.common.contracts.registry import LinksChanged
from altnet.common.db.engine import Database
from altnet.common.db.settings import DatabaseSettings
from altnet.registry.domain.latency import pair_of
from altnet.registry.domain.linkindex import link_id
from altnet.registry.domain.planner import plan
from altnet.registry.domain.world import World
from altnet.registry.store import worlds
from altnet.registry.store.changes import record
from altnet.registry.store.links import forget_latencies, load_latencies, write_latencies, write_links
from integration.registry.running import FAST, Relay, RunningRegistry, eventually, running

BOUND = 4
SPARSE = FAST | {
    "ALTNET_REGISTRY_PLANNING__FULL_MESH_UP_TO": str(BOUND),
    "ALTNET_REGISTRY_LINKS__SETTLE": "0.02",
    "ALTNET_REGISTRY_LINKS__FLUSH_LATENCIES": "0.1",
    "ALTNET_REGISTRY_LINKS__REVIEW_EVERY": "0.3",
}


@pytest_asyncio.fixture
async def sparse(
    registry_database: DatabaseSettings, bus_settings: BusSettings, bus_identity: BusIdentity
) -> AsyncIterator[RunningRegistry]:
    async with running(registry_database, bus_settings, bus_identity, env=SPARSE) as made:
        yield made


async def links(registry: RunningRegistry, **query: Any) -> list[dict[str, Any]]:
    """All pages."""
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        more = {"cursor": cursor} if cursor else {}
        answer = await registry.api.get("/v1/links", params={"limit": 3, **query, **more})
        assert answer.status_code == 200, answer.text
        found += answer.json()["items"]
        cursor = answer.json()["next_cursor"]
        if cursor is None:
            return found


def ends_of(link: dict[str, Any]) -> frozenset[str]:
    return frozenset((link["one"]["relay"], link["other"]["relay"]))


async def pairs(registry: RunningRegistry) -> set[frozenset[str]]:
    return {ends_of(link) for link in await links(registry)}


async def documented(relays: list[Relay]) -> set[frozenset[str]]:
    """The links in relays' documents; all of them name each from both ends."""
    found: dict[frozenset[str], int] = {}
    for relay in relays:
        document = await relay.document()
        assert document is not None
        for other in document.links or ():
            found[frozenset((relay.id, other))] = found.get(frozenset((relay.id, other)), 0) + 1
    assert set(found.values()) <= {2}
    return set(found)


async def settled(registry: RunningRegistry, relays: list[Relay]) -> None:
    """Until what is published is what is chosen, for everybody."""

    async def is_so() -> bool:
        chosen = await pairs(registry)
        named = {end for pair in chosen for end in pair}
        try:
            return bool(named == {relay.id for relay in relays} and await documented(relays) == chosen)
        except AssertionError:  # one end's document is out, the other's is on its way
            return False

    await eventually(is_so, timeout=30)


async def enrolled(registry: RunningRegistry, count: int, **more: Any) -> list[Relay]:
    token = await registry.join_token(uses=count)
    return [await registry.enrol(f"relay-{number}", token=token, **more) for number in range(count)]


async def events(registry: RunningRegistry) -> list[LinksChanged]:
    async with registry.db.raw() as sql:
        rows = await sql.fetch(
            "SELECT payload FROM registry.outbox WHERE kind = 'registry.links.changed' ORDER BY ordinal"
        )
    return [msgspec.json.decode(row["payload"], type=LinksChanged) for row in rows]


async def test_a_small_network_is_a_full_mesh_and_its_links_are_listed(sparse: RunningRegistry) -> None:
    relays = await enrolled(sparse, BOUND)
    found = await links(sparse)
    assert [(link["kind"], link["chosen_at"], link["latency"]) for link in found] == [("mesh", None, None)] * 6
    assert await pairs(sparse) == {frozenset((a.id, b.id)) for a in relays for b in relays if a is not b}
    _, document = await relays[-1].until(document=relays[-1].change)
    assert document.links is None
    assert len(await links(sparse, relay=relays[0].id)) == 3
    mine = (await sparse.api.get(f"/v1/relays/{relays[0].id}/links")).json()["items"]
    assert [link["id"] for link in mine] == [link["id"] for link in await links(sparse, relay=relays[0].id)]
    assert await events(sparse) == []


async def test_beyond_the_bound_links_are_a_change_with_an_event_that_relays_apply(sparse: RunningRegistry) -> None:
    relays = await enrolled(sparse, BOUND + 4)
    await settled(sparse, relays)
    told = await events(sparse)
    chosen = {frozenset(link.relays) for event in told for link in event.added}
    assert await pairs(sparse) <= chosen
    assert all(link["why"] and link["chosen_at"] for link in await links(sparse))
    change = (await sparse.api.get(f"/v1/changes/{told[-1].change}")).json()
    assert change["kind"] == "registry.links.changed"
    for relay in relays:
        await relay.acknowledge()
    assert (await sparse.applied(told[-1].change))["complete"] is True


async def test_what_is_published_is_what_a_plan_from_postgres_alone_would_be(sparse: RunningRegistry) -> None:
    relays = await enrolled(sparse, BOUND + 3)
    await settled(sparse, relays)
    loaded = await worlds.load_all(sparse.db)
    world = World(full_mesh_up_to=BOUND, items=[item for item in loaded.items.values() if item is not None])
    for identifier, planned in plan(world).documents.items():
        relay = next(one for one in relays if one.id == identifier)
        document = await relay.document()
        assert document is not None
        assert document.links == planned.document().links


async def test_a_draining_relay_hangs_on_two_and_a_revoked_one_is_replaced(sparse: RunningRegistry) -> None:
    relays = await enrolled(sparse, BOUND + 5)
    await settled(sparse, relays)
    answer = await sparse.api.patch(f"/v1/relays/{relays[0].id}", json={"state": "draining"}, headers={"If-Match": "*"})
    assert answer.status_code == 200, answer.text

    async def is_drained() -> bool:
        return [link["kind"] for link in await links(sparse, relay=relays[0].id)] == ["drained"] * 2

    await eventually(is_drained)
    gone = relays.pop(1)
    assert (await sparse.api.delete(f"/v1/relays/{gone.id}", headers={"If-Match": "*"})).status_code == 200
    assert not any(gone.id in pair for pair in await pairs(sparse))
    await settled(sparse, relays)


async def test_latencies_are_kept_and_a_link_moves_only_for_a_large_gain(sparse: RunningRegistry) -> None:
    relays = await enrolled(sparse, BOUND + 6)
    await settled(sparse, relays)
    slow = next(link for link in await links(sparse) if link["kind"] == "near")

    async def report(relay: Relay) -> None:
        document = await relay.document()
        assert document is not None
        rtt = {other: 0.3 if {relay.id, other} == ends_of(slow) else 0.01 for other in document.links or ()}
        await relay.beat(links=tuple(LinkStatus(neighbour=other, up=True, rtt=value) for other, value in rtt.items()))

    async def has_moved() -> bool:
        for relay in relays:
            await report(relay)
        return slow["id"] not in {link["id"] for link in await links(sparse)}

    async def is_measured() -> bool:
        for relay in relays:
            await report(relay)
        return all(link["latency"] is not None for link in await links(sparse))

    await eventually(has_moved)
    await eventually(is_measured)
    await settled(sparse, relays)
    told = await events(sparse)
    assert {event.reason for event in told} == {"relays", "latencies"}
    assert all(event.removed_count <= 4 for event in told if event.reason == "latencies")


async def test_chosen_links_survive_a_registry_that_starts_anew_and_a_small_network_lets_go_of_them(
    registry_database: DatabaseSettings, bus_settings: BusSettings, bus_identity: BusIdentity
) -> None:
    async with running(registry_database, bus_settings, bus_identity, env=SPARSE) as first:
        relays = await enrolled(first, BOUND + 2)
        await settled(first, relays)
        chosen, told = await pairs(first), len(await events(first))
    async with running(registry_database, bus_settings, bus_identity, env=SPARSE) as second:
        for relay in relays:
            relay.registry, relay.bus = second, None
        assert await pairs(second) == chosen
        assert len(await events(second)) == told
        while len(relays) > BOUND - 1:
            gone = relays.pop()
            assert (await second.api.delete(f"/v1/relays/{gone.id}", headers={"If-Match": "*"})).status_code == 200

        async def is_full() -> bool:
            return {link["kind"] for link in await links(second)} == {"mesh"}

        await eventually(is_full)

        async def nobody_spells_links_out() -> bool:
            documents = [await relay.document() for relay in relays]
            return all(document is not None and document.links is None for document in documents)

        await eventually(nobody_spells_links_out)


async def test_latencies_of_revoked_relays_and_of_pairs_without_a_link_are_forgotten(
    registry_database: DatabaseSettings, bus_settings: BusSettings, bus_identity: BusIdentity
) -> None:
    calm = SPARSE | {"ALTNET_REGISTRY_LINKS__REVIEW_EVERY": "3600"}  # or the leader forgets them before we do
    async with running(registry_database, bus_settings, bus_identity, env=calm) as sparse:
        await check_forgetting(sparse)


async def check_forgetting(sparse: RunningRegistry) -> None:
    relays = await enrolled(sparse, BOUND + 8)
    await settled(sparse, relays)
    linked = await pairs(sparse)
    every = [pair_of(one.id, other.id) for at, one in enumerate(relays) for other in relays[at + 1 :]]
    now = datetime.now(UTC)
    await write_latencies(sparse.db, dict.fromkeys(every, 10.0), at=now - timedelta(days=40))
    without = {pair for pair in every if frozenset(pair) not in linked}
    assert without
    gone = await forget_latencies(sparse.db, before=now - timedelta(days=30))
    assert set(gone) == without
    assert set(await load_latencies(sparse.db)) == set(every) - without
    revoked = relays[0].id
    assert (await sparse.api.delete(f"/v1/relays/{revoked}", headers={"If-Match": "*"})).status_code == 200
    assert not any(revoked in pair for pair in await load_latencies(sparse.db))
    await forget_latencies(sparse.db, before=now - timedelta(days=100))
    async with sparse.db.raw() as sql:
        assert await sql.fetchval("SELECT count(*) FROM registry.latencies WHERE $1 IN (one, other)", revoked) == 0


async def test_a_choice_whose_leader_died_before_it_was_planned_is_taken_up_by_the_next(
    registry_database: DatabaseSettings, bus_settings: BusSettings, bus_identity: BusIdentity
) -> None:
    async with running(registry_database, bus_settings, bus_identity, env=SPARSE) as first:
        relays = await enrolled(first, BOUND + 5)
        await settled(first, relays)
        link = (await links(first))[0]
    pair = pair_of(*ends_of(link))
    async with (
        Database(registry_database, schema="registry", clock=SystemClock()) as database,
        database.transaction(actor="registry") as uow,
    ):
        await write_links(uow, network=relays[0].network, removed=[pair], put={})
        change = await record(
            uow,
            lambda number: LinksChanged(
                network=relays[0].network, reason="relays", added=(), removed=(), added_count=0, removed_count=1,
                change=number,
            ),
            touched=[("link", link_id(pair))],
            summary="the last words of a leader",
            network=relays[0].network,
        )  # fmt: skip
    async with running(registry_database, bus_settings, bus_identity, env=SPARSE) as second:
        for relay in relays:
            relay.registry, relay.bus = second, None
        await settled(second, relays)
        assert (await second.api.get(f"/v1/changes/{change}")).json()["planned"] is True
