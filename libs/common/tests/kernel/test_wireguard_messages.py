"""Generic netlink messages and UAPI text, without a host: bounds, continuations, pieces put together again."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network

import pytest
from altnet.common.kernel import netlink
from altnet.common.kernel.netlink import attribute, attributes
from altnet.common.kernel.uapi_text import DeviceParser, change_text
from altnet.common.kernel.wg_messages import MESSAGE_BYTES, chunks, device
from altnet.common.kernel.wireguard import Endpoint, PeerChange, PeerConfig, PeerState, PresharedKey
from altnet.common.keys import PrivateKey, PublicKey
from altnet.common.net import Prefix
from hypothesis import given
from hypothesis import strategies as st

KEY_A, FLAGS_A, PEERS_A, ALLOWED_A = 1, 3, 8, 9
REPLACE = 2


def key(number: int) -> PublicKey:
    return PublicKey(number.to_bytes(32, "big"))


def prefixes(count: int) -> tuple[Prefix, ...]:
    return tuple(IPv6Network((number << 64, 64)) for number in range(count))


def pieces(body: bytes) -> list[dict[int, bytes]]:
    """The peers in one message."""
    ((kind, value),) = attributes(body)
    assert kind == PEERS_A
    return [dict(attributes(piece)) for _, piece in attributes(value)]


def flags(piece: dict[int, bytes]) -> int:
    return int(struct.unpack("=I", piece[FLAGS_A])[0])


def test_messages_stay_below_their_bound_and_carry_every_change_once() -> None:
    changes = [PeerChange.add(PeerConfig(key=key(n), allowed=prefixes(3))) for n in range(1, 2001)]
    made = list(chunks("wg", changes))
    assert all(len(body) <= MESSAGE_BYTES + 4 for body, _ in made)
    assert [piece[KEY_A] for body, _ in made for piece in pieces(body)] == [change.key.raw for change in changes]
    assert [change for _, covered in made for change in covered] == changes


def test_a_continued_peer_replaces_its_prefixes_only_once() -> None:
    many = prefixes(5000)
    made = list(chunks("wg", [PeerChange.add(PeerConfig(key=key(1), allowed=many, keepalive=7))]))
    parts = [piece for body, _ in made for piece in pieces(body)]
    assert len(made) > 5
    assert {part[KEY_A] for part in parts} == {key(1).raw}
    assert [flags(part) for part in parts] == [REPLACE] + [0] * (len(parts) - 1)
    assert sum(len(list(attributes(part[ALLOWED_A]))) for part in parts) == len(many)
    assert all(len(covered) == 1 for _, covered in made)


def test_an_attribute_too_long_for_its_length_field_is_refused() -> None:
    attribute(1, bytes(65531))
    with pytest.raises(ValueError, match="65536 bytes"):
        attribute(1, bytes(65532))


def test_a_peer_split_over_messages_is_put_together() -> None:
    changes = [PeerChange.add(PeerConfig(key=key(1), allowed=prefixes(1500), keepalive=9))]
    head = bytes(4)
    bodies = [head + attribute(2, b"wg\0") + body for body, _ in chunks("wg", changes)]
    state = device("wg", bodies)
    assert state.peers == {key(1): PeerState(key=key(1), allowed=prefixes(1500), keepalive=9)}


networks = st.one_of(
    st.builds(lambda a, n: IPv6Network((a, n), strict=False), st.integers(0, 2**128 - 1), st.integers(0, 128)),
    st.builds(lambda a, n: IPv4Network((a, n), strict=False), st.integers(0, 2**32 - 1), st.integers(0, 32)),
)
endpoints = st.builds(Endpoint, st.ip_addresses(), st.integers(1, 65535))
configs = st.builds(
    PeerConfig,
    key=st.binary(min_size=32, max_size=32).map(PublicKey),
    allowed=st.lists(networks, max_size=8).map(tuple),
    endpoint=st.none() | endpoints,
    keepalive=st.integers(0, 65535),
    psk=st.none() | st.binary(min_size=32, max_size=32).filter(any).map(PresharedKey),
)


def expected(peers: Sequence[PeerConfig]) -> dict[PublicKey, PeerState]:
    return {
        p.key: PeerState(key=p.key, allowed=p.allowed, endpoint=p.endpoint, keepalive=p.keepalive, psk=p.psk)
        for p in peers
    }


@given(st.lists(configs, max_size=5, unique_by=lambda peer: peer.key))
def test_what_is_written_as_netlink_reads_back(peers: list[PeerConfig]) -> None:
    bodies = [bytes(4) + body for body, _ in chunks("wg", [PeerChange.add(peer) for peer in peers])]
    assert device("wg", bodies).peers == expected(peers)


@given(st.lists(configs, max_size=5, unique_by=lambda peer: peer.key), st.integers(1, 400))
def test_uapi_text_reads_back_however_it_is_cut(peers: list[PeerConfig], size: int) -> None:
    private = PrivateKey.generate(lambda count: bytes(range(count)))
    text = f"private_key={private.reveal().hex()}\nlisten_port=51820\n".encode()
    text += b"".join(change_text(PeerChange.add(peer)) for peer in peers).replace(b"replace_allowed_ips=true\n", b"")
    text += b"errno=0\n\n"
    parser = DeviceParser("wg")
    rest, done = b"", False
    for start in range(0, len(text), size):
        lines = (rest + text[start : start + size]).split(b"\n")
        rest = lines.pop()
        assert not done
        done = parser.feed(lines)
    assert done
    state = parser.device()
    assert (state.public_key, state.listen_port, parser.number) == (private.public(), 51820, 0)
    assert state.peers == expected(peers)


def test_a_handshake_is_read_to_the_nanosecond() -> None:
    parser = DeviceParser("wg")
    lines = [
        b"public_key=" + b"01" * 32, b"last_handshake_time_sec=1700000000", b"last_handshake_time_nsec=500000000",
        b"tx_bytes=7", b"rx_bytes=9", b"protocol_version=1", b"errno=0", b"",
    ]  # fmt: skip
    assert parser.feed(lines)
    (peer,) = parser.device().peers.values()
    assert (peer.last_handshake, peer.tx, peer.rx) == (1700000000.5, 7, 9)


def test_attributes_keep_their_values_and_lose_their_flag_bits() -> None:
    data = attribute(1, b"abc") + attribute(2 | netlink.NESTED, attribute(3, b""))
    assert list(attributes(data)) == [(1, b"abc"), (2, attribute(3, b""))]


def test_a_cut_off_attribute_ends_the_list() -> None:
    assert list(attributes(attribute(1, b"abcd") + b"\x00\x00\x01\x00")) == [(1, b"abcd")]


def test_mixed_prefixes_are_sorted_and_without_doubles() -> None:
    one, two, four = ip_network("fd00:1::/64"), ip_network("fd00:2::/64"), ip_network("10.0.0.0/8")
    assert PeerConfig(key=key(1), allowed=(two, four, one, two)).allowed == (four, one, two)
