"""Planning: the same world gives the same documents, however one came there."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network
from typing import Any

from altnet.common.contracts.desired import MeshSettings, RelayState
from altnet.common.contracts.digest import document_digest, mesh_digest
from altnet.common.contracts.routing import Engine
from altnet.common.net import AddressPlan
from altnet.registry.domain.planner import Difference, Plan, plan, replan
from altnet.registry.domain.world import Affected, Client, Network, Ref, Relay, Service, Site, World
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
        routing=st.sampled_from(Engine),
    )
    def put_relay(self, number: int, state: RelayState, revoked: bool, key: str, routing: Engine) -> None:
        wanted = relay(number, state=state, revoked=revoked, key=f"{key}{number}", routing=routing)
        self.put(("relay", f"r{number}"), wanted)

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

    @rule(keepalive=st.sampled_from([0, 25]))
    def put_settings(self, keepalive: int) -> None:
        self.put(("network", "n"), Network(id="n", prefix=PREFIX, settings=MeshSettings(keepalive=keepalive)))

    @rule(ref=st.tuples(st.sampled_from(["relay", "client", "service", "site"]), numbers))
    def remove(self, ref: tuple[str, int]) -> None:
        kind, number = ref
        key = (kind, f"{ {'relay': 'r', 'client': 'c', 'service': 's', 'site': 'x'}[kind] }{number}")
        self.items.pop(key, None)
        replan(self.world, self.current, self.world.remove(key))

    @invariant()
    def the_plan_is_what_a_fresh_one_would_be(self) -> None:
        fresh = World(full_mesh_up_to=FULL_MESH_UP_TO)
        for ref in sorted(self.items, reverse=True):  # also in another order
            fresh.put(self.items[ref])
        assert contents(self.current) == contents(plan(fresh))

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
