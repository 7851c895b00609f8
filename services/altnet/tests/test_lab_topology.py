"""The lab's plan: addresses never clash, packets find their way, and growing moves nobody."""

from __future__ import annotations

from itertools import combinations, pairwise

import pytest
from altnet.common.errors import Invalid, NotFound
from altnet.host.lab.topology import HOME6, Kind, Spec, Topology, block, next_hop, plan
from hypothesis import given, settings
from hypothesis import strategies as st

specs = st.builds(
    Spec,
    prefix=st.just("altlab"),
    routers=st.integers(3, 9),
    relays=st.integers(0, 30),
    clients=st.integers(0, 20),
    clients_per_nat=st.integers(1, 4),
)


@settings(max_examples=40, deadline=None)
@given(spec=specs)
def test_no_two_public_subnets_overlap_and_no_name_is_used_twice(spec: Spec) -> None:
    topology = plan(spec)

    subnets = [network for host in topology.hosts.values() if host.kind is not Kind.CLIENT
               for network in topology.edge(host.name)]  # fmt: skip
    for version in (4, 6):
        ordered = sorted(one for one in subnets if one.version == version)
        assert not any(one.overlaps(other) for one, other in pairwise(ordered))
    assert len({host.namespace for host in topology.hosts.values()}) == len(topology.hosts)
    for name in topology.hosts:
        ends = [port.name for port in topology.ports(name)]
        assert len(set(ends)) == len(ends)
        assert all(len(end) <= 15 for end in ends), "the kernel's limit of an interface name"


@settings(max_examples=40, deadline=None)
@given(spec=specs)
def test_both_ends_of_a_cable_share_their_subnets(spec: Spec) -> None:
    for link in plan(spec).links:
        if link.one.bridge is None:
            ends = zip(link.one.addresses, link.other.addresses, strict=True)
            assert all(one.network == other.network and one.ip != other.ip for one, other in ends)


@settings(max_examples=40, deadline=None)
@given(spec=specs)
def test_a_packet_finds_its_way_from_every_router_to_every_host(spec: Spec) -> None:
    topology = plan(spec)
    owner = {address.ip: port.host for link in topology.links for port in link for address in port.addresses
             if topology.host(port.host).kind is not Kind.CLIENT}  # fmt: skip

    for router in topology.of_kind(Kind.ROUTER):
        for host in topology.hosts.values():
            if host.kind in (Kind.ROUTER, Kind.CLIENT):
                continue
            for version in (4, 6):
                assert _walk(topology, router.name, host.name, version, owner) <= spec.routers // 2


def _walk(topology: Topology, start: str, to: str, version: int, owner: dict) -> int:
    target, here, hops = topology.address(to, version), start, 0
    while here != topology.host(to).router:
        route = next(r for r in topology.host(here).routes if target.version == r.to.version and target in r.to)
        here, hops = owner[route.via], hops + 1
        assert hops <= len(topology.hosts), "a loop"
    return hops


@settings(max_examples=40, deadline=None)
@given(spec=specs, more_relays=st.integers(0, 10), more_clients=st.integers(0, 10))
def test_growing_a_lab_moves_no_host(spec: Spec, more_relays: int, more_clients: int) -> None:
    small = plan(spec)

    large = plan(
        Spec(
            routers=spec.routers,
            relays=spec.relays + more_relays,
            clients=spec.clients + more_clients,
            clients_per_nat=spec.clients_per_nat,
        )
    )

    for name, host in small.hosts.items():
        assert large.hosts[name] == host
        assert set(small.ports(name)) <= set(large.ports(name))


@settings(max_examples=40, deadline=None)
@given(spec=specs, data=st.data())
def test_while_hosts_are_away_nothing_mentions_them(spec: Spec, data: st.DataObject) -> None:
    topology = plan(spec)
    away = set(data.draw(st.lists(st.sampled_from(sorted(topology.hosts)), max_size=5)))

    rest = topology.without(away)

    assert set(rest.hosts) == set(topology.hosts) - away
    assert not any(port.host in away for link in rest.links for port in link)
    for host in rest.hosts.values():
        nets = [address.network for port in rest.ports(host.name) for address in port.addresses]
        assert all(any(route.via in net for net in nets) for route in host.routes), "a route without its gateway"


def test_the_blocks_of_all_routers_are_apart() -> None:
    for version in (0, 1):
        assert not any(a.overlaps(b) for a, b in combinations([block(router)[version] for router in range(64)], 2))


@pytest.mark.parametrize(("router", "to", "expected"), [(0, 1, 1), (0, 4, 4), (0, 2, 1), (1, 4, 0), (4, 1, 0)])
def test_the_shorter_way_round_the_ring_is_taken(router: int, to: int, expected: int) -> None:
    assert next_hop(router, to, 5) == expected


def test_every_home_has_the_same_addresses_as_homes_do() -> None:
    topology = plan(Spec(clients=4, clients_per_nat=2))

    assert topology.address("client1") == topology.address("client3") == HOME6[10]
    assert topology.address("client2") == HOME6[11]
    assert topology.edge("client1") == topology.edge("client2") == topology.edge("nat1") != topology.edge("nat2")


@pytest.mark.parametrize(
    ("field", "value"), [("routers", 2), ("routers", 65), ("relays", -1), ("relays", 766), ("clients_per_nat", 0)]
)
def test_a_size_out_of_bounds_is_refused_with_its_field(field: str, value: int) -> None:
    with pytest.raises(Invalid) as refused:
        Spec(**{field: value})

    assert refused.value.field == f"/{field}"


@pytest.mark.parametrize("prefix", ["", "Alt", "alt-lab", "1lab", "averylongprefix", "a b"])
def test_a_prefix_that_could_contain_another_lab_is_refused(prefix: str) -> None:
    with pytest.raises(Invalid) as refused:
        Spec(prefix=prefix)

    assert refused.value.code == "bad_lab_prefix"


def test_an_unknown_host_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(NotFound, match=r"relay9.*relay1"):
        plan(Spec()).host("relay9")


def test_a_plan_is_made_once_and_nobody_can_change_it() -> None:
    made = plan(Spec(relays=3))

    assert plan(Spec(relays=3)) is made
    with pytest.raises(TypeError):
        made.hosts["relay9"] = made.hosts["relay1"]  # type: ignore[index]  # which is what is refused
