"""The text of wireguard-go's UAPI socket: changes out, devices in. Pure.

`key=value` lines, keys of peers in hex; https://www.wireguard.com/xplatform/#cross-platform-userspace-implementation.
Both directions run over ten thousand peers, so they avoid the slow ways of `ipaddress` and remember what they parsed.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from altnet.common.kernel.total import total
from altnet.common.kernel.wireguard import (
    NO_PSK,
    Action,
    DeviceState,
    Endpoint,
    PeerChange,
    PeerState,
    PresharedKey,
    canonical,
)
from altnet.common.keys import PrivateKey, PublicKey
from altnet.common.net import Prefix


def change_text(change: PeerChange) -> bytes:
    """The lines of one change within a `set` operation."""
    text = f"public_key={change.key.raw.hex()}\n"
    if change.action is Action.REMOVE:
        return (text + "remove=true\n").encode()
    if change.action is Action.UPDATE:
        text += "update_only=true\n"
    if change.psk is not None:
        text += f"preshared_key={change.psk.reveal().hex()}\n"
    if change.endpoint is not None:
        text += f"endpoint={_endpoint_text(change.endpoint)}\n"
    if change.keepalive is not None:
        text += f"persistent_keepalive_interval={change.keepalive}\n"
    if change.replace_allowed:
        text += "replace_allowed_ips=true\n"
    for prefix in change.allowed:
        text += f"allowed_ip={_address_text(prefix.network_address)}/{prefix.prefixlen}\n"
    return text.encode()


def _address_text(address: IPv4Address | IPv6Address) -> str:
    """Five times as fast as str(address), which would be most of our share in applying ten thousand peers."""
    packed = address.packed
    return socket.inet_ntop(socket.AF_INET6 if len(packed) == 16 else socket.AF_INET, packed)


def _endpoint_text(endpoint: Endpoint) -> str:
    address = endpoint.address
    if isinstance(address, IPv4Address):
        return f"{_address_text(address)}:{endpoint.port}"
    scope = f"%{address.scope_id}" if address.scope_id else ""
    return f"[{_address_text(address)}{scope}]:{endpoint.port}"


class DeviceParser:
    """Takes the lines of an answer to `get=1` as they come; `number` is its errno."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._public_key: PublicKey | None = None
        self._port = 0
        self._peers: dict[PublicKey, PeerState] = {}
        self._fields: dict[bytes, bytes] = {}
        self._allowed: list[Prefix] = []
        self.number = 0

    @total("wireguard-go's answer")
    def feed(self, lines: Iterable[bytes]) -> bool:
        """Read whole lines; True once the answer is complete."""
        fields, allowed = self._fields, self._allowed
        for line in lines:
            name, _, value = line.partition(b"=")
            if name == b"allowed_ip":
                allowed.append(_prefix(value))
            elif name == b"public_key":
                self._finish_peer()
                fields[name] = value
            elif not name:
                return True
            elif name == b"errno":
                self._finish_peer()
                self.number = abs(int(value))
            else:
                fields[name] = value
        return False

    def device(self) -> DeviceState:
        return DeviceState(name=self._name, public_key=self._public_key, listen_port=self._port, peers=self._peers)

    def _finish_peer(self) -> None:
        """Turn the fields since the last `public_key` into a peer, or those before the first into the device."""
        fields, allowed = self._fields, self._allowed
        key_text = fields.get(b"public_key")
        if key_text is None:
            private = fields.get(b"private_key")
            self._public_key = PrivateKey(_bytes(private)).public() if private else None
            self._port = int(fields.get(b"listen_port", 0))
        else:
            key = PublicKey(_bytes(key_text))
            seconds = int(fields.get(b"last_handshake_time_sec", 0))
            endpoint = fields.get(b"endpoint")
            psk = fields.get(b"preshared_key", _NO_PSK)
            self._peers[key] = PeerState(
                key=key,
                allowed=canonical(allowed) if len(allowed) > 1 else tuple(allowed),
                endpoint=_endpoint(endpoint) if endpoint else None,
                keepalive=int(fields.get(b"persistent_keepalive_interval", 0)),
                psk=None if psk == _NO_PSK else PresharedKey(_bytes(psk)),
                last_handshake=seconds + int(fields.get(b"last_handshake_time_nsec", 0)) / 1e9 if seconds else None,
                rx=int(fields.get(b"rx_bytes", 0)),
                tx=int(fields.get(b"tx_bytes", 0)),
            )
        fields.clear()
        allowed.clear()


_NO_PSK = NO_PSK.reveal().hex().encode()


def _bytes(text: bytes) -> bytes:
    return bytes.fromhex(text.decode())


@lru_cache(maxsize=16384)
def _prefix(text: bytes) -> Prefix:
    host, _, length = text.decode().partition("/")
    if ":" in host:
        return IPv6Network((socket.inet_pton(socket.AF_INET6, host), int(length)))
    return IPv4Network((socket.inet_pton(socket.AF_INET, host), int(length)))


@lru_cache(maxsize=16384)
def _endpoint(text: bytes) -> Endpoint:
    host, _, port = text.decode().rpartition(":")
    if host.startswith("["):
        return Endpoint(IPv6Address(host[1:-1]), int(port))
    return Endpoint(IPv4Address(host), int(port))
