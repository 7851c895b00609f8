"""What every WireGuard backend does alike: the dictionary, wireguard-go and the kernel."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network, ip_network

import pytest
from altnet.common.errors import Conflict, Invalid, NotFound
from altnet.common.kernel.wireguard import (
    NO_PSK,
    DeviceConfig,
    Endpoint,
    PeerChange,
    PeerConfig,
    PeerState,
    PresharedKey,
    WireGuardRefused,
)
from altnet.common.keys import PrivateKey, PublicKey
from support.hosts import Host

ONE = ip_network("fd00:1::/64")
TWO = ip_network("fd00:2::/64")
FOUR = ip_network("10.4.0.0/16")
ENDPOINT = Endpoint.parse("[2001:db8::7]:51820")
MESH = "alt-mesh"


def new_key() -> PublicKey:
    return PrivateKey.generate().public()


async def peer(host: Host, key: PublicKey) -> PeerState:
    return (await host.wireguard.read(MESH)).peers[key]


async def test_a_device_reads_back_as_configured(host: Host) -> None:
    private = await host.device(port=51821)
    state = await host.wireguard.read(MESH)
    assert (state.name, state.public_key, state.listen_port) == (MESH, private.public(), 51821)
    assert state.peers == {}


async def test_a_device_that_was_never_configured_has_no_key(host: Host) -> None:
    await host.wireguard.create(MESH)
    state = await host.wireguard.read(MESH)
    assert state.public_key is None


async def test_making_a_device_twice_keeps_it_as_it_is(host: Host) -> None:
    private = await host.device()
    await host.wireguard.create(MESH)
    assert (await host.wireguard.read(MESH)).public_key == private.public()


async def test_a_name_of_another_kind_of_interface_is_refused(host: Host) -> None:
    await host.add_foreign_link("alt-other")
    with pytest.raises(Conflict, match="alt-other"):
        await host.wireguard.create("alt-other")
    await host.wireguard.remove("alt-other")
    assert "alt-other" in await host.links.read_links()


@pytest.mark.parametrize("name", ["", "sixteen-letters-", "a/b", "white space", "..", "mêlée"])
async def test_a_name_that_cannot_be_is_refused(host: Host, name: str) -> None:
    with pytest.raises(Invalid) as caught:
        await host.wireguard.create(name)
    assert caught.value.code == "bad_interface_name"


async def test_a_missing_device_is_named_and_removing_it_is_fine(host: Host) -> None:
    config = DeviceConfig(private_key=PrivateKey.generate(), listen_port=1)
    change = PeerChange.add(PeerConfig(key=new_key()))
    for verb in (
        host.wireguard.read(MESH),
        host.wireguard.configure(MESH, config),
        host.wireguard.apply(MESH, [change]),
    ):
        with pytest.raises(NotFound) as caught:
            await verb
        assert caught.value.code == "no_device"
    await host.wireguard.remove(MESH)


async def test_only_devices_with_our_prefix_are_listed(host: Host) -> None:
    for name in ("alt-b", "alt-a", "vpn0"):
        await host.wireguard.create(name)
    await host.add_foreign_link("alt-other")
    assert await host.wireguard.list() == ("alt-a", "alt-b")
    await host.wireguard.remove("alt-a")
    assert await host.wireguard.list() == ("alt-b",)


async def test_a_removed_device_is_gone_and_can_be_made_again_at_once(host: Host) -> None:
    for _ in range(3):
        await host.device()
        await host.wireguard.apply(MESH, [PeerChange.add(PeerConfig(key=new_key()))])
        await host.wireguard.remove(MESH)
        assert MESH not in await host.links.read_links()
    await host.wireguard.create(MESH)
    assert (await host.wireguard.read(MESH)).peers == {}


async def test_a_device_gets_no_address_by_itself(host: Host) -> None:
    await host.device()
    assert await host.links.read_addresses(MESH) == frozenset()


async def test_a_peer_reads_back_as_added(host: Host) -> None:
    await host.device()
    key, psk = new_key(), PresharedKey(bytes(range(32)))
    wanted = PeerConfig(key=key, allowed=(TWO, FOUR, ONE), endpoint=ENDPOINT, keepalive=25, psk=psk)
    await host.wireguard.apply(MESH, [PeerChange.add(wanted)])
    assert await peer(host, key) == PeerState(
        key=key, allowed=(FOUR, ONE, TWO), endpoint=ENDPOINT, keepalive=25, psk=psk, last_handshake=None, rx=0, tx=0
    )


@pytest.mark.parametrize("text", ["192.0.2.9:1", "[fd00::1]:65535", "[::ffff:192.0.2.1]:80"])
async def test_endpoints_of_both_families_read_back(host: Host, text: str) -> None:
    await host.device()
    endpoint = Endpoint.parse(text)
    key = new_key()
    await host.wireguard.apply(MESH, [PeerChange.add(PeerConfig(key=key, endpoint=endpoint))])
    read = (await peer(host, key)).endpoint
    assert read is not None
    assert read.port == endpoint.port
    # wireguard-go keeps a mapped address as the IPv4 address that it stands for.
    mapped = endpoint.address.ipv4_mapped if isinstance(endpoint.address, IPv6Address) else None
    assert read.address in {endpoint.address, mapped}


async def test_a_link_local_endpoint_keeps_its_interface(host: Host) -> None:
    await host.device()
    endpoint = Endpoint.parse("[fe80::1%lo]:51820")
    key = new_key()
    await host.wireguard.apply(MESH, [PeerChange.add(PeerConfig(key=key, endpoint=endpoint))])
    # wireguard-go uses the interface, but does not tell.
    told = endpoint if host.wireguard.backend != "wireguard-go" else Endpoint.parse("[fe80::1]:51820")
    assert (await peer(host, key)).endpoint == told


async def test_an_update_touches_only_what_it_names(host: Host) -> None:
    await host.device()
    key, psk = new_key(), PresharedKey(b"\x07" * 32)
    await host.wireguard.apply(MESH, [PeerChange.add(PeerConfig(key=key, allowed=(ONE,), endpoint=ENDPOINT, psk=psk))])
    before = await peer(host, key)
    await host.wireguard.apply(MESH, [PeerChange.update(key, keepalive=9)])
    after = await peer(host, key)
    assert (after.keepalive, after.allowed, after.endpoint, after.psk) == (9, (ONE,), before.endpoint, psk)
    elsewhere = Endpoint.parse("192.0.2.1:7")
    await host.wireguard.apply(MESH, [PeerChange.update(key, endpoint=elsewhere, psk=NO_PSK)])
    last = await peer(host, key)
    assert (last.keepalive, last.allowed, last.endpoint, last.psk) == (9, (ONE,), elsewhere, None)


async def test_an_update_of_a_missing_peer_makes_none(host: Host) -> None:
    await host.device()
    await host.wireguard.apply(MESH, [PeerChange.update(new_key(), allowed=[ONE], keepalive=5)])
    assert (await host.wireguard.read(MESH)).peers == {}


async def test_adding_an_existing_peer_makes_it_as_given(host: Host) -> None:
    await host.device()
    key = new_key()
    first = PeerConfig(key=key, allowed=(ONE,), endpoint=ENDPOINT, keepalive=25, psk=PresharedKey(b"\x01" * 32))
    await host.wireguard.apply(MESH, [PeerChange.add(first)])
    await host.wireguard.apply(MESH, [PeerChange.add(PeerConfig(key=key, allowed=(TWO,)))])
    state = await peer(host, key)
    assert (state.allowed, state.keepalive, state.psk, state.endpoint) == ((TWO,), 0, None, ENDPOINT)


async def test_allowed_prefixes_are_added_or_replaced(host: Host) -> None:
    await host.device()
    key = new_key()
    await host.wireguard.apply(MESH, [PeerChange.add(PeerConfig(key=key, allowed=(ONE,)))])
    await host.wireguard.apply(MESH, [PeerChange.update(key, allowed=[TWO])])
    assert (await peer(host, key)).allowed == (ONE, TWO)
    await host.wireguard.apply(MESH, [PeerChange.update(key, allowed=[FOUR], replace_allowed=True)])
    assert (await peer(host, key)).allowed == (FOUR,)
    await host.wireguard.apply(MESH, [PeerChange.update(key, replace_allowed=True)])
    assert (await peer(host, key)).allowed == ()


async def test_a_prefix_named_under_another_peer_moves_there(host: Host) -> None:
    await host.device()
    old, new = new_key(), new_key()
    await host.wireguard.apply(MESH, [PeerChange.add(PeerConfig(key=old, allowed=(ONE, TWO)))])
    await host.wireguard.apply(MESH, [PeerChange.add(PeerConfig(key=new, allowed=(ONE,)))])
    assert (await peer(host, old)).allowed == (TWO,)
    assert (await peer(host, new)).allowed == (ONE,)
    # Gone from the old one for good: dropping the new holder does not give it back.
    await host.wireguard.apply(MESH, [PeerChange.remove(new)])
    assert (await peer(host, old)).allowed == (TWO,)


async def test_two_peers_swap_their_prefixes_in_one_call(host: Host) -> None:
    await host.device()
    left, right = new_key(), new_key()
    await host.wireguard.apply(
        MESH,
        [PeerChange.add(PeerConfig(key=left, allowed=(ONE,))), PeerChange.add(PeerConfig(key=right, allowed=(TWO,)))],
    )
    await host.wireguard.apply(
        MESH,
        [
            PeerChange.update(left, allowed=[TWO], replace_allowed=True),
            PeerChange.update(right, allowed=[ONE], replace_allowed=True),
        ],
    )
    assert ((await peer(host, left)).allowed, (await peer(host, right)).allowed) == ((TWO,), (ONE,))


async def test_removing_a_peer_twice_is_fine_and_leaves_the_others(host: Host) -> None:
    await host.device()
    stays, goes = new_key(), new_key()
    await host.wireguard.apply(MESH, [PeerChange.add(PeerConfig(key=key)) for key in (stays, goes)])
    for _ in range(2):
        await host.wireguard.apply(MESH, [PeerChange.remove(goes)])
    assert set((await host.wireguard.read(MESH)).peers) == {stays}


async def test_a_peer_removed_and_added_in_one_call_starts_afresh(host: Host) -> None:
    await host.device()
    key = new_key()
    await host.wireguard.apply(MESH, [PeerChange.add(PeerConfig(key=key, allowed=(ONE,), endpoint=ENDPOINT))])
    await host.wireguard.apply(
        MESH, [PeerChange.remove(key), PeerChange.add(PeerConfig(key=key, allowed=(ONE,), keepalive=3))]
    )
    assert await peer(host, key) == PeerState(key=key, allowed=(ONE,), keepalive=3)


async def test_our_own_key_as_a_peer_is_ignored(host: Host) -> None:
    private = await host.device()
    other = new_key()
    await host.wireguard.apply(
        MESH,
        [
            PeerChange.add(PeerConfig(key=private.public(), allowed=(ONE,))),
            PeerChange.add(PeerConfig(key=other, allowed=(TWO,))),
        ],
    )
    state = await host.wireguard.read(MESH)
    assert {key: held.allowed for key, held in state.peers.items()} == {other: (TWO,)}


async def test_a_peer_whose_key_becomes_our_own_goes(host: Host) -> None:
    await host.device()
    next_key = PrivateKey.generate()
    stays = new_key()
    await host.wireguard.apply(MESH, [PeerChange.add(PeerConfig(key=key)) for key in (next_key.public(), stays)])
    await host.wireguard.configure(MESH, DeviceConfig(private_key=next_key, listen_port=51820))
    state = await host.wireguard.read(MESH)
    assert state.public_key == next_key.public()
    assert set(state.peers) == {stays}


async def test_configuring_again_keeps_the_peers(host: Host) -> None:
    private = await host.device(port=51820)
    key = new_key()
    await host.wireguard.apply(MESH, [PeerChange.add(PeerConfig(key=key, allowed=(ONE,)))])
    await host.wireguard.configure(MESH, DeviceConfig(private_key=private, listen_port=51829))
    state = await host.wireguard.read(MESH)
    assert (state.listen_port, set(state.peers)) == (51829, {key})


async def test_a_port_left_to_the_host_is_told(host: Host) -> None:
    await host.device(port=0)
    assert (await host.wireguard.read(MESH)).listen_port > 0


async def test_a_refused_peer_is_named_and_the_rest_can_still_be_applied(host: Host) -> None:
    await host.device()
    keys = sorted(new_key() for _ in range(5))
    changes = [PeerChange.add(PeerConfig(key=key)) for key in keys]
    bad = PeerChange.add(PeerConfig(key=keys[3], endpoint=Endpoint.parse("[fe80::1%nowhere]:1")))
    with pytest.raises(WireGuardRefused) as caught:
        await host.wireguard.apply(MESH, [*changes[:3], bad, changes[4]])
    assert caught.value.peer == keys[3]
    assert str(keys[3]) in str(caught.value)
    # Not a transaction: what came before is there.
    assert set((await host.wireguard.read(MESH)).peers) >= set(keys[:3])
    await host.wireguard.apply(MESH, changes)
    assert set((await host.wireguard.read(MESH)).peers) == set(keys)


async def test_no_changes_change_nothing(host: Host) -> None:
    await host.device()
    await host.wireguard.apply(MESH, [])
    assert (await host.wireguard.read(MESH)).peers == {}


async def test_more_prefixes_on_one_peer_than_a_message_holds(host: Host) -> None:
    await host.device()
    key, late = new_key(), new_key()
    many = tuple(IPv6Network((0xFD00 << 112 | number << 64, 64)) for number in range(5000))
    await host.wireguard.apply(
        MESH,
        [
            PeerChange.add(PeerConfig(key=key, allowed=many, keepalive=11)),
            PeerChange.update(late, allowed=many),  # does not exist, so it must not take them
            PeerChange.add(PeerConfig(key=late, allowed=(FOUR,))),
        ],
    )
    state = await host.wireguard.read(MESH)
    assert state.peers[key].allowed == many
    assert state.peers[key].keepalive == 11
    assert state.peers[late].allowed == (FOUR,)
    # And fewer again: nothing of the old remains.
    await host.wireguard.apply(MESH, [PeerChange.update(key, allowed=many[:2], replace_allowed=True)])
    assert (await peer(host, key)).allowed == many[:2]


async def test_a_thousand_peers_read_back_one_by_one(host: Host) -> None:
    await host.device()
    wanted = {
        key: IPv6Network((0xFD11 << 112 | number, 128))
        for number, key in enumerate(PublicKey(number.to_bytes(32, "big")) for number in range(1, 1001))
    }
    await host.wireguard.apply(
        MESH, [PeerChange.add(PeerConfig(key=key, allowed=(prefix,))) for key, prefix in wanted.items()]
    )
    state = await host.wireguard.read(MESH)
    assert {key: held.allowed for key, held in state.peers.items()} == {key: (p,) for key, p in wanted.items()}


async def test_a_reading_does_not_change_when_the_device_does(host: Host) -> None:
    await host.device()
    before = await host.wireguard.read(MESH)
    await host.wireguard.apply(MESH, [PeerChange.add(PeerConfig(key=new_key()))])
    assert before.peers == {}
