"""What routers outside told: BIRD's texts read, the table, its digest, and what is said of sessions."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import msgspec
import pytest
from altnet.common.contracts.routing import MOST_ROUTES, Family, LearnedTable, Peering, RouteQuery
from altnet.relay_agent import cli
from altnet.relay_agent.bird import learned, state
from altnet.relay_agent.bird.control import Line
from altnet.relay_agent.bird.peerings import Refusal
from altnet.relay_agent.bird.state import KnownRoute, ProtocolState
from altnet.relay_agent.control import serve
from altnet.relay_agent.status import AgentStatus
from hypothesis import given
from hypothesis import strategies as st

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PEERING = Peering(id="prg_1", name="upstream", address="fd00:bb::2", asn=65_010, import_limit=10, export_limit=5)

# As BIRD 2.0.12 writes it.
REFUSED = """\
Table master6:
::/0                 unicast [p1 2026-11-25 22:30:10.220] * (100) [AS65010i]
\tvia fd00:bb::2 on eth1
\tType: BGP univ
\tBGP.origin: IGP
\tBGP.as_path: 65010
\tBGP.next_hop: fd00:bb::2 fe80::62:76ff:fe4b:3136
\tBGP.local_pref: 100
\taltnet_refused: 2
fd77:2::/48          unicast [p1 2026-11-25 22:30:10.220] (100) [AS4200000001i]
\tvia fd00:bb::2 on eth1
\tBGP.as_path: 65010 4200000001
\taltnet_refused: 1
"""
LEARNED = """\
fd77:1::/48          unicast [p1 2026-11-25 22:30:10.220] * (100) [AS64999i]
\tvia fd00:bb::2 on eth1
\tBGP.as_path: 65010 64999
\tBGP.next_hop: fd00:bb::2 fe80::62:76ff:fe4b:3136
\tBGP.community: (65010,7) (65535,0)
\tBGP.large_community: (4200000000, 2, 64999) (4200000000, 3, 5) (64999, 8, 9)
\taltnet_from: 2
"""
LIMIT = """\
p1         BGP        ---        start  2026-11-25 22:30:23.888  Idle          Automatic shutdown: Route limit exceeded
"""
LIMIT_DETAIL = """\
  BGP state:          Idle
    Neighbor AS:      65010
  Channel ipv6
    State:          DOWN
    Receive limit:  10000
      Action:       restart
    Import limit:   10 [HIT]
      Action:       restart
"""
UP = """\
p1         BGP        ---        up     2026-11-25 22:30:07.218  Established
"""
UP_DETAIL = """\
  BGP state:          Established
  Channel ipv6
    State:          UP
    Export limit:   5 [HIT]
      Action:       block
    Routes:         1 imported, 6 filtered, 5 exported, 1 preferred
    Route change stats:     received   rejected   filtered    ignored   accepted
      Import updates:             14          0          6          7          1
      Import withdraws:            3          0        ---          6          0
      Export updates:              6          2          0        ---          4
  Channel ipv4
    State:          DOWN
