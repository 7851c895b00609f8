"""Planning: the same world gives the same documents, however one came there."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network
from typing import Any

from altnet.common.contracts import routing
from altnet.common.contracts.desired import MeshSettings, RelayState
from altnet.common.contracts.digest import document_digest, mesh_digest
from altnet.common.contracts.routing import Engine, PrefixRule
from altnet.common.net import AddressPlan
from altnet.registry.domain.linkindex import Link, link_id
from altnet.registry.domain.links import LinkKind
from altnet.registry.domain.planner import Difference, Plan, plan, replan
from altnet.registry.domain.world import Affected, Client, Network, Peering, Ref, Relay, Service, Site, World
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

PREFIX = IPv6Network("fd42:1337:beef::/48")
PLAN = AddressPlan(PREFIX)
FULL_MESH_UP_TO = 4


def relay(number: int, **more: Any) -> Relay:
    return Relay(
        **{"id": f"r{number}", "network": "n", "name": f"r{number}", "slot": number, "key": f"k{number}", **more}
    )


def client(number: int, on: str | None, home: int = 1, standby: str | None = None, movable: bool = False) -> Client:
    address = PLAN.client_prefix(home)[number + 256]
    return Client(
        id=f"c{number}",
        network="n",
        relay=on,
        key=f"ck{number}",
        address=address,
        standby=standby if movable and standby != on else None,
        movable=movable,
    )


def link(one: int, other: int, *, kind: LinkKind = LinkKind.NEAR) -> Link:
    first, second = sorted((f"r{one}", f"r{other}"))
    return Link(id=link_id((first, second)), network="n", pair=(first, second), kind=kind)


def peering(number: int, on: int, *, imports: tuple[int, ...] = (1,), **more: Any) -> Peering:
    rules = tuple(PrefixRule(prefix=f"10.{one}.0.0/16", shortest=16, longest=24) for one in imports)
    told = routing.Peering(
        id=f"p{number}", name=f"p{number}", address=f"192.0.2.{number}", asn=65000 + number, imports=rules, **more
    )
    return Peering(id=f"p{number}", network="n", relay=f"r{on}", told=told)


def contents(current: Plan) -> tuple[Any, Any]:
    meshes = {
        network: (mesh.settings, dict(sorted(mesh.entries.items())), mesh.digest.text)
        for network, mesh in current.meshes.items()
    }
    documents = {relay: (it.document(), it.digest.text) for relay, it in current.documents.items()}
    return meshes, dict(sorted(documents.items()))


numbers = st.integers(min_value=1, max_value=9)
relay_ids = st.one_of(st.none(), numbers.map(lambda number: f"r{number}"))
owners = st.one_of(st.none(), numbers.map(lambda n: f"r{n}"), numbers.map(lambda n: f"c{n}"))


class Incremental(RuleBasedStateMachine):
    """Does to one world what it is told and plans the difference; then compares with a plan from nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(full_mesh_up_to=FULL_MESH_UP_TO)
        self.current = Plan()
        self.items: dict[Ref, Any] = {}

    @initialize()
    def network(self) -> None:
        self.put(("network", "n"), Network(id="n", prefix=PREFIX))

    def put(self, ref: Ref, item: Any) -> None:
        self.items[ref] = item
        replan(self.world, self.current, self.world.put(item))

    @rule(
        number=numbers,
        state=st.sampled_from(RelayState),
        revoked=st.booleans(),
        key=st.sampled_from("ab"),
        endpoints=st.sampled_from([(), ("192.0.2.1:1",)]),
        routing=st.sampled_from(Engine),
    )
    def put_relay(
        self, number: int, state: RelayState, revoked: bool, key: str, endpoints: tuple[str, ...], routing: Engine
    ) -> None:
        more = {"state": state, "revoked": revoked, "key": f"{key}{number}", "endpoints": endpoints, "routing": routing}
        self.put(("relay", f"r{number}"), relay(number, **more))

    @rule(one=numbers, other=numbers, kind=st.sampled_from(LinkKind))
    def put_link(self, one: int, other: int, kind: LinkKind) -> None:
        if one != other:
            item = link(one, other, kind=kind)
            self.put(("link", item.id), item)

    @rule(data=st.data())
    def remove_link(self, data: st.DataObject) -> None:
        links = sorted(ref for ref in self.items if ref[0] == "link")
        if links:
            ref = data.draw(st.sampled_from(links))
            del self.items[ref]
            replan(self.world, self.current, self.world.remove(ref))

    @rule(number=numbers, on=relay_ids, standby=relay_ids, movable=st.booleans())
    def put_client(self, number: int, on: str | None, standby: str | None, movable: bool) -> None:
        item = client(number, on, home=(number % 3) + 1, standby=standby, movable=movable)
        self.put(("client", f"c{number}"), item)

    @rule(number=numbers, owner=owners)
    def put_service(self, number: int, owner: str | None) -> None:
        address = None if owner is None else IPv6Address(int(PLAN.services[0]) + 256 + number)
        item = Service(id=f"s{number}", network="n", address=address, owner=owner)
        self.put(("service", f"s{number}"), item)

    @rule(number=numbers, on=st.sets(numbers, max_size=3))
    def put_site(self, number: int, on: set[int]) -> None:
        relays = tuple(sorted(f"r{one}" for one in on))
        self.put(
            ("site", f"x{number}"), Site(id=f"x{number}", network="n", prefixes=(f"10.{number}.0.0/16",), relays=relays)
        )

    @rule(number=numbers, on=numbers, imports=st.sets(numbers, max_size=3), enabled=st.booleans())
    def put_peering(self, number: int, on: int, imports: set[int], enabled: bool) -> None:
        item = peering(number, on, imports=tuple(sorted(imports)), enabled=enabled)
        self.put(("peering", f"p{number}"), item)

    @rule(keepalive=st.sampled_from([0, 25]))
    def put_settings(self, keepalive: int) -> None:
        self.put(("network", "n"), Network(id="n", prefix=PREFIX, settings=MeshSettings(keepalive=keepalive)))

    @rule(ref=st.tuples(st.sampled_from(["relay", "client", "service", "site", "peering"]), numbers))
    def remove(self, ref: tuple[str, int]) -> None:
        kind, number = ref
        letter = {"relay": "r", "client": "c", "service": "s", "site": "x", "peering": "p"}[kind]
        key = (kind, f"{letter}{number}")
        self.items.pop(key, None)
        replan(self.world, self.current, self.world.remove(key))

    @invariant()
    def the_plan_is_what_a_fresh_one_would_be(self) -> None:
        fresh = World(full_mesh_up_to=FULL_MESH_UP_TO)
        for ref in sorted(self.items, reverse=True):  # also in another order
            fresh.put(self.items[ref])
        assert contents(self.current) == contents(plan(fresh))

    @invariant()
    def links_are_symmetric(self) -> None:
        documents = {relay: it.document().links for relay, it in self.current.documents.items()}
        for relay, links in documents.items():
            for other in links or ():
                assert relay in (documents[other] or ())

    @invariant()
    def digests_are_those_that_an_agent_would_compute(self) -> None:
        for mesh in self.current.meshes.values():
            assert mesh.digest == mesh_digest(mesh.settings, mesh.entries.values())
        for document in self.current.documents.values():
            assert document.digest == document_digest(document.document())


