"""What a host should hold, and what no document can make it hold."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network

import pytest
from altnet.common.contracts.desired import Encapsulation, MeshSettings
from altnet.common.contracts.routing import Engine
from altnet.common.errors import Invalid
from altnet.common.kernel.links import Ip6Gre, Route, RouteKind, Vxlan
from altnet.common.net import LAST_SLOT, link_number
from altnet.relay_agent.diff import Delete, Update, changed
from altnet.relay_agent.epochs import Roles
from altnet.relay_agent.pieces import LINKS, NEIGHBOURS, PEERS, ROUTES, Names, Piece
from altnet.relay_agent.rights import rights_of
from altnet.relay_agent.view import Context, client_pieces, host_pieces, relay_pieces, routing_piece
from support.relays import PLAN, client, entry, key_of


def context(**changes: object) -> Context:
    given: dict[str, object] = {
        "plan": PLAN,
        "relay": "rly_me",
        "slot": 1,
        "keys": Roles(device=0, key=key_of("me").public()),
        "reachable": True,
        "encapsulations": (Encapsulation.VXLAN,),
        "ipv4_site": False,
        "settings": MeshSettings(),
        "names": Names(prefix="alt"),
        "mesh_ports": (51820, 51821),
        "access": Roles(device=0, key=key_of("me", "access").public()),
        "access_port": 51830,
        "link_port": 51899,
    }
    return Context(**{**given, **changes})  # type: ignore[arg-type]  # a test's shorthand


def of(pieces: list[Piece], plane: str) -> list[object]:
    return [piece.value for piece in pieces if piece.plane == plane]


def routes(pieces: list[Piece]) -> dict[str, Route]:
    return {str(piece.value.prefix): piece.value for piece in pieces if piece.plane == ROUTES}


def test_a_mesh_peer_is_allowed_its_locator_and_nothing_else() -> None:
    (peer,) = of(relay_pieces(context(), entry("a", 2, origins=("fd77::/48",))), PEERS)
    assert peer.allowed == (IPv6Network("fd42:1337:beef:1::2/128"),)


def test_a_link_is_a_vxlan_between_two_locators_that_routing_carries() -> None:
    pieces = relay_pieces(context(), entry("a", 2))
    (link,) = of(pieces, LINKS)
    assert link.name == "altl2"
    assert link.mtu == 1420 - 70
    assert link.mac == "02:a1:7e:00:00:01"
    assert link.form == Vxlan(
        number=link_number(1, 2),
        local=IPv6Address("fd42:1337:beef:1::1"),
        remote=IPv6Address("fd42:1337:beef:1::2"),
        port=51899,
        device=None,  # so that a key epoch can change below it
    )
    (neighbour,) = of(pieces, NEIGHBOURS)
    assert (str(neighbour.address), neighbour.mac) == ("fe80::2", "02:a1:7e:00:00:02")


def test_a_link_uses_the_best_encapsulation_of_both_ends_and_there_is_none_without_a_common_one() -> None:
    both = (Encapsulation.VXLAN, Encapsulation.IP6GRE)
    (link,) = of(relay_pieces(context(encapsulations=both), entry("a", 2, encapsulations=both)), LINKS)
    assert isinstance(link.form, Ip6Gre)
    assert link.form.key == link_number(1, 2)
    (link,) = of(relay_pieces(context(encapsulations=both), entry("a", 2)), LINKS)
    assert isinstance(link.form, Vxlan)
    only_gre = entry("a", 2, encapsulations=(Encapsulation.IP6GRE,))
    assert {piece.plane for piece in relay_pieces(context(), only_gre)} == {PEERS, ROUTES}


def test_routes_over_a_link_name_the_neighbour_and_start_from_our_own_address() -> None:
    found = routes(relay_pieces(context(), entry("a", 2, origins=("10.1.0.0/16", "fd77::/48"))))
    assert found["fd42:1337:beef:1::2/128"].device == "altm0"
    for prefix in ("fd42:1337:beef::2/128", "fd42:1337:beef:1002::/64", "fd77::/48"):
        assert (found[prefix].device, str(found[prefix].via)) == ("altl2", "fe80::2")
        assert str(found[prefix].source) == "fd42:1337:beef::1"
    assert found["10.1.0.0/16"].source is None
    assert found["fd77::/48"].metric > found["fd42:1337:beef:1002::/64"].metric


def test_two_relays_with_the_same_origin_give_two_routes() -> None:
    one, other = (
        routes(relay_pieces(context(), entry(name, slot, origins=("fd77::/48",))))["fd77::/48"]
        for name, slot in (("a", 2), ("b", 3))
    )
    assert one.metric < other.metric


def test_nothing_of_the_network_leaks_to_the_default_route() -> None:
    found = routes(host_pieces(context(), None))
    last = found["fd42:1337:beef::/48"]
    assert last.kind is RouteKind.UNREACHABLE
    assert last.metric > max(route.metric for prefix, route in found.items() if prefix != "fd42:1337:beef::/48")


@pytest.mark.parametrize(
    "origin",
    [
        "::/0",
        "0.0.0.0/0",
        "fd42:1337:beef:1::/64",
        "fd42:1337:beef:1::2/128",
        "fd42:1337:beef::/48",
        "fd42:1337:beef::1/128",
        "fe80::/64",
        "ff00::/16",
        "192.0.2.0/24",
        "127.0.0.0/8",
        "240.0.0.0/8",
        "8000::/1",
        "::/16",
        "fd77::1/48",
        "nonsense",
    ],
)
def test_an_origin_that_would_harm_the_host_is_left_out_and_named_and_nothing_else_is_lost(origin: str) -> None:
    harmless, harmful = entry("a", 2, origins=("fd77::/48",)), entry("a", 2, origins=(origin, "fd77::/48"))
    (refused,) = rights_of(PLAN, harmful).refused
    assert refused.field == "/relays/rly_a/origins"
    assert refused.detail
    assert relay_pieces(context(), harmful) == relay_pieces(context(), harmless)
    bird = context(bird=True, engine=Engine.BIRD)
    told, wanted = (routing_piece(bird, one, linked=True) for one in (harmful, harmless))
    assert told == wanted


def test_a_client_that_may_attach_where_it_cannot_be_is_left_out_and_named_too() -> None:
    rights = rights_of(PLAN, entry("a", 2, roaming=("::/0", "fd42:1337:beef:1009::5/128")))
    assert [str(prefix) for prefix in rights.roaming] == ["fd42:1337:beef:1009::5/128"]
    assert len(rights.refused) == 1


def test_what_is_wrong_twice_is_said_once() -> None:
    rights = rights_of(PLAN, entry("a", 2, origins=("::/0", "::/0"), roaming=("::/0",)))
    assert [error.code for error in rights.refused] == ["bad_prefix"]


@pytest.mark.parametrize("wrong", [entry("me", 2), entry("a", 1), entry("a", 2, key="AAAA")])
def test_a_neighbour_with_our_own_key_or_slot_or_without_a_key_is_refused(wrong: object) -> None:
    with pytest.raises(Invalid):
        relay_pieces(context(), wrong)  # type: ignore[arg-type]  # parametrised


def test_a_client_gets_its_exact_addresses_and_a_route_only_for_those_from_elsewhere() -> None:
    pieces = client_pieces(context(), client("x", "fd42:1337:beef:1001::5/128", "fd42:1337:beef:1002::6/128"))
    (peer,) = of(pieces, PEERS)
    assert [str(prefix) for prefix in peer.allowed] == ["fd42:1337:beef:1001::5/128", "fd42:1337:beef:1002::6/128"]
    assert set(routes(pieces)) == {"fd42:1337:beef:1002::6/128"}


@pytest.mark.parametrize("address", ["fd42:1337:beef::9/128", "fd99::1/128", "10.0.0.1/32", "x"])
def test_a_client_outside_the_pool_is_refused(address: str) -> None:
    with pytest.raises(Invalid) as error:
        client_pieces(context(), client("x", address))
    assert error.value.field == "/clients/cli_x/addresses"


@pytest.mark.parametrize("mine", [True, False], ids=["we are reachable", "we are not"])
@pytest.mark.parametrize("theirs", [True, False], ids=["they are reachable", "they are not"])
def test_exactly_one_side_initiates_unless_nobody_can(mine: bool, theirs: bool) -> None:
    endpoints = ("192.0.2.1:51820",)
    (there,) = of(relay_pieces(context(reachable=mine), entry("a", 2, endpoints=endpoints if theirs else ())), PEERS)
    other_side = context(slot=2, keys=Roles(device=0, key=key_of("a").public()), reachable=theirs)
    (here,) = of(relay_pieces(other_side, entry("me", 1, endpoints=endpoints if mine else ())), PEERS)
    assert there.initiator + here.initiator == (1 if mine or theirs else 0)
    if mine and theirs:
        assert there.initiator == (key_of("me").public() < key_of("a").public())


def test_a_link_that_is_made_anew_gets_its_addresses_and_routes_again() -> None:
    before = relay_pieces(context(), entry("a", 2))
    after = relay_pieces(context(link_port=4789), entry("a", 2))
    operations = changed(before, after)
    planes = [operation.plane for operation in operations]
    assert planes == ["links", "addresses", "neighbours", "routes", "routes"]
    assert all(isinstance(operation, Update) for operation in operations)
    assert changed(after, after) == []


def test_what_is_no_longer_wanted_is_deleted_and_the_rest_is_left_alone() -> None:
    before = relay_pieces(context(), entry("a", 2, origins=("fd77::/48",)))
    operations = changed(before, relay_pieces(context(), entry("a", 2)))
    assert [type(operation) for operation in operations] == [Delete]
    assert str(operations[0].have.prefix) == "fd77::/48"


def test_names_that_are_not_exactly_ours_are_not_ours() -> None:
    names = Names(prefix="alt")
    assert all(names.is_ours(name) for name in ("altm0", "altm1", "alta0", "altl1", f"altl{LAST_SLOT}"))
    assert not any(names.is_ours(name) for name in ("altm2", "altl", "altl1x", "altlan0", "alt", "altl12345", "eth0"))
