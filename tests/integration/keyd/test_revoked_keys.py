"""A key that a relay has is revoked at the registry: what keyd makes of it. Real Postgres and NATS, hosts on paper."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest
from altnet.common.errors import AltnetError
from altnet.common.keys import PrivateKey
from integration.keyd.running import RunningKeyd, meet, with_identity
from integration.keyd.test_key_rotation import Paper, rotating, until
from integration.registry.running import RunningRegistry, eventually

__all__ = ["rotating"]

pytestmark = [pytest.mark.server]


async def revoke(registry: RunningRegistry, key: str) -> dict[str, Any]:
    answer = await registry.api.post("/v1/revocations", json={"key": key, "reason": "leaked"})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def rotations(keyd: RunningKeyd) -> list[dict[str, Any]]:
    return list((await keyd.api.get("/v1/rotations")).json()["items"])


async def test_a_mesh_key_that_is_revoked_is_rotated_away_without_anybody_asking(
    registry: RunningRegistry, rotating: tuple[RunningKeyd, list[Paper]]
) -> None:
    keyd, hosts = rotating
    leaked = hosts[0].agent.state.identity().mesh.public().base64
    told = await revoke(registry, leaked)
    assert told["still_in_use"]
    found: list[dict[str, Any]] = []

    async def rotated() -> bool:
        for host in hosts:
            await host.step()
        found[:] = await rotations(keyd)
        return bool(found) and found[0]["ended_at"] is not None

    await eventually(rotated, timeout=40)
    assert (found[0]["phase"], found[0]["reason"]) == ("done", "a key was revoked")

    async def gone() -> bool:
        for host in hosts:
            await host.step()
        mesh = await hosts[1].agent.relay.mesh()
        shown = (await registry.api.get(f"/v1/revocations/{told['id']}")).json()
        return mesh is not None and leaked not in {one.key for one in mesh.relays} and not shown["still_in_use"]

    await eventually(gone)
    assert len(await rotations(keyd)) == 1, "what is paid is not owed any more"


async def test_a_revoked_mesh_key_of_a_relay_that_says_nothing_is_owed_until_it_has_another_or_is_put_out(
    registry: RunningRegistry, rotating: tuple[RunningKeyd, list[Paper]]
) -> None:
    keyd, hosts = rotating
    plan = {"canary": 1, "wave": 4, "drain": 0, "prepare_timeout": 3, "wave_timeout": 5, "silent": "leave"}
    network = hosts[0].agent.relay.network
    policy = await keyd.api.put(f"/v1/rotation-policies/{network}", json={"plan": plan})
    assert policy.status_code == 200, policy.text
    hosts[0].silent = True
    told = await revoke(registry, hosts[0].agent.state.identity().mesh.public().base64)

    async def left() -> bool:
        for host in hosts:
            await host.step()
        found = await rotations(keyd)
        return bool(found) and found[0]["ended_at"] is not None

    await eventually(left, timeout=40)
    (one,) = await rotations(keyd)
    assert [part["left"] for part in one["relays"] if part["relay"] == hosts[0].agent.id] == ["no_key_in_time"]
    assert (await registry.api.get(f"/v1/revocations/{told['id']}")).json()["still_in_use"]
    async with keyd.db.dedicated() as sql:
        assert await sql.fetchval("SELECT relay FROM keyd.key_debts") == hosts[0].agent.id
        await sql.execute("UPDATE keyd.key_debts SET due_at = now()")  # a minute later

    hosts[0].silent = False

    async def again() -> bool:
        for host in hosts:
            await host.step()
        found = await rotations(keyd)
        return len(found) == 2 and found[1]["ended_at"] is not None

    await eventually(again, timeout=40)
    assert (await rotations(keyd))[1]["phase"] == "done"
    async with keyd.db.dedicated() as sql:
        assert await sql.fetchval("SELECT count(*) FROM keyd.key_debts") == 0


async def test_an_identity_key_that_is_revoked_proves_nothing_until_the_host_shows_another_and_an_owner_approves(
    registry: RunningRegistry, rotating: tuple[RunningKeyd, list[Paper]]
) -> None:
    keyd, hosts = rotating
    agent = hosts[0].agent
    leaked = agent.state.identity().sealed_for.public().base64
    await revoke(registry, leaked)
    shown = await keyd.until(agent.id, "pending")
    assert (shown["reason"], shown["signing_key"] or None) == ("key_revoked", None)

    standing = await meet(agent.again())
    assert (standing.state, standing.reason) == ("pending", "key_revoked"), "the old key came to something"
    refused = await keyd.api.post(f"/v1/identities/{agent.id}/approve", json={"fingerprint": shown["fingerprint"]})
    assert (refused.status_code, refused.json()["code"]) == (409, "key_revoked")

    fresh = PrivateKey.generate()
    identity = msgspec.structs.replace(agent.state.identity(), identity_key=_text(fresh))
    answer = await agent.relay.host.ask(
        registry.anonymous, await registry.join_token(), identity_key=fresh.public().base64
    )
    assert answer.status_code == 200, answer.text
    renewed = with_identity(agent, identity)

    async def changed() -> bool:
        return (await keyd.identity(agent.id))["reason"] == "identity_key_changed"

    await eventually(changed)
    standing = await meet(renewed)
    assert (standing.state, standing.reason) == ("pending", "identity_key_changed")
    shown = await keyd.identity(agent.id)
    approved = await keyd.api.post(f"/v1/identities/{agent.id}/approve", json={"fingerprint": shown["fingerprint"]})
    assert approved.status_code == 200, approved.text
    assert approved.json()["state"] == "active"
    history = (await keyd.api.get(f"/v1/identities/{agent.id}")).json()["history"]
    assert [one["key"] for one in history if one["use"] == "static"][::-1][:2] == [leaked, fresh.public().base64]
    with pytest.raises(AltnetError) as refusal:
        await agent.again().contact.meet()
    assert refusal.value.code in ("noise_refused", "noise_unknown_static")


def _text(key: PrivateKey) -> str:
    return base64.b64encode(key.reveal()).decode()


async def test_a_rotation_that_was_open_before_the_revocation_does_not_count(
    registry: RunningRegistry, rotating: tuple[RunningKeyd, list[Paper]]
) -> None:
    keyd, hosts = rotating
    started = await keyd.api.post("/v1/rotations", json={"plan": {"canary": 1, "wave": 4, "drain": 0}})
    id = started.json()["id"]
    await until(keyd, hosts, id, lambda shown: any(part["stage"] == "ready" for part in shown["relays"]))
    on_the_way = hosts[0].agent.state.identity().next_mesh
    assert on_the_way is not None
    await revoke(registry, on_the_way.public().base64)

    async def over() -> bool:
        for host in hosts:
            await host.step()
        found = await rotations(keyd)
        return len(found) >= 2 and all(one["ended_at"] for one in found)

    await eventually(over, timeout=40)
    mesh = await hosts[1].agent.relay.mesh()
    assert mesh is not None
    assert on_the_way.public().base64 not in {one.key for one in mesh.relays}
