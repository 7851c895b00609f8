"""The address plan: pools that cannot overlap, numbers that cannot collide."""

from ipaddress import IPv6Address, IPv6Network, ip_network

import pytest
from altnet.common import net
from altnet.common.errors import Invalid
from hypothesis import given
from hypothesis import strategies as st

PLAN = net.AddressPlan(net.DEFAULT_PREFIX)
slots = st.integers(net.FIRST_SLOT, net.LAST_SLOT)


def test_the_pools_of_a_network_never_overlap_and_lie_inside_it() -> None:
    pools = [PLAN.relays, PLAN.locators, PLAN.clients, PLAN.services]

    assert all(pool.subnet_of(net.DEFAULT_PREFIX) for pool in pools)
    assert not any(a.overlaps(b) for a in pools for b in pools if a is not b)


@given(slots)
def test_everything_that_follows_from_a_slot_lies_in_its_pool(slot: int) -> None:
    assert PLAN.relay_address(slot) in PLAN.relays
    assert PLAN.locator(slot) in PLAN.locators
    assert PLAN.client_prefix(slot).subnet_of(PLAN.clients)
    assert PLAN.slot_of_client(PLAN.access_address(slot)) == slot


@given(slots, slots)
def test_two_slots_share_no_address_and_no_number(one: int, other: int) -> None:
    if one == other:
        return
    assert PLAN.relay_address(one) != PLAN.relay_address(other)
    assert not PLAN.client_prefix(one).overlaps(PLAN.client_prefix(other))
    assert net.asn(one) != net.asn(other)
    assert net.link_mac(one) != net.link_mac(other)
    assert net.link_local(one) != net.link_local(other)


@given(slots, slots, slots, slots)
def test_a_link_number_is_the_same_at_both_ends_and_names_one_pair_only(a: int, b: int, c: int, d: int) -> None:
    if a == b or c == d:
        return
    assert net.link_number(a, b) == net.link_number(b, a)
    assert 0 < net.link_number(a, b) < 2**24
    assert (net.link_number(a, b) == net.link_number(c, d)) == ({a, b} == {c, d})


def test_a_relay_has_no_link_to_itself() -> None:
    with pytest.raises(ValueError, match="itself"):
        net.link_number(7, 7)


@pytest.mark.parametrize("slot", [0, -1, 4096])
def test_a_slot_outside_the_plan_is_refused(slot: int) -> None:
    with pytest.raises(ValueError, match="outside"):
        PLAN.relay_address(slot)


@pytest.mark.parametrize("prefix", ["fd42:1337:beef::/56", "2001:db8::/48", "fc00:1:2::/48", "fe80::/48"])
def test_a_network_is_a_unique_local_48_and_nothing_else(prefix: str) -> None:
    with pytest.raises(Invalid) as refusal:
        net.AddressPlan(IPv6Network(prefix))

    assert refusal.value.code == "bad_network_prefix"
    assert "fd00::/8" in str(refusal.value)


@given(st.binary(min_size=5, max_size=5))
def test_a_random_prefix_is_a_valid_network(noise: bytes) -> None:
    prefix = net.random_prefix(lambda count: noise[:count])

    assert net.AddressPlan(prefix).prefix == prefix
    assert prefix.network_address.packed[1:6] == noise


@pytest.mark.parametrize("text", ["fd00::1/64", "10.0.0.1/24", "fd00::/129", "", "x", "fd00::/64/64"])
def test_a_prefix_with_host_bits_or_garbage_names_the_field(text: str) -> None:
    with pytest.raises(Invalid) as refusal:
        net.parse_prefix(text, field="/prefix")

    assert refusal.value.field == "/prefix"


@pytest.mark.parametrize("zone", ["eth0", 'x"; }', "a\nb"])
def test_a_prefix_has_no_zone(zone: str) -> None:
    # A zone may be any text, and prefixes are written into configurations.
    with pytest.raises(Invalid, match="no zone"):
        net.parse_prefix(f"fd00::%{zone}/64")


def test_prefixes_of_both_families_are_read() -> None:
    assert net.parse_prefix("10.1.0.0/16") == ip_network("10.1.0.0/16")
    assert net.parse_prefix("fd00:5::/64") == ip_network("fd00:5::/64")


@given(st.text(max_size=40), st.integers(0, 50))
def test_a_host_number_leaves_the_first_256_to_the_network(seed: str, attempt: int) -> None:
    number = net.host_number(seed, attempt)

    assert 255 < number < 2**64 + 256
    assert number == net.host_number(seed, attempt)


def test_a_guest_is_never_the_client_itself_and_lies_in_the_64_of_the_relay_that_it_speaks_with() -> None:
    own = PLAN.client_prefix(1)[500]
    guests = [PLAN.guest_address(slot, own) for slot in (1, 2)]
    assert own not in guests, "its own address is routed to where it is attached, and so would be the answers"
    assert [guest in PLAN.client_prefix(slot) for guest, slot in zip(guests, (1, 2), strict=True)] == [True, True]


def test_an_address_outside_the_client_pool_has_no_slot() -> None:
    with pytest.raises(ValueError, match="not a client address"):
        PLAN.slot_of_client(IPv6Address("fd42:1337:beef::1"))
