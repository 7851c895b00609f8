"""Paths, walked over relays that answer by script; and what a relay without a routing engine does."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest
from altnet.common.contracts.desired import AccessClient, MeshSnapshot, RelayDocument, RelayEntry
from altnet.common.contracts.routing import Engine, NextHop, RouteQuery, RouteTable, RouteView
from altnet.common.errors import Invalid, Unavailable
from altnet.registry.domain.direct_routes import direct_routes
from altnet.registry.domain.paths import End, Walk, end_at_nobody, walk
from hypothesis import given
from hypothesis import strategies as st

TARGET = ip_address("fd42:1337:beef::9")


def route(*ways: str, prefix: str = "fd42:1337:beef::9/128", used: bool = True, **more: Any) -> RouteView:
    """`@isp` is a peering, `.eth0` a device, anything else a relay."""
    hops = tuple(
        NextHop(peering=way[1:]) if way[0] == "@" else NextHop(device=way[1:]) if way[0] == "." else NextHop(relay=way)
        for way in ways
    )
    return RouteView(prefix=prefix, next_hops=hops, used=used, **{"source": "mesh", **more})


class Script:
    """Relays that know these routes; one that knows None does not answer."""

    def __init__(self, **tables: list[RouteView] | None) -> None:
        self.tables = tables
        self.asked: list[str] = []

    async def __call__(self, relay: str) -> RouteTable:
        self.asked.append(relay)
        routes = self.tables[relay]
        if routes is None:
            raise Unavailable("relay_silent", f"{relay} is silent.")
        return RouteTable(engine=Engine.BIRD, routes=tuple(routes))


async def walked(script: Script, start: str = "a", **bounds: int) -> Walk:
    return await walk(start, TARGET, script, **{"most_hops": 32, "most_relays": 128, **bounds})


async def test_a_chain_is_followed_to_its_end_and_each_hop_says_why() -> None:
    detour = route("c", used=False, cost=90, why="higher cost")
    script = Script(
        a=[route("b", cost=20, why="lowest cost"), detour],
        b=[route("c", cost=10)],
        c=[route(".lo", source="own", why="its own")],
    )
    found = await walked(script)
    assert (found.complete, found.outcome, found.first_branch) == (True, End.DELIVERED, ["a", "b", "c"])
    assert [(hop.relay, hop.depth, hop.end) for hop in found.hops] == [
        ("a", 0, End.FORWARDED),
        ("b", 1, End.FORWARDED),
        ("c", 2, End.DELIVERED),
    ]
    assert found.hops[0].route is not None
    assert (found.hops[0].route.cost, found.hops[0].route.why) == (20, "lowest cost")
    assert found.hops[0].alternatives == (detour,)


async def test_the_most_specific_used_route_is_the_one_that_packets_take() -> None:
    wide = route("wrong", prefix="fd42:1337:beef::/48", source="unreachable")
    other = route("wrong", prefix="fd42:1337:beef::8/128")
    script = Script(a=[wide, other, route("b", prefix="fd42:1337:beef::/64"), route("c", used=False)], b=[route(".lo")])
    found = await walked(script)
    assert found.first_branch == ["a", "b"]
    assert [view.prefix for view in found.hops[0].alternatives] == ["fd42:1337:beef::9/128", "fd42:1337:beef::/48"]


async def test_equal_cost_branches_are_all_followed_and_each_relay_is_asked_once() -> None:
    script = Script(a=[route("b", "c")], b=[route("d")], c=[route("d")], d=[route(".alta0")])
    found = await walked(script)
    assert found.complete
    assert sorted(script.asked) == ["a", "b", "c", "d"]
    assert [hop.next_relays for hop in found.hops] == [("b", "c"), ("d",), ("d",), ()]
    assert found.hops[3].depth == 2


async def test_a_packet_may_leave_through_a_peering() -> None:
    found = await walked(Script(a=[route("b")], b=[route("@isp")]))
    assert (found.complete, found.outcome) == (True, End.LEFT)


@pytest.mark.parametrize(
    ("table", "end"),
    [
        ([], End.NO_ROUTE),
        ([route("c", used=False)], End.NO_ROUTE),
        ([route(prefix="fd42:1337:beef::/48", source="unreachable")], End.UNREACHABLE),
        ([route("b")], End.LOOP),
        ([route(".lo", prefix="nonsense")], End.NO_ROUTE),
        (None, End.NO_ANSWER),
    ],
)
async def test_where_it_ends_badly_the_path_so_far_and_the_reason_are_told(
    table: list[RouteView] | None, end: End
) -> None:
    found = await walked(Script(a=[route("b")], b=table))
    assert (found.complete, found.outcome, found.first_branch) == (False, end, ["a", "b"])
    assert (found.hops[-1].relay, found.hops[-1].end) == ("b", end)
    assert found.hops[-1].detail
    assert found.detail


async def test_one_branch_that_fails_makes_the_path_incomplete() -> None:
    found = await walked(Script(a=[route("b", "c")], b=[route(".lo")], c=None))
    assert (found.complete, found.outcome) == (False, End.NO_ANSWER)
    assert [hop.end for hop in found.hops] == [End.FORWARDED, End.DELIVERED, End.NO_ANSWER]


async def test_a_circle_is_called_a_loop_at_the_relay_that_closes_it() -> None:
    script = Script(a=[route("b")], b=[route("c")], c=[route("d", "b")], d=[route(".lo")])
    found = await walked(script)
    assert (found.complete, found.outcome) == (False, End.LOOP)
    by_relay = {hop.relay: hop for hop in found.hops}
    assert (by_relay["c"].end, by_relay["c"].loops) == (End.LOOP, {"b"})
    assert script.asked == ["a", "b", "c", "d"]


async def test_two_branches_that_meet_again_are_no_loop() -> None:
    script = Script(a=[route("b", "c")], b=[route("c")], c=[route(".lo")])
    found = await walked(script)
    assert (found.complete, found.outcome) == (True, End.DELIVERED)


async def test_a_path_is_followed_so_far_and_no_further() -> None:
    chain = {f"r{n}": [route(f"r{n + 1}")] for n in range(100)}
    script = Script(**chain)
    found = await walked(script, "r0", most_hops=5)
    assert (found.complete, found.outcome, len(script.asked)) == (False, End.TOO_LONG, 5)
    assert found.first_branch == ["r0", "r1", "r2", "r3", "r4"]
    fan = {"a": [route(*(f"r{n}" for n in range(50)))]}
    wide = Script(**fan)
    found = await walked(wide, most_relays=10)
    assert (found.outcome, wide.asked) == (End.TOO_LONG, ["a"])


names = st.sampled_from("abcdef")


@given(st.dictionaries(names, st.one_of(st.none(), st.lists(st.one_of(names, st.sampled_from(["@x", ".lo"]))))))
async def test_whatever_relays_answer_the_walk_ends_and_asks_each_once(
    graph: dict[str, list[str] | None],
) -> None:
    script = Script(**{name: None if (ways := graph.get(name, [])) is None else [route(*ways)] for name in "abcdef"})
    found = await walked(script)
    assert len(script.asked) == len(set(script.asked)) == len(found.hops)
    assert found.complete == all(hop.end in (End.FORWARDED, End.DELIVERED, End.LEFT) for hop in found.hops)
    assert len(found.first_branch) <= 6
    if found.complete:  # so whoever follows any branch arrives
        reached, waiting = set(), ["a"]
        by_relay = {hop.relay: hop for hop in found.hops}
        while waiting:
            relay = waiting.pop()
            reached.add(relay)
            ways = by_relay[relay].next_relays
            assert ways or by_relay[relay].end is not End.FORWARDED
            waiting += [way for way in ways if way not in reached]


# -- relays without a routing engine ---------------------------------------------------------------------------------


def entry(slot: int, **more: Any) -> RelayEntry:
    return RelayEntry(id=f"r{slot}", name=f"r{slot}", slot=slot, key=f"k{slot}", **more)


ROAMER = "fd42:1337:beef:1009::77/128"
SERVICE = "fd42:1337:beef:2000::5/128"
MESH = MeshSnapshot(
    network="n",
    prefix="fd42:1337:beef::/48",
    generation=1,
    relays=(
        entry(1, origins=(ROAMER, SERVICE, "10.9.0.0/16")),
        entry(2, origins=("10.1.0.0/16", "10.9.0.0/16")),
        entry(3, origins=("10.1.0.0/16",)),
    ),
)
DOCUMENT = RelayDocument(
    relay="r1", network="n", generation=1, clients=(AccessClient(id="c", key="k", addresses=(ROAMER,)),)
)


def direct(to: str = "", *, document: RelayDocument = DOCUMENT, **more: Any) -> RouteTable:
    return direct_routes("r1", MESH, document, RouteQuery(to=to, **more))


@pytest.mark.parametrize(
    ("to", "way", "source"),
    [
        ("fd42:1337:beef::1", NextHop(device="lo"), "own"),
        ("fd42:1337:beef:1001::1", NextHop(device="lo"), "own"),
        ("fd42:1337:beef:1001::55", NextHop(device="alta0"), "own"),
        ("fd42:1337:beef:1009::77", NextHop(device="alta0"), "own"),
        ("fd42:1337:beef:2000::5", NextHop(device="lo"), "own"),
        ("10.9.1.1", NextHop(device="host"), "own"),
        ("fd42:1337:beef::3", NextHop(relay="r3"), "static"),
        ("fd42:1337:beef:1003::8", NextHop(relay="r3"), "static"),
        ("10.1.2.3", NextHop(relay="r2"), "static"),  # of two, the lower slot
    ],
)
def test_without_a_routing_engine_a_relay_reaches_itself_and_its_neighbours(to: str, way: NextHop, source: str) -> None:
    table = direct(to)
    best = max((view for view in table.routes if view.used), key=lambda view: int(view.prefix.split("/")[1]))
    assert (best.next_hops, best.source, table.engine) == ((way,), source, Engine.STATIC)


def test_the_second_relay_of_a_site_is_named_as_alternative_with_the_reason() -> None:
    views = direct("10.1.2.3").routes
    assert [(view.next_hops[0].relay, view.used) for view in views] == [("r2", True), ("r3", False)]
    assert views[1].why == "r2 is preferred"


def test_what_agents_leave_out_is_no_route_and_the_rest_of_the_relay_is() -> None:
    moved = entry(2, origins=("0.0.0.0/0", "192.0.2.0/24", "10.1.0.0/16"), endpoints=("192.0.2.9:51820",))
    mesh = MeshSnapshot(network="n", prefix="fd42:1337:beef::/48", generation=1, relays=(entry(1), moved))
    table = direct_routes("r1", mesh, DOCUMENT, RouteQuery())
    over = {view.prefix for view in table.routes if view.source == "static"}
    assert over == {"fd42:1337:beef::2/128", "fd42:1337:beef:1002::/64", "10.1.0.0/16"}


def test_what_it_has_no_link_to_is_unreachable() -> None:
    alone = RelayDocument(relay="r1", network="n", generation=1, links=("r2",))
    (view,) = direct("fd42:1337:beef::3", document=alone).routes
    assert (view.source, view.next_hops, view.used) == ("unreachable", (), True)
    assert direct("2001:db8::1").routes == ()


def test_a_table_comes_in_pages_that_leave_nothing_out() -> None:
    whole = direct().routes
    found: list[RouteView] = []
    after = ""
    while True:
        page = direct(after=after, limit=2)
        found += page.routes
        if not page.more:
            break
        after = page.routes[-1].prefix
    assert tuple(found) == whole
    with pytest.raises(Invalid):
        direct("nowhere")


async def test_what_a_relay_would_deliver_to_nobody_is_nobodys_and_not_delivered() -> None:
    script = Script(a=[route("b", "c")], b=[route(".alta0", prefix="fd42:1337:beef::/64")], c=None)
    found = await walked(script)
    end_at_nobody(found)
    assert [(hop.relay, hop.end) for hop in found.hops[1:]] == [("b", End.NOBODY), ("c", End.NO_ANSWER)]
    assert not found.complete
    assert found.hops[1].detail == "no relay, client or service has this address"

    alone = await walked(Script(a=[route(".alta0", prefix="fd42:1337:beef::/64")]))
    end_at_nobody(alone)
    assert (alone.outcome, alone.complete) == (End.NOBODY, False)
