"""What BIRD is told follows the documents and the engine, change by change as if computed afresh."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import msgspec
from altnet.common.contracts.agent import Versions
from altnet.common.contracts.desired import RelayState, pack
from altnet.common.contracts.routing import Engine, Peering, PrefixRule
from altnet.relay_agent.agent import own_self
from altnet.relay_agent.bird.pieces import HOST_KEY, RoutingHost, RoutingRelay, peering_key, relay_key
from altnet.relay_agent.desired import Desired
from altnet.relay_agent.diff import Operation, Update
from altnet.relay_agent.pieces import FIREWALL, FORWARDING, LINKS, PEERS, ROUTES, ROUTING
from altnet.relay_agent.settings import AgentSettings
from altnet.relay_agent.wanted import Wanted
from hypothesis import given
from support.relays import NETWORK, PREFIX, Paper, client, document, entry, identity_of, relay_id

SETTINGS = AgentSettings()
Pieces = dict[tuple[str, Any], Any]


class World:
    """The documents of one relay, and what was made of them step by step."""

    def __init__(self, engine: Engine = Engine.BIRD) -> None:
        self.paper = Paper()
        self.desired = Desired(relay=relay_id("me"), network=NETWORK, prefix=PREFIX)
        self.generation = 0
        self.tell(entry("me", 1, routing=Engine.BIRD))
        self.give()
        me = own_self(SETTINGS, identity_of("me"), slot=1, versions=Versions(), engine=engine)
        self.wanted = Wanted(self.desired, me)
        self.wanted.begin()
        self.have: Pieces = self.fresh()

    def tell(self, *entries: Any, remove: tuple[str, ...] = ()) -> None:
        self.paper.put(*entries, remove=remove)
        self.desired.on_snapshot(self.paper.snapshot())

    def give(self, **fields: object) -> None:
        self.generation += 1
        self.desired.on_document(pack(document("me", self.generation, **fields)))

    def fresh(self) -> Pieces:
        return {(piece.plane, piece.key): piece.value for _, piece in self.wanted.pieces()}

    def follow(self) -> None:
        operations: list[Operation] = [it for change in self.wanted.changes() for it in change.operations]
        for operation in sorted(operations, key=lambda it: isinstance(it, Update), reverse=True):
            if isinstance(operation, Update):
                self.have[operation.plane, operation.key] = operation.want
            else:
                self.have.pop((operation.plane, operation.key), None)

    def routing(self, key: object) -> Any:
        return self.have.get((ROUTING, key))

    @property
    def originated(self) -> set[str]:
        table = SETTINGS.origin_table
        return {
            str(value.prefix) for (plane, _), value in self.have.items() if plane == ROUTES and value.table == table
        }


ORIGINS = [(), ("fd77::/48",), ("::/0",), ("10.7.0.0/16",)]
RULES = [(), (PrefixRule(prefix="10.0.0.0/8", shortest=16, longest=24),)]
PEERINGS = [
    Peering(id="prg_1", name="one", address="fd00:bb::2", asn=64_512),
    Peering(id="prg_2", name="two", address="fe80::2", interface="eth1", asn=64_513, bfd=True),
    Peering(id="prg_3", name="three", address="192.0.2.7", asn=64_514, enabled=False),
]
names = st.sampled_from("abc")
steps = st.one_of(
    st.tuples(st.just("entry"), names, st.sampled_from(Engine), st.sampled_from(ORIGINS), st.sampled_from(RULES)),
    st.tuples(st.just("remove"), names),
    st.tuples(st.just("links"), st.none() | st.sets(names)),
    st.tuples(st.just("own"), st.sampled_from(Engine), st.sampled_from(RelayState), st.sampled_from(ORIGINS)),
    st.tuples(st.just("peerings"), st.sets(st.sampled_from(PEERINGS))),
    st.tuples(st.just("engine"), st.sampled_from(Engine)),
    st.tuples(st.just("revoked"), st.booleans()),
)


@given(st.lists(steps, max_size=20))
def test_step_by_step_is_what_a_fresh_start_would_want(story: list[Any]) -> None:
    world = World()
    for what, *how in story:
        match what:
            case "entry":
                name, engine, origins, rules = how
                slot = "abc".index(name) + 2
                world.tell(entry(name, slot, routing=engine, origins=origins, learned=rules))
            case "remove":
                world.tell(remove=(how[0],))
            case "links":
                world.give(links=None if how[0] is None else tuple(sorted(relay_id(name) for name in how[0])))
            case "own":
                world.tell(entry("me", 1, routing=how[0], state=how[1], origins=how[2]))
            case "peerings":
                world.give(peerings=tuple(sorted(how[0], key=lambda one: one.id)))
            case "engine":
                world.wanted.set_engine(how[0])
            case "revoked":
                world.give(revoked=how[0])
        world.follow()
        assert world.have == world.fresh()
        assert not world.wanted.waiting


def test_peerings_reach_the_engine_and_the_firewall_and_disabled_ones_neither() -> None:
    world = World()
    world.give(peerings=tuple(PEERINGS))
    world.follow()
    assert [world.routing(peering_key(one.id)) for one in PEERINGS] == [*PEERINGS[:2], None]
    (ruleset,) = [value for (plane, _), value in world.have.items() if plane == FIREWALL]
    assert "ip6 saddr fd00:bb::2 tcp dport 179 accept" in ruleset.text
    assert "192.0.2.7" not in ruleset.text


def test_the_engine_knows_our_own_sites_and_ipv4_is_forwarded_where_any_relay_has_some() -> None:
    world = World()
    world.tell(entry("me", 1, routing=Engine.BIRD, origins=("fd77::/48", "fd42:1337:beef:1009::5/128")))
    world.follow()
    assert [str(prefix) for prefix in world.routing(HOST_KEY).sites] == ["fd77::/48"]
    assert (FORWARDING, "net/ipv4/ip_forward") not in world.have

    world.tell(entry("a", 2, routing=Engine.BIRD, learned=RULES[1]))
    world.follow()
    assert (FORWARDING, "net/ipv4/ip_forward") in world.have
    world.tell(remove=("a",))
    world.follow()
    assert (FORWARDING, "net/ipv4/ip_forward") not in world.have


def test_a_relay_without_a_link_still_has_its_rights() -> None:
    world = World()
    rule = PrefixRule(prefix="10.0.0.0/8", shortest=16, longest=24)
    world.tell(entry("a", 2, routing=Engine.BIRD, origins=("fd77::/48",), learned=(rule,)))
    world.give(links=())
    world.follow()
    relay = world.routing(relay_key(relay_id("a")))
    assert isinstance(relay, RoutingRelay)
    assert (relay.session, [str(prefix) for prefix in relay.origins]) == (False, ["fd77::/48"])
    assert [(str(one.prefix), one.longest) for one in relay.learned] == [("10.0.0.0/8", 24)]


def test_what_is_originated_is_own_address_clients_and_origins_but_no_client_that_is_only_expected() -> None:
    world = World()
    roaming, expected = "fd42:1337:beef:1009::5/128", "fd42:1337:beef:1009::6/128"
    world.tell(
        entry("me", 1, routing=Engine.BIRD, origins=(roaming, "10.1.0.0/16", "::/0"), roaming=(expected,)),
    )
    standing_by = msgspec.structs.replace(client("y", expected), standby=True, movable=True)
    world.give(clients=(client("x", roaming), standing_by))
    world.follow()
    assert world.originated == {"fd42:1337:beef::1/128", "fd42:1337:beef:1001::/64", roaming, "10.1.0.0/16"}


def test_a_bad_origin_or_rule_costs_neither_session_nor_the_other_rights_and_heals() -> None:
    world = World()
    good, bad = RULES[1][0], PrefixRule(prefix="10.0.0.0/8", shortest=4, longest=2)
    world.tell(entry("a", 2, routing=Engine.BIRD, origins=("::/0", "fd77::/48"), learned=(bad, good)))
    (change,) = [one for one in world.wanted.changes() if one.owner == relay_id("a")]
    (told,) = [it.want for it in change.operations if isinstance(it, Update) and it.plane == ROUTING]
    assert told.session
    assert [str(prefix) for prefix in told.origins] == ["fd77::/48"]
    assert [(str(one.prefix), one.longest) for one in told.learned] == [("10.0.0.0/8", 24)]
    assert {it.plane for it in change.operations} >= {PEERS, LINKS}
    assert [error.field for error in change.errors] == ["/relays/rly_a/origins", "/relays/rly_a/learned"]

    world.tell(entry("a", 2, routing=Engine.BIRD, origins=("fd77::/48",), learned=(good,)))
    (change,) = [one for one in world.wanted.changes() if one.owner == relay_id("a")]
    assert (change.operations, change.errors) == ([], ()), "what was there stays as it is"


def test_a_bad_origin_of_a_relay_without_a_link_costs_its_other_rights_nothing() -> None:
    world = World()
    world.give(links=())
    world.tell(entry("a", 2, routing=Engine.BIRD, origins=("::/0", "fd77::/48")))
    world.follow()
    assert [str(prefix) for prefix in world.routing(relay_key(relay_id("a"))).origins] == ["fd77::/48"]
    assert len(world.wanted.invalid(relay_id("a"))) == 1


def test_a_drained_relay_tells_its_engine_and_a_static_one_tells_it_nothing() -> None:
    world = World()
    world.tell(entry("me", 1, routing=Engine.BIRD, state=RelayState.DRAINING))
    world.follow()
    host = world.routing(HOST_KEY)
    assert isinstance(host, RoutingHost)
    assert host.draining

    world.wanted.set_engine(Engine.STATIC)
    assert world.wanted.waiting
    world.follow()
    assert not any(plane == ROUTING for plane, _ in world.have)
    assert world.originated == set()
