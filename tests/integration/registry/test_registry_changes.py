"""Receipts: what is applied where, how fast, and who is behind and why."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from altnet.common.bus.connect import BusSettings
from altnet.common.bus.jwt import BusIdentity
from altnet.common.contracts.agent import HostStatus, LinkStatus
from altnet.common.db.settings import DatabaseSettings
from altnet.common.keys import PrivateKey
from altnet.registry.api.changes import _follow
from altnet.registry.store.progress import receipts_since
from integration.registry.running import FAST, RunningRegistry, eventually, running


async def test_a_change_is_complete_when_every_relay_has_said_so(registry: RunningRegistry) -> None:
    one, two = await registry.enrol("one"), await registry.enrol("two")
    await two.until(mesh=two.change, document=two.change)
    await one.acknowledge()
    half = await registry.applied(two.change, timeout=0.3)
    assert (half["concerned"], half["applied"], half["complete"], half["behind_count"]) == (2, 1, False, 1)
    assert half["behind"][0]["name"] == "two"
    assert {reason["code"] for reason in half["behind"][0]["reasons"]} == {"never_heard", "nothing_applied"}
    await two.acknowledge()
    whole = await registry.applied(two.change)
    assert (whole["applied"], whole["complete"], whole["behind"]) == (2, True, [])
    assert 0 <= whole["p50"] <= whole["p99"] < 30


async def test_a_wait_ends_as_soon_as_the_last_relay_has_it(registry: RunningRegistry) -> None:
    relay = await registry.enrol("one")
    await relay.until(mesh=relay.change, document=relay.change)
    waiting = asyncio.create_task(registry.applied(relay.change, timeout=20))
    await asyncio.sleep(0)
    await relay.acknowledge()
    async with asyncio.timeout(10):
        assert (await waiting)["complete"] is True


async def test_a_relay_that_applied_something_else_is_behind_and_told_why(registry: RunningRegistry) -> None:
    relay = await registry.enrol("one")
    await relay.until(mesh=relay.change, document=relay.change)
    await relay.acknowledge(mesh_digest_text="f" * 64)

    async def row_of_mesh() -> dict[str, Any]:
        return dict((await registry.api.get("/v1/mesh")).json()["items"][0])

    async def is_written() -> bool:
        return bool((await row_of_mesh())["applied_mesh"]["digest"] == "f" * 64)

    async def nobody_differs() -> bool:
        return not (await registry.api.get("/v1/mesh", params={"differs": True})).json()["items"]

    await eventually(is_written)
    row = await row_of_mesh()
    assert row["in_sync"] is False
    assert "digest_differs" in {reason["code"] for reason in row["reasons"]}
    assert len((await registry.api.get("/v1/mesh", params={"differs": True})).json()["items"]) == 1
    await relay.acknowledge()
    assert (await registry.applied(relay.change))["complete"] is True
    await eventually(nobody_differs)
    assert (await registry.api.get("/v1/mesh")).json()["items"][0]["in_sync"] is True


async def test_changes_are_numbered_without_gaps_even_when_they_come_at_once(registry: RunningRegistry) -> None:
    await registry.enrol("one")
    keys = [PrivateKey.generate().public().base64 for _ in range(12)]
    answers = await asyncio.gather(
        *(registry.api.post("/v1/clients", json={"name": f"c{n}", "key": key}) for n, key in enumerate(keys)),
        *(registry.api.post("/v1/clients", json={"name": f"c{n}", "key": "bad"}) for n in range(6)),
    )
    numbers = sorted(answer.json()["change"] for answer in answers if answer.status_code == 201)
    assert numbers == list(range(numbers[0], numbers[0] + 12))
    listed = [item["number"] for item in (await registry.api.get("/v1/changes")).json()["items"]]
    assert listed == list(range(numbers[-1], 0, -1))


async def test_the_stream_tells_of_changes_and_goes_on_behind_the_last_seen(registry: RunningRegistry) -> None:
    relay = await registry.enrol("one")
    await relay.until(mesh=relay.change, document=relay.change)
    async with asyncio.timeout(10):
        events = _follow(registry.app.state.registry, relay.change - 1)
        accepted = await anext(events)
        assert (accepted.event, accepted.id) == ("accepted", str(relay.change))
        await relay.acknowledge()
        applied = await anext(events)
        assert (applied.event, applied.id) == ("applied", None)
        assert json.loads(applied.data)["number"] == relay.change
        await events.aclose()  # type: ignore[attr-defined]  # an async generator, declared as an iterator


async def test_receipts_survive_a_registry_that_starts_anew(
    registry_database: DatabaseSettings, bus_settings: BusSettings, bus_identity: BusIdentity
) -> None:
    async with running(registry_database, bus_settings, bus_identity) as first:
        one, two = await first.enrol("one"), await first.enrol("two")
        await two.until(mesh=two.change, document=two.change)
        await one.acknowledge()

        async def is_written() -> bool:
            said = await receipts_since(first.db, two.change)
            return one.id in said.applied(two.change, {one.id: (True, False)})

        await eventually(is_written)
    async with running(registry_database, bus_settings, bus_identity) as second:
        half = await second.applied(two.change, timeout=0)
        assert (half["concerned"], half["applied"]) == (2, 1)
        two.registry, two.bus = second, None
        await two.acknowledge()
        assert (await second.applied(two.change))["complete"] is True


async def test_a_replica_that_does_not_lead_answers_from_postgres(
    registry: RunningRegistry, registry_database: DatabaseSettings, bus_settings: BusSettings, bus_identity: BusIdentity
) -> None:
    async with running(registry_database, bus_settings, bus_identity, wait=False) as second:
        one, two = await registry.enrol("one"), await registry.enrol("two")
        await two.until(mesh=two.change, document=two.change)
        await one.acknowledge()
        assert not second.app.state.registry.convergence.leading

        async def one_has_it() -> bool:
            return bool((await second.applied(two.change, timeout=0))["applied"] == 1)

        await eventually(one_has_it)
        half = await second.applied(two.change, timeout=0)
        assert (half["concerned"], half["behind"][0]["name"]) == (2, "two")
        waiting = asyncio.create_task(second.applied(two.change, timeout=20))
        await two.acknowledge()
        assert (await waiting)["complete"] is True


async def test_a_relay_is_up_by_its_heartbeats_and_its_last_ones_are_kept(registry: RunningRegistry) -> None:
    relay = await registry.enrol("one")
    listed = (await registry.api.get(f"/v1/relays/{relay.id}")).json()
    assert (listed["health"], listed["last_seen"]) == ("new", None)
    await relay.until(document=relay.change)
    link = LinkStatus(neighbour="rly_x", up=True, rtt=0.02, loss=0.0)
    for _ in range(3):
        await relay.beat(links=(link,), host=HostStatus(load=0.5))

    async def is_up() -> bool:
        now = (await registry.api.get(f"/v1/relays/{relay.id}")).json()
        return bool(now["health"] == "up" and now["load"] == 0.5)

    await eventually(is_up)
    samples = (await registry.api.get(f"/v1/relays/{relay.id}/metrics")).json()["samples"]
    assert [sample["number"] for sample in samples] == [0, 1, 2]
    assert samples[0]["links"][0]["rtt"] == 0.02
    async with registry.db.raw() as sql:
        kinds = await sql.fetch("SELECT kind FROM registry.outbox WHERE subject_id = $1 ORDER BY ordinal", relay.id)
    assert [row["kind"] for row in kinds] == ["registry.relay.registered", "registry.relay.health_changed"]
    metrics = (await registry.anonymous.get("/metrics")).text
    assert 'altnet_registry_relays{health="up"} 1.0' in metrics
    assert relay.id not in metrics


async def test_each_relay_and_link_is_on_metrics_where_that_is_wanted(
    registry_database: DatabaseSettings, bus_settings: BusSettings, bus_identity: BusIdentity
) -> None:
    env = {**FAST, "ALTNET_REGISTRY_METRICS__DETAILED": "true"}
    async with running(registry_database, bus_settings, bus_identity, env=env) as registry:
        relay = await registry.enrol("one")
        await relay.beat(links=(LinkStatus(neighbour="rly_x", up=True, rtt=0.02),), host=HostStatus(load=0.5))

        async def is_there() -> bool:
            text = (await registry.anonymous.get("/metrics")).text
            return (
                f'altnet_registry_relay_load{{relay="{relay.id}"}} 0.5' in text
                and f'altnet_registry_link_rtt_seconds{{neighbour="rly_x",relay="{relay.id}"}} 0.02' in text
            )

        await eventually(is_there)


async def test_a_silent_relay_is_late_then_down_and_says_so_in_receipts(registry: RunningRegistry) -> None:
    relay = await registry.enrol("one")
    await relay.until(document=relay.change)
    await relay.beat()
    pulse, clock = registry.app.state.registry.pulse, registry.app.state.registry.clock

    async def health() -> str:
        return str((await registry.api.get(f"/v1/relays/{relay.id}")).json()["health"])

    async def is_up() -> bool:
        return await health() == "up"

    async def is_down() -> bool:
        return await health() == "down"

    await eventually(is_up)
    for silence in (13.0, 25.0):
        pulse._standing[relay.id].last = clock.monotonic() - silence
        pulse.judge()
    await eventually(is_down)
    told = await registry.applied(relay.change, timeout=0)
    assert "down" in {reason["code"] for reason in told["behind"][0]["reasons"]}
