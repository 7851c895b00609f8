"""BIRD's texts, as 2.0.12 writes them, and what is said of its routes."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from altnet.relay_agent.bird.answers import reason
from altnet.relay_agent.bird.control import Line
from altnet.relay_agent.bird.state import KnownRoute, bfd_neighbours, bfd_sessions, protocols, routes
from hypothesis import given

ROUTES = """\
Table master6:
fd42:1337:beef::2/128 unicast [m3 2026-11-25 22:08:06.003] * (100/20000) [AS4200000002i]
\tvia fe80::3 on altl3
\tType: BGP univ
\tBGP.as_path: 4200000003 4200000002
\tBGP.local_pref: 100
\tBGP.aigp: 10000
\taltnet_from: 1
                     unicast [m2 2026-11-25 22:08:09.832] (100s/10000) [AS4200000002i]
\tvia fe80::2 on altl2
\tBGP.as_path: 4200000002
\tBGP.local_pref: 100
\taltnet_from: 1
fd42:1337:beef::1/128 blackhole [learn6 2026-11-25 22:10:00.096] * (240)
\tType: inherit univ
\tKernel.source: 186
10.3.0.0/16          unicast [m3 2026-11-25 22:08:06.003] * (100/?) [AS4200000003i]
\tvia fe80::3 on altl3 weight 2
\tvia fe80::4 on altl4 weight 1
"""
PROTOCOLS = [
    Line(2002, "Name       Proto      Table      State  Since         Info"),
    Line(1002, "m2         BGP        ---        up     2026-11-25 22:08:05.911  Established   "),
    Line(1006, "  BGP state:          Established"),
    Line(1006, "  Channel ipv6"),
    Line(1006, "    Routes:         4 imported, 1 filtered, 6 exported, 2 preferred"),
    Line(1006, "  Channel ipv4"),
    Line(1006, "    Routes:         2 imported, 0 filtered, 1 exported, 0 preferred"),
    Line(
        1002, "m3         BGP        ---        start  2026-11-25 22:08:15.659  Active        Error: BFD session down"
    ),
    Line(1002, "kernel6    Kernel     master6    up     2026-11-25 22:08:05.911  "),
    Line(1006, "  Channel ipv6"),
    Line(1006, "    Routes:         0 imported, 6 exported, 0 preferred"),
]
BFD = [
    Line(1020, "bfd1:"),
    Line(1020, "IP address                Interface  State      Since         Interval  Timeout"),
    Line(1020, "fe80::3                   altl3      Up         2026-11-25 22:08:05.122    0.050    0.150"),
    Line(1020, "fe80::2                   altl2      AdminDown  2026-11-25 22:08:05.125    0.050    0.150"),
]


def lines(text: str) -> list[Line]:
    return [Line(1007, line) for line in text.splitlines()]


def test_routes_are_read_with_their_hops_paths_and_costs() -> None:
    over_c, direct, own, four = routes(lines(ROUTES))
    assert (over_c.prefix, over_c.best, over_c.stale, over_c.cost) == ("fd42:1337:beef::2/128", True, False, 20000)
    assert over_c.as_path == (4200000003, 4200000002)
    assert (direct.prefix, direct.best, direct.stale, direct.cost) == (over_c.prefix, False, True, 10000)
    assert [hop.device for hop in direct.hops] == ["altl2"]
    assert (own.kind, own.origin, own.hops) == ("blackhole", 0, [])
    assert [(hop.device, hop.weight) for hop in four.hops] == [("altl3", 2), ("altl4", 1)]
    assert four.cost is None


def test_protocols_are_read_with_the_sum_of_their_channels_and_their_trouble() -> None:
    found = protocols(PROTOCOLS)
    assert (found["m2"].imported, found["m2"].filtered, found["m2"].exported) == (6, 1, 7)
    assert found["m2"].since is not None
    assert found["m3"].info == "Active Error: BFD session down"
    assert found["kernel6"].exported == 6


def test_bfd_sessions_are_read_by_interface_and_by_neighbour() -> None:
    assert bfd_sessions(BFD) == {"altl3": "up", "altl2": "admin_down"}
    found = bfd_neighbours(BFD)
    assert (found["fe80::3%altl3"], found["fe80::2%altl2"]) == ("up", "admin_down")


@given(st.lists(st.tuples(st.sampled_from([0, 1002, 1006, 1007, 1020]), st.text(max_size=120))))
def test_what_is_not_understood_is_passed_over(said: list[tuple[int, str]]) -> None:
    given_lines = [Line(*one) for one in said]
    protocols(given_lines)
    routes(given_lines)
    bfd_sessions(given_lines)


def route(**fields: object) -> KnownRoute:
    attributes = {"altnet_from": "1", "BGP.local_pref": "100", "BGP.as_path": "1 2"}
    made = {"prefix": "fd00::/64", "protocol": "m2", "kind": "unicast", "best": False, "stale": False, "cost": 10}
    attributes |= fields.pop("attributes", {})  # type: ignore[arg-type]
    return KnownRoute(**{**made, **fields}, attributes=attributes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("other", "best_why", "other_why"),
    [
        ({"cost": 20}, "lowest cost, 10 against 20", "not used: lowest cost, 10 against 20"),
        (
            {"attributes": {"BGP.as_path": "1 2 3"}},
            "shorter path, 2 against 3 relays",
            "not used: shorter path, 2 against 3 relays",
        ),
        (
            {"stale": True, "cost": 1},
            "the other one is stale: its session is down",
            "not used: the other one is stale: its session is down",
        ),
        (
            {"cost": 1, "attributes": {"BGP.local_pref": "50"}},
            "the other one leads through a relay that is drained",
            "not used: the other one leads through a relay that is drained",
        ),
        ({}, "equal to the others: same cost and length", "load is shared with it: it costs the same"),
    ],
)
def test_why_a_route_is_used_is_said_in_plain_words(other: dict[str, object], best_why: str, other_why: str) -> None:
    best, second = route(best=True), route(**other)
    assert reason(best, best, [second]) == best_why
    assert reason(second, best, [best]) == other_why


def test_the_only_route_and_ones_own_say_so() -> None:
    best, own = route(best=True), route(best=True, attributes={"altnet_from": ""})
    assert reason(best, best, []) == "the only route"
    assert reason(own, own, [best]) == "this relay originates it"
    assert reason(best, own, [own]) == "not used: this relay originates it"