TestIncremental = Incremental.TestCase
TestIncremental.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


def world(relays: int, **more: Any) -> World:
    items = [Network(id="n", prefix=PREFIX), *(relay(number) for number in range(1, relays + 1))]
    return World(items=items, **more)


def change(at: World, current: Plan, item: Any) -> Difference:
    return replan(at, current, at.put(item))


def test_a_client_concerns_its_relays_document_alone() -> None:
    at = world(50)
    current = plan(at)
    difference = change(at, current, client(1, "r1"))
    assert (difference.meshes, difference.documents) == ({}, {"r1"})


def test_a_relay_that_joins_a_full_mesh_writes_one_document_and_one_entry() -> None:
    at = world(50)
    current = plan(at)
    difference = change(at, current, relay(51))
    assert difference.documents == {"r51"}
    assert difference.meshes["n"].changed == {"r51"}


def test_a_relay_that_joins_a_large_mesh_writes_only_its_neighbours_documents() -> None:
    at = world(200)
    current = plan(at)
    difference = change(at, current, relay(201))
    assert "r201" in difference.documents
    assert len(difference.documents) <= 15


def test_a_moved_client_becomes_an_origin_of_its_new_relay() -> None:
    at = world(3)
    current = plan(at)
    change(at, current, client(1, "r1"))
    difference = change(at, current, client(1, "r2"))
    assert difference.documents == {"r1", "r2"}
    assert difference.meshes["n"].changed == {"r2"}
    assert current.meshes["n"].entries["r2"].origins == (f"{PLAN.client_prefix(1)[257]}/128",)


