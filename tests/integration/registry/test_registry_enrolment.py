"""How hosts become relays, and how others do not."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from altnet.common.bus import nkey as nkeys
from altnet.common.bus.jwt import make_nkey, sign
from altnet.common.contracts.routing import Engine
from altnet.common.http.auth import Role
from altnet.common.keys import PrivateKey
from altnet.common.net import FIRST_SLOT, LAST_SLOT
from integration.registry.running import Host, Relay, RunningRegistry, eventually
from sqlalchemy import event

ORDER = 2**252 + 27742317777372353535851937790883648493
"""Of the group that Ed25519 signs in: a signature's second half is below it, or it is none."""


def key() -> str:
    return PrivateKey.generate().public().base64


async def test_an_enrolled_host_finds_itself_in_the_mesh(registry: RunningRegistry) -> None:
    relay = await registry.enrol("berlin-1", region="eu-central")
    mesh, document = await relay.until(mesh=relay.change, document=relay.change)
    assert [entry.name for entry in mesh.relays] == ["berlin-1"]
    assert mesh.relays[0].slot == 1
    assert mesh.relays[0].key == relay.host.key
    assert document.relay == relay.id
    assert document.links is None
    assert mesh.generation == document.generation == relay.change


async def test_the_same_host_again_is_the_same_relay_and_uses_no_token(registry: RunningRegistry) -> None:
    token = await registry.join_token(uses=1)
    relay = await registry.enrol("berlin-1", token=token)
    again = await relay.host.ask(registry.anonymous, token)
    assert again.status_code == 200
    assert again.json()["relay"] == {**relay.answer["relay"], "created": False}
    assert again.json()["change"] is None
    moved = await relay.host.ask(registry.anonymous, token, endpoints=["198.51.100.7:51820"])
    assert moved.json()["change"] == relay.change + 1


async def test_hosts_that_enrol_at_once_get_different_slots_and_names(registry: RunningRegistry) -> None:
    token = await registry.join_token(uses=20)
    relays = await asyncio.gather(*(registry.enrol(f"relay-{n}", token=token) for n in range(20)))
    assert sorted(relay.answer["relay"]["slot"] for relay in relays) == list(range(1, 21))
    assert len({relay.answer["relay"]["address"] for relay in relays}) == 20
    late = await Host("late").ask(registry.anonymous, token)
    assert (late.status_code, late.json()["code"], late.json()["errors"][0]["pointer"]) == (403, "token_used", "/token")


