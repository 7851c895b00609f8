"""Routing as relays tell it: sessions, learned and refused routes. Relays answer over NATS."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec
from altnet.common.bus.connect import BusSettings
from altnet.common.bus.jwt import BusIdentity
from altnet.common.bus.subjects import relay_status
from altnet.common.contracts.routing import (
    LEARNED,
    MOST_ROUTES,
    Engine,
    LearnedRoute,
    LearnedTable,
    RefusedRoute,
    RouteQuery,
    RoutingStatus,
    SessionStatus,
)
from altnet.common.db.settings import DatabaseSettings
from altnet.common.metrics import render
from integration.registry.running import FAST, Relay, RunningRegistry, eventually, running
from integration.registry.telling import answering, peering_of

HURRY = {
    **FAST,
    "ALTNET_REGISTRY_LEARNING__PAUSE": "0.05",
    "ALTNET_REGISTRY_LEARNING__RETRY_FIRST": "0.05",
    "ALTNET_REGISTRY_LEARNING__RETRY_LONGEST": "0.2",
}


@dataclass
class Tables:
    """What a relay answers when it is asked for its learned routes."""

    table: LearnedTable
    asked: list[RouteQuery] = field(default_factory=list)

    async def __call__(self, query: RouteQuery) -> LearnedTable:
        self.asked.append(query)
        return self.table


def routing(digest: str = "", *peerings: SessionStatus, **more: Any) -> RoutingStatus:
    return RoutingStatus(engine=Engine.BIRD, learned_digest=digest, peerings=peerings, **more)


def session(neighbour: str, state: str = "established", **more: Any) -> SessionStatus:
    return SessionStatus(neighbour=neighbour, state=state, **more)


def told(peering: str, prefix: str, *path: int, **more: Any) -> LearnedRoute:
    return LearnedRoute(peering=peering, prefix=prefix, as_path=path or (65010,), **more)


async def events(registry: RunningRegistry, thing: str, like: str) -> list[tuple[str, dict[str, Any]]]:
    async with registry.db.raw() as sql:
        rows = await sql.fetch(
            "SELECT kind, payload::text AS payload FROM registry.outbox"
            " WHERE subject_id = $1 AND kind LIKE $2 ORDER BY ordinal",
            thing,
            like,
        )
    return [(row["kind"].rpartition(".")[2], msgspec.json.decode(row["payload"])) for row in rows]


async def learned(registry: RunningRegistry, **query: Any) -> list[dict[str, Any]]:
    answer = await registry.api.get("/v1/routes/learned", params=query)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])


# -- sessions ----------------------------------------------------------------------------------------------------------


async def test_what_a_relay_says_of_its_routing_is_shown_of_it_and_of_its_peerings(registry: RunningRegistry) -> None:
    one, two = await registry.enrol("one", routing="bird"), await registry.enrol("two")
    peering = await peering_of(registry, one)
    await one.beat(
        routing=RoutingStatus(
            engine=Engine.BIRD,
            version="2.0.12",
            healthy=False,
            problem="configuration refused: line 7",
            sessions=(session(two.id, since=60.0, bfd="up", cost=1500),),
            peerings=(session(peering["id"], "active", since=5.0, refused=3, problem="wrong password"),),
            routes=12,
        )
    )

    async def shown() -> Any:
        return (await registry.api.get(f"/v1/relays/{one.id}")).json()["routing_status"]

    await eventually(shown)
    assert await shown() == {
        "engine": "bird",
        "version": "2.0.12",
        "healthy": False,
        "problem": "configuration refused: line 7",
        "sessions": 1,
        "sessions_up": 1,
        "bfd": 1,
        "bfd_up": 1,
        "peerings": 1,
        "peerings_up": 0,
        "routes": 12,
        "learned": 0,
        "refused": 3,
    }
    sessions = (await registry.api.get(f"/v1/relays/{one.id}/sessions")).json()
    assert sessions["routing"] == await shown()
    (link,) = sessions["sessions"]
    assert (link["neighbour"], link["state"], link["bfd"], link["cost"]) == (two.id, "established", "up", 1500)
    assert 55 < (datetime.now(UTC) - datetime.fromisoformat(link["since"])).total_seconds() < 120
    assert sessions["peerings"][0]["problem"] == "wrong password"
    found = (await registry.api.get(f"/v1/peerings/{peering['id']}")).json()
    assert (found["session"]["state"], found["session"]["problem"]) == ("active", "wrong password")
    silent = (await registry.api.get(f"/v1/relays/{two.id}/sessions")).json()
    assert (silent["routing"], silent["sessions"]) == (None, [])
    assert (await registry.api.get("/v1/relays/rly_nobody/sessions")).status_code == 404


async def test_another_replica_shows_what_was_stored(
    registry_database: DatabaseSettings, bus_settings: BusSettings, bus_identity: BusIdentity
) -> None:
    async with running(registry_database, bus_settings, bus_identity, env=HURRY) as registry:
        one = await registry.enrol("one", routing="bird")
        peering = await peering_of(registry, one)
        await one.beat(routing=routing("", session(peering["id"], received=4)))

        async def stored() -> bool:
            status = (await registry.api.get(f"/v1/relays/{one.id}")).json()["routing_status"]
            return bool(status and (await registry.api.get("/v1/peerings?standing=up")).json()["items"])

        await eventually(stored)
    async with running(registry_database, bus_settings, bus_identity, env=HURRY) as registry:
        found = (await registry.api.get(f"/v1/peerings/{peering['id']}")).json()
        assert (found["session"]["state"], found["session"]["received"], found["standing"]) == ("established", 4, "up")


async def test_a_peerings_session_goes_up_and_down_with_hysteresis_and_each_turn_is_an_event(
    registry: RunningRegistry,
) -> None:
    relay = await registry.enrol("one", routing="bird")
    peering = await peering_of(registry, relay)
    path = f"/v1/peerings/{peering['id']}"

    async def stands(standing: str) -> None:
        async def look() -> bool:
            return bool((await registry.api.get(path)).json()["standing"] == standing)

        await eventually(look)

    up = session(peering["id"])
    down = session(peering["id"], "active", problem="connection refused")
    await relay.beat(routing=routing("", up))
    await stands("up")
    await relay.beat(routing=routing("", down))
    await relay.beat(routing=routing("", up))
    await relay.beat(routing=routing("", down))
    await relay.beat(routing=routing("", down))
    await stands("down")
    assert (await registry.api.get("/v1/peerings?standing=down")).json()["items"][0]["id"] == peering["id"]
    await relay.beat(routing=routing("", up))
    await relay.beat(routing=routing("", up))
    await stands("up")
    found = await events(registry, peering["id"], "registry.peering.%")
    assert [kind for kind, _ in found] == ["created", "up", "down", "up"]
    assert (found[2][1]["state"], found[2][1]["problem"], found[2][1]["relay"]) == (
        "active",
        "connection refused",
        relay.id,
    )


async def test_a_peering_that_is_switched_off_is_nobodys_failure(registry: RunningRegistry) -> None:
    relay = await registry.enrol("one", routing="bird")
    peering = await peering_of(registry, relay)
    path = f"/v1/peerings/{peering['id']}"
    await relay.beat(routing=routing("", session(peering["id"])))

    async def up() -> bool:
        return bool((await registry.api.get(path)).json()["standing"] == "up")

    await eventually(up)
    off = await registry.api.patch(path, json={"enabled": False}, headers={"If-Match": "*"})
    await relay.until(document=off.json()["change"])
    for _ in range(3):
        await relay.beat(routing=routing())

    async def new() -> bool:
        return bool((await registry.api.get(path)).json()["standing"] == "new")

    await eventually(new)
    assert [kind for kind, _ in await events(registry, peering["id"], "registry.peering.%")] == [
        *("created", "up", "changed")
    ]


async def test_metrics_count_engines_peerings_and_routes(registry: RunningRegistry) -> None:
    relay = await registry.enrol("one", routing="bird")
    peering = await peering_of(registry, relay)
    await relay.beat(routing=routing("", session(peering["id"])))

    async def counted() -> bool:
        text = render(registry.metrics).decode()
        return 'altnet_registry_peerings{standing="up"} 1.0' in text

    await eventually(counted)
    text = render(registry.metrics).decode()
    assert 'altnet_registry_relays_routing{engine="bird",state="healthy"} 1.0' in text
    assert "altnet_registry_routes_learned 0.0" in text


async def test_metrics_and_samples_tell_mesh_sessions_bfd_and_routes(registry: RunningRegistry) -> None:
    one, two = await registry.enrol("one", routing="bird"), await registry.enrol("two", routing="bird")
    await one.beat(
        routing=routing(sessions=(session(two.id, bfd="up"), session("rly_far", "active", bfd="down")), routes=7)
    )
    await two.beat(routing=routing(sessions=(session(one.id, bfd="init"), session("rly_old", bfd="")), routes=5))

    async def counted() -> bool:
        return "altnet_registry_routes_in_kernels 12.0" in render(registry.metrics).decode()

    await eventually(counted)
    text = render(registry.metrics).decode()
    assert 'altnet_registry_mesh_sessions{state="established"} 3.0' in text
    assert 'altnet_registry_mesh_sessions{state="down"} 1.0' in text
    assert 'altnet_registry_mesh_bfd_sessions{state="up"} 1.0' in text
    assert 'altnet_registry_mesh_bfd_sessions{state="down"} 2.0' in text, "no BFD is no failure"
    await one.beat()
    path = f"/v1/relays/{one.id}/metrics"

    async def sampled() -> bool:
        return len((await registry.api.get(path)).json()["samples"]) == 2

    await eventually(sampled)
    first, second = (await registry.api.get(path)).json()["samples"]
    assert {name: first["routing"][name] for name in ("sessions", "sessions_up", "bfd", "bfd_up", "routes")} == {
        "sessions": 2,
        "sessions_up": 1,
        "bfd": 2,
        "bfd_up": 1,
        "routes": 7,
    }
    assert second["routing"] is None, "it said nothing of it"


# -- learned and refused routes ----------------------------------------------------------------------------------------


async def test_a_new_digest_makes_the_registry_ask_record_and_tell(
    registry_database: DatabaseSettings, bus_settings: BusSettings, bus_identity: BusIdentity
) -> None:
    async with running(registry_database, bus_settings, bus_identity, env=HURRY) as registry:
        relay = await registry.enrol("one", routing="bird")
        peering = await peering_of(registry, relay)
        mine = peering["id"]
        tables = Tables(
            LearnedTable(
                digest="one",
                learned=(
                    told(mine, "2001:db8:2::/48", 65010, 65020, next_hop="fe80::1", communities=("65010:1",)),
                    told(mine, "10.7.0.0/16"),
                    told(mine, "2001:DB8:2:7::/64", 65010, 65030),
                ),
            )
        )
        await answering(relay, LEARNED, tables)
        await relay.beat(routing=routing("one"))

        async def recorded() -> bool:
            return len(await learned(registry)) == 3

        await eventually(recorded)
        first = (await learned(registry))[0]
        assert {name: first[name] for name in first if name != "since"} == {
            "relay": relay.id,
            "relay_name": "one",
            "peering": mine,
            "peering_name": "isp",
            "neighbour": "2001:db8::1",
            "prefix": "2001:db8:2::/48",
            "as_path": [65010, 65020],
            "origin_asn": 65020,
            "next_hop": "fe80::1",
            "communities": ["65010:1"],
        }
        cases: dict[str, list[str]] = {
            "prefix=10.7.0.0/16": ["10.7.0.0/16"],
            "within=2001:db8:2::/48": ["2001:db8:2::/48", "2001:db8:2:7::/64"],
            "family=ipv4": ["10.7.0.0/16"],
            "asn=65020": ["2001:db8:2::/48"],
            "origin_asn=65010": ["10.7.0.0/16"],
            f"peering={mine}&asn=65030": ["2001:db8:2:7::/64"],
            "relay=rly_other": [],
            "network=default&family=ipv6": ["2001:db8:2::/48", "2001:db8:2:7::/64"],
        }
        said = {}
        for query in cases:
            answer = await registry.api.get(f"/v1/routes/learned?{query}")
            said[query] = [item["prefix"] for item in answer.json()["items"]]
        assert said == cases
        page = (await registry.api.get("/v1/routes/learned?limit=2")).json()
        rest = (await registry.api.get(f"/v1/routes/learned?limit=2&cursor={page['next_cursor']}")).json()
        assert [len(page["items"]), len(rest["items"]), rest["next_cursor"]] == [2, 1, None]
        bad = await registry.api.get("/v1/routes/learned?within=10.0.0.1/8")
        assert (bad.status_code, bad.json()["errors"][0]["pointer"]) == (422, "/within")

        tables.table = LearnedTable(
            digest="two", learned=(tables.table.learned[0], told(mine, "10.7.0.0/16", 65010, 65099))
        )
        await relay.beat(routing=routing("two"))

        async def changed() -> bool:
            return [route["as_path"] for route in await learned(registry)] == [[65010, 65020], [65010, 65099]]

        await eventually(changed)
        found = await events(registry, mine, "registry.route.%")
        assert [
            (kind, [route["prefix"] for route in event.get("routes", [])] or event["prefixes"]) for kind, event in found
        ] == [
            ("learned", ["2001:db8:2::/48", "10.7.0.0/16", "2001:db8:2:7::/64"]),
            ("withdrawn", ["2001:db8:2:7::/64"]),
            ("learned", ["10.7.0.0/16"]),
        ]
        asked = len(tables.asked)
        for _ in range(3):
            await relay.beat(routing=routing("two"))
        await registry.api.get("/v1/relays")
        assert (asked, len(tables.asked)) == (2, 2)
    async with running(registry_database, bus_settings, bus_identity, env=HURRY) as registry:  # a new leader
        await relay.host.ask(registry.anonymous, "")  # the same host, on the new registry
        again = Relay(relay.host, relay.answer, registry)
        quiet = Tables(tables.table)
        await answering(again, LEARNED, quiet)
        await again.beat(routing=routing("two"))
        await again.beat(routing=routing("two"))
        quiet.table = LearnedTable(digest="three")
        await again.beat(routing=routing("three"))

        async def gone() -> bool:
            return not await learned(registry)

        await eventually(gone)
        assert len(quiet.asked) == 1


async def test_what_a_filter_refused_is_a_security_event_once_until_it_is_gone(
    registry_database: DatabaseSettings, bus_settings: BusSettings, bus_identity: BusIdentity
) -> None:
    async with running(registry_database, bus_settings, bus_identity, env=HURRY) as registry:
        relay = await registry.enrol("one", routing="bird")
        peering = await peering_of(registry, relay)

        def refused(prefix: str, reason: str) -> RefusedRoute:
            return RefusedRoute(peering=peering["id"], prefix=prefix, reason=reason, as_path=(65010,))

        leak = (refused("::/0", "default_route"), refused("fd42:1337:beef::/48", "own_prefix"))
        tables = Tables(LearnedTable(digest="a", refused=leak, refused_count=2))
        await answering(relay, LEARNED, tables)

        async def after(digest: str, table: LearnedTable) -> list[tuple[str, str, str, list[str]]]:
            tables.table = table
            await relay.beat(routing=routing(digest))

            async def recorded() -> bool:
                async with registry.db.raw() as sql:
                    return bool(await sql.fetchval("SELECT learned_digest FROM registry.relay_status") == digest)

            await eventually(recorded)
            return [
                (event["reason"], event["severity"], event["summary"], [one["prefix"] for one in event["routes"]])
                for _, event in await events(registry, peering["id"], "registry.route.refused")
            ]

        first = [
            ("own_prefix", "high", "hijack of our own prefix", ["fd42:1337:beef::/48"]),
            ("default_route", "medium", "leaked default route", ["::/0"]),
        ]
        assert await after("a", tables.table) == first
        more = refused("10.7.0.0/16", "not_in_rules")
        second = [*first, ("not_in_rules", "low", "routes that no import rule names", ["10.7.0.0/16"])]
        assert await after("b", LearnedTable(digest="b", refused=(*leak, more), refused_count=3)) == second
        listed = (await registry.api.get("/v1/routes/refused?reason=own_prefix")).json()["items"]
        assert [(one["prefix"], one["severity"], one["peering_name"]) for one in listed] == [
            ("fd42:1337:beef::/48", "high", "isp")
        ]
        assert await after("c", LearnedTable(digest="c")) == second
        assert (await registry.api.get("/v1/routes/refused")).json()["items"] == []
        assert await after("d", LearnedTable(digest="d", refused=leak[:1], refused_count=1)) == [*second, first[1]]


async def test_a_long_table_is_told_in_bounded_batches(
    registry_database: DatabaseSettings, bus_settings: BusSettings, bus_identity: BusIdentity
) -> None:
    async with running(registry_database, bus_settings, bus_identity, env=HURRY) as registry:
        relay = await registry.enrol("one", routing="bird")
        peering = await peering_of(registry, relay, import_limit=500)
        routes = tuple(told(peering["id"], f"2001:db8:2:{n:x}::/64") for n in range(1200))
        refused = tuple(
            RefusedRoute(peering=peering["id"], prefix=f"2001:db8:{n + 100:x}::/48", reason="not_in_rules")
            for n in range(MOST_ROUTES)
        )
        table = LearnedTable(digest="a", learned=routes, refused=refused, refused_count=90_000)
        await answering(relay, LEARNED, Tables(table))
        await relay.beat(routing=routing("a"))

        async def recorded() -> bool:
            return bool(await events(registry, peering["id"], "registry.route.refused"))

        await eventually(recorded)
        sizes = [len(event["routes"]) for _, event in await events(registry, peering["id"], "registry.route.learned")]
        assert sizes == [200] * 5  # two families of 500: what is over the limit is not believed
        sizes = [len(event["routes"]) for _, event in await events(registry, peering["id"], "registry.route.refused")]
        assert sizes == [200] * 5


async def test_a_relay_that_does_not_answer_or_talks_nonsense_is_asked_again_and_stops_nobody(
    registry_database: DatabaseSettings, bus_settings: BusSettings, bus_identity: BusIdentity
) -> None:
    async with running(registry_database, bus_settings, bus_identity, env=HURRY) as registry:
        bad, good = await registry.enrol("bad", routing="bird"), await registry.enrol("good", routing="bird")
        one = await peering_of(registry, bad)
        two = await peering_of(registry, good, name="other")
        await answering(good, LEARNED, Tables(LearnedTable(digest="g", learned=(told(two["id"], "10.1.0.0/16"),))))
        await bad.beat(routing=routing("b"))  # nobody answers
        await good.beat(routing=routing("g"))

        async def learned_one() -> bool:
            return len(await learned(registry)) == 1

        await eventually(learned_one)
        nonsense = LearnedTable(
            digest="b\0",
            learned=(
                told(one["id"], "x"),
                told(two["id"], "10.2.0.0/16"),  # another relay's peering
                told(one["id"], "fe80::%1/64"),
                told(one["id"], "10.3.0.0/16", next_hop="a\0b", communities=("\0",)),
            ),
        )
        tables = Tables(nonsense)
        await answering(bad, LEARNED, tables)

        async def learned_two() -> bool:
            return len(await learned(registry)) == 2

        await eventually(learned_two)
        assert [route["prefix"] for route in await learned(registry, relay=bad.id)] == ["10.3.0.0/16"]
        bus = await bad.connect()
        await bus.publish(relay_status(bad.id), b'{"boot": "\\u0000", "routing": {"engine": "bird"}}')
        await bad.beat(health="a\0b", routing=routing("b", problem="\0", version="\0"))
        change = (await registry.api.post("/v1/sites", json={"name": "s", "prefixes": ["10.5.0.0/16"]})).json()
        assert (await registry.applied(change["change"], timeout=5))["complete"]

        async def written() -> bool:
            return bool((await registry.api.get(f"/v1/relays/{bad.id}")).json()["note"] == "ab")

        await eventually(written)


async def test_a_peering_that_is_removed_withdraws_what_it_brought(
    registry_database: DatabaseSettings, bus_settings: BusSettings, bus_identity: BusIdentity
) -> None:
    async with running(registry_database, bus_settings, bus_identity, env=HURRY) as registry:
        relay = await registry.enrol("one", routing="bird")
        peering = await peering_of(registry, relay)
        tables = Tables(LearnedTable(digest="a", learned=(told(peering["id"], "10.7.0.0/16"),)))
        await answering(relay, LEARNED, tables)
        await relay.beat(routing=routing("a"))

        async def recorded() -> bool:
            return bool(await learned(registry))

        await eventually(recorded)
        gone = await registry.api.delete(f"/v1/peerings/{peering['id']}", headers={"If-Match": "*"})
        assert gone.status_code == 200, gone.text
        assert await learned(registry) == []
        kinds = [kind for kind, _ in await events(registry, peering["id"], "registry.%")]
        assert kinds == ["created", "learned", "withdrawn", "removed"]
        # the relay still says it for a moment; a peering that is gone learns nothing
        tables.table = msgspec.structs.replace(tables.table, digest="b")
        await relay.beat(routing=routing("b"))

        async def asked() -> bool:
            return len(tables.asked) == 2

        await eventually(asked)
        tables.table = LearnedTable(digest="c")
        await relay.beat(routing=routing("c"))

        async def settled() -> bool:
            async with registry.db.raw() as sql:
                return bool(await sql.fetchval("SELECT learned_digest FROM registry.relay_status") == "c")

        await eventually(settled)
        assert await learned(registry) == []


async def test_a_relay_that_lost_its_routing_engine_has_learned_nothing_any_more(
    registry_database: DatabaseSettings, bus_settings: BusSettings, bus_identity: BusIdentity
) -> None:
    async with running(registry_database, bus_settings, bus_identity, env=HURRY) as registry:
        relay = await registry.enrol("one", routing="bird")
        peering = await peering_of(registry, relay)
        tables = Tables(LearnedTable(digest="a", learned=(told(peering["id"], "10.7.0.0/16"),)))
        await answering(relay, LEARNED, tables)
        await relay.beat(routing=routing("a"))

        async def recorded() -> bool:
            return bool(await learned(registry))

        await eventually(recorded)
        await relay.beat(routing=RoutingStatus(engine=Engine.STATIC, healthy=False, problem="BIRD is missing"))

        async def gone() -> bool:
            return not await learned(registry)

        await eventually(gone)
        assert len(tables.asked) == 1
        await relay.beat(routing=RoutingStatus(engine=Engine.STATIC, healthy=False, problem="BIRD is missing"))

        async def down() -> bool:
            return bool((await registry.api.get("/v1/peerings?standing=down")).json()["items"])

        await eventually(down)
        (_, event) = (await events(registry, peering["id"], "registry.peering.down"))[0]
        assert (event["state"], event["problem"]) == ("no_routing_engine", "BIRD is missing")
        shown = (await registry.api.get(f"/v1/peerings/{peering['id']}")).json()
        assert "no_routing_engine" in {one["code"] for one in shown["remarks"]}
