"""Revocations by the API: what is put out is gone for relays, never comes back, and is told once with who and why."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from altnet.common.http.auth import Role
from altnet.common.keys import PrivateKey
from integration.registry.running import Host, RunningRegistry, eventually

pytestmark = [pytest.mark.server]


async def revoke(registry: RunningRegistry, **what: str) -> dict[str, Any]:
    answer = await registry.api.post("/v1/revocations", json=what)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def new_client(registry: RunningRegistry, name: str, key: str, **wishes: Any) -> httpx.Response:
    return await registry.api.post("/v1/clients", json={"name": name, "key": key, **wishes})


def public() -> str:
    return PrivateKey.generate().public().base64


async def test_a_clients_key_that_is_revoked_takes_the_client_off_its_relay_and_never_comes_back(
    registry: RunningRegistry,
) -> None:
    relay = await registry.enrol("berlin-1")
    key = public()
    made = await new_client(registry, "laptop", key, relay=relay.id)
    await relay.until(document=made.json()["change"])
    told = await revoke(registry, key=key, reason="stolen")
    assert (told["kind"], told["subject"], told["use"]) == ("key", made.json()["id"], "client")
    assert (told["reason"], told["revoked_by"], told["still_in_use"]) == ("stolen", "the-owner", False)
    _, document = await relay.until(document=told["change"])
    assert document.clients == ()
    again = await new_client(registry, "laptop", key)
    assert (again.status_code, again.json()["code"]) == (409, "key_revoked")
    host = await Host("thief", key=key).ask(registry.anonymous, await registry.join_token())
    assert (host.status_code, host.json()["code"]) == (409, "key_revoked")
    assert (await revoke(registry, key=key))["id"] == told["id"], "revoked twice, told twice"


async def test_a_client_that_is_revoked_cannot_come_back_with_its_key_and_one_that_is_removed_can(
    registry: RunningRegistry,
) -> None:
    await registry.enrol("anchor")
    keys = public(), public()
    put_out, removed = [(await new_client(registry, f"phone-{n}", key)).json() for n, key in enumerate(keys)]
    await revoke(registry, client=put_out["id"])
    etag = {"If-Match": "*"}
    assert (await registry.api.delete(f"/v1/clients/{removed['id']}", headers=etag)).status_code == 200
    assert (await new_client(registry, "again-0", keys[0])).json()["code"] == "key_revoked"
    assert (await new_client(registry, "again-1", keys[1])).status_code == 201


async def test_no_key_of_a_revoked_relay_lets_anything_in_again(registry: RunningRegistry) -> None:
    await registry.enrol("anchor")
    identity = public()
    relay = await registry.enrol("berlin-1", identity_key=identity)
    told = await revoke(registry, relay=relay.id, reason="compromised")
    assert (told["subject"], told["name"], told["change"] is not None) == (relay.id, "berlin-1", True)
    for used in (relay.host.key, relay.host.access_key, identity):
        assert (await new_client(registry, "thief", used)).json()["code"] == "key_revoked"
    fresh = Host("berlin-1")
    mixed = await fresh.ask(registry.anonymous, await registry.join_token(), identity_key=identity)
    assert (mixed.status_code, mixed.json()["code"]) == (409, "key_revoked")
    assert mixed.json()["errors"][0]["pointer"] == "/identity_key"
    assert (await fresh.ask(registry.anonymous, await registry.join_token())).status_code == 201


async def test_a_relays_key_that_is_revoked_is_said_to_be_in_use_until_the_relay_has_another_one(
    registry: RunningRegistry,
) -> None:
    identity = public()
    relay = await registry.enrol("berlin-1", identity_key=identity)
    told = await revoke(registry, key=identity)
    assert (told["use"], told["subject"], told["still_in_use"]) == ("identity", relay.id, True)
    same = await relay.host.ask(registry.anonymous, await registry.join_token(), identity_key=identity)
    assert same.status_code == 200, "a renewal with the keys of now is no claim of a key"
    other = await relay.host.ask(registry.anonymous, await registry.join_token(), identity_key=public())
    assert other.status_code == 200, other.text
    shown = (await registry.api.get(f"/v1/revocations/{told['id']}")).json()
    assert not shown["still_in_use"]
    back = await relay.host.ask(registry.anonymous, await registry.join_token(), identity_key=identity)
    assert (back.status_code, back.json()["code"]) == (409, "key_revoked")


async def test_a_key_that_nobody_has_is_barred_all_the_same(registry: RunningRegistry) -> None:
    await registry.enrol("anchor")
    key = public()
    told = await revoke(registry, key=key)
    assert (told["subject"], told["use"], told["still_in_use"]) == ("", "", False)
    assert (await new_client(registry, "late", key)).json()["code"] == "key_revoked"


async def test_postgres_itself_keeps_a_revoked_key_whoever_lets_go_of_it(registry: RunningRegistry) -> None:
    await registry.enrol("anchor")
    key = public()
    made = (await new_client(registry, "laptop", key)).json()
    async with registry.db.transaction(actor="test") as uow:
        sql = await uow.driver()
        await sql.execute("INSERT INTO registry.revoked_keys VALUES ($1, now())", key)
        await sql.execute("DELETE FROM registry.keys WHERE owner = $1", made["id"])
    async with registry.db.transaction(actor="test") as uow:
        sql = await uow.driver()
        claim = "INSERT INTO registry.keys VALUES ($1, 'cli_x', 'client') ON CONFLICT DO NOTHING RETURNING 1"
        assert await sql.fetchval(claim, key) is None


async def test_a_revocation_and_a_claim_of_the_same_key_at_once_leave_nobody_with_it(
    registry: RunningRegistry,
) -> None:
    await registry.enrol("anchor")
    for number in range(8):
        key = public()
        claimed, revoked = await asyncio.gather(
            new_client(registry, f"racer-{number}", key), registry.api.post("/v1/revocations", json={"key": key})
        )
        if revoked.status_code == 503:  # it went from hand to hand at that moment, and says so
            assert revoked.json()["code"] == "key_moved"
            revoked = await registry.api.post("/v1/revocations", json={"key": key})
        assert revoked.status_code == 201, revoked.text
        assert claimed.status_code in (201, 409), claimed.text
        names = [one["name"] for one in (await registry.api.get("/v1/clients")).json()["items"]]
        assert f"racer-{number}" not in names
        assert (await new_client(registry, f"again-{number}", key)).json()["code"] == "key_revoked"


async def test_tokens_are_revoked_here_too_and_an_admin_puts_out_nobody_above(registry: RunningRegistry) -> None:
    join = (await registry.api.post("/v1/tokens/join", json={"kind": "relay"})).json()
    await revoke(registry, join_token=join["id"], reason="sent to the wrong list")
    refused = await Host("late").ask(registry.anonymous, join["secret"])
    assert (refused.status_code, refused.json()["code"]) == (403, "token_revoked")

    wish = {"name": "ci", "role": "owner", "scopes": ["*"], "expires_at": "2099-01-01T00:00:00Z"}
    token = (await registry.api.post("/v1/tokens/api", json=wish)).json()
    admin = registry.as_role(Role.ADMIN)
    above = await registry.anonymous.post("/v1/revocations", json={"api_token": token["id"]}, headers=admin)
    assert (above.status_code, above.json()["code"]) == (403, "role_too_low")
    held = {"Authorization": f"Bearer {token['secret']}"}
    access = (await registry.anonymous.post("/v1/auth/exchange", headers=held)).json()["access_token"]
    exchanged = {"Authorization": f"Bearer {access}"}
    assert (await registry.anonymous.get("/v1/revocations", headers=exchanged)).status_code == 200
    await revoke(registry, api_token=token["id"])
    for credentials in (held, exchanged):
        after = await registry.anonymous.get("/v1/revocations", headers=credentials)
        assert (after.status_code, after.json()["code"]) == (401, "token_revoked")


@pytest.mark.parametrize("body", [{}, {"key": "x" * 44, "client": "cli_x"}, {"key": "short"}])
async def test_exactly_one_thing_is_revoked_at_a_time(registry: RunningRegistry, body: dict[str, str]) -> None:
    answer = await registry.api.post("/v1/revocations", json=body)
    assert answer.status_code == 422, answer.text


async def test_what_was_revoked_is_listed_newest_first_by_page_and_by_filter_and_holds_no_secret(
    registry: RunningRegistry,
) -> None:
    join = (await registry.api.post("/v1/tokens/join", json={"kind": "relay"})).json()
    await registry.api.delete(f"/v1/tokens/join/{join['id']}")
    relay = await registry.enrol("berlin-1")
    await registry.api.delete(f"/v1/relays/{relay.id}", headers={"If-Match": "*"})
    keys = [public() for _ in range(3)]
    for key in keys:
        await revoke(registry, key=key)
    found, cursor = [], None
    while True:
        page = await registry.api.get("/v1/revocations", params={"limit": 2, **({"cursor": cursor} if cursor else {})})
        found += page.json()["items"]
        assert join["secret"] not in page.text
        if (cursor := page.json()["next_cursor"]) is None:
            break
    assert [one["kind"] for one in found] == ["key", "key", "key", "relay", "join_token"]
    assert [one["key"] for one in found[:3]] == keys[::-1]

    async def only(**filters: str) -> list[str]:
        answer = await registry.api.get("/v1/revocations", params=filters)
        assert answer.status_code == 200, answer.text
        return [one["kind"] for one in answer.json()["items"]]

    assert await only(kind="relay") == ["relay"]
    assert await only(subject=join["id"]) == ["join_token"]
    assert await only(key=keys[0]) == ["key"]
    assert await only(revoked_by="nobody") == []
    assert await only(since="2099-01-01T00:00:00Z") == []
    auditor = registry.as_role(Role.AUDITOR)
    assert (await registry.anonymous.get("/v1/revocations", headers=auditor)).status_code == 200
    assert (await registry.anonymous.post("/v1/revocations", json={"key": keys[0]}, headers=auditor)).status_code == 403
    assert (await registry.api.get("/v1/revocations/rvk_nothing")).status_code == 404


async def test_the_bus_drops_a_revoked_relay_and_the_others_forget_it(registry: RunningRegistry) -> None:
    relay, other = await registry.enrol("berlin-1"), await registry.enrol("berlin-2")
    bus = await relay.connect()
    await other.until(mesh=other.change)
    told = await revoke(registry, relay=relay.id)

    async def dropped() -> bool:
        return bus.counters.refusals > 0 and not bus.connected

    await eventually(dropped)
    mesh, _ = await other.until(mesh=told["change"])
    assert [entry.name for entry in mesh.relays] == ["berlin-2"]


async def test_what_is_deleted_and_revoked_in_one_network_leaves_the_other_alone(registry: RunningRegistry) -> None:
    other = (await registry.api.post("/v1/networks", json={"name": "other"})).json()["id"]
    here_token, there_token = await registry.join_token(uses=2), await registry.join_token(uses=2, network="other")
    here, there = await registry.enrol("one", token=here_token), await registry.enrol("one", token=there_token)
    standing = await registry.enrol("two", token=here_token)
    mine, theirs = public(), public()
    client = (await new_client(registry, "laptop", mine, relay=here.id, network="default")).json()
    left = (await new_client(registry, "laptop", theirs, relay=there.id, network="other")).json()
    for network, owner in (("default", client["id"]), ("other", left["id"])):
        wish = {"name": "wiki", "port": 80, "network": network, "owner": owner}
        service = await registry.api.post("/v1/services", json=wish)
    for network, relay, prefix in (("default", here.id, "10.1.0.0/16"), ("other", there.id, "10.2.0.0/16")):
        wish = {"name": "office", "network": network, "prefixes": [prefix], "relays": [relay]}
        site = await registry.api.post("/v1/sites", json=wish)
    bus = await there.connect()
    documents = await there.until(mesh=site.json()["change"], document=service.json()["change"])

    async def of_other() -> dict[str, Any]:
        found = {}
        for path in ("relays", "clients", "services", "sites", "peers", "tokens/join"):
            answer = await registry.api.get(f"/v1/{path}")
            assert answer.status_code == 200, answer.text
            found[path] = [item for item in answer.json()["items"] if item["network"] == other]
        return found

    before = await of_other()
    assert {path: len(items) for path, items in before.items()} == {
        **dict.fromkeys(("relays", "clients", "services", "sites", "tokens/join"), 1),
        "peers": 2,
    }

    tokens = (await registry.api.get("/v1/tokens/join")).json()["items"]
    (ours,) = [token["id"] for token in tokens if token["network"] != other]
    gone = await registry.api.delete(f"/v1/tokens/join/{ours}")
    assert gone.status_code in (200, 204), gone.text
    await revoke(registry, key=mine)
    told = await revoke(registry, relay=here.id)

    await standing.until(mesh=told["change"])
    assert await of_other() == before
    assert await there.until() == documents
    assert bus.connected
    assert bus.counters.refusals == 0
    assert (await Host("three").ask(registry.anonymous, here_token)).json()["code"] == "token_revoked"
    assert (await Host("three").ask(registry.anonymous, there_token)).status_code == 201
    stolen = await new_client(registry, "thief", mine, network="other")
    assert stolen.json()["code"] == "key_revoked", "a key is out wherever it is tried"