def test_a_revoked_relay_is_told_so_and_gone_from_the_mesh() -> None:
    at = world(3)
    current = plan(at)
    difference = change(at, current, relay(2, revoked=True))
    assert difference.meshes["n"].removed == {"r2"}
    assert current.documents["r2"].document().revoked


def test_a_delta_leads_from_one_snapshot_to_the_next() -> None:
    at = world(3)
    current = plan(at)
    before = current.meshes["n"].snapshot()
    difference = change(at, current, relay(4))
    difference.meshes["n"].removed |= set(change(at, current, relay(1, revoked=True)).meshes["n"].removed)
    delta = difference.meshes["n"].delta(current.meshes["n"], prev=7)
    entries = {entry.id: entry for entry in before.relays}
    entries.update({entry.id: entry for entry in delta.changed})
    for gone in delta.removed:
        del entries[gone]
    assert tuple(entries[key] for key in sorted(entries)) == current.meshes["n"].snapshot().relays


def test_a_difference_names_only_the_documents_that_an_object_had_a_part_in() -> None:
    at = world(5)
    current = plan(at)
    first, second = at.put(client(1, "r1")), at.put(client(2, "r2", home=2))
    both = Affected()
    both.update(first)
    both.update(second)
    difference = replan(at, current, both)
    assert difference.concerns(first) == (set(), {"r1"})
    assert difference.concerns(second) == (set(), {"r2"})


def test_beyond_the_bound_chosen_links_decide_and_newcomers_begin_on_two_carriers() -> None:
    at = world(6, full_mesh_up_to=4)
    for number in range(1, 7):
        at.put(relay(number, endpoints=("192.0.2.1:1",)))
    current = plan(at)
    assert current.documents["r1"].document().links == ("r2", "r6")
    for pair in ((1, 4), (2, 5), (3, 6)):
        change(at, current, link(*pair))
    assert current.documents["r1"].document().links == ("r4",)
    difference = change(at, current, relay(7, endpoints=("192.0.2.1:1",)))
    assert current.documents["r7"].document().links == ("r1", "r6")
    assert difference.documents == {"r1", "r6", "r7"}
    difference = change(at, current, relay(4, revoked=True))
    assert current.documents["r1"].document().links == ("r7",)
    assert difference.documents == {"r1", "r4"}


def test_without_chosen_links_a_small_network_is_a_full_mesh_again() -> None:
    at = world(3, full_mesh_up_to=4)
    current = plan(at)
    change(at, current, link(1, 2))
    assert current.documents["r1"].document().links == ("r2",)
    replan(at, current, at.remove(("link", "r1.r2")))
    assert [current.documents[f"r{number}"].document().links for number in (1, 2, 3)] == [None] * 3


