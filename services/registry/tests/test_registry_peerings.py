"""What a peering may be, rule by rule, and what is told of its routes and its session."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

import msgspec
import pytest
from altnet.common.contracts.routing import (
    MOST_ROUTES,
    Engine,
    Family,
    LearnedRoute,
    LearnedTable,
    Peering,
    PrefixRule,
    RefusedRoute,
    SessionStatus,
)
from altnet.common.errors import Conflict, Invalid
from altnet.registry.domain.learned import Recorded, compare, severity
from altnet.registry.domain.peering_remarks import remarks
from altnet.registry.domain.peerings import Surroundings, check_password, checked
from altnet.registry.domain.prefix_rules import WIDE, is_wide, matches, meet, opened, reaches
from altnet.registry.domain.sessions import SessionRule, Standing, Watched
from hypothesis import given
from hypothesis import strategies as st

OURS = IPv6Network("fd42:1337:beef::/48")
AROUND = Surroundings(
    network=OURS, slot=7, foreign_sites={"office": (IPv4Network("10.1.0.0/16"), IPv6Network("2001:db8:1::/48"))}
)
RULE = PrefixRule(prefix="2001:db8:2::/48", shortest=48, longest=64)


def wish(**more: Any) -> Peering:
    return Peering(**{"id": "p", "name": "isp", "address": "2001:db8::1", "asn": 65010, "imports": (RULE,), **more})


def rule(prefix: str, shortest: int | None = None, longest: int | None = None) -> PrefixRule:
    own = ip_network(prefix, strict=False).prefixlen
    shortest = own if shortest is None else shortest
    return PrefixRule(prefix=prefix, shortest=shortest, longest=shortest if longest is None else longest)


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"asn": 0}, "/asn", "bad_asn"),
    ({"asn": 23456}, "/asn", "bad_asn"),
    ({"asn": 65535}, "/asn", "bad_asn"),
    ({"asn": 4294967295}, "/asn", "bad_asn"),
    ({"asn": 4200000001}, "/asn", "bad_asn"),
    ({"asn": 4200004095}, "/asn", "bad_asn"),
    ({"local_asn": 0}, "/local_asn", "bad_asn"),
    ({"local_asn": 4200000008}, "/local_asn", "bad_asn"),  # another relay's
    ({"local_asn": 65010}, "/local_asn", "internal_peering"),
    ({"address": "nowhere"}, "/address", "bad_address"),
    ({"address": "2001:db8::1/64"}, "/address", "bad_address"),
    ({"address": "fe80::1%eth0"}, "/address", "bad_address"),
    ({"address": "::"}, "/address", "bad_address"),
    ({"address": "::1"}, "/address", "bad_address"),
    ({"address": "ff02::1"}, "/address", "bad_address"),
    ({"address": "::ffff:192.0.2.1"}, "/address", "bad_address"),
    ({"address": "255.255.255.255"}, "/address", "bad_address"),
    ({"address": "fd42:1337:beef::7"}, "/address", "address_is_ours"),
    ({"address": "fd42:1337:beef:1007::5"}, "/address", "address_is_ours"),
    ({"address": "fe80::1"}, "/interface", "interface_missing"),
    ({"address": "2001:db8::1", "interface": "eth0"}, "/interface", "interface_not_needed"),
    ({"address": "fe80::1", "interface": 'eth0"; evil'}, "/interface", "bad_interface"),
    ({"address": "fe80::1", "interface": "altl0012"}, "/interface", "bad_interface"),
    ({"address": "fe80::1", "interface": "eth0", "multihop": 2}, "/multihop", "bad_multihop"),
    ({"source": "192.0.2.1"}, "/source", "bad_source"),
    ({"source": "2001:db8::1"}, "/source", "bad_source"),
    ({"source": "fd42:1337:beef::8"}, "/source", "bad_source"),
    ({"families": ()}, "/families", "bad_families"),
    ({"name": "Not A Label"}, "/name", "bad_name"),
    ({"imports": (rule("10.9.0.0/16"),)}, "/imports/0/prefix", "family_missing"),
    ({"exports": (RULE, rule("10.9.0.0/16"))}, "/exports/1/prefix", "family_missing"),
    ({"imports": (rule("2001:db8:2::1/48"),)}, "/imports/0/prefix", "bad_prefix"),
    ({"imports": (rule("ff00::/8"),)}, "/imports/0/prefix", "bad_prefix"),
    ({"imports": (rule("fe80::/10"),)}, "/imports/0/prefix", "bad_prefix"),
    ({"imports": (rule("2001:db8:2::/48", 32, 48),)}, "/imports/0/shortest", "bad_rule"),
    ({"imports": (rule("2001:db8:2::/48", 56, 50),)}, "/imports/0/longest", "bad_rule"),
    ({"imports": (rule("10.9.0.0/16", 16, 48),), "families": (Family.IPV4,)}, "/imports/0/longest", "bad_rule"),
    ({"imports": (RULE, rule("2001:db8:2:5::/64"))}, "/imports/1", "rules_overlap"),
    ({"imports": (RULE, RULE)}, "/imports/1", "rules_overlap"),
    ({"imports": tuple(rule(f"2001:db8:{n:x}::/48") for n in range(1000, 1257))}, "/imports", "bad_rule"),
    ({"imports": (rule("::/0"),)}, "/imports/0", "everything_not_said"),
    ({"imports": (rule("2000::/3", 3, 48),)}, "/imports/0", "everything_not_said"),
    ({"exports": (rule("::/0", 0, 128),)}, "/exports/0", "everything_not_said"),
    (
        {"imports": (RULE, rule("0.0.0.0/1", 1, 24)), "families": (Family.IPV6, Family.IPV4)},
        "/imports/1",
        "everything_not_said",
    ),
    (
        {"imports": tuple(rule(f"{n}.0.0.0/8", 8, 24) for n in range(1, 127)), "families": (Family.IPV4,)},
        "/imports",
        "everything_not_said",
    ),
    (
        {"imports": (RULE, rule("20.0.0.0/8"), rule("40.0.0.0/8")), "families": (Family.IPV6, Family.IPV4)},
        "/imports",
        "everything_not_said",
    ),
    ({"exports": (rule("2001::/16", 17, 48), rule("2400::/16", 16, 48))}, "/exports", "everything_not_said"),
    ({"imports": (rule("fd42:1337:beef::/48"),)}, "/imports/0", "imports_own_prefix"),
    ({"imports": (rule("fd42:1337:beef:1000::/52", 52, 64),)}, "/imports/0", "imports_own_prefix"),
    ({"imports": (rule("fd42::/16", 16, 48),)}, "/imports/0", "imports_own_prefix"),
    ({"imports": (rule("2001:db8:1:8::/64"),)}, "/imports/0", "imports_site_prefix"),
    ({"imports": (rule("10.0.0.0/8", 8, 24),), "families": (Family.IPV4,)}, "/imports/0", "imports_site_prefix"),
]


@pytest.mark.parametrize(("more", "field", "code"), REFUSED, ids=[f"{it[1]}-{n}" for n, it in enumerate(REFUSED)])
def test_a_peering_that_makes_no_sense_is_refused_with_field_reason_and_mend(
    more: dict[str, Any], field: str, code: str
) -> None:
    with pytest.raises((Invalid, Conflict)) as refused:
        checked(wish(**more), AROUND)
    assert (refused.value.field, refused.value.code) == (field, code)
    assert refused.value.detail
    assert refused.value.mend


@pytest.mark.parametrize(
    "more",
    [
        {"asn": 64496},
        {"asn": 64512},
        {"asn": 4200004096},
        {"local_asn": 4200000007},  # its own number, said aloud
        {"address": "fe80::1", "interface": "eth0.12"},
        {"address": "169.254.10.1", "families": (Family.IPV4,), "imports": ()},  # as clouds give them out
        {"address": "192.0.2.1", "source": "192.0.2.2", "families": (Family.IPV6, Family.IPV4)},
        {"source": "fd42:1337:beef::7", "multihop": 4},
        {"imports": (rule("fd42::/16", 16, 47),)},  # shorter than what is ours: less specific, so it draws nothing
        {"imports": (RULE, rule("2001:db8:2:5::/64", 65, 80))},  # nested, and their lengths do not meet
        {"imports": (), "exports": ()},
        {
            "exports": (rule("10.0.0.0/8", 8, 24), rule("172.16.0.0/12", 12, 24), rule("192.168.0.0/16", 16, 24)),
            "families": (Family.IPV6, Family.IPV4),
        },
        {  # the same range by several lengths counts once
            "exports": tuple(rule("20.0.0.0/8", length) for length in range(8, 25)),
            "families": (Family.IPV6, Family.IPV4),
        },
    ],
)
def test_what_makes_sense_is_taken(more: dict[str, Any]) -> None:
    assert checked(wish(**more), AROUND).id == "p"


def test_everything_passes_only_when_said_and_never_what_is_ours() -> None:
    everything = (rule("::/0"), rule("2000::/3", 4, 31))
    assert checked(wish(imports=everything), AROUND, accept_everything=True).imports == everything
    with pytest.raises(Invalid):
        checked(wish(imports=everything), AROUND, announce_everything=True)
    for mine in (rule("::/0", 0, 48), rule("::/0", 0, 128), rule("2000::/3", 3, 48)):
        with pytest.raises(Conflict):
            checked(wish(imports=(mine,)), AROUND, accept_everything=True)


def test_rules_and_addresses_come_out_in_one_form_and_order() -> None:
    made = checked(
        wish(
            address="2001:DB8:0::1",
            families=(Family.IPV4, Family.IPV6),
            exports=(rule("2001:DB8:9::/48"), rule("10.9.0.0/16")),
        ),
        AROUND,
    )
    assert (made.address, made.families) == ("2001:db8::1", (Family.IPV6, Family.IPV4))
    assert [one.prefix for one in made.exports] == ["10.9.0.0/16", "2001:db8:9::/48"]


@pytest.mark.parametrize("text", ["", " x", "x ", "x" * 81, 'a"b', "a\\b", "a\nb", "ä"])
def test_a_password_that_no_router_could_be_told_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_password(text)
    assert refused.value.field == "/password"
    assert not text.strip() or text not in str(refused.value)


def test_its_owner_is_told_what_is_allowed_and_worth_a_word() -> None:
    def codes(peering: Peering, **more: Any) -> set[str]:
        given = {
            "engine": Engine.BIRD,
            "accept_everything": False,
            "announce_everything": False,
            "password_lost": False,
            **more,
        }
        return {one.code for one in remarks(peering, **given)}

    fine = wish(exports=(rule("2001:db8:9::/48"),))
    assert codes(fine) == set()
    assert codes(msgspec.structs.replace(fine, imports=(), exports=())) == {"imports_nothing", "exports_nothing"}
    assert codes(msgspec.structs.replace(fine, asn=64500)) == {"documentation_asn"}
    assert codes(msgspec.structs.replace(fine, local_asn=65552)) == {"unassigned_asn"}
    assert codes(msgspec.structs.replace(fine, enabled=False)) == {"disabled"}
    assert codes(msgspec.structs.replace(fine, families=(Family.IPV6, Family.IPV4))) == {"next_hop_family"}
    assert codes(fine, engine=Engine.STATIC, password_lost=True) == {"no_routing_engine", "password_needed"}
    assert codes(fine, silent=True) == {"relay_silent"}
    assert codes(fine, accept_everything=True) == {"accept_everything_unused"}
    wide = msgspec.structs.replace(fine, exports=(rule("2000::/3"),))
    assert codes(wide, announce_everything=True) == {"announce_everything"}
    together = msgspec.structs.replace(fine, exports=(rule("2001::/16"), rule("2400::/16")))
    assert codes(together, announce_everything=True) == {"announce_everything"}


@st.composite
def prefixes(draw: st.DrawFn) -> IPv6Network:
    """Out of a small space, so that they meet."""
    length = draw(st.integers(0, 8))
    return IPv6Network((draw(st.integers(0, 255)) >> (8 - length) << (120 + 8 - length), length))


@st.composite
def rules(draw: st.DrawFn) -> PrefixRule:
    prefix = draw(prefixes())
    shortest = draw(st.integers(prefix.prefixlen, 10))
    return PrefixRule(prefix=str(prefix), shortest=shortest, longest=draw(st.integers(shortest, 10)))


EVERY = [IPv6Network((n << (128 - length), length)) for length in range(11) for n in range(2**length)]


@given(rules(), rules())
def test_two_rules_meet_exactly_where_a_prefix_matches_both(one: PrefixRule, other: PrefixRule) -> None:
    assert meet(one, other) == any(matches(one, prefix) and matches(other, prefix) for prefix in EVERY)


@given(rules(), prefixes())
def test_a_rule_reaches_a_prefix_exactly_where_it_matches_that_or_something_inside(
    one: PrefixRule, ours: IPv6Network
) -> None:
    assert reaches(one, ours) == any(matches(one, prefix) for prefix in EVERY if prefix.subnet_of(ours))


def test_the_default_route_is_wide_in_both_families() -> None:
    assert [is_wide(rule(text)) for text in ("::/0", "0.0.0.0/0", "2000::/15", "10.0.0.0/8", "2001::/16")] == [
        True,
        True,
        True,
        False,
        False,
    ]


UNITS = [IPv4Network((n << 20, 12)) for n in range(2**12)]
"""All of IPv4, in pieces that no rule of the test below is shorter than."""


@given(st.lists(st.tuples(st.integers(8, 12), st.integers(0, 2**12 - 1)), max_size=60))
def test_rules_open_a_family_exactly_where_together_they_hold_as_much_as_the_narrowest_wide_rule(
    drawn: list[tuple[int, int]],
) -> None:
    told = [IPv4Network((number >> (12 - length) << (32 - length), length)) for length, number in drawn]
    held = sum(1 for unit in UNITS if any(unit.subnet_of(prefix) for prefix in told))
    found = opened([rule(str(prefix)) for prefix in told])
    assert found == (Family.IPV4 if held >= 2 ** (12 - WIDE[Family.IPV4] + 1) else None)


@given(st.sampled_from(["8.0.0.0/7", "64.0.0.0/5", "2600::/15", "2000::/13"]), st.data())
def test_no_way_to_cut_a_wide_rule_into_narrow_ones_says_less(wide: str, data: st.DataObject) -> None:
    pieces = [ip_network(wide)]
    family = Family.IPV4 if pieces[0].version == 4 else Family.IPV6
    while any(piece.prefixlen < WIDE[family] for piece in pieces) or data.draw(st.booleans()):
        short = [piece for piece in pieces if piece.prefixlen < WIDE[family]]
        cut = data.draw(st.sampled_from(short or pieces))
        pieces = [*(piece for piece in pieces if piece != cut), *cut.subnets()]
    told = tuple(rule(str(piece)) for piece in data.draw(st.permutations(pieces)))
    assert opened(told) is family
    with pytest.raises(Invalid) as refused:
        checked(wish(imports=told, families=tuple(Family)), AROUND)
    assert refused.value.code == "everything_not_said"
    assert checked(wish(imports=told, families=tuple(Family)), AROUND, accept_everything=True)


# -- what neighbours told ----------------------------------------------------------------------------------------


def route(prefix: str, *, peering: str = "p", path: tuple[int, ...] = (65010,)) -> LearnedRoute:
    return LearnedRoute(peering=peering, prefix=prefix, as_path=path, next_hop="fe80::1")


def refused(prefix: str, reason: str = "not_in_rules", *, peering: str = "p") -> RefusedRoute:
    return RefusedRoute(peering=peering, prefix=prefix, reason=reason)


def recorded(*learned: LearnedRoute, refused: tuple[RefusedRoute, ...] = ()) -> Recorded:
    return Recorded(
        learned={(one.peering, one.prefix): one for one in learned},
        refused={(one.peering, one.prefix, one.reason): one for one in refused},
    )


def test_a_table_is_compared_route_by_route() -> None:
    before = recorded(route("2001:db8:1::/48"), route("2001:db8:2::/48"), route("2001:db8:3::/48"))
    table = LearnedTable(
        digest="d",
        learned=(route("2001:db8:2::/48"), route("2001:db8:3::/48", path=(65010, 65020)), route("2001:DB8:4::/48")),
    )
    found = compare(before, table, {"p": 10})
    assert [one.prefix for one in found.learned] == ["2001:db8:3::/48", "2001:db8:4::/48"]
    assert found.withdrawn == [("p", "2001:db8:1::/48")]
    assert (
        compare(recorded(*table.learned[:2]), LearnedTable(digest="d", learned=table.learned[:2]), {"p": 10}).learned
        == []
    )


def test_what_makes_no_sense_or_is_too_much_is_left_out_and_counted() -> None:
    table = LearnedTable(
        digest="d",
        learned=(
            route("nonsense"),
            route("2001:db8:1::1/48"),
            route("fe80::%eth0/64"),
            route("2001:db8:1::/48", peering="stranger"),
            route("2001:db8:1::/48", path=(2**40,)),
            route("2001:db8:1::/48"),
            route("2001:db8:2::/48"),
            route("2001:db8:3::/48"),
        ),
        refused=(refused("nonsense"), refused("::/0", peering="stranger")),
        refused_count=2,
    )
    found = compare(Recorded(), table, {"p": 2})
    assert [one.prefix for one in found.learned] == ["2001:db8:1::/48", "2001:db8:2::/48"]
    assert found.ignored == 8


def test_one_route_is_bounded_so_that_a_batch_fits_into_an_event() -> None:
    big = msgspec.structs.replace(
        route("2001:db8:1::/48"), communities=("x" * 512,) * 10_000, next_hop="y" * 512, as_path=(1,) * 255
    )
    (found,) = compare(Recorded(), LearnedTable(digest="d", learned=(big,)), {"p": 1}).learned
    assert len(msgspec.json.encode(found)) < 8_000
    longer = msgspec.structs.replace(big, as_path=(1,) * 256)
    assert compare(Recorded(), LearnedTable(digest="d", learned=(longer,)), {"p": 1}).ignored == 1


def test_a_refused_route_is_told_once_until_it_is_gone() -> None:
    leak = refused("::/0", "default_route")
    table = LearnedTable(digest="d", refused=(leak,), refused_count=1)
    assert compare(Recorded(), table, {"p": 1}).refused == [leak]
    known = recorded(refused=(leak,))
    again = compare(known, table, {"p": 1})
    assert (again.refused, again.forgiven) == ([], [])
    gone = compare(known, LearnedTable(digest="e"), {"p": 1})
    assert gone.forgiven == [("p", "::/0", "default_route")]


def test_of_a_cut_list_nothing_is_taken_as_gone_and_the_worst_always_finds_room() -> None:
    known = recorded(refused=tuple(refused(f"2001:db8:{n:x}::/48") for n in range(MOST_ROUTES)))
    hijack = refused(str(OURS), "own_prefix")
    table = LearnedTable(digest="d", refused=(refused("2001:db8:ffff::/48"), hijack), refused_count=100_000)
    found = compare(known, table, {"p": 1})
    assert found.forgiven == []
    assert found.refused == [hijack]
    assert severity("own_prefix") == "high"


# -- sessions ------------------------------------------------------------------------------------------------------


def said(state: str, since: float | None = None) -> SessionStatus:
    return SessionStatus(neighbour="p", state=state, since=since)


def turns(*states: SessionStatus | None) -> list[Standing | None]:
    watched, rule = Watched(), SessionRule()
    found = []
    for state in states:
        turn = watched.heard(state, rule)
        found.append(turn.after if turn else None)
    return found


def test_the_first_good_word_counts_and_afterwards_it_takes_two_in_a_row() -> None:
    up, down = said("established"), said("active")
    assert turns(up, down, up, down, down, up, up) == [
        *(Standing.UP, None, None, None, Standing.DOWN),
        *(None, Standing.UP),
    ]


def test_a_new_session_that_does_not_come_up_is_down_after_two_words() -> None:
    assert turns(said("connect"), None, None) == [None, Standing.DOWN, None]


def test_a_session_that_flaps_between_two_words_does_not_come_up() -> None:
    down = said("idle")
    assert turns(said("established", 9.0), down, down, said("established", 3.0), said("established", 1.0)) == [
        *(Standing.UP, None, Standing.DOWN),
        *(None, None),
    ]


def test_a_session_that_is_switched_off_is_nobodys_failure() -> None:
    watched = Watched()
    watched.heard(said("established"), SessionRule())
    assert watched.switched_off()
    assert not watched.switched_off()
    assert watched.standing is Standing.NEW
