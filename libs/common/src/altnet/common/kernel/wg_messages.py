"""The kernel's WireGuard messages: changes out, devices in. Pure but for looking up the interface of a scope.

Changes go out in messages of bounded size; a peer whose prefixes do not fit in one is continued in the next (the same
key again, without the flag that replaces prefixes). A dump may split a peer in the same way, so it is put together by
key. Source: linux/wireguard.h.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

from altnet.common.kernel import netlink
from altnet.common.kernel.netlink import attribute, attributes
from altnet.common.kernel.total import total
from altnet.common.kernel.wireguard import (
    NO_PSK,
    Action,
    DeviceConfig,
    DeviceState,
    Endpoint,
    PeerChange,
    PeerState,
    PresharedKey,
    WireGuardRefused,
    canonical,
    scope_number,
)
from altnet.common.keys import PublicKey
from altnet.common.net import Prefix

MESSAGE_BYTES: Final = 32_000
"""About 250 peers: the kernel holds our thread while it computes their shared secrets, so a message stays short.
An attribute ends at 64 KiB anyway."""
PREFIXES_A_PIECE: Final = 600
"""Of one peer in one message: 24 kB, below `MESSAGE_BYTES`."""

GENL: Final = struct.Struct("=BBH")
"""Header of every generic netlink message: command, version."""

_D_IFNAME, _D_PRIVATE, _D_PUBLIC, _D_PORT, _D_PEERS = 2, 3, 4, 6, 8
_P_KEY, _P_PSK, _P_FLAGS, _P_ENDPOINT, _P_KEEPALIVE = 1, 2, 3, 4, 5
_P_HANDSHAKE, _P_RX, _P_TX, _P_ALLOWED = 6, 7, 8, 9
_A_FAMILY, _A_ADDRESS, _A_LENGTH = 1, 2, 3
_REMOVE_ME, _REPLACE_ALLOWED, _UPDATE_ONLY = 1, 2, 4

_ALLOWED4: Final = struct.Struct("=HH HH HH HH4s HHB3x")
_ALLOWED6: Final = struct.Struct("=HH HH HH HH16s HHB3x")
_PEER_HEAD: Final = struct.Struct("=HH HH32s HHI")
_TIMESPEC: Final = struct.Struct("=qq")


def name_attribute(name: str) -> bytes:
    return attribute(_D_IFNAME, name.encode() + b"\0")


def config_body(config: DeviceConfig) -> bytes:
    """The device's own key and port."""
    return attribute(_D_PRIVATE, config.private_key.reveal()) + attribute(
        _D_PORT, struct.pack("=H", config.listen_port)
    )


def chunks(name: str, changes: Sequence[PeerChange]) -> Iterator[tuple[bytes, Sequence[PeerChange]]]:
    """Message bodies, each with the changes that it carries a part of."""
    pieces: list[bytes] = []
    size = first = 0
    for position, change in enumerate(changes):
        try:
            parts = _peer(change)
        except OSError as error:
            if pieces:
                yield attribute(_D_PEERS | netlink.NESTED, b"".join(pieces)), changes[first:position]
            raise WireGuardRefused(name, f"its endpoint: {os.strerror(error.errno or 0)}", peer=change.key) from error
        for number, part in enumerate(parts):
            if size + len(part) > MESSAGE_BYTES and pieces:
                begun = position + 1 if number else position
                yield attribute(_D_PEERS | netlink.NESTED, b"".join(pieces)), changes[first:begun]
                pieces, size, first = [], 0, position
            pieces.append(part)
            size += len(part)
    if pieces:
        yield attribute(_D_PEERS | netlink.NESTED, b"".join(pieces)), changes[first:]


def _peer(change: PeerChange) -> list[bytes]:
    """The nested attributes of one change: usually one, more where its prefixes need it."""
    flags = _UPDATE_ONLY if change.action is Action.UPDATE else 0
    if change.action is Action.REMOVE:
        return [_peer_piece(change.key, _REMOVE_ME, b"")]
    rest = b""
    if change.psk is not None:
        rest = attribute(_P_PSK, change.psk.reveal())
    if change.endpoint is not None:
        rest += attribute(_P_ENDPOINT, _socket_address(change.endpoint))
    if change.keepalive is not None:
        rest += attribute(_P_KEEPALIVE, struct.pack("=H", change.keepalive))
    first = flags | (_REPLACE_ALLOWED if change.replace_allowed else 0)
    allowed = [_allowed(prefix) for prefix in change.allowed]
    if not allowed:
        return [_peer_piece(change.key, first, rest)]
    pieces = []
    for start in range(0, len(allowed), PREFIXES_A_PIECE):
        rest += attribute(_P_ALLOWED | netlink.NESTED, b"".join(allowed[start : start + PREFIXES_A_PIECE]))
        # A continuation only adds prefixes, and must not make a peer that the first piece did not find.
        pieces.append(_peer_piece(change.key, flags if start else first, rest))
        rest = b""
    return pieces


def _peer_piece(key: PublicKey, flags: int, rest: bytes) -> bytes:
    return _PEER_HEAD.pack(48 + len(rest), netlink.NESTED, 36, _P_KEY, key.raw, 8, _P_FLAGS, flags) + rest