async def test_an_enrolment_asks_the_database_nine_times_however_many_relays_there_are(
    registry: RunningRegistry,
) -> None:
    token = await registry.join_token(uses=5)
    counts: list[int] = []

    def count(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "pg_advisory" in statement and "$1" in statement and statement.startswith("SELECT"):
            counts.append(0)  # the first of a unit of work
        counts[-1] += 1

    engine = registry.db.engine.sync_engine
    for number in range(5):
        if number in (1, 4):
            event.listen(engine, "before_cursor_execute", count)
            await registry.enrol(f"relay-{number}", token=token)
            event.remove(engine, "before_cursor_execute", count)
        else:
            await registry.enrol(f"relay-{number}", token=token)
    assert counts == [9, 9]


async def test_one_host_that_asks_twice_at_once_is_one_relay(registry: RunningRegistry) -> None:
    token, host = await registry.join_token(uses=2), Host("berlin-1")
    answers = await asyncio.gather(*(host.ask(registry.anonymous, token) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 201]
    listed = (await registry.api.get("/v1/tokens/join")).json()["items"]
    assert listed[0]["uses_left"] == 1


async def test_one_token_lets_in_as_many_hosts_as_it_says_even_at_once(registry: RunningRegistry) -> None:
    token = await registry.join_token(uses=3)
    answers = await asyncio.gather(*(Host(f"relay-{n}").ask(registry.anonymous, token) for n in range(8)))
    assert sorted(answer.status_code for answer in answers) == [201, 201, 201, 403, 403, 403, 403, 403]


async def test_a_revoked_token_lets_nobody_in(registry: RunningRegistry) -> None:
    made = (await registry.api.post("/v1/tokens/join", json={})).json()
    await registry.api.delete(f"/v1/tokens/join/{made['id']}")
    answer = await Host("berlin-1").ask(registry.anonymous, made["secret"])
    assert (answer.status_code, answer.json()["code"]) == (403, "token_revoked")
    assert answer.json()["errors"][0]["pointer"] == "/token"


async def test_an_expired_token_lets_nobody_in(registry: RunningRegistry) -> None:
    made = (await registry.api.post("/v1/tokens/join", json={"lifetime": 10})).json()
    async with registry.db.raw() as sql:
        await sql.execute("UPDATE registry.join_tokens SET expires_at = now() - interval '1 second'")
    answer = await Host("berlin-1").ask(registry.anonymous, made["secret"])
    assert (answer.status_code, answer.json()["code"]) == (403, "token_expired")
    assert answer.json()["errors"][0]["pointer"] == "/token"


async def test_a_token_of_another_kind_or_with_a_wrong_secret_is_refused(registry: RunningRegistry) -> None:
    client_token = await registry.join_token(kind="client")
    assert (await Host("one").ask(registry.anonymous, client_token)).json()["code"] == "token_kind"
    token = await registry.join_token()
    wrong = token[:-4] + ("aaaa" if not token.endswith("aaaa") else "bbbb")
    assert (await Host("two").ask(registry.anonymous, wrong)).json()["code"] == "bad_join_token"


async def test_a_request_that_its_nkey_did_not_sign_is_refused(registry: RunningRegistry) -> None:
    host, token = Host("berlin-1"), await registry.join_token()
    body = host.body(token)
    good = base64.b64decode(host.signed(body)["Altnet-Signature"])
    second = good[:32] + (int.from_bytes(good[32:], "little") + ORDER).to_bytes(32, "little")
    strange = base64.b64encode(sign(make_nkey()[1], b"altnet-enrol-v1\n" + body)).decode()
    cases = {
        "another key": (body, {**host.signed(body), "Altnet-Signature": strange}),
        "another body": (body + b" ", host.signed(body)),
        "another purpose": (body, host.signed(body, b"altnet-credentials-v1\n")),
        "no base64": (body, {**host.signed(body), "Altnet-Signature": "%%%"}),
        "too short": (body, {**host.signed(body), "Altnet-Signature": "AAAA"}),
        "a second one made from the first": (
            body,
            {**host.signed(body), "Altnet-Signature": base64.b64encode(second).decode()},
        ),
        "two in one": (body, {**host.signed(body), "Altnet-Signature": base64.b64encode(good + good[:8]).decode()}),
    }
    said = {}
    for name, (content, headers) in cases.items():
        answer = await registry.anonymous.post("/v1/enrol", content=content, headers=headers)
        fault = answer.json()["errors"][0]
        said[name] = (answer.status_code, answer.json()["code"], fault["location"], fault["pointer"])
    assert said == dict.fromkeys(cases, (401, "bad_signature", "header", "/Altnet-Signature"))


@pytest.mark.parametrize("y", [0, 1, 2**255 - 20, 2**255 - 19, 2**255 - 18], ids=["0", "1", "p-1", "p", "p+1"])
async def test_a_key_that_anybody_can_sign_for_enrols_nobody(registry: RunningRegistry, y: int) -> None:
    whole = bytes([nkeys.Role.USER]) + y.to_bytes(32, "little")
    nkey = base64.b32encode(whole + binascii.crc_hqx(whole, 0).to_bytes(2, "little")).decode().rstrip("=")
    answer = await Host("berlin-1", nkey=nkey, seed=make_nkey()[1]).ask(registry.anonymous, "altj_x")
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_nkey")
    assert answer.json()["errors"][0]["pointer"] == "/nkey"


async def test_an_old_request_is_not_a_new_one(registry: RunningRegistry) -> None:
    old = (datetime.now(UTC) - timedelta(minutes=6)).isoformat()
    answer = await Host("berlin-1").ask(registry.anonymous, await registry.join_token(), timestamp=old)
    assert answer.json()["code"] == "bad_timestamp"


async def test_a_body_over_16_kib_is_not_read_to_its_end(registry: RunningRegistry) -> None:
    host = Host("berlin-1")
    body = host.body("altj_x", labels={"x": "y" * 20_000})
    answer = await registry.anonymous.post("/v1/enrol", content=body, headers=host.signed(body))
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


MALFORMED: list[tuple[dict[str, object], str]] = [
    ({"key": "A" * 43 + "="}, "/key"),
    ({"key": "short"}, "/key"),
    ({"access_key": "!" * 44}, "/access_key"),
    ({"nkey": "U" * 56}, "/nkey"),
    ({"name": "Berlin"}, "/name"),
    ({"name": "-x"}, "/name"),
    ({"name": "a.b"}, "/name"),
    ({"endpoints": ["nowhere"]}, "/endpoints/0"),
    ({"endpoints": ["192.0.2.1:0"]}, "/endpoints/0"),
    ({"endpoints": ["ok.example:1", "[::1:5"]}, "/endpoints/1"),
    ({"mesh_port": 70_000}, "/mesh_port"),
    ({"access_port": 51820}, "/access_port"),
    ({"region": "Very Far"}, "/region"),
    ({"labels": {"Bad Key": "x"}}, "/labels"),
    ({"unknown": 1}, "/unknown"),
]


async def test_a_malformed_field_is_named(registry: RunningRegistry) -> None:
    token, said = await registry.join_token(), []
    for wishes, _ in MALFORMED:
        answer = await Host("berlin-1").ask(registry.anonymous, token, **wishes)
        assert answer.status_code == 422, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        said.append((wishes, answer.json()["errors"][0]["pointer"]))
    assert said == MALFORMED


async def test_a_key_or_name_that_is_taken_is_refused_with_its_field(registry: RunningRegistry) -> None:
    first = await registry.enrol("berlin-1")
    token = await registry.join_token(uses=9)
    same_name = await Host("berlin-1").ask(registry.anonymous, token)
    assert (same_name.status_code, same_name.json()["errors"][0]["pointer"]) == (409, "/name")
    same_key = await Host("other", key=first.host.key).ask(registry.anonymous, token)
    assert (same_key.status_code, same_key.json()["errors"][0]["pointer"]) == (409, "/key")
    crossed = await Host("other", access_key=first.host.key).ask(registry.anonymous, token)
    assert (crossed.status_code, crossed.json()["errors"][0]["pointer"]) == (409, "/access_key")
    listed = (await registry.api.get("/v1/tokens/join")).json()["items"]
    assert listed[0]["uses_left"] == 9


async def test_a_relay_renews_its_credentials_and_tells_new_endpoints(registry: RunningRegistry) -> None:
    relay = await registry.enrol("berlin-1")
    body = json.dumps(
        {
            "nkey": relay.host.nkey,
            "key": relay.host.key,
            "access_key": relay.host.access_key,
            "endpoints": ["203.0.113.9:51820"],
            "timestamp": datetime.now(UTC).isoformat(),
        }
    ).encode()
    headers = relay.host.signed(body, b"altnet-credentials-v1\n")
    answer = await registry.anonymous.post(f"/v1/relays/{relay.id}/credentials", content=body, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.json()["bus"]["jwt"].count(".") == 2
    mesh, _ = await relay.until(mesh=answer.json()["change"])
    assert mesh.relays[0].endpoints == ("203.0.113.9:51820",)
    other = await registry.enrol("berlin-2")
    stolen = await registry.anonymous.post(f"/v1/relays/{other.id}/credentials", content=body, headers=headers)
    assert stolen.status_code == 404


async def renewed(registry: RunningRegistry, relay: Relay, **wishes: Any) -> httpx.Response:
    """Ask for fresh credentials, saying `wishes` besides what every agent says."""
    body = json.dumps(
        {
            "nkey": relay.host.nkey,
            "key": relay.host.key,
            "access_key": relay.host.access_key,
            "timestamp": datetime.now(UTC).isoformat(),
            **wishes,
        }
    ).encode()
    headers = relay.host.signed(body, b"altnet-credentials-v1\n")
    return await registry.anonymous.post(f"/v1/relays/{relay.id}/credentials", content=body, headers=headers)


async def test_a_host_tells_its_identity_key_and_what_routes_there(registry: RunningRegistry) -> None:
    identity = key()
    relay = await registry.enrol("berlin-1", identity_key=identity, routing="bird")
    shown = (await registry.api.get(f"/v1/relays/{relay.id}")).json()
    assert (shown["identity_key"], shown["routing"]) == (identity, "bird")
    mesh, _ = await relay.until(mesh=relay.change)
    assert mesh.relays[0].routing is Engine.BIRD
    async with registry.db.raw() as sql:
        uses = await sql.fetch("SELECT use FROM registry.keys WHERE owner = $1 ORDER BY use", relay.id)
    assert [row["use"] for row in uses] == ["access", "identity", "mesh"]


async def test_a_renewal_changes_the_identity_key_and_the_engine_and_what_it_leaves_out_stays(
    registry: RunningRegistry,
) -> None:
    first, second = key(), key()
    relay = await registry.enrol("berlin-1", identity_key=first, routing="static")
    answer = await renewed(registry, relay, identity_key=second, routing="bird")
    assert (answer.status_code, answer.json()["change"]) == (200, relay.change + 1)
    mesh, _ = await relay.until(mesh=answer.json()["change"])
    assert mesh.relays[0].routing is Engine.BIRD
    quiet = await renewed(registry, relay)  # as an agent of before says it
    assert (quiet.status_code, quiet.json()["change"]) == (200, None)
    shown = (await registry.api.get(f"/v1/relays/{relay.id}")).json()
    assert (shown["identity_key"], shown["routing"]) == (second, "bird")
    other = await registry.enrol("berlin-2", identity_key=first)  # the old one is free
    assert (await registry.api.get(f"/v1/relays/{other.id}")).json()["identity_key"] == first


async def test_an_agent_of_before_enrols_and_renews_without_identity_key(registry: RunningRegistry) -> None:
    one, two = await registry.enrol("old-1"), await registry.enrol("old-2")  # two without one do not collide
    for relay in (one, two):
        shown = (await registry.api.get(f"/v1/relays/{relay.id}")).json()
        assert (shown["identity_key"], shown["routing"]) == ("", "static")
        assert (await renewed(registry, relay)).json()["change"] is None
    later = await renewed(registry, one, identity_key=key())
    assert later.json()["change"] == two.change + 1
    again = await one.host.ask(registry.anonymous, await registry.join_token())
    assert (again.status_code, again.json()["change"]) == (200, None)


async def test_an_identity_key_that_is_none_or_taken_is_refused_with_its_field(registry: RunningRegistry) -> None:
    mine = key()
    relay = await registry.enrol("berlin-1", identity_key=mine)
    token = await registry.join_token(uses=9)
    for wish in ("short", "A" * 43 + "=", "!" * 44):
        bad = await Host("other").ask(registry.anonymous, token, identity_key=wish)
        assert (bad.status_code, bad.json()["errors"][0]["pointer"]) == (422, "/identity_key")
        worse = await renewed(registry, relay, identity_key=wish)
        assert (worse.status_code, worse.json()["errors"][0]["pointer"]) == (422, "/identity_key")
    for taken in (mine, relay.host.key, relay.host.access_key):
        stolen = await Host("other").ask(registry.anonymous, token, identity_key=taken)
        assert (stolen.status_code, stolen.json()["errors"][0]["pointer"]) == (409, "/identity_key")
    host = Host("other")
    twice = await host.ask(registry.anonymous, token, identity_key=host.key)
    assert (twice.status_code, twice.json()["errors"][0]["pointer"]) == (409, "/identity_key")
    other = await registry.enrol("berlin-2", token=token)
    crossed = await renewed(registry, other, identity_key=mine)
    assert (crossed.status_code, crossed.json()["errors"][0]["pointer"]) == (409, "/identity_key")
    unknown = await Host("third").ask(registry.anonymous, token, routing="quagga")
    assert (unknown.status_code, unknown.json()["errors"][0]["pointer"]) == (422, "/routing")


async def test_a_revoked_relay_is_cut_off_and_gets_no_new_credentials(registry: RunningRegistry) -> None:
    relay, other = await registry.enrol("berlin-1"), await registry.enrol("berlin-2")
    bus = await relay.connect()
    await other.until(mesh=other.change)
    answer = await registry.api.delete(f"/v1/relays/{relay.id}", headers={"If-Match": "*"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["revoked"] is True

    async def cut_off() -> bool:
        return bus.counters.refusals > 0

    await eventually(cut_off)
    mesh, _ = await other.until(mesh=answer.json()["change"])
    assert [entry.name for entry in mesh.relays] == ["berlin-2"]
    again = await relay.host.ask(registry.anonymous, await registry.join_token())
    assert (again.status_code, again.json()["code"]) == (403, "relay_revoked")


async def test_attempts_are_limited_per_source(registry: RunningRegistry) -> None:
    registry.app.state.registry.attempts._rule = registry.app.state.registry.attempts._rule.__class__(
        burst=3, per_second=0.1
    )
    codes = [(await Host("x").ask(registry.anonymous, "altj_x_y")).status_code for _ in range(6)]
    assert codes[-1] == 429
    assert codes.count(429) >= 3


async def test_only_an_admin_makes_join_tokens(registry: RunningRegistry) -> None:
    for role, status in ((Role.AUDITOR, 403), (Role.AGENT, 403), (Role.ADMIN, 201)):
        answer = await registry.anonymous.post("/v1/tokens/join", json={}, headers=registry.as_role(role))
        assert answer.status_code == status
    assert (await registry.anonymous.post("/v1/tokens/join", json={})).status_code == 401
    narrow = registry.as_role(Role.OWNER, frozenset({"clients:write"}))
    assert (await registry.anonymous.post("/v1/tokens/join", json={}, headers=narrow)).status_code == 403


async def test_what_a_token_says_of_labels_counts_and_its_region_stands_in(registry: RunningRegistry) -> None:
    token = await registry.join_token(uses=2, labels={"rack": "r7", "region": "eu-central"})
    quiet = await registry.enrol("berlin-1", token=token, labels={"rack": "mine", "os": "debian"})
    told = await registry.enrol("berlin-2", token=token, region="eu-west")

    shown = [(await registry.api.get(f"/v1/relays/{relay.id}")).json() for relay in (quiet, told)]

    assert [one["labels"] for one in shown] == [
        {"rack": "r7", "os": "debian", "region": "eu-central"},
        {"rack": "r7", "region": "eu-central"},
    ]
    assert [one["region"] for one in shown] == ["eu-central", "eu-west"]
    again = await quiet.host.ask(registry.anonymous, token, labels={"rack": "other"}, region="us-east")
    assert (again.status_code, again.json()["change"]) == (200, None), "labels and region are the operator's by then"
    found = (await registry.api.get("/v1/relays", params={"label": "rack=r7"})).json()["items"]
    assert [one["id"] for one in found] == [quiet.id, told.id]


async def test_when_all_slots_are_given_the_answer_says_so_and_the_token_is_not_used(
    registry: RunningRegistry,
) -> None:
    first, token = await registry.enrol("berlin-1"), await registry.join_token(uses=3)
    async with registry.db.raw() as sql:
        await sql.execute(
            "INSERT INTO registry.allocations (network_id, network_prefix, pool, prefix, slot, owner, allocated_at)"
            " SELECT id, prefix, 'relay', set_masklen(set_masklen(prefix::inet, 128) + slot, 128)::cidr, slot,"
            " 'rly_' || slot, now() FROM registry.networks, generate_series($1::bigint, $2) AS slot",
            FIRST_SLOT + 1,
            LAST_SLOT - 1,
        )
    last = await registry.enrol("berlin-2", token=token)

    refused = await Host("berlin-3").ask(registry.anonymous, token)

    assert last.answer["relay"]["slot"] == LAST_SLOT
    assert refused.headers["content-type"] == "application/problem+json"
    said = refused.json()
    assert (refused.status_code, said["code"]) == (409, "pool_exhausted")
    assert "4095 slots are taken or resting" in said["detail"]
    assert "Revoke relays" in said["mend"]
    assert (await registry.api.get("/v1/tokens/join")).json()["items"][0]["uses_left"] == 2
    known = await first.host.ask(registry.anonymous, token)
    assert known.status_code == 200, "who is in stays in"
    await registry.api.delete(f"/v1/relays/{first.id}", headers={"If-Match": "*"})
    resting = await Host("berlin-3").ask(registry.anonymous, token)
    assert resting.json()["code"] == "pool_exhausted", "an address rests before another host gets it"
    async with registry.db.raw() as sql:
        await sql.execute("UPDATE registry.allocations SET released_at = to_timestamp(0) WHERE released_at IS NOT NULL")
    freed = await registry.enrol("berlin-3", token=token)
    assert freed.answer["relay"]["slot"] == FIRST_SLOT