def test_a_site_of_two_relays_is_originated_by_both_and_by_the_one_that_is_left() -> None:
    at = world(3)
    current = plan(at)
    prefixes = ("10.1.0.0/16", "2001:db8:1::/48")
    difference = change(at, current, Site(id="x", network="n", prefixes=prefixes, relays=("r1", "r2")))
    entries = current.meshes["n"].entries
    assert [entries[f"r{number}"].origins for number in (1, 2, 3)] == [prefixes, prefixes, ()]
    assert (difference.meshes["n"].changed, difference.documents) == ({"r1", "r2"}, set())
    change(at, current, relay(1, revoked=True))
    assert {entry.id: entry.origins for entry in entries.values()} == {"r2": prefixes, "r3": ()}


def test_a_peering_writes_its_relays_document_and_entry_and_no_other() -> None:
    at = world(50)
    current = plan(at)
    difference = change(at, current, peering(1, 2))
    assert difference.documents == {"r2"}
    assert difference.meshes["n"].changed == {"r2"}
    assert [one.id for one in current.documents["r2"].document().peerings] == ["p1"]
    same_rules = change(at, current, peering(2, 2))
    assert (same_rules.documents, same_rules.meshes) == ({"r2"}, {})


def test_what_a_relay_may_learn_is_the_union_of_what_its_enabled_peerings_may_import() -> None:
    at = world(2)
    current = plan(at)
    for number, imports, enabled in ((1, (1, 2), True), (2, (2, 3), True), (3, (4,), False)):
        change(at, current, peering(number, 1, imports=imports, enabled=enabled))
    entry = current.meshes["n"].entries["r1"]
    assert [rule.prefix for rule in entry.learned] == ["10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16"]
    assert [one.id for one in current.documents["r1"].document().peerings] == ["p1", "p2", "p3"]
    change(at, current, relay(1, revoked=True))
    assert current.documents["r1"].document().peerings == ()


def test_a_movable_client_is_let_in_at_both_relays_and_announced_from_where_it_is_attached() -> None:
    world = World(items=[Network(id="n", prefix=PREFIX), *(relay(n, routing=Engine.BIRD) for n in (1, 2, 3))])
    world.put(client(1, "r1", home=1, standby="r2", movable=True))
    made = plan(world)
    address = f"{PLAN.client_prefix(1)[257]}/128"
    for name, standby in (("r1", False), ("r2", True)):
        (told,) = made.documents[name].document().clients
        assert (told.id, told.addresses, told.standby, told.movable) == ("c1", (address,), standby, True)
    assert made.documents["r3"].document().clients == ()
    entries = made.meshes["n"].entries
    assert {name: it.roaming for name, it in entries.items()} == {"r1": (), "r2": (address,), "r3": ()}
    assert all(it.origins == () for it in entries.values()), "nobody announces it before it is attached"


def test_a_movable_client_away_from_home_may_be_announced_by_either_relay_and_so_may_its_service() -> None:
    world = World(items=[Network(id="n", prefix=PREFIX), *(relay(n, routing=Engine.BIRD) for n in (1, 2, 3))])
    world.put(client(1, "r2", home=1, standby="r3", movable=True))
    service = PLAN.services[300]
    world.put(Service(id="s", network="n", address=service, owner="c1"))
    entries = plan(world).meshes["n"].entries
    both = tuple(sorted((f"{PLAN.client_prefix(1)[257]}/128", f"{service}/128")))
    assert {name: it.roaming for name, it in entries.items()} == {"r1": (), "r2": both, "r3": both}


def test_a_relay_without_routing_engine_keeps_the_movable_clients_that_belong_to_it() -> None:
    world = World(items=[Network(id="n", prefix=PREFIX), relay(1), relay(2), relay(3)])
    world.put(client(1, "r2", home=1, standby="r3", movable=True))
    entries = plan(world).meshes["n"].entries
    address = (f"{PLAN.client_prefix(1)[257]}/128",)
    assert {name: it.origins for name, it in entries.items()} == {"r1": (), "r2": address, "r3": ()}
    assert all(it.roaming == () for it in entries.values())
