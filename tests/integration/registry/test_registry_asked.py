"""Routes and paths, asked of relays that answer over NATS, or do not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from ipaddress import IPv6Address, IPv6Network
from typing import Any

from altnet.common.bus.connect import BusSettings
from altnet.common.bus.jwt import BusIdentity
from altnet.common.contracts.routing import ROUTES, Engine, NextHop, RouteQuery, RouteTable, RouteView
from altnet.common.db.settings import DatabaseSettings
from altnet.common.errors import Invalid, Unauthenticated
from altnet.common.keys import PrivateKey
from altnet.common.net import AddressPlan
from integration.registry.running import FAST, RunningRegistry, running
from integration.registry.telling import answering, peering_of


def forwarding(*ways: str, prefix: str, **more: Any) -> Callable[[RouteQuery], Awaitable[RouteTable]]:
    """A relay that knows one route; `.lo` is a device, `@p` a peering."""
    hops = tuple(
        NextHop(device=way[1:]) if way[0] == "." else NextHop(peering=way[1:]) if way[0] == "@" else NextHop(relay=way)
        for way in ways
    )
    view = RouteView(prefix=prefix, next_hops=hops, used=True, **{"source": "mesh", "why": "lowest cost", **more})

    async def answer(query: RouteQuery) -> RouteTable:
        return RouteTable(engine=Engine.BIRD, routes=(view,))

    return answer


async def test_a_relay_is_asked_for_its_routes_page_by_page(registry: RunningRegistry) -> None:
    relay = await registry.enrol("one", routing="bird")
    views = [
        RouteView(prefix=f"10.{n}.0.0/16", next_hops=(NextHop(device="eth0"),), used=True, source="own", cost=n)
        for n in range(5)
    ]
    asked: list[RouteQuery] = []

    async def answer(query: RouteQuery) -> RouteTable:
        asked.append(query)
        if query.to == "192.0.2.0/24":
            raise Invalid("bad_prefix", "not here.", field="/to", mend="Ask for another.")
        if query.to == "198.51.100.0/24":
            raise Unauthenticated("odd", "who are you?")
        if query.to == "203.0.113.0/24":  # more than was asked for
            return RouteTable(engine=Engine.BIRD, routes=tuple(views))
        rest = [view for view in views if not query.after or view.prefix > query.after]
        return RouteTable(engine=Engine.BIRD, routes=tuple(rest[: query.limit]), more=len(rest) > query.limit)

    await answering(relay, ROUTES, answer)
    found, after = [], ""
    while True:
        page = await registry.api.get(f"/v1/relays/{relay.id}/routes", params={"limit": 2, "after": after})
        assert page.status_code == 200, page.text
        found += [route["prefix"] for route in page.json()["routes"]]
        after = page.json()["next_after"]
        if after is None:
            break
    assert found == [view.prefix for view in views]
    assert (page.json()["engine"], page.json()["computed"]) == ("bird", False)
    await registry.api.get(f"/v1/relays/{relay.id}/routes", params={"to": "10.1.2.3"})
    assert asked[-1].to == "10.1.2.3"
    refused = await registry.api.get(f"/v1/relays/{relay.id}/routes", params={"to": "192.0.2.0/24"})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/to")
    odd = await registry.api.get(f"/v1/relays/{relay.id}/routes", params={"to": "198.51.100.0/24"})
    assert (odd.status_code, odd.json()["code"]) == (503, "relay_refused")
    many = await registry.api.get(f"/v1/relays/{relay.id}/routes", params={"to": "203.0.113.0/24", "limit": 2})
    assert (len(many.json()["routes"]), many.json()["next_after"]) == (2, "10.1.0.0/16")
    bad = await registry.api.get(f"/v1/relays/{relay.id}/routes", params={"to": "nowhere"})
    assert (bad.status_code, bad.json()["errors"][0]["pointer"]) == (422, "/to")


async def test_a_relay_that_is_away_is_said_to_be_and_a_revoked_one_routes_nothing(registry: RunningRegistry) -> None:
    relay = await registry.enrol("one", routing="bird")
    away = await registry.api.get(f"/v1/relays/{relay.id}/routes")
    assert (away.status_code, away.json()["code"]) == (503, "relay_silent")
    assert "agent" in away.json()["mend"]
    await registry.api.delete(f"/v1/relays/{relay.id}", headers={"If-Match": "*"})
    assert (await registry.api.get(f"/v1/relays/{relay.id}/routes")).json()["code"] == "relay_revoked"
    assert (await registry.api.get("/v1/relays/rly_nobody/routes")).status_code == 404


async def test_routes_of_a_relay_without_a_routing_engine_are_computed(registry: RunningRegistry) -> None:
    one, two = await registry.enrol("one"), await registry.enrol("two")
    body = {"name": "office", "prefixes": ["10.1.0.0/16"], "relays": [two.id]}
    site = (await registry.api.post("/v1/sites", json=body)).json()
    await one.until(mesh=site["change"], document=one.change)
    answer = (await registry.api.get(f"/v1/relays/{one.id}/routes", params={"to": "10.1.2.3"})).json()
    assert (answer["engine"], answer["computed"]) == ("static", True)
    (route,) = answer["routes"]
    assert (route["prefix"], route["next_hops"][0]["relay"], route["why"]) == ("10.1.0.0/16", two.id, "direct link")
    path = (await registry.api.get("/v1/paths", params={"from": "one", "to": "10.1.2.3"})).json()
    assert (path["complete"], path["relays"], path["target"]["name"]) == (True, [one.id, two.id], "office")
    assert [hop["computed"] for hop in path["hops"]] == [True, True]


async def test_a_path_is_walked_from_client_to_client_over_the_relays_that_say_so(registry: RunningRegistry) -> None:
    token = await registry.join_token(uses=9)
    a, b, c, d = [await registry.enrol(name, token=token, routing="bird") for name in "abcd"]
    clients = {}
    for name, relay in (("laptop", a), ("phone", d)):
        body = {"name": name, "key": PrivateKey.generate().public().base64, "relay": relay.id}
        clients[name] = (await registry.api.post("/v1/clients", json=body)).json()
    prefix = clients["phone"]["address"] + "/128"
    await answering(a, ROUTES, forwarding(b.id, c.id, prefix=prefix, cost=300, as_path=(1, 2)))
    await answering(b, ROUTES, forwarding(d.id, prefix=prefix, cost=100))
    await answering(c, ROUTES, forwarding(d.id, prefix=prefix, cost=100))
    await answering(d, ROUTES, forwarding(".alta0", prefix=prefix, source="own", why="its client"))
    answer = await registry.api.get("/v1/paths", params={"from": "laptop", "to": clients["phone"]["id"]})
    assert answer.status_code == 200, answer.text
    path = answer.json()
    assert (path["complete"], path["outcome"], path["cost"]) == (True, "delivered", 300)
    assert path["relays"] == [a.id, b.id, d.id]
    assert (path["source"]["kind"], path["source"]["relay"]) == ("client", a.id)
    assert (path["target"]["kind"], path["target"]["address"]) == ("client", clients["phone"]["address"])
    assert [(hop["name"], hop["depth"], hop["outcome"]) for hop in path["hops"]] == [
        ("a", 0, "forwarded"),
        ("b", 1, "forwarded"),
        ("c", 1, "forwarded"),
        ("d", 2, "delivered"),
    ]
    assert [way["relay"] for way in path["hops"][0]["route"]["next_hops"]] == [b.id, c.id]
    assert path["hops"][-1]["route"]["why"] == "its client"
    address = await registry.api.get(
        "/v1/paths", params={"from": clients["laptop"]["address"], "to": path["target"]["address"]}
    )
    assert address.json()["relays"] == path["relays"]


async def test_a_path_over_a_relay_that_is_silent_is_told_as_far_as_it_is_known(registry: RunningRegistry) -> None:
    a, b = await registry.enrol("a", routing="bird"), await registry.enrol("b", routing="bird")
    target = "fd42:1337:beef::2"
    await answering(a, ROUTES, forwarding(b.id, prefix=f"{target}/128"))
    path = (await registry.api.get("/v1/paths", params={"from": "a", "to": "b"})).json()
    assert (path["complete"], path["outcome"], path["relays"]) == (False, "no_answer", [a.id, b.id])
    assert (path["hops"][1]["outcome"], "not on the bus" in path["hops"][1]["detail"]) == ("no_answer", True)
    await answering(b, ROUTES, forwarding(a.id, prefix=f"{target}/128"))
    loop = (await registry.api.get("/v1/paths", params={"from": "a", "to": "b"})).json()
    assert (loop["complete"], loop["outcome"], loop["hops"][1]["loops"]) == (False, "loop", [a.id])


async def test_a_relay_that_never_answers_costs_a_path_its_deadline_and_no_more(
    registry_database: DatabaseSettings, bus_settings: BusSettings, bus_identity: BusIdentity
) -> None:
    env = {**FAST, "ALTNET_REGISTRY_PATHS__ASK_TIMEOUT": "30", "ALTNET_REGISTRY_PATHS__WHOLE": "0.2"}
    async with running(registry_database, bus_settings, bus_identity, env=env) as registry:
        relay = await registry.enrol("a", routing="bird")

        async def hang(query: RouteQuery) -> RouteTable:
            await asyncio.Event().wait()
            raise AssertionError

        await answering(relay, ROUTES, hang)
        path = (await registry.api.get("/v1/paths", params={"from": "a", "to": "2001:db8::1"})).json()
        assert (path["outcome"], path["target"]["kind"]) == ("no_answer", "outside")
        assert "0.2 s" in path["hops"][0]["detail"]


async def test_a_path_leaves_through_a_peering(registry: RunningRegistry) -> None:
    relay = await registry.enrol("a", routing="bird")
    peering = await peering_of(registry, relay)
    await answering(relay, ROUTES, forwarding(f"@{peering['id']}", prefix="2001:db8:2::/48", source="peering"))
    path = (await registry.api.get("/v1/paths", params={"from": relay.id, "to": "2001:db8:2::5"})).json()
    assert (path["complete"], path["outcome"]) == (True, "left")
    assert path["hops"][0]["route"]["next_hops"][0]["peering"] == peering["id"]


async def test_an_address_of_a_relays_clients_is_nobodys_unless_somebody_has_it(registry: RunningRegistry) -> None:
    home, standby = await registry.enrol("home", routing="bird"), await registry.enrol("standby", routing="bird")
    body = {"name": "laptop", "key": PrivateKey.generate().public().base64, "relay": home.id, "standby": standby.id}
    made = await registry.api.post("/v1/clients", json={**body, "movable": True})
    assert made.status_code == 201, made.text
    client = made.json()
    slots = {one["id"]: one["slot"] for one in (await registry.api.get("/v1/relays")).json()["items"]}
    plan = AddressPlan(IPv6Network("fd42:1337:beef::/48"))
    slot = slots[standby.id]
    guest = plan.guest_address(slot, IPv6Address(client["address"]))
    await answering(standby, ROUTES, forwarding(".alta0", prefix=str(plan.client_prefix(slot)), source="own"))

    found = {}
    for address in (plan.client_prefix(slot)[0xBEEF], plan.attach_address(slot), plan.access_address(slot), guest):
        path = (await registry.api.get("/v1/paths", params={"from": "standby", "to": str(address)})).json()
        assert path["target"]["address"] == str(address)
        found[address] = (path["target"]["kind"], path["target"]["name"], path["outcome"], path["complete"])

    assert list(found.values()) == [
        ("nobody", "", "nobody", False),
        ("relay", "standby", "delivered", True),
        ("relay", "standby", "delivered", True),
        ("client", "laptop", "delivered", True),
    ]


async def test_a_path_between_what_does_not_exist_is_refused_with_the_field(registry: RunningRegistry) -> None:
    relay = await registry.enrol("a")
    orphan = (
        await registry.api.post(
            "/v1/clients", json={"name": "laptop", "key": PrivateKey.generate().public().base64, "relay": relay.id}
        )
    ).json()
    service = (await registry.api.post("/v1/services", json={"name": "wiki", "port": 80, "owner": orphan["id"]})).json()
    found = (await registry.api.get("/v1/paths", params={"from": "wiki", "to": service["address"]})).json()
    assert (found["source"]["kind"], found["source"]["relay"], found["target"]["name"]) == ("service", relay.id, "wiki")
    await registry.api.delete(f"/v1/relays/{relay.id}", headers={"If-Match": "*"})
    cases = {
        ("nobody", "laptop"): (404, "/from"),
        ("laptop", "laptop"): (409, "/from"),
        ("2001:db8::1", "laptop"): (409, "/from"),
        ("laptop", "nobody"): (404, "/to"),
        ("fe80::1%eth0", "laptop"): (422, "/from"),
        (relay.id, "laptop"): (404, "/from"),
    }
    said = {}
    for start, goal in cases:
        answer = await registry.api.get("/v1/paths", params={"from": start, "to": goal})
        said[start, goal] = (answer.status_code, answer.json()["errors"][0]["pointer"])
    assert said == cases
    assert (await registry.api.get("/v1/paths", params={"from": "laptop"})).status_code == 422
