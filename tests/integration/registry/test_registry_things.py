"""Clients, services, sites, networks and tokens over REST, down to the documents that relays get."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from altnet.common.contracts.agent import HostStatus
from altnet.common.http.auth import Role
from altnet.common.keys import PrivateKey
from altnet.registry.handlers.tokens import make_first_owner
from integration.registry.running import OWNER, RunningRegistry, eventually


def key() -> str:
    return PrivateKey.generate().public().base64


async def made(registry: RunningRegistry, path: str, **body: Any) -> dict[str, Any]:
    answer = await registry.api.post(path, json=body)
    assert answer.status_code == 201, answer.text
    assert answer.headers["altnet-change"] == str(answer.json()["change"])
    return dict(answer.json())


async def test_a_client_reaches_its_relays_document_and_nobody_elses(registry: RunningRegistry) -> None:
    one, two = await registry.enrol("one"), await registry.enrol("two")
    before = await two.until(mesh=two.change, document=two.change)
    client = await made(registry, "/v1/clients", name="laptop", key=key(), relay=one.id)
    _, document = await one.until(document=client["change"])
    assert [(it.id, it.addresses) for it in document.clients] == [(client["id"], (client["address"] + "/128",))]
    assert client["address"].startswith("fd42:1337:beef:1001:")
    after = await two.until()
    assert after == before
    change = (await registry.api.get(f"/v1/changes/{client['change']}")).json()
    assert change["concerned"] == 1


async def test_a_client_that_moves_keeps_its_address_and_its_new_relay_originates_it(
    registry: RunningRegistry,
) -> None:
    one, two = await registry.enrol("one"), await registry.enrol("two")
    client = await made(registry, "/v1/clients", name="laptop", key=key(), relay=one.id)
    await one.until(document=client["change"])  # or both changes are planned as one, and `one` never hears of it
    moved = await registry.api.patch(f"/v1/clients/{client['id']}", json={"relay": two.id}, headers={"If-Match": '"1"'})
    assert moved.status_code == 200, moved.text
    assert (moved.json()["address"], moved.json()["relay"]) == (client["address"], two.id)
    mesh, document = await two.until(mesh=moved.json()["change"], document=moved.json()["change"])
    assert [it.id for it in document.clients] == [client["id"]]
    assert {entry.name: entry.origins for entry in mesh.relays} == {
        "one": (),
        "two": (client["address"] + "/128",),
    }
    _, left = await one.until(document=moved.json()["change"])
    assert left.clients == ()


async def test_the_configuration_has_a_placeholder_and_is_a_qr_code_too(registry: RunningRegistry) -> None:
    relay = await registry.enrol("one", endpoints=["relay.example:51820"])
    client = await made(registry, "/v1/clients", name="phone", key=key())
    text = (await registry.api.get(f"/v1/clients/{client['id']}/config")).text
    assert "PrivateKey = REPLACE-WITH-YOUR-PRIVATE-KEY" in text
    assert "Endpoint = relay.example:51830" in text
    assert f"PublicKey = {relay.host.access_key}" in text
    assert f"Address = {client['address']}/128" in text
    png = await registry.api.get(f"/v1/clients/{client['id']}/config.png")
    assert png.content.startswith(b"\x89PNG")
    svg = await registry.api.get(f"/v1/clients/{client['id']}/config.svg")
    assert "<svg" in svg.text


async def test_where_a_file_fits_no_code_a_new_client_still_gets_its_key_and_a_code_is_refused_with_the_mend(
    registry: RunningRegistry,
) -> None:
    one = await registry.enrol("one")
    for part in range(5):
        prefixes = [f"2001:db8:{part:x}{it:02x}:1234:5678::/80" for it in range(32)]
        await made(registry, "/v1/sites", name=f"office-{part}", prefixes=prefixes, relays=[one.id])
    client = await made(registry, "/v1/clients", name="phone", generate_key=True)
    assert client["private_key"] in client["config"]
    assert client["config_svg"] is None
    assert "QR code holds" in client["config_svg_missing"]
    for kind in ("png", "svg"):
        refused = await registry.api.get(f"/v1/clients/{client['id']}/config.{kind}")
        assert (refused.status_code, refused.json()["code"]) == (409, "too_large_for_code")
        assert "file" in refused.json()["mend"]
    assert (await registry.api.get(f"/v1/clients/{client['id']}/config")).status_code == 200


async def test_a_generated_private_key_is_shown_once_and_stored_nowhere(registry: RunningRegistry) -> None:
    await registry.enrol("one")
    client = await made(registry, "/v1/clients", name="phone", generate_key=True)
    assert PrivateKey.parse(client["private_key"]).public().base64 == client["key"]
    assert f"PrivateKey = {client['private_key']}" in client["config"]
    assert "<svg" in client["config_svg"]
    assert client["config_svg_missing"] is None
    assert "private_key" not in (await registry.api.get(f"/v1/clients/{client['id']}")).json()
    async with registry.db.raw() as sql:
        for table in await sql.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'registry'"):
            found = await sql.fetchval(
                f"SELECT count(*) FROM registry.{table[0]} AS row WHERE strpos(row::text, $1) > 0",
                client["private_key"],
            )
            assert found == 0, table[0]


async def test_a_client_that_cannot_be_is_refused_with_the_field(registry: RunningRegistry) -> None:
    await registry.enrol("one")
    taken = await made(registry, "/v1/clients", name="taken", key=key())
    cases: list[tuple[dict[str, Any], str]] = [
        ({"name": "laptop"}, ""),
        ({"name": "laptop", "key": "x" * 44}, "/key"),
        ({"name": "UPPER", "key": key()}, "/name"),
        ({"name": "laptop", "key": key(), "relay": "rly_nobody"}, "/relay"),
        ({"name": "laptop", "key": key(), "expires_at": "2020-01-01T00:00:00Z"}, "/expires_at"),
        ({"name": "taken", "key": key()}, "/name"),
        ({"name": "one", "key": key()}, "/name"),
        ({"name": "laptop", "key": taken["key"]}, "/key"),
    ]
    said = []
    for body, _ in cases:
        answer = await registry.api.post("/v1/clients", json=body)
        assert answer.status_code in (404, 409, 422), answer.text
        said.append((body, answer.json()["errors"][0]["pointer"]))
    assert said == cases
    assert len((await registry.api.get("/v1/clients")).json()["items"]) == 1


async def test_without_a_relay_a_client_finds_no_place(registry: RunningRegistry) -> None:
    answer = await registry.api.post("/v1/clients", json={"name": "laptop", "key": key()})
    assert (answer.status_code, answer.json()["code"]) == (409, "no_usable_relay")


async def test_a_removed_clients_address_rests_and_its_name_is_free(registry: RunningRegistry) -> None:
    await registry.enrol("one")
    client = await made(registry, "/v1/clients", name="laptop", key=key())
    gone = await registry.api.delete(f"/v1/clients/{client['id']}", headers={"If-Match": '"1"'})
    assert gone.status_code == 200
    again = await made(registry, "/v1/clients", name="laptop", key=client["key"])
    assert again["address"] != client["address"]
    async with registry.db.raw() as sql:
        assert await sql.fetchval("SELECT count(*) FROM registry.allocations WHERE released_at IS NOT NULL") == 1


async def test_an_expired_client_is_removed(registry: RunningRegistry) -> None:
    relay = await registry.enrol("one")
    client = await made(registry, "/v1/clients", name="laptop", key=key())
    await relay.until(document=client["change"])
    async with registry.db.raw() as sql:
        await sql.execute("UPDATE registry.clients SET expires_at = now() - interval '1 second'")
    await registry.app.state.registry.director._tidy()
    _, document = await relay.until(document=client["change"] + 1)
    assert document.clients == ()


async def test_a_stale_or_missing_version_changes_nothing(registry: RunningRegistry) -> None:
    await registry.enrol("one")
    client = await made(registry, "/v1/clients", name="laptop", key=key())
    path = f"/v1/clients/{client['id']}"
    assert (await registry.api.patch(path, json={"name": "a"})).status_code == 428
    assert (await registry.api.patch(path, json={"name": "a"}, headers={"If-Match": '"1"'})).status_code == 200
    late = await registry.api.patch(path, json={"name": "b"}, headers={"If-Match": '"1"'})
    assert (late.status_code, late.json()["code"]) == (412, "version_changed")
    assert late.json()["errors"][0]["pointer"] == "/If-Match"
    assert (await registry.api.get(path)).json()["name"] == "a"
    null = await registry.api.patch(path, json={"name": None}, headers={"If-Match": "*"})
    assert null.status_code == 422


async def test_a_client_by_choice_goes_to_the_near_relay_with_room(registry: RunningRegistry) -> None:
    await registry.enrol("far", region="us-east")
    near = await registry.enrol("near", region="eu-central")
    client = await made(registry, "/v1/clients", name="laptop", key=key(), region="eu-central")
    assert client["relay"] == near.id
    ranking = (await registry.api.get(f"/v1/clients/{client['id']}/relays", params={"region": "eu-central"})).json()
    assert [one["name"] for one in ranking["relays"]] == ["near", "far"]
    assert "same region eu-central" in ranking["relays"][0]["reasons"]
    far = ranking["relays"][1]["relay"]
    measured = {"latencies": {near.id: 90.0, far: 8.0}}
    assert (await registry.api.put(f"/v1/clients/{client['id']}/latencies", json=measured)).status_code == 204
    ranking = (await registry.api.get(f"/v1/clients/{client['id']}/relays")).json()
    assert [one["name"] for one in ranking["relays"]] == ["far", "near"]


async def test_a_busy_host_gets_no_new_clients_and_the_ranking_says_why(registry: RunningRegistry) -> None:
    busy, idle = await registry.enrol("busy"), await registry.enrol("idle")
    for relay, load in ((busy, 3.0), (idle, 0.25)):
        await relay.beat(host=HostStatus(load=load))

    async def heard() -> bool:
        async with registry.db.raw() as sql:
            rows = await sql.fetch("SELECT load FROM registry.relay_status WHERE health = 'up' ORDER BY load")
        return [row["load"] for row in rows] == [0.25, 3.0]

    await eventually(heard)

    client = await made(registry, "/v1/clients", name="laptop", key=key())

    assert client["relay"] == idle.id
    ranking = (await registry.api.get(f"/v1/clients/{client['id']}/relays")).json()["relays"]
    assert [(one["name"], one["usable"]) for one in ranking] == [("idle", True), ("busy", True)]
    assert [one["parts"]["host"] for one in ranking] == [1.125, 2.5]
    assert "host load 3.00 per processor" in ranking[1]["reasons"]
    assert not any("host load" in reason for reason in ranking[0]["reasons"])


async def test_a_service_of_a_client_has_an_address_that_follows_the_client(registry: RunningRegistry) -> None:
    one, two = await registry.enrol("one"), await registry.enrol("two")
    client = await made(registry, "/v1/clients", name="laptop", key=key(), relay=one.id)
    service = await made(registry, "/v1/services", name="wiki", port=80, owner=client["id"], tags=["web", "docs"])
    mesh, document = await one.until(mesh=service["change"], document=service["change"])
    assert service["address"].startswith("fd42:1337:beef:2000:")
    assert document.clients[0].addresses == (client["address"] + "/128", service["address"] + "/128")
    assert next(entry for entry in mesh.relays if entry.id == one.id).origins == (service["address"] + "/128",)
    moved = await registry.api.patch(f"/v1/clients/{client['id']}", json={"relay": two.id}, headers={"If-Match": "*"})
    mesh, _ = await two.until(mesh=moved.json()["change"])
    assert service["address"] + "/128" in next(entry for entry in mesh.relays if entry.id == two.id).origins
    found = (await registry.api.get("/v1/services", params={"tag": ["web", "docs"], "owner": client["id"]})).json()
    assert [it["name"] for it in found["items"]] == ["wiki"]
    assert (await registry.api.get("/v1/services", params={"tag": "mail"})).json()["items"] == []
    health = await registry.api.put(f"/v1/services/{service['id']}/health", json={"health": "passing"})
    assert health.json()["health"] == "passing"
    assert len((await registry.api.get("/v1/services", params={"health": "passing"})).json()["items"]) == 1
    gone = await registry.api.delete(f"/v1/clients/{client['id']}", headers={"If-Match": "*"})
    assert gone.status_code == 200
    assert (await registry.api.get(f"/v1/services/{service['id']}")).status_code == 404


async def test_a_service_may_stand_at_an_address_of_its_own(registry: RunningRegistry) -> None:
    service = await made(registry, "/v1/services", name="nas", port=445, address="2001:db8::5")
    assert service["owner_kind"] == "address"
    inside = {"name": "x", "port": 1, "address": "fd42:1337:beef:2000::9"}
    assert (await registry.api.post("/v1/services", json=inside)).json()["errors"][0]["pointer"] == "/address"
    both = {"name": "x", "port": 1, "address": "2001:db8::6", "owner": "rly_x"}
    assert (await registry.api.post("/v1/services", json=both)).json()["errors"][0]["pointer"] == "/owner"


async def test_a_site_is_announced_by_its_relays(registry: RunningRegistry) -> None:
    one, two = await registry.enrol("one"), await registry.enrol("two")
    site = await made(
        registry, "/v1/sites", name="office", prefixes=["10.1.0.0/16", "2001:db8:1::/48"], relays=[one.id]
    )
    mesh, _ = await one.until(mesh=site["change"])
    assert {it.name: it.origins for it in mesh.relays} == {"one": ("10.1.0.0/16", "2001:db8:1::/48"), "two": ()}
    changed = await registry.api.patch(
        f"/v1/sites/{site['id']}", json={"relays": [one.id, two.id]}, headers={"If-Match": '"1"'}
    )
    mesh, _ = await one.until(mesh=changed.json()["change"])
    assert mesh.relays[0].origins == mesh.relays[1].origins
    overlap = await registry.api.post("/v1/sites", json={"name": "lab", "prefixes": ["10.1.2.0/24"]})
    assert (overlap.status_code, overlap.json()["code"]) == (409, "prefix_overlaps")
    assert overlap.json()["errors"][0]["pointer"] == "/prefixes"
    inside = await registry.api.post("/v1/sites", json={"name": "lab", "prefixes": ["fd42:1337:beef:8000::/64"]})
    assert (inside.status_code, inside.json()["code"]) == (422, "prefix_inside_network")
    assert inside.json()["errors"][0]["pointer"] == "/prefixes"
    bad = await registry.api.post("/v1/sites", json={"name": "lab", "prefixes": ["10.0.0.1/8"]})
    assert bad.json()["errors"][0]["pointer"] == "/prefixes/0"
    gone = await registry.api.delete(f"/v1/sites/{site['id']}", headers={"If-Match": "*"})
    mesh, _ = await one.until(mesh=gone.json()["change"])
    assert {it.origins for it in mesh.relays} == {()}


@pytest.mark.parametrize("prefix", ["0.0.0.0/0", "8000::/1", "10.0.0.0/7", "127.0.0.0/8", "240.0.0.0/8", "::/16"])
async def test_a_site_that_every_agent_would_leave_out_is_refused_when_it_is_made_and_when_it_is_changed(
    registry: RunningRegistry, prefix: str
) -> None:
    one = await registry.enrol("one", endpoints=["relay.example:51820"])
    body = {"name": "office", "prefixes": ["10.1.0.0/16", prefix], "relays": [one.id]}
    refused = await registry.api.post("/v1/sites", json=body)
    site = await made(registry, "/v1/sites", name="office", prefixes=["10.1.0.0/16"], relays=[one.id])
    path = f"/v1/sites/{site['id']}"
    changed = await registry.api.patch(path, json={"prefixes": ["10.1.0.0/16", prefix]}, headers={"If-Match": "*"})
    for answer in (refused, changed):
        assert (answer.status_code, answer.json()["code"]) == (422, "bad_prefix")
        (problem,) = answer.json()["errors"]
        assert problem["pointer"] == "/prefixes/1"
        assert prefix in answer.text
        assert answer.json()["mend"]
    assert (await registry.api.get(path)).json()["prefixes"] == ["10.1.0.0/16"]


async def test_a_site_never_covers_where_a_relay_is_reached_whichever_of_the_two_an_operator_writes_last(
    registry: RunningRegistry,
) -> None:
    one = await registry.enrol("one", endpoints=["198.51.100.7:51820", "[2001:db8:1::7]:51820"])
    two = await registry.enrol("two", endpoints=["relay.example:51820"])
    for prefix, relay in (("198.51.100.0/24", one), ("2001:db8:1::/48", one), ("198.51.100.7/32", two)):
        body = {"name": "office", "prefixes": [prefix], "relays": [relay.id]}
        refused = await registry.api.post("/v1/sites", json=body)
        assert (refused.status_code, refused.json()["code"]) == (409, "prefix_covers_endpoint"), refused.text
        assert "relay one" in refused.json()["detail"]
        assert refused.json()["mend"]
        assert refused.json()["errors"][0]["pointer"] == "/prefixes"

    site = await made(registry, "/v1/sites", name="office", prefixes=["203.0.113.0/24"], relays=[two.id])
    path, any_version = f"/v1/sites/{site['id']}", {"If-Match": "*"}
    wider = await registry.api.patch(path, json={"prefixes": ["198.51.100.0/23"]}, headers=any_version)
    assert (wider.status_code, wider.json()["code"]) == (409, "prefix_covers_endpoint")
    into = {"endpoints": ["198.51.100.7:51820", "203.0.113.9:51820"]}
    moved = await registry.api.patch(f"/v1/relays/{one.id}", json=into, headers=any_version)
    assert (moved.status_code, moved.json()["code"]) == (409, "endpoint_in_site")
    assert moved.json()["errors"][0]["pointer"] == "/endpoints/1"
    assert (await registry.api.get(path)).json()["prefixes"] == ["203.0.113.0/24"]


async def test_a_host_that_has_moved_into_a_site_is_taken_as_it_is_and_its_site_may_be_mended(
    registry: RunningRegistry,
) -> None:
    one, two = await registry.enrol("one"), await registry.enrol("two")
    prefixes = ["203.0.113.0/24", "10.1.0.0/16"]
    site = await made(registry, "/v1/sites", name="office", prefixes=prefixes, relays=[one.id])
    again = await one.host.ask(registry.anonymous, await registry.join_token(), endpoints=["203.0.113.9:51820"])
    assert again.status_code == 200, again.text
    mesh, _ = await two.until(mesh=again.json()["change"])
    (told,) = [entry for entry in mesh.relays if entry.id == one.id]
    assert (told.endpoints, set(told.origins)) == (("203.0.113.9:51820",), set(prefixes))

    path, any_version = f"/v1/sites/{site['id']}", {"If-Match": "*"}
    renamed = await registry.api.patch(path, json={"name": "workshop"}, headers=any_version)
    assert renamed.status_code == 200, renamed.text
    more = await registry.api.patch(path, json={"relays": [one.id, two.id]}, headers=any_version)
    assert (more.status_code, more.json()["errors"][0]["pointer"]) == (409, "/relays")
    weight = await registry.api.patch(
        f"/v1/relays/{one.id}", json={"endpoints": ["203.0.113.9:51820", "relay.example:1"]}, headers=any_version
    )
    assert weight.status_code == 200, "where it is already is no reason to refuse another endpoint"
    nobody = await registry.api.patch(path, json={"relays": []}, headers=any_version)
    assert nobody.status_code == 200, "taking away is always allowed"
    mended = await registry.api.patch(
        path, json={"prefixes": ["10.1.0.0/16"], "relays": [one.id, two.id]}, headers=any_version
    )
    assert mended.status_code == 200, mended.text


async def test_a_relay_that_is_revoked_leaves_its_clients_without_one(registry: RunningRegistry) -> None:
    one, two = await registry.enrol("one"), await registry.enrol("two")
    client = await made(registry, "/v1/clients", name="laptop", key=key(), relay=one.id)
    await made(registry, "/v1/services", name="wiki", port=80, owner=one.id)
    await made(registry, "/v1/sites", name="office", prefixes=["10.1.0.0/16"], relays=[one.id])
    await registry.api.delete(f"/v1/relays/{one.id}", headers={"If-Match": "*"})
    left = (await registry.api.get(f"/v1/clients/{client['id']}")).json()
    assert left["relay"] is None
    assert (await registry.api.get("/v1/services")).json()["items"] == []
    assert (await registry.api.get("/v1/sites")).json()["items"][0]["relays"] == []
    moved = await registry.api.patch(f"/v1/clients/{client['id']}", json={"relay": "auto"}, headers={"If-Match": '"2"'})
    assert moved.json()["relay"] == two.id
    assert (await registry.enrol("three")).answer["relay"]["slot"] == 3


async def test_a_networks_settings_reach_every_relay_and_its_prefix_is_its_own(registry: RunningRegistry) -> None:
    relay = await registry.enrol("one")
    changed = await registry.api.patch(
        "/v1/networks/default",
        json={"settings": {"heartbeat": 1.5, "bfd_interval": 0.2, "restart_time": 30}},
        headers={"If-Match": '"1"'},
    )
    assert changed.status_code == 200, changed.text
    mesh, _ = await relay.until(mesh=changed.json()["change"])
    assert (mesh.settings.heartbeat, mesh.settings.mtu) == (1.5, 1420)
    assert (mesh.settings.bfd_interval, mesh.settings.bfd_multiplier, mesh.settings.restart_time) == (0.2, 3, 30)
    other = await made(registry, "/v1/networks", name="other")
    assert other["prefix"].startswith("fd")
    same = await registry.api.post("/v1/networks", json={"name": "third", "prefix": other["prefix"]})
    assert (same.status_code, same.json()["errors"][0]["pointer"]) == (409, "/prefix")
    outside = await registry.api.post("/v1/networks", json={"name": "third", "prefix": "2001:db8::/48"})
    assert (outside.status_code, outside.json()["errors"][0]["pointer"]) == (422, "/prefix")


async def test_two_networks_do_not_see_each_other(registry: RunningRegistry) -> None:
    other = await made(registry, "/v1/networks", name="other")
    token = await registry.join_token(network="other")
    here, there = await registry.enrol("one"), await registry.enrol("one", token=token)
    mesh, _ = await there.until(mesh=there.change)
    assert [entry.id for entry in mesh.relays] == [there.id]
    assert mesh.prefix == other["prefix"]
    refused = await registry.api.post(
        "/v1/clients", json={"name": "laptop", "key": key(), "relay": there.id, "network": "default"}
    )
    assert (refused.status_code, refused.json()["code"]) == (409, "relay_unusable")
    peers = (await registry.api.get("/v1/peers", params={"network": "default"})).json()["items"]
    assert [peer["id"] for peer in peers] == [here.id]


async def test_lists_come_in_pages_and_by_filter(registry: RunningRegistry) -> None:
    token = await registry.join_token(uses=5)
    for number in range(5):
        await registry.enrol(f"r{number}", token=token, region="eu" if number % 2 else "us", labels={"n": str(number)})
    names, cursor = [], None
    while True:
        page = (
            await registry.api.get("/v1/relays", params={"limit": 2, **({"cursor": cursor} if cursor else {})})
        ).json()
        names += [relay["name"] for relay in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert names == ["r0", "r1", "r2", "r3", "r4"]
    assert len((await registry.api.get("/v1/relays", params={"region": "eu"})).json()["items"]) == 2
    labelled = (await registry.api.get("/v1/relays", params={"label": "n=3"})).json()["items"]
    assert [relay["name"] for relay in labelled] == ["r3"]
    assert (await registry.api.get("/v1/clients", params={"cursor": "xx"})).json()["code"] == "bad_cursor"


async def test_a_post_that_is_sent_again_is_done_once(registry: RunningRegistry) -> None:
    await registry.enrol("one")
    body, headers = {"name": "laptop", "key": key()}, {"Idempotency-Key": "k-1"}
    first = await registry.api.post("/v1/clients", json=body, headers=headers)
    again = await registry.api.post("/v1/clients", json=body, headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()


async def test_every_write_is_an_event_with_its_actor_and_what_was_before(registry: RunningRegistry) -> None:
    await registry.enrol("one")
    client = await made(registry, "/v1/clients", name="laptop", key=key())
    await registry.api.patch(f"/v1/clients/{client['id']}", json={"name": "desk"}, headers={"If-Match": '"1"'})
    async with registry.db.raw() as sql:
        rows = await sql.fetch(
            "SELECT kind, actor, payload::jsonb -> 'before' ->> 'name' AS before,"
            " payload::jsonb -> 'after' ->> 'name' AS after"
            " FROM registry.outbox WHERE subject_id = $1 ORDER BY ordinal",
            client["id"],
        )
    assert [(row["kind"], row["before"], row["after"]) for row in rows] == [
        ("registry.client.created", None, "laptop"),
        ("registry.client.changed", "laptop", "desk"),
    ]
    assert {row["actor"] for row in rows} == {OWNER}


async def test_an_api_token_works_within_its_scopes_until_it_is_revoked(registry: RunningRegistry) -> None:
    until = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    wish = {"name": "ci", "role": "admin", "scopes": ["clients:write", "tokens:read"], "expires_at": until}
    token = (await registry.api.post("/v1/tokens/api", json=wish)).json()
    headers = {"Authorization": f"Bearer {token['secret']}"}
    assert (await registry.anonymous.get("/v1/clients", headers=headers)).status_code == 200
    assert (await registry.anonymous.get("/v1/relays", headers=headers)).json()["code"] == "scope_missing"
    changed = await registry.anonymous.post("/v1/auth/exchange", headers=headers)
    assert changed.status_code == 200, changed.text
    access = {"Authorization": f"Bearer {changed.json()['access_token']}"}
    assert (await registry.anonymous.get("/v1/clients", headers=access)).status_code == 200
    assert (await registry.anonymous.post("/v1/auth/exchange", headers=access)).json()["code"] == "not_an_api_token"
    await registry.api.delete(f"/v1/tokens/api/{token['id']}")
    for asked, found in (("name=ci", 1), ("name=cd", 0), ("role=owner", 0), ("usable=true", 0), ("usable=false", 1)):
        listed = (await registry.api.get(f"/v1/tokens/api?{asked}")).json()["items"]
        assert [it["id"] for it in listed] == [token["id"]] * found, asked
    assert (await registry.anonymous.get("/v1/clients", headers=headers)).json()["code"] == "token_revoked"
    async with registry.db.raw() as sql:
        row = await sql.fetchrow("SELECT * FROM registry.api_tokens WHERE id = $1", token["id"])
    assert token["secret"].encode() not in repr(row).encode()


async def test_nobody_gives_away_more_than_they_have(registry: RunningRegistry) -> None:
    until = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    admin = registry.as_role(Role.ADMIN, frozenset({"tokens:write"}))
    wider = {"name": "x", "role": "admin", "scopes": ["*"], "expires_at": until}
    higher = {"name": "x", "role": "owner", "scopes": ["tokens:read"], "expires_at": until}
    for wish, code in ((wider, "scope_missing"), (higher, "role_too_low")):
        answer = await registry.anonymous.post("/v1/tokens/api", json=wish, headers=admin)
        assert (answer.status_code, answer.json()["code"]) == (403, code)
    owner = {"name": "x", "role": "owner", "scopes": ["*"], "expires_at": until}
    owners = (await registry.api.post("/v1/tokens/api", json=owner)).json()["id"]
    assert (await registry.anonymous.delete(f"/v1/tokens/api/{owners}", headers=admin)).status_code == 403


async def test_the_first_owner_is_made_once(registry: RunningRegistry) -> None:
    clock = registry.app.state.registry.clock
    tokens = []
    for _ in range(2):
        async with registry.db.transaction(actor="host") as uow:
            tokens.append(await make_first_owner(uow, clock=clock, lifetime=60, randomness=secrets.token_bytes))
    assert tokens[1] is None
    assert tokens[0] is not None
    headers = {"Authorization": f"Bearer {tokens[0][1].reveal()}"}
    assert (await registry.anonymous.get("/v1/tokens/api", headers=headers)).json()["items"][0]["role"] == "owner"
