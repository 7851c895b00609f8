"""The leader moves clients that can follow, and no other, each move a change with its reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest_asyncio
from altnet.common.bus.connect import BusSettings
from altnet.common.bus.jwt import BusIdentity
from altnet.common.contracts.registry import ClientChanged
from altnet.common.db.settings import DatabaseSettings
from altnet.common.keys import PrivateKey
from integration.registry.running import FAST, Relay, RunningRegistry, eventually, running

BALANCED = FAST | {
    "ALTNET_REGISTRY_BALANCING__EVERY": "0.05",
    "ALTNET_REGISTRY_BALANCING__PATIENCE": "0",
    "ALTNET_REGISTRY_BALANCING__CLIENTS_PER_MINUTE": "6000",
}


@pytest_asyncio.fixture
async def balanced(
    registry_database: DatabaseSettings, bus_settings: BusSettings, bus_identity: BusIdentity
) -> AsyncIterator[RunningRegistry]:
    async with running(registry_database, bus_settings, bus_identity, env=BALANCED) as made:
        yield made


async def client(registry: RunningRegistry, name: str, relay: Relay, **more: Any) -> dict[str, Any]:
    body = {"name": name, "key": PrivateKey.generate().public().base64, "relay": relay.id, **more}
    answer = await registry.api.post("/v1/clients", json=body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def places(registry: RunningRegistry) -> dict[str, str | None]:
    items = (await registry.api.get("/v1/clients", params={"limit": 200})).json()["items"]
    return {item["name"]: item["relay"] for item in items}


async def test_a_drained_relay_loses_the_clients_that_can_follow_and_they_keep_their_address(
    balanced: RunningRegistry,
) -> None:
    one, two = await balanced.enrol("one"), await balanced.enrol("two")
    movable = await client(balanced, "movable", one, movable=True)
    plain = await client(balanced, "plain", one)
    assert (movable["movable"], plain["movable"]) == (True, False)
    ranking = (await balanced.api.get(f"/v1/clients/{movable['id']}/relays")).json()
    assert (ranking["current"], ranking["standby"]) == (one.id, two.id)
    answer = await balanced.api.patch(f"/v1/relays/{one.id}", json={"state": "draining"}, headers={"If-Match": "*"})
    assert answer.status_code == 200, answer.text

    async def has_moved() -> bool:
        return (await places(balanced))["movable"] == two.id

    await eventually(has_moved)
    assert (await places(balanced))["plain"] == one.id
    shown = (await balanced.api.get(f"/v1/clients/{movable['id']}")).json()
    assert (shown["address"], shown["version"]) == (movable["address"], 2)
    async with balanced.db.raw() as sql:
        rows = await sql.fetch(
            "SELECT payload, actor FROM registry.outbox WHERE kind = 'registry.client.changed' ORDER BY ordinal"
        )
    told = [msgspec.json.decode(row["payload"], type=ClientChanged) for row in rows]
    assert [(one.reason, rows[0]["actor"]) for one in told] == [("its relay is not usable: draining", "registry")]
    change = (await balanced.api.get(f"/v1/changes/{told[0].change}")).json()
    assert change["summary"] == "client movable moved: its relay is not usable: draining"


async def test_a_relay_that_joins_gets_clients_until_nobody_is_over_the_bound(balanced: RunningRegistry) -> None:
    one = await balanced.enrol("one")
    for number in range(12):
        await client(balanced, f"c{number}", one, movable=True)
    two = await balanced.enrol("two")

    async def is_even() -> bool:
        return Counter((await places(balanced)).values())[two.id] >= 4

    await eventually(is_even)
    assert Counter((await places(balanced)).values()) == {one.id: 8, two.id: 4}  # 1.25 of six, rounded up, stay


async def test_clients_of_a_revoked_relay_find_another_by_themselves(balanced: RunningRegistry) -> None:
    one, two = await balanced.enrol("one"), await balanced.enrol("two")
    await client(balanced, "movable", one, movable=True)
    assert (await balanced.api.delete(f"/v1/relays/{one.id}", headers={"If-Match": "*"})).status_code == 200

    async def has_moved() -> bool:
        return (await places(balanced))["movable"] == two.id

    await eventually(has_moved)


async def test_whether_a_client_can_follow_is_changed_like_anything_else(balanced: RunningRegistry) -> None:
    one = await balanced.enrol("one")
    made = await client(balanced, "phone", one)
    patched = await balanced.api.patch(f"/v1/clients/{made['id']}", json={"movable": True}, headers={"If-Match": '"1"'})
    assert (patched.status_code, patched.json()["movable"]) == (200, True)


async def test_without_budget_nobody_moves_and_it_grows_by_the_rate(
    registry_database: DatabaseSettings, bus_settings: BusSettings, bus_identity: BusIdentity
) -> None:
    slow = BALANCED | {"ALTNET_REGISTRY_BALANCING__CLIENTS_PER_MINUTE": "3", "ALTNET_REGISTRY_BALANCING__EVERY": "3600"}
    async with running(registry_database, bus_settings, bus_identity, env=slow) as registry:
        one, two = await registry.enrol("one"), await registry.enrol("two")
        for number in range(6):
            await client(registry, f"c{number}", one, movable=True)
        await registry.api.patch(f"/v1/relays/{one.id}", json={"state": "draining"}, headers={"If-Match": "*"})
        balancing = registry.app.state.registry.director._balancing
        assert await balancing.step() == 0
        balancing._at -= 25  # seconds pass: at three a minute one move, and a quarter of the next
        assert await balancing.step() == 1
        balancing._at -= 600  # however long it was quiet, one minute's worth is the most
        assert await balancing.step() == 3
        assert Counter((await places(registry)).values()) == {one.id: 2, two.id: 4}
