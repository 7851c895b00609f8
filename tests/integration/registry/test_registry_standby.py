"""Clients with two relays over REST: which the second one is, what both relays are told, what the client is told."""

from __future__ import annotations

from typing import Any

from altnet.common.keys import PrivateKey
from integration.registry.running import Relay, RunningRegistry


def key() -> str:
    return PrivateKey.generate().public().base64


async def made(registry: RunningRegistry, **body: Any) -> dict[str, Any]:
    answer = await registry.api.post("/v1/clients", json={"name": "laptop", "key": key(), **body})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def changed(registry: RunningRegistry, client: dict[str, Any], **patch: Any) -> dict[str, Any]:
    answer = await registry.api.patch(f"/v1/clients/{client['id']}", json=patch, headers={"If-Match": "*"})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_a_movable_client_gets_a_standby_relay_on_another_host_and_both_are_told(
    registry: RunningRegistry,
) -> None:
    one = await registry.enrol("one", endpoints=["one.example:51820"])
    await registry.enrol("same", endpoints=["one.example:51821"], mesh_port=51821)
    two = await registry.enrol("two", endpoints=["two.example:51820"])
    client = await made(registry, relay=one.id, movable=True)
    assert (client["relay"], client["standby"], client["movable"]) == (one.id, two.id, True)
    for relay, standby in ((one, False), (two, True)):
        _, document = await relay.until(document=client["change"])
        assert [(it.id, it.standby, it.movable) for it in document.clients] == [(client["id"], standby, True)]


async def test_when_one_of_a_clients_relays_is_revoked_the_other_ones_document_says_so(
    registry: RunningRegistry,
) -> None:
    one = await registry.enrol("one", endpoints=["one.example:51820"])
    two = await registry.enrol("two", endpoints=["two.example:51820"])
    three = await registry.enrol("three", endpoints=["three.example:51820"])
    away = await made(registry, relay=one.id, standby=two.id, movable=True)
    home = await made(registry, name="home", relay=two.id, standby=three.id, movable=True)

    async def others(relay: Relay, change: int) -> dict[str, tuple[bool, str]]:
        _, document = await relay.until(document=change)
        return {it.id: (it.standby, it.other) for it in document.clients}

    assert await others(one, away["change"]) == {away["id"]: (False, two.id)}
    assert await others(two, home["change"]) == {away["id"]: (True, one.id), home["id"]: (False, three.id)}
    revoked = await registry.api.post("/v1/revocations", json={"relay": two.id})
    assert revoked.status_code in (200, 201), revoked.text
    change = revoked.json()["change"]
    assert await others(one, change) == {away["id"]: (False, "")}
    assert await others(three, change) == {home["id"]: (False, "")}


async def test_a_client_that_cannot_move_has_no_standby_and_is_refused_one(registry: RunningRegistry) -> None:
    one, two = await registry.enrol("one"), await registry.enrol("two", endpoints=["two.example:51820"])
    client = await made(registry, relay=one.id)
    assert (client["standby"], client["movable"]) == (None, False)
    for body, field in (
        ({"name": "a", "key": key(), "relay": one.id, "standby": two.id}, "/standby"),
        ({"name": "b", "key": key(), "relay": one.id, "movable": True, "standby": one.id}, "/standby"),
        ({"name": "c", "key": key(), "relay": one.id, "movable": True, "standby": "rly_nobody"}, "/standby"),
    ):
        answer = await registry.api.post("/v1/clients", json=body)
        assert answer.status_code in (404, 422), answer.text
        assert [error["pointer"] for error in answer.json()["errors"]] == [field]

    now = await changed(registry, client, movable=True)
    assert now["standby"] == two.id, "movable brings one"
    moved = await changed(registry, client, relay=two.id)
    assert moved["standby"] == one.id, "the standby relay is never the client's own"
    assert (await changed(registry, client, standby=None))["standby"] is None
    assert (await changed(registry, client, standby="auto"))["standby"] == one.id
    assert (await changed(registry, client, movable=False))["standby"] is None


async def test_with_one_relay_a_movable_client_has_no_standby(registry: RunningRegistry) -> None:
    one = await registry.enrol("one")
    client = await made(registry, movable=True)
    assert (client["relay"], client["standby"]) == (one.id, None)


async def test_a_program_reads_its_configuration_with_both_relays(registry: RunningRegistry) -> None:
    one = await registry.enrol("one", endpoints=["one.example:51820", "[2001:db8::1]:51820"])
    two = await registry.enrol("two", endpoints=["two.example:51820"])
    client = await made(registry, relay=one.id, movable=True)
    config = (await registry.api.get(f"/v1/clients/{client['id']}/configuration")).json()
    assert config["addresses"] == [client["address"] + "/128"]
    assert config["routes"] == ["fd42:1337:beef::/48"]
    assert (config["client"], config["mtu"], config["movable"]) == (client["id"], 1280, True)
    assert [(it["relay"], it["priority"], it["key"], it["endpoints"], it["address"]) for it in config["relays"]] == [
        (one.id, 0, one.host.access_key, ["one.example:51830", "[2001:db8::1]:51830"], "fd42:1337:beef:1001::2"),
        (two.id, 1, two.host.access_key, ["two.example:51830"], "fd42:1337:beef:1002::2"),
    ]


async def test_when_its_relay_is_revoked_a_client_belongs_to_its_standby(registry: RunningRegistry) -> None:
    one = await registry.enrol("one", endpoints=["one.example:51820"])
    two = await registry.enrol("two", endpoints=["two.example:51820"])
    client = await made(registry, relay=one.id, movable=True)
    gone = await registry.api.delete(f"/v1/relays/{one.id}", headers={"If-Match": "*"})
    left = (await registry.api.get(f"/v1/clients/{client['id']}")).json()
    assert (left["relay"], left["standby"], left["address"]) == (two.id, None, client["address"])
    _, document = await two.until(document=gone.json()["change"])
    assert [(it.id, it.standby) for it in document.clients] == [(client["id"], False)]

    three = await registry.enrol("three", endpoints=["three.example:51820"])
    assert (await changed(registry, client, standby="auto"))["standby"] == three.id
    await registry.api.delete(f"/v1/relays/{three.id}", headers={"If-Match": "*"})
    left = (await registry.api.get(f"/v1/clients/{client['id']}")).json()
    assert (left["relay"], left["standby"]) == (two.id, None)