"""


def lines(text: str, code: int = 1007) -> list[Line]:
    return [Line(code, line) for line in text.splitlines()]


def protocol(head: str, detail: str) -> ProtocolState:
    return state.protocols([*lines(head, 1002), *lines(detail, 1006)])["p1"]


def route(prefix: str, code: int = 0, path: str = "65010") -> KnownRoute:
    attributes = {"BGP.as_path": path} | ({"altnet_refused": str(code)} if code else {})
    return KnownRoute(
        prefix=prefix, protocol="p1", kind="unicast", best=True, stale=False, cost=None, attributes=attributes
    )


def test_a_table_names_what_was_learned_and_why_the_rest_was_refused() -> None:
    table = learned.table({"prg_1": state.routes(lines(LEARNED))}, {"prg_1": state.routes(lines(REFUSED))})

    (one,) = table.learned
    assert (one.prefix, one.as_path, one.next_hop) == ("fd77:1::/48", (65_010, 64_999), "fd00:bb::2")
    assert one.communities == ("65010:7", "65535:0", "64999:8:9"), "our own tags are not the neighbour's word"
    assert [(refused.prefix, refused.reason) for refused in table.refused] == [
        ("::/0", "default_route"),
        ("fd77:2::/48", "path_loop"),
    ]
    assert table.refused_count == 2
    assert learned.outside_origin(state.routes(lines(LEARNED))[0]) == 64_999


def test_the_next_hop_of_a_link_local_neighbour_is_its_address() -> None:
    one = route("fd77::/48")
    one.attributes["BGP.next_hop"] = ":: fe80::2"

    assert learned.table({"prg_1": [one]}, {}).learned[0].next_hop == "fe80::2"


ROUTES = st.lists(st.tuples(st.integers(0, 200), st.sampled_from([0, *Refusal]), st.sampled_from(["1", "1 2"])))


@given(ROUTES, st.randoms(use_true_random=False))
def test_the_digest_follows_what_is_told_and_not_its_order(told: list[tuple[int, int, str]], random: Random) -> None:
    routes = [route(f"fd77:{number:x}::/48", code, path) for number, code, path in dict.fromkeys(told)]
    mixed = random.sample(routes, len(routes))

    def table(of: list[KnownRoute]) -> str:
        accepted = [one for one in of if "altnet_refused" not in one.attributes]
        return learned.table({"p": accepted}, {"p": [one for one in of if one not in accepted]}).digest

    assert table(routes) == table(mixed)
    if routes:
        assert table(routes) != table(routes[1:])
    else:
        assert table(routes) == "", "nothing has no digest"


def test_a_route_that_the_kernel_does_not_take_is_still_read() -> None:
    (one,) = state.routes(lines("fd77:5::/48          unicast [m1 2026-11-25 23:32:27.865] ! (100/12142) [AS1i]"))

    assert (one.prefix, one.best, one.in_kernel) == ("fd77:5::/48", True, False)


def test_of_too_many_refused_routes_the_worst_are_named() -> None:
    many = [route(f"fd99:{number:x}::/48", Refusal.NOT_IN_RULES) for number in range(MOST_ROUTES)]
    echo = [route(f"fd77:{number:x}::/48", Refusal.PATH_LOOP) for number in range(9)]
    bad = [route("::/0", Refusal.DEFAULT_ROUTE), route("fd42:1337:beef::/64", Refusal.OWN_PREFIX)]

    table = learned.table({}, {"prg_1": [*echo, *many, *bad]})

    assert table.refused_count == MOST_ROUTES + 11
    assert len(table.refused) == MOST_ROUTES
    assert [one.reason for one in table.refused[:2]] == ["own_prefix", "default_route"]
    assert table.refused[-1].reason == "not_in_rules", "what is our own word comes last"


def test_a_refusal_of_a_later_agent_s_filter_is_still_one() -> None:
    (one,) = learned.table({}, {"prg_1": [route("fd77::/48", 99)]}).refused

    assert one.reason == "refused"


async def test_what_was_told_is_shown_to_people_and_to_programs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = learned.table({"prg_1": state.routes(lines(LEARNED))}, {"prg_1": state.routes(lines(REFUSED))})

    async def answer(_query: RouteQuery) -> LearnedTable:
        return table

    async def status() -> AgentStatus:
        raise AssertionError("not asked for")

    arguments = ["show", "learned", "--state-dir", str(tmp_path), "--backend", "memory"]
    async with serve(str(tmp_path / "control.sock"), status, timeout=5, learned=answer):
        assert await asyncio.to_thread(cli.main, arguments, {}) == 0
        people = capsys.readouterr().out.splitlines()
        assert await asyncio.to_thread(cli.main, [*arguments, "--json"], {}) == 0
    assert [line.split() for line in people] == [
        ["+", "fd77:1::/48", "prg_1", "65010", "64999", "via", "fd00:bb::2", "65010:7", "65535:0", "64999:8:9"],
        ["-", "::/0", "prg_1", "65010", "default_route"],
        ["-", "fd77:2::/48", "prg_1", "65010", "4200000001", "path_loop"],
    ]
    assert msgspec.json.decode(capsys.readouterr().out, type=LearnedTable) == table


def session(known: ProtocolState | None, **fields: object) -> str:
    peering = msgspec.structs.replace(PEERING, **{k: v for k, v in fields.items() if k in PEERING.__struct_fields__})
    rest = {key: value for key, value in fields.items() if key not in PEERING.__struct_fields__}
    return learned.session(peering, known, {}, now=NOW, **rest).problem  # type: ignore[arg-type]


def test_a_reached_limit_is_said_in_words() -> None:
    known = protocol(LIMIT, LIMIT_DETAIL)

    told = learned.session(PEERING, known, {}, now=NOW)

    assert told.state == "idle"
    assert "over 10 routes of one family" in told.problem
    assert "tried later" in told.problem


def test_a_session_that_is_up_says_what_it_leaves_out() -> None:
    known = protocol(UP, UP_DETAIL)

    told = learned.session(msgspec.structs.replace(PEERING, families=tuple(Family)), known, {}, now=NOW)

    assert (told.state, told.received, told.refused, told.sent) == ("established", 1, 6, 5)
    assert "more than 5 routes are to be announced" in told.problem
    assert "does not carry ipv4" in told.problem
    assert known.heard == 17


def test_bfd_is_told_where_there_is_some() -> None:
    with_bfd = msgspec.structs.replace(PEERING, bfd=True)
    found = state.bfd_neighbours(
        lines("fd00:bb::2                eth1       Up         2026-11-25 22:30:03.614    0.100    0.500", 1020)
    )

    assert learned.session(with_bfd, protocol(UP, UP_DETAIL), found, now=NOW).bfd == "up"
    assert learned.session(with_bfd, protocol(UP, UP_DETAIL), {}, now=NOW).bfd == "down"
    assert learned.session(PEERING, protocol(UP, UP_DETAIL), found, now=NOW).bfd == ""


CONNECTING = ProtocolState(name="p1", kind="BGP", state="start", since=None, info="Connect")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, ""),
        ({"password": "sealed"}, "the neighbour is away, or has another password"),
        ({"password": "sealed", "bad_signatures": True}, "wrong password?"),
        ({"bad_signatures": True}, "does the neighbour expect a password?"),
        ({"refusal": "it is bad."}, "it is bad."),
    ],
)
def test_what_can_be_known_of_a_password_is_said(fields: dict[str, object], said: str) -> None:
    problem = session(CONNECTING, **fields)

    assert said in problem
    assert said or not problem


def test_a_session_that_is_not_there_yet_is_down() -> None:
    assert session(None) == "BIRD does not have it yet"


def test_wrong_signatures_count_while_they_are_fresh(tmp_path: Path) -> None:
    file, clock = tmp_path / "netstat", [0.0]

    def netstat(failures: int) -> None:
        file.write_text(f"TcpExt: A TCPMD5Failure B\nTcpExt: 1 {failures} 2\nIpExt: X\nIpExt: 3\n")

    signatures = learned.Signatures(window=30, monotonic=lambda: clock[0], path=file)
    assert not signatures.bad(), "a file that is not there says nothing"
    netstat(7)
    assert not learned.Signatures(window=30, monotonic=lambda: clock[0], path=file).bad(), "what was before we looked"
    signatures.bad()
    netstat(8)
    assert signatures.bad()
    clock[0] = 29
    assert signatures.bad()
    clock[0] = 31
    assert not signatures.bad()
