"""Every write of the registry's API is an event with its actor, and with what was before and after."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from altnet.common.contracts.client_keys import prove
from altnet.common.keys import PrivateKey, PublicKey
from integration.registry.running import OWNER, Host, RunningRegistry
from support.audit import Audit, Told

NO_EVENT = {
    "report_client_latencies": "a measurement, like a heartbeat: it is replaced every minute and decides nothing alone",
    "exchange_token": "writes nothing: the access token is a signature that nobody keeps",
}
"""What may write and tells nobody, and why (docs/invariants.md, 5)."""


async def test_every_write_of_the_api_tells_who_did_it_and_what_was_before_and_after(
    registry: RunningRegistry,
) -> None:
    audit = Audit(registry.app, registry.api, registry.db, OWNER)
    write = audit.write

    network = await write(
        "create_network", Told.MADE, body={"name": "second", "prefix": "fd42:1337:beee::/48", "settings": {}}
    )
    await write("change_network", Told.CHANGED, network=network["id"], body={"settings": {"heartbeat": 7.0}})
    (home,) = (await registry.api.get("/v1/networks?name=default")).json()["items"]

    token = await write("create_join_token", Told.MADE, body={"kind": "relay", "uses": 2, "network": home["id"]})
    await _relay(audit, registry, token)
    relay = await registry.enrol("two", token=token["secret"])
    await write("change_relay", Told.CHANGED, relay=relay.id, body={"region": "eu"})
    await write("revoke_join_token", Told.CHANGED, token=token["id"])

    client = await _client(audit, registry, home["id"])
    await _client_keys(audit, client)

    wish = {"name": "web", "port": 80, "address": "fd00:5::80", "network": home["id"]}
    service = await write("register_service", Told.MADE, body=wish)
    await write("change_service", Told.CHANGED, service=service["id"], body={"port": 81})
    health = {"health": "passing", "note": "answers"}
    await write("report_service_health", Told.CHANGED, service=service["id"], body=health)
    await write("report_service_health", Told.HAPPENED, service=service["id"], body={**health, "note": "slowly"})
    await write("remove_service", Told.GONE, service=service["id"])

    wish = {"name": "office", "prefixes": ["10.1.0.0/16"], "relays": [relay.id], "network": home["id"]}
    site = await write("create_site", Told.MADE, body=wish)
    await write("change_site", Told.CHANGED, site=site["id"], body={"name": "lab"})
    await write("remove_site", Told.GONE, site=site["id"])

    wish = {"name": "isp", "relay": relay.id, "address": "2001:db8::1", "asn": 65010}
    peering = await write("create_peering", Told.MADE, body=wish)
    await write("change_peering", Told.CHANGED, peering=peering["id"], body={"asn": 65011})
    await write("remove_peering", Told.GONE, peering=peering["id"])

    until = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    wish = {"name": "ci", "role": "admin", "scopes": ["*"], "expires_at": until}
    api_token = await write("create_api_token", Told.MADE, body=wish)
    await write("revoke_api_token", Told.CHANGED, token=api_token["id"])

    await write("rebuild_mesh", Told.HAPPENED)
    await write("revoke", Told.HAPPENED, body={"key": relay.host.access_key})
    await write("remove_client", Told.GONE, client=client["id"])
    await write("revoke_relay", Told.CHANGED, relay=relay.id)

    assert audit.done | set(NO_EVENT) == audit.writes()
    assert audit.tried == audit.can_be_tried() - set(NO_EVENT)
    assert audit.writes() - audit.can_be_tried() == {
        "enrol_relay",
        "renew_credentials",
        "join_client",
        "exchange_token",
    }


async def test_a_health_that_is_said_again_is_no_event(registry: RunningRegistry) -> None:
    audit = Audit(registry.app, registry.api, registry.db, OWNER)
    wish = {"name": "web", "port": 80, "address": "fd00:5::80"}
    service = await audit.write("register_service", Told.MADE, body=wish)
    path = f"/v1/services/{service['id']}/health"
    for note in ("answers", "answers", "slowly", "slowly"):
        await registry.api.put(path, json={"health": "passing", "note": note})

    async with registry.db.raw() as sql:
        rows = await sql.fetch(
            "SELECT payload::jsonb ->> 'note' AS note FROM registry.outbox"
            " WHERE kind = 'registry.service.health_changed' ORDER BY ordinal"
        )
    assert [row["note"] for row in rows] == ["answers", "slowly"]


async def _relay(audit: Audit, registry: RunningRegistry, token: dict[str, str]) -> None:
    host, anonymous = Host("one"), registry.anonymous
    body = host.body(token["secret"])
    relay = await audit.write(
        "enrol_relay", Told.MADE, actor=f"host:{host.nkey}", api=anonymous, content=body, headers=host.signed(body)
    )
    said = {
        "nkey": host.nkey,
        "key": host.key,
        "access_key": host.access_key,
        "endpoints": ["203.0.113.9:51820"],
        "timestamp": datetime.now(UTC).isoformat(),
    }
    body = json.dumps(said).encode()
    id = relay["relay"]["id"]
    await audit.write(
        "renew_credentials",
        Told.CHANGED,
        actor=f"relay:{id}",
        api=anonymous,
        content=body,
        headers=host.signed(body, b"altnet-credentials-v1\n"),
        relay=id,
    )


async def _client(audit: Audit, registry: RunningRegistry, network: str) -> dict[str, str]:
    token = await audit.write("create_join_token", Told.MADE, body={"kind": "client", "network": network})
    joins = {"token": token["secret"], "key": PrivateKey.generate().public().base64, "name": "laptop"}
    await audit.write("join_client", Told.MADE, actor=token["id"], api=registry.anonymous, body=joins)
    wish = {"name": "phone", "generate_key": True, "network": network}
    client: dict[str, str] = await audit.write("create_client", Told.MADE, body=wish)
    await audit.write("change_client", Told.CHANGED, client=client["id"], body={"name": "tablet"})
    return client


async def _client_keys(audit: Audit, client: dict[str, str]) -> None:
    id, write = client["id"], audit.write
    await write("change_client_key", Told.CHANGED, client=id, body={})
    await write("drop_client_key", Told.CHANGED, client=id)
    await write("change_client_key", Told.CHANGED, client=id, body={})
    wish = (await audit.api.get(f"/v1/clients/{id}/configuration")).json()["wish"]
    following = PrivateKey.generate()
    proof = prove(
        client=id,
        epoch=wish["epoch"],
        challenge=PublicKey.parse(wish["challenge"]),
        present=PrivateKey.parse(client["private_key"]),
        following=following,
    )
    said = {"key": following.public().base64, "epoch": wish["epoch"], "proof": proof}
    await write("announce_client_key", Told.CHANGED, client=id, body=said)
    await write("keep_client_key", Told.CHANGED, client=id, body={"key": following.public().base64})