@lru_cache(maxsize=16384)
def _allowed(prefix: Prefix) -> bytes:
    packed = prefix.network_address.packed
    if prefix.version == 6:
        return _ALLOWED6.pack(
            40, netlink.NESTED, 6, _A_FAMILY, socket.AF_INET6, 0, 20, _A_ADDRESS, packed, 5, _A_LENGTH, prefix.prefixlen
        )
    return _ALLOWED4.pack(
        28, netlink.NESTED, 6, _A_FAMILY, socket.AF_INET, 0, 8, _A_ADDRESS, packed, 5, _A_LENGTH, prefix.prefixlen
    )


def _socket_address(endpoint: Endpoint) -> bytes:
    address = endpoint.address
    if isinstance(address, IPv4Address):
        return struct.pack("=H", socket.AF_INET) + struct.pack(">H4s8x", endpoint.port, address.packed)
    scope = scope_number(address.scope_id) if address.scope_id else 0
    return (
        struct.pack("=H", socket.AF_INET6)
        + struct.pack(">HI16s", endpoint.port, 0, address.packed)
        + struct.pack("=I", scope)
    )


@total("the kernel's answer about a WireGuard device")
def device(name: str, bodies: Sequence[bytes]) -> DeviceState:
    """The device in the messages of a dump."""
    public_key: PublicKey | None = None
    port = 0
    peers: dict[bytes, _Reading] = {}
    for body in bodies:
        for kind, value in attributes(body, GENL.size):
            if kind == _D_PUBLIC:
                public_key = PublicKey(value)
            elif kind == _D_PORT:
                (port,) = struct.unpack("=H", value)
            elif kind == _D_PEERS:
                for _, piece in attributes(value):
                    _read_peer(piece, peers)
    return DeviceState(
        name=name,
        public_key=public_key,
        listen_port=port,
        peers={state.key: state for state in (reading.state() for reading in peers.values())},
    )


class _Reading:
    """A peer while its pieces come in."""

    __slots__ = ("allowed", "endpoint", "handshake", "keepalive", "key", "psk", "rx", "tx")

    def __init__(self, key: bytes) -> None:
        self.key = key
        self.allowed: list[Prefix] = []
        self.endpoint: Endpoint | None = None
        self.keepalive = 0
        self.psk: PresharedKey | None = None
        self.handshake: float | None = None
        self.rx = self.tx = 0

    def state(self) -> PeerState:
        return PeerState(
            key=PublicKey(self.key),
            allowed=canonical(self.allowed) if len(self.allowed) > 1 else tuple(self.allowed),
            endpoint=self.endpoint,
            keepalive=self.keepalive,
            psk=self.psk,
            last_handshake=self.handshake,
            rx=self.rx,
            tx=self.tx,
        )


def _read_peer(piece: bytes, peers: dict[bytes, _Reading]) -> None:
    fields = dict(attributes(piece))
    key = fields[_P_KEY]
    reading = peers.get(key)
    if reading is None:
        reading = peers[key] = _Reading(key)
    if (value := fields.get(_P_ENDPOINT)) is not None:
        reading.endpoint = _read_endpoint(value)
    if (value := fields.get(_P_KEEPALIVE)) is not None:
        (reading.keepalive,) = struct.unpack("=H", value)
    if (value := fields.get(_P_PSK)) is not None and value != NO_PSK.reveal():
        reading.psk = PresharedKey(value)
    if (value := fields.get(_P_HANDSHAKE)) is not None:
        seconds, nanoseconds = _TIMESPEC.unpack(value)
        reading.handshake = seconds + nanoseconds / 1e9 if seconds else None
    if (value := fields.get(_P_RX)) is not None:
        (reading.rx,) = struct.unpack("=Q", value)
    if (value := fields.get(_P_TX)) is not None:
        (reading.tx,) = struct.unpack("=Q", value)
    if (value := fields.get(_P_ALLOWED)) is not None:
        reading.allowed += [_read_allowed(entry) for _, entry in attributes(value)]


@lru_cache(maxsize=16384)
def _read_allowed(entry: bytes) -> Prefix:
    fields = dict(attributes(entry))
    address, length = fields[_A_ADDRESS], fields[_A_LENGTH][0]
    return IPv6Network((address, length)) if len(address) == 16 else IPv4Network((address, length))


@lru_cache(maxsize=16384)
def _read_endpoint(value: bytes) -> Endpoint | None:
    (family,) = struct.unpack_from("=H", value)
    (port,) = struct.unpack_from(">H", value, 2)
    if family == socket.AF_INET:
        return Endpoint(IPv4Address(value[4:8]), port)
    if family != socket.AF_INET6:
        return None
    (scope,) = struct.unpack_from("=I", value, 24)
    address = IPv6Address(value[8:24])
    return Endpoint(IPv6Address(f"{address}%{_interface(scope)}") if scope else address, port)


def _interface(index: int) -> str:
    try:
        return socket.if_indextoname(index)
    except OSError:
        return str(index)
