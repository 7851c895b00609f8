"""The configuration: the same wish gives the same text, BIRD takes it, and nobody's words get into it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Hashable
from ipaddress import IPv6Address, IPv6Network, ip_network
from pathlib import Path

import hypothesis.strategies as st
import msgspec
import pytest
from altnet.common.contracts.desired import MeshSettings, RelayEntry
from altnet.common.contracts.routing import Engine, Peering, PrefixRule
from altnet.common.errors import Invalid
from altnet.common.net import LAST_SLOT
from altnet.relay_agent.bird.config import (
    Config,
    costs_in,
    mark_of,
    piece_hash,
    pieces_in,
    quoted,
    render,
    session_name,
    shown,
)
from altnet.relay_agent.bird.pieces import HOST_KEY, LearnedRule, RoutingHost, RoutingRelay, relay_key
from altnet.relay_agent.epochs import Roles
from altnet.relay_agent.pieces import Names
from altnet.relay_agent.rights import rights_of
from altnet.relay_agent.view import Context, relay_pieces, routing_piece
from hypothesis import given, settings
from support.relays import PLAN, PREFIX, entry, key_of

HOST = RoutingHost(
    slot=1, network=PREFIX, links="altl", table=42186, bfd_interval=0.05, bfd_multiplier=3, restart_time=120
)
PREFIXES = [ip_network(text) for text in ("fd77::/48", "10.1.0.0/16", "fd42:1337:beef:1002::5/128", "192.168.7.0/24")]

endpoints = st.builds(IPv6Address, st.integers(0x2000 << 112, (0x3000 << 112) - 1))
rules = st.sampled_from(PREFIXES[:2]).map(
    lambda it: LearnedRule(prefix=it, shortest=it.prefixlen, longest=32 if it.version == 4 else 64)
)
relays = st.builds(
    RoutingRelay,
    slot=st.integers(2, LAST_SLOT),
    session=st.booleans(),
    origins=st.lists(st.sampled_from(PREFIXES), unique=True, max_size=3).map(tuple),
    learned=st.lists(rules, max_size=2).map(tuple),
    endpoints=st.lists(endpoints, max_size=2).map(tuple),
)
meshes = st.lists(relays, max_size=6, unique_by=lambda relay: relay.slot).map(
    lambda found: {relay_key(f"rly_{relay.slot}"): relay for relay in found}
)
costs = st.dictionaries(st.integers(1, LAST_SLOT), st.integers(1, 10**7), max_size=6)


def rendered(mesh: dict[Hashable, RoutingRelay] | None = None, **fields: object) -> Config:
    return render(HOST, relays=mesh or {}, **fields)  # type: ignore[arg-type]


@given(meshes, costs, st.randoms())
def test_the_same_wish_in_any_order_gives_the_same_text(
    mesh: dict[Hashable, RoutingRelay], known: dict[int, int], random: object
) -> None:
    shuffled = list(mesh.items())
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = rendered(mesh, costs=known), rendered(dict(shuffled), costs=dict(reversed(known.items())))
    assert one.text == other.text
    assert mark_of(one.text) == one.mark


@given(meshes)
def test_a_configuration_tells_what_it_was_made_of(mesh: dict[Hashable, RoutingRelay]) -> None:
    config = rendered(mesh)
    assert pieces_in(config.text) == {key: piece_hash(piece) for key, piece in {**mesh, HOST_KEY: HOST}.items()}


@given(meshes, costs)
def test_costs_are_read_back(mesh: dict[Hashable, RoutingRelay], known: dict[int, int]) -> None:
    found = costs_in(rendered(mesh, costs=known).text)
    sessions = {relay.slot for relay in mesh.values() if relay.session}
    assert set(found) == sessions
    assert all(found[slot] == known[slot] for slot in sessions & set(known))


@given(meshes)
def test_every_line_of_a_session_is_its_relays(mesh: dict[Hashable, RoutingRelay]) -> None:
    config = rendered(mesh)
    lines = config.text.splitlines()
    for key, relay in mesh.items():
        if relay.session:
            first = lines.index(f"protocol bgp {session_name(relay.slot)} {{") + 1
            end = lines.index("}", first) + 1
            assert {config.owner(line) for line in range(first, end + 1)} == {key}
    assert config.owner(1) is None


@pytest.mark.skipif(shutil.which("bird") is None, reason="BIRD is not installed: apt-get install bird2")
@settings(max_examples=12)
@given(meshes, costs, st.booleans())
def test_bird_takes_it(
    tmp_path_factory: pytest.TempPathFactory, mesh: dict[Hashable, RoutingRelay], known: dict[int, int], draining: bool
) -> None:
    path: Path = tmp_path_factory.mktemp("bird") / "bird.conf"
    host = msgspec.structs.replace(HOST, draining=draining, endpoints=(IPv6Address("2001:db8::1"),))
    path.write_text(render(host, relays=mesh, costs=known, log_file=str(path.parent / "bird.log")).text)
    done = subprocess.run(["bird", "-p", "-c", path], check=False, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr + path.read_text()


def test_a_change_of_rights_is_seen_and_a_change_of_cost_is_none() -> None:
    relay = RoutingRelay(slot=2, session=True)
    key = relay_key("rly_a")
    more = msgspec.structs.replace(relay, origins=(IPv6Network("fd77::/48"),))
    assert rendered({key: relay}).rights != rendered({key: more}).rights
    assert rendered({key: relay}).rights == rendered({key: relay}, costs={2: 5}).rights
    assert rendered({key: relay}).mark != rendered({key: relay}, costs={2: 5}).mark


HOSTILE = ['"; protocol static {}', "a\nprotocol kernel x {}", "x} #", "${IFS}", "\x00", "'", "../../etc", "ä\u2028b"]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_word_of_a_document_gets_into_a_configuration(text: str) -> None:
    hostile = msgspec.structs.replace(
        entry("a", 2, routing=Engine.BIRD, region=text),
        id=text,
        name=text,
        endpoints=(text, f"[fe80::1%{text}]:1", "[2001:db8::2]:1"),
    )
    piece = routing_piece(context(), hostile, linked=True)
    config = rendered({piece.key: piece.value})
    harmless = entry("a", 2, routing=Engine.BIRD, endpoints=("[2001:db8::2]:1",))
    plain = rendered({relay_key("rly_a"): routing_piece(context(), harmless, linked=True).value})
    code = [line for line in config.text.splitlines() if not line.startswith(("#", "define ALTNET_MARK"))]
    assert code == [line for line in plain.text.splitlines() if not line.startswith(("#", "define ALTNET_MARK"))]
    assert list(pieces_in(config.text)) == [HOST_KEY, ("relay", text)] or set(pieces_in(config.text)) == {
        HOST_KEY,
        ("relay", text),
    }


@pytest.mark.parametrize("text", ['a"b', "a\nb", "a\x07b", "a\u2028b"])
def test_a_string_that_bird_could_not_write_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        quoted(text)


@pytest.mark.parametrize(
    "rule",
    [
        PrefixRule(prefix="fd77::/48", shortest=40, longest=64),
        PrefixRule(prefix="fd77::/48", shortest=64, longest=56),
        PrefixRule(prefix="10.0.0.0/8", shortest=8, longest=64),
        PrefixRule(prefix="fd77::1/48", shortest=48, longest=64),
        PrefixRule(prefix='fd77::/48; "', shortest=48, longest=64),
    ],
)
def test_a_rule_that_has_no_prefixes_is_left_out_and_named_and_the_others_stay(rule: PrefixRule) -> None:
    good = PrefixRule(prefix="10.0.0.0/8", shortest=8, longest=24)
    bad = entry("a", 2, origins=("fd77::/48",), learned=(rule, good))
    (refused,) = rights_of(PLAN, bad).refused
    assert refused.field == "/relays/rly_a/learned"
    told = routing_piece(context(), bad, linked=True).value
    assert [str(prefix) for prefix in told.origins] == ["fd77::/48"]
    assert [(str(one.prefix), one.longest) for one in told.learned] == [("10.0.0.0/8", 24)]


def test_only_between_two_relays_with_bird_a_session_takes_the_place_of_static_routes() -> None:
    for mine, theirs in ((Engine.BIRD, Engine.BIRD), (Engine.BIRD, Engine.STATIC), (Engine.STATIC, Engine.BIRD)):
        ours, other = context(engine=mine), entry("a", 2, routing=theirs)
        both = mine is theirs is Engine.BIRD
        assert routing_piece(ours, other, linked=True).value.session is both
        via = [piece for piece in relay_pieces(ours, other) if getattr(piece.value, "via", None) is not None]
        assert bool(via) is not both
    assert routing_piece(context(), entry("a", 2, routing=Engine.BIRD), linked=False).value.session is False


def test_a_peering_that_cannot_be_had_says_which_of_its_fields_is_wrong() -> None:
    peering = Peering(id="per_1", name="x", address="fd42:1337:beef::7", asn=64512)
    with pytest.raises(Invalid) as error:
        rendered(peerings={("peering", "per_1"): peering})
    assert error.value.field == "/peerings/per_1/address"


def test_passwords_are_not_shown() -> None:
    assert shown('  password "secret";\n') == '  password "<hidden>";\n'


def context(**fields: object) -> Context:
    made = {
        "plan": PLAN,
        "relay": "rly_me",
        "slot": 1,
        "keys": Roles(device=0, key=key_of("me").public()),
        "encapsulations": RelayEntry(id="x", name="x", slot=1, key="").encapsulations,
        "reachable": True,
        "ipv4_site": False,
        "settings": MeshSettings(),
        "names": Names(prefix="alt"),
        "mesh_ports": (51820, 51821),
        "access": Roles(device=0, key=key_of("me", "access").public()),
        "access_port": 51830,
        "link_port": 51899,
        "engine": Engine.BIRD,
        "bird": True,
        "origin_table": 42186,
    }
    return Context(**{**made, **fields})  # type: ignore[arg-type]
