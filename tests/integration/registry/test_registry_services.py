"""Services and discovery over REST: what may be changed of a service, what is told of it, and how peers are found."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from altnet.common.http.auth import Role
from altnet.common.keys import PrivateKey
from integration.registry.running import OWNER, RunningRegistry


async def made(registry: RunningRegistry, path: str, **body: Any) -> dict[str, Any]:
    answer = await registry.api.post(path, json=body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def client_of(registry: RunningRegistry, name: str, **wishes: Any) -> dict[str, Any]:
    return await made(registry, "/v1/clients", name=name, key=PrivateKey.generate().public().base64, **wishes)


async def patched(
    registry: RunningRegistry, service: dict[str, Any], match: str = "*", **wishes: Any
) -> httpx.Response:
    path = f"/v1/services/{service['id']}"
    return await registry.api.patch(path, json=wishes, headers={"If-Match": match})


def fault(answer: httpx.Response) -> tuple[int, str, str]:
    said = answer.json()
    return answer.status_code, said["code"], said["errors"][0]["pointer"]


async def told(registry: RunningRegistry, service: str) -> list[dict[str, Any]]:
    """The events of one service, in order, with what was before and after."""
    async with registry.db.raw() as sql:
        rows = await sql.fetch(
            "SELECT kind, actor, payload::jsonb ->> 'change' IS NOT NULL AS numbered,"
            " payload::jsonb -> 'before' ->> $2 AS before, payload::jsonb -> 'after' ->> $2 AS after,"
            " payload::jsonb ->> 'note' AS note FROM registry.outbox WHERE subject_id = $1 ORDER BY ordinal",
            service,
            "health",
        )
    return [dict(row) for row in rows]


async def test_a_patch_changes_what_it_names_and_neither_the_address_nor_the_rest(registry: RunningRegistry) -> None:
    await registry.enrol("one")
    client = await client_of(registry, "laptop")
    service = await made(registry, "/v1/services", name="wiki", port=80, owner=client["id"], tags=["web", "docs"])

    one = await patched(registry, service, '"1"', name="pages", port=8080)
    two = await patched(registry, service, one.headers["etag"], protocol="udp", tags=["web", "web", "beta"])

    assert (one.status_code, one.headers["etag"]) == (200, '"2"')
    assert "altnet-change" not in one.headers, "no relay is concerned"
    kept = {"id", "network", "owner", "owner_kind", "address", "health", "created_at"}
    assert {name: two.json()[name] for name in kept} == {name: service[name] for name in kept}
    changed = {name: two.json()[name] for name in ("name", "port", "protocol", "tags", "version")}
    assert changed == {"name": "pages", "port": 8080, "protocol": "udp", "tags": ["beta", "web"], "version": 3}
    assert (await registry.api.get(f"/v1/services/{service['id']}")).json() == two.json()
    found = (await registry.api.get("/v1/services", params={"name": "pages", "protocol": "udp"})).json()["items"]
    assert [one["id"] for one in found] == [service["id"]]
    free = await made(registry, "/v1/services", name="wiki", port=80, owner=client["id"])
    assert free["address"] != service["address"], "the name is free again, the address is not"


async def test_a_patch_that_cannot_be_is_refused_with_its_field_and_changes_nothing(registry: RunningRegistry) -> None:
    await registry.enrol("one")
    client = await client_of(registry, "laptop")
    service = await made(registry, "/v1/services", name="wiki", port=80, owner=client["id"])
    await made(registry, "/v1/services", name="mail", port=25, owner=client["id"])
    path = f"/v1/services/{service['id']}"

    said = [
        fault(await patched(registry, service, name="mail")),
        fault(await patched(registry, service, name="laptop")),
        fault(await patched(registry, service, name="Wiki")),
        fault(await patched(registry, service, port=0)),
        fault(await patched(registry, service, protocol="sctp")),
        fault(await patched(registry, service, tags=["ok", "Not A Label"])),
        fault(await patched(registry, service, tags=[f"t{number}" for number in range(33)])),
        fault(await patched(registry, service, name=None)),
        fault(await patched(registry, service, address="2001:db8::1")),
        fault(await patched(registry, service, '"7"', port=81)),
        fault(await registry.api.patch(path, json={"port": 81})),
    ]

    assert [(status, pointer) for status, _, pointer in said] == [
        (409, "/name"),
        (409, "/name"),
        (422, "/name"),
        (422, "/port"),
        (422, "/protocol"),
        (422, "/tags/1"),
        (422, "/tags"),
        (422, "/name"),
        (422, "/address"),
        (412, "/If-Match"),
        (428, "/If-Match"),
    ]
    auditor = registry.as_role(Role.AUDITOR)
    refused = await registry.anonymous.patch(path, json={"port": 81}, headers={"If-Match": "*", **auditor})
    assert fault(refused) == (403, "role_too_low", "/Authorization")
    assert (await registry.api.get(path)).json() == {**service, "change": None}
    assert [event["kind"] for event in await told(registry, service["id"])] == ["registry.service.registered"]


async def test_every_change_of_a_service_is_an_event_and_what_changes_nothing_is_none(
    registry: RunningRegistry,
) -> None:
    await registry.enrol("one")
    client = await client_of(registry, "laptop")
    service = await made(registry, "/v1/services", name="wiki", port=80, owner=client["id"])
    path = f"/v1/services/{service['id']}"

    await patched(registry, service, port=81)
    await patched(registry, service, port=81, name="wiki", tags=[])
    for health, note in (("critical", "502 from the front"), ("critical", "still"), ("passing", "")):
        assert (await registry.api.put(f"{path}/health", json={"health": health, "note": note})).status_code == 200
    kept = (await registry.api.get(path)).json()
    removed = await registry.api.delete(path, headers={"If-Match": '"2"'})

    assert (kept["version"], kept["health"], kept["health_note"]) == (2, "passing", "")
    assert removed.status_code == 200, removed.text
    events = await told(registry, service["id"])
    assert [(event["kind"], event["before"], event["after"]) for event in events] == [
        ("registry.service.registered", None, "unknown"),
        ("registry.service.changed", "unknown", "unknown"),
        ("registry.service.health_changed", "unknown", "critical"),
        ("registry.service.health_changed", "critical", "critical"),  # with another note
        ("registry.service.health_changed", "critical", "passing"),
        ("registry.service.removed", "passing", None),
    ]
    assert [event["note"] for event in events if event["note"]] == ["502 from the front", "still"]
    assert [event["numbered"] for event in events] == [True, False, False, False, False, True]
    assert {event["actor"] for event in events} == {OWNER}


@pytest.mark.parametrize("owner", ["relay", "client"])
async def test_a_service_that_goes_with_its_owner_is_told_as_well(registry: RunningRegistry, owner: str) -> None:
    relay = await registry.enrol("one")
    client = await client_of(registry, "laptop")
    gone = {"relay": f"/v1/relays/{relay.id}", "client": f"/v1/clients/{client['id']}"}[owner]
    service = await made(registry, "/v1/services", name="wiki", port=80, owner=gone.rpartition("/")[2])

    await registry.api.delete(gone, headers={"If-Match": "*"})

    assert (await registry.api.get(f"/v1/services/{service['id']}")).status_code == 404
    assert [event["kind"] for event in await told(registry, service["id"])][-1] == "registry.service.removed"


async def test_peers_are_found_by_kind_and_by_name(registry: RunningRegistry) -> None:
    one, two = await registry.enrol("one", region="eu", labels={"rack": "7"}), await registry.enrol("two")
    laptop = await client_of(registry, "laptop", relay=two.id)
    phone = await client_of(registry, "phone", relay=one.id)
    await made(registry, "/v1/services", name="wiki", port=80, owner=laptop["id"])

    async def peers(**filters: str) -> list[dict[str, Any]]:
        answer = await registry.api.get("/v1/peers", params=filters)
        assert answer.status_code == 200, answer.text
        return list(answer.json()["items"])

    assert [(peer["kind"], peer["id"]) for peer in await peers()] == sorted(
        [("relay", one.id), ("relay", two.id), ("client", laptop["id"]), ("client", phone["id"])],
        key=lambda pair: pair[1],
    )
    assert [peer["name"] for peer in await peers(kind="relay")] == ["one", "two"]
    assert [peer["name"] for peer in await peers(kind="client")] == ["laptop", "phone"]
    (relay,), (client,) = await peers(name="one"), await peers(name="laptop")
    assert relay["addresses"] == [one.answer["relay"]["address"], "fd42:1337:beef:1001::1"]
    assert (relay["relay"], relay["region"], relay["labels"], relay["health"]) == (None, "eu", {"rack": "7"}, "new")
    assert (client["addresses"], client["relay"], client["health"]) == ([laptop["address"]], two.id, None)
    assert await peers(name="laptop", kind="relay") == []
    assert await peers(name="wiki") == [], "a service is no peer"
    assert fault(await registry.api.get("/v1/peers", params={"kind": "service"}))[::2] == (422, "/kind")
    page = (await registry.api.get("/v1/peers", params={"kind": "client", "limit": 1})).json()
    rest = await registry.api.get("/v1/peers", params={"kind": "client", "cursor": page["next_cursor"]})
    assert [peer["name"] for peer in [*page["items"], *rest.json()["items"]]] == ["laptop", "phone"]
    other = await registry.api.get("/v1/peers", params={"kind": "relay", "cursor": page["next_cursor"]})
    assert fault(other) == (422, "bad_cursor", "/cursor")
