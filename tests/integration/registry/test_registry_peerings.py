"""Peerings over REST, down to the documents that relays get, and the passwords that nobody sees."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from altnet.common.contracts.routing import PrefixRule
from altnet.common.http.auth import Role
from altnet.common.keys import PrivateKey
from altnet.common.seal import unseal
from integration.registry.running import OWNER, Relay, RunningRegistry

PASSWORD = "correct-horse-battery"
RULES = [{"prefix": "2001:db8:2::/48", "longest": 64}]


def body(relay: str, **more: Any) -> dict[str, Any]:
    return {"name": "isp", "relay": relay, "address": "2001:db8::1", "asn": 65010, "imports": RULES, **more}


async def made(registry: RunningRegistry, relay: Relay, **more: Any) -> dict[str, Any]:
    answer = await registry.api.post("/v1/peerings", json=body(relay.id, **more))
    assert answer.status_code == 201, answer.text
    assert answer.headers["altnet-change"] == str(answer.json()["change"])
    return dict(answer.json())


async def with_key(registry: RunningRegistry, name: str = "one") -> tuple[Relay, PrivateKey]:
    key = PrivateKey.generate()
    return await registry.enrol(name, identity_key=key.public().base64, routing="bird"), key


async def everywhere(registry: RunningRegistry, text: str) -> list[str]:
    """The tables that have `text` in one of their rows."""
    found = []
    async with registry.db.raw() as sql:
        for table in await sql.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'registry'"):
            query = f"SELECT count(*) FROM registry.{table[0]} AS row WHERE strpos(row::text, $1) > 0"
            if await sql.fetchval(query, text):
                found.append(table[0])
    return found


async def test_a_peering_reaches_its_relays_document_and_what_it_may_learn_everybody(
    registry: RunningRegistry,
) -> None:
    one, two = await registry.enrol("one", routing="bird"), await registry.enrol("two")
    peering = await made(registry, one, exports=[{"prefix": "fd42:1337:beef::/48"}], bfd=True)
    mesh, document = await one.until(mesh=peering["change"], document=peering["change"])
    (told,) = document.peerings
    assert (told.id, told.name, told.address, told.asn, told.bfd) == (peering["id"], "isp", "2001:db8::1", 65010, True)
    assert told.imports == (PrefixRule(prefix="2001:db8:2::/48", shortest=48, longest=64),)
    assert told.exports == (PrefixRule(prefix="fd42:1337:beef::/48", shortest=48, longest=48),)
    assert {entry.name: entry.learned for entry in mesh.relays} == {"one": told.imports, "two": ()}
    assert (await two.until())[1].peerings == ()
    change = (await registry.api.get(f"/v1/changes/{peering['change']}")).json()
    assert (change["kind"], change["concerned"]) == ("registry.peering.created", 2)


async def test_a_peering_is_changed_and_removed_by_version_and_every_write_is_an_event(
    registry: RunningRegistry,
) -> None:
    relay = await registry.enrol("one", routing="bird")
    peering = await made(registry, relay)
    path = f"/v1/peerings/{peering['id']}"
    assert (await registry.api.patch(path, json={"bfd": True})).status_code == 428
    changed = await registry.api.patch(path, json={"bfd": True, "imports": []}, headers={"If-Match": '"1"'})
    assert changed.status_code == 200, changed.text
    assert (changed.json()["bfd"], changed.json()["imports"], changed.headers["etag"]) == (True, [], '"2"')
    assert {"imports_nothing", "exports_nothing"} <= {one["code"] for one in changed.json()["remarks"]}
    same = await registry.api.patch(path, json={"bfd": True}, headers={"If-Match": '"2"'})
    assert (same.status_code, same.json()["change"], same.json()["version"]) == (200, None, 2)
    assert (await registry.api.patch(path, json={"bfd": False}, headers={"If-Match": '"1"'})).status_code == 412
    assert (await registry.api.patch(path, json={"relay": "rly_x"}, headers={"If-Match": "*"})).status_code == 422
    assert (await registry.api.patch(path, json={"asn": None}, headers={"If-Match": "*"})).status_code == 422
    gone = await registry.api.delete(path, headers={"If-Match": '"2"'})
    assert (gone.status_code, gone.json()["name"]) == (200, "isp")
    mesh, document = await relay.until(mesh=changed.json()["change"], document=gone.json()["change"])
    assert (document.peerings, mesh.relays[0].learned) == ((), ())
    assert (await registry.api.get(path)).status_code == 404
    async with registry.db.raw() as sql:
        rows = await sql.fetch(
            "SELECT kind, actor, payload::jsonb -> 'before' ->> 'bfd' AS before,"
            " payload::jsonb -> 'after' ->> 'bfd' AS after FROM registry.outbox WHERE subject_id = $1 ORDER BY ordinal",
            peering["id"],
        )
    assert [(row["kind"], row["before"], row["after"]) for row in rows] == [
        ("registry.peering.created", None, "false"),
        ("registry.peering.changed", "false", "true"),
        ("registry.peering.removed", "true", None),
    ]
    assert {row["actor"] for row in rows} == {OWNER}


async def test_clients_send_through_the_tunnel_what_peerings_may_bring_in_but_not_the_whole_internet(
    registry: RunningRegistry,
) -> None:
    relay = await registry.enrol("one", routing="bird")
    body_of_client = {"name": "laptop", "key": PrivateKey.generate().public().base64, "relay": relay.id}
    client = (await registry.api.post("/v1/clients", json=body_of_client)).json()
    peering = await made(registry, relay)
    wide = {"imports": [{"prefix": "2000::/3", "longest": 48}], "accept_everything": True}
    await made(registry, relay, name="everything", address="2001:db8::2", **wide)

    async def allowed() -> list[str]:
        text = (await registry.api.get(f"/v1/clients/{client['id']}/config")).text
        (line,) = [line for line in text.splitlines() if line.startswith("AllowedIPs")]
        told = (await registry.api.get(f"/v1/clients/{client['id']}/configuration")).json()["routes"]
        found = line.partition(" = ")[2].split(", ")
        assert found == told, "wg-quick and altnetd are told the same"
        return found

    assert await allowed() == ["fd42:1337:beef::/48", "2001:db8:2::/48"]
    path = f"/v1/peerings/{peering['id']}"
    await registry.api.patch(path, json={"enabled": False}, headers={"If-Match": "*"})
    assert await allowed() == ["fd42:1337:beef::/48"]


async def test_a_post_that_is_sent_again_makes_one_peering(registry: RunningRegistry) -> None:
    relay, _ = await with_key(registry)
    headers = {"Idempotency-Key": "k-1"}
    wish = body(relay.id, password=PASSWORD)
    first = await registry.api.post("/v1/peerings", json=wish, headers=headers)
    again = await registry.api.post("/v1/peerings", json=wish, headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert await everywhere(registry, PASSWORD) == []


async def test_a_password_is_sealed_for_its_relay_alone_and_shown_to_nobody(
    registry: RunningRegistry, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    relay, key = await with_key(registry)
    answer = await registry.api.post("/v1/peerings", json=body(relay.id, password=PASSWORD))
    assert answer.status_code == 201, answer.text
    peering = answer.json()
    _, document = await relay.until(document=peering["change"])
    context = f"altnet bgp password {relay.id} {peering['id']}".encode()
    assert unseal(document.peerings[0].password, key=key, context=context) == PASSWORD.encode()
    assert peering["password_set"] is True
    shown = await registry.api.get(f"/v1/peerings/{peering['id']}")
    listed = await registry.api.get("/v1/peerings")
    sealed = document.peerings[0].password
    for text in (answer.text, shown.text, listed.text, caplog.text, *capsys.readouterr()):
        assert PASSWORD not in text
        assert sealed not in text
    assert await everywhere(registry, PASSWORD) == []
    assert await everywhere(registry, sealed) == ["peerings"]
    wrong = await registry.api.post(
        "/v1/peerings", json=body(relay.id, name="b", address="2001:db8::2", password='a"secret')
    )
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/password")
    assert "secret" not in wrong.text


async def test_a_password_is_replaced_and_removed_and_each_is_a_change(registry: RunningRegistry) -> None:
    relay, key = await with_key(registry)
    peering = await made(registry, relay, password=PASSWORD)
    path = f"/v1/peerings/{peering['id']}"
    context = f"altnet bgp password {relay.id} {peering['id']}".encode()
    changed = await registry.api.patch(path, json={"password": "another"}, headers={"If-Match": "*"})
    _, document = await relay.until(document=changed.json()["change"])
    assert unseal(document.peerings[0].password, key=key, context=context) == b"another"
    kept = await registry.api.patch(path, json={"hold_time": 30}, headers={"If-Match": "*"})
    assert kept.json()["password_set"] is True
    removed = await registry.api.patch(path, json={"password": None}, headers={"If-Match": "*"})
    assert removed.json()["password_set"] is False
    _, document = await relay.until(document=removed.json()["change"])
    assert document.peerings[0].password == ""


async def test_a_relay_without_an_identity_key_gets_no_password_and_the_mend_is_said(
    registry: RunningRegistry,
) -> None:
    relay = await registry.enrol("old", routing="bird")
    answer = await registry.api.post("/v1/peerings", json=body(relay.id, password=PASSWORD))
    assert (answer.status_code, answer.json()["code"]) == (409, "no_identity_key")
    assert answer.json()["errors"][0]["pointer"] == "/password"
    assert "agent" in answer.json()["mend"]
    assert (await registry.api.get("/v1/peerings")).json()["items"] == []


async def test_a_relay_with_another_identity_key_needs_the_password_again(registry: RunningRegistry) -> None:
    relay, _ = await with_key(registry)
    peering = await made(registry, relay, password=PASSWORD)
    path = f"/v1/peerings/{peering['id']}"
    assert "password_needed" not in {one["code"] for one in peering["remarks"]}
    other = PrivateKey.generate()
    renewal = json.dumps(
        {
            "nkey": relay.host.nkey,
            "key": relay.host.key,
            "access_key": relay.host.access_key,
            "identity_key": other.public().base64,
            "timestamp": datetime.now(UTC).isoformat(),
        }
    ).encode()
    headers = relay.host.signed(renewal, b"altnet-credentials-v1\n")
    renewed = await registry.anonymous.post(f"/v1/relays/{relay.id}/credentials", content=renewal, headers=headers)
    assert renewed.status_code == 200, renewed.text
    shown = (await registry.api.get(path)).json()
    (remark,) = (one for one in shown["remarks"] if one["code"] == "password_needed")
    assert (remark["field"], shown["password_set"]) == ("/password", True)
    again = await registry.api.patch(path, json={"password": PASSWORD}, headers={"If-Match": "*"})
    assert "password_needed" not in {one["code"] for one in again.json()["remarks"]}
    _, document = await relay.until(document=again.json()["change"])
    context = f"altnet bgp password {relay.id} {peering['id']}".encode()
    assert unseal(document.peerings[0].password, key=other, context=context) == PASSWORD.encode()


async def test_a_peering_that_cannot_be_is_refused_with_the_field(registry: RunningRegistry) -> None:
    one, two = await registry.enrol("one"), await registry.enrol("two")
    gone = await registry.enrol("gone")
    await registry.api.delete(f"/v1/relays/{gone.id}", headers={"If-Match": "*"})
    await made(registry, one)
    site = {"name": "office", "prefixes": ["10.1.0.0/16", "2001:db8:1::/48"], "relays": [two.id]}
    assert (await registry.api.post("/v1/sites", json=site)).status_code == 201
    other = {"name": "b", "address": "2001:db8::2"}
    cases: list[tuple[dict[str, Any], int, str, str]] = [
        (body(one.id, name="b"), 409, "/address", "neighbour_taken"),
        (body(two.id), 409, "/name", "name_taken"),
        (body("rly_nobody", **other), 404, "/relay", "no_such_relay"),
        (body(gone.id, **other), 409, "/relay", "relay_unusable"),
        (body(one.id, **other) | {"asn": 23456}, 422, "/asn", "bad_asn"),
        (body(one.id, **other) | {"asn": 2**32}, 422, "/asn", "invalid_request"),
        (body(one.id, name="b", address="fe80::1"), 422, "/interface", "interface_missing"),
        (body(one.id, **other, imports=[{"prefix": "::/0"}]), 422, "/imports/0", "everything_not_said"),
        (body(one.id, **other, imports=[{"prefix": "x"}]), 422, "/imports/0/prefix", "bad_prefix"),
        (body(one.id, **other, exports=[{"prefix": "10.9.0.0/16"}]), 422, "/exports/0/prefix", "family_missing"),
        (body(one.id, **other, imports=[{"prefix": "fd42:1337:beef:9::/64"}]), 409, "/imports/0", "imports_own_prefix"),
        (body(one.id, **other, imports=[{"prefix": "2001:db8:1:5::/64"}]), 409, "/imports/0", "imports_site_prefix"),
        (body(one.id, **other, multihop=256), 422, "/multihop", "invalid_request"),
        (body(one.id, **other, odd=1), 422, "/odd", "invalid_request"),
    ]
    said = []
    for wish, *_ in cases:
        answer = await registry.api.post("/v1/peerings", json=wish)
        problem = answer.json()
        said.append((wish, answer.status_code, problem["errors"][0]["pointer"], problem["code"]))
    assert said == cases
    assert len((await registry.api.get("/v1/peerings")).json()["items"]) == 1


async def test_a_rule_as_wide_as_the_internet_is_said_aloud_and_recorded(registry: RunningRegistry) -> None:
    relay = await registry.enrol("one", routing="bird")
    wide = [{"prefix": "2000::/3", "shortest": 3, "longest": 48}]
    peering = await made(registry, relay, imports=wide, accept_everything=True)
    assert "accept_everything" in {one["code"] for one in peering["remarks"]}
    change = (await registry.api.get(f"/v1/changes/{peering['change']}")).json()
    assert "may accept everything" in change["summary"]
    path = f"/v1/peerings/{peering['id']}"
    closed = await registry.api.patch(path, json={"accept_everything": False}, headers={"If-Match": "*"})
    assert (closed.status_code, closed.json()["code"]) == (422, "everything_not_said")
    both = {"accept_everything": False, "imports": RULES}
    assert (await registry.api.patch(path, json=both, headers={"If-Match": "*"})).status_code == 200
    async with registry.db.raw() as sql:
        said = await sql.fetch(
            "SELECT payload::jsonb -> 'after' ->> 'accept_everything' AS flag FROM registry.outbox"
            " WHERE subject_id = $1 ORDER BY ordinal",
            peering["id"],
        )
    assert [row["flag"] for row in said] == ["true", "false"]


async def test_a_site_and_a_foreign_peerings_imports_never_overlap_whoever_comes_first(
    registry: RunningRegistry,
) -> None:
    one, two = await registry.enrol("one"), await registry.enrol("two")
    peering = await made(registry, one)
    inside = {"name": "lab", "prefixes": ["2001:db8:2:1::/64"], "relays": [two.id]}
    refused = await registry.api.post("/v1/sites", json=inside)
    assert (refused.status_code, refused.json()["code"]) == (409, "prefix_is_imported")
    assert "isp" in refused.json()["detail"]
    shared = await registry.api.post("/v1/sites", json={**inside, "relays": [one.id, two.id]})
    assert shared.status_code == 201, shared.text
    path = f"/v1/sites/{shared.json()['id']}"
    left = await registry.api.patch(path, json={"relays": [two.id]}, headers={"If-Match": "*"})
    assert (left.status_code, left.json()["code"]) == (409, "prefix_is_imported")
    moved = await registry.api.patch(path, json={"prefixes": ["2001:db8:3::/64"]}, headers={"If-Match": "*"})
    assert moved.status_code == 200, moved.text
    wider = {"imports": [{"prefix": "2001:db8::/32", "longest": 64}]}
    assert (await registry.api.patch(path, json={"relays": [two.id]}, headers={"If-Match": "*"})).status_code == 200
    late = await registry.api.patch(f"/v1/peerings/{peering['id']}", json=wider, headers={"If-Match": "*"})
    assert (late.status_code, late.json()["code"]) == (409, "imports_site_prefix")


async def test_a_site_and_a_peering_that_are_made_at_once_do_not_overlap(registry: RunningRegistry) -> None:
    one, two = await registry.enrol("one"), await registry.enrol("two")
    for number in range(5):
        prefix = f"2001:db8:{number + 10:x}::/48"
        wish = body(one.id, name=f"p{number}", address=f"2001:db8::{number + 10:x}", imports=[{"prefix": prefix}])
        site = {"name": f"s{number}", "prefixes": [prefix], "relays": [two.id]}
        answers = await asyncio.gather(
            registry.api.post("/v1/peerings", json=wish), registry.api.post("/v1/sites", json=site)
        )
        assert sorted(answer.status_code for answer in answers) == [201, 409]


async def test_a_revoked_relay_takes_its_peerings_along(registry: RunningRegistry) -> None:
    one, two = await registry.enrol("one"), await registry.enrol("two")
    peering = await made(registry, one)
    await two.until(mesh=peering["change"])
    revoked = await registry.api.delete(f"/v1/relays/{one.id}", headers={"If-Match": "*"})
    assert revoked.status_code == 200, revoked.text
    assert (await registry.api.get("/v1/peerings")).json()["items"] == []
    mesh, _ = await two.until(mesh=revoked.json()["change"])
    assert [entry.learned for entry in mesh.relays] == [()]
    await made(registry, two)  # name and neighbour are free
    async with registry.db.raw() as sql:
        kinds = await sql.fetch("SELECT kind FROM registry.outbox WHERE subject_id = $1", peering["id"])
    assert {row["kind"] for row in kinds} == {"registry.peering.created", "registry.peering.removed"}


async def test_peerings_come_in_pages_and_by_filter(registry: RunningRegistry) -> None:
    one, two = await registry.enrol("one"), await registry.enrol("two")
    for number in range(5):
        relay = two if number % 2 else one
        await made(
            registry,
            relay,
            name=f"p{number}",
            address=f"2001:db8::{number + 1}",
            asn=65010 + number % 2,
            enabled=number != 4,
        )
    names, cursor = [], None
    while True:
        query = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = (await registry.api.get("/v1/peerings", params=query)).json()
        names += [item["name"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert names == ["p0", "p1", "p2", "p3", "p4"]
    cases: dict[str, list[str]] = {
        f"relay={two.id}": ["p1", "p3"],
        "asn=65010": ["p0", "p2", "p4"],
        "name=p3": ["p3"],
        "enabled=false": ["p4"],
        "standing=up": [],
        "standing=new": names,
        "network=default": names,
    }
    said = {
        query: [item["name"] for item in (await registry.api.get(f"/v1/peerings?{query}")).json()["items"]]
        for query in cases
    }
    assert said == cases


async def test_only_an_admin_with_the_scope_writes_peerings(registry: RunningRegistry) -> None:
    relay = await registry.enrol("one")
    auditor = registry.as_role(Role.AUDITOR)
    assert (await registry.anonymous.post("/v1/peerings", json=body(relay.id), headers=auditor)).status_code == 403
    assert (await registry.anonymous.get("/v1/peerings", headers=auditor)).status_code == 200
    narrow = registry.as_role(Role.OWNER, frozenset({"sites:write"}))
    assert (await registry.anonymous.post("/v1/peerings", json=body(relay.id), headers=narrow)).status_code == 403
    assert (await registry.anonymous.get("/v1/peerings")).status_code == 401
