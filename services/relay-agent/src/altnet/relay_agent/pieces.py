"""Pieces: what a host can be told to hold, each with the plane that makes it and the key that tells it apart. Pure.

Leaves out which pieces a host should hold (view.py) and how one gets there (planes/). Invariant: a key is of numbers
and texts alone, and two pieces of a plane with the same key cannot be on a host at once.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import msgspec
from altnet.common.kernel.links import MAIN_TABLE, Interface, Neighbour, Route
from altnet.common.kernel.wireguard import PresharedKey
from altnet.common.keys import PublicKey
from altnet.common.net import Prefix

FORWARDING: Final = "forwarding"
FIREWALL: Final = "firewall"
DEVICES: Final = "devices"
PEERS: Final = "peers"
LINKS: Final = "links"
ADDRESSES: Final = "addresses"
NEIGHBOURS: Final = "neighbours"
ROUTES: Final = "routes"
ROUTING: Final = "routing"

PLANES: Final = (FORWARDING, FIREWALL, DEVICES, PEERS, LINKS, ADDRESSES, NEIGHBOURS, ROUTES, ROUTING)
"""In the order of making; taking away goes the other way. The firewall comes before what it guards."""

HOST: Final = "host"

LOOPBACK: Final = "lo"


@dataclass(frozen=True, kw_only=True)
class Names:
    """The names of the agent's interfaces."""

    prefix: str

    @property
    def mesh(self) -> str:
        """The mesh device of the key that a relay enrols with."""
        return self.mesh_of(0)

    def mesh_of(self, device: int) -> str:
        """One of the two mesh devices: a rotation of keys leads from either to the other."""
        return f"{self.prefix}m{device}"

    @property
    def access(self) -> str:
        """The first access device: of the key that a relay enrols with."""
        return self.access_of(0)

    def access_of(self, number: int) -> str:
        """One of the access devices (contracts.desired.access_device)."""
        return f"{self.prefix}a{number}"

    def access_number(self, name: str) -> int | None:
        """Which access device this is; None: another one."""
        return next((number for number in range(4) if name == self.access_of(number)), None)

    @property
    def devices(self) -> tuple[str, ...]:
        """Every WireGuard device that may be the agent's."""
        return (*(self.mesh_of(number) for number in range(2)), *(self.access_of(number) for number in range(4)))

    @property
    def link_start(self) -> str:
        """What the names of links begin with."""
        return f"{self.prefix}l"

    def link(self, slot: int) -> str:
        return f"{self.link_start}{slot}"

    def is_link(self, name: str) -> bool:
        number = name.removeprefix(f"{self.prefix}l")
        return name.startswith(f"{self.prefix}l") and number.isascii() and number.isdigit() and len(number) <= 4

    def is_ours(self, name: str) -> bool:
        return name in self.devices or self.is_link(name)


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """A WireGuard device. Its private key is the plane's, which knows it by the name."""

    name: str
    public_key: PublicKey | None
    listen_port: int
    mtu: int
    up: bool = True


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """A WireGuard peer, with what decides who speaks first."""

    device: str
    key: PublicKey
    allowed: tuple[Prefix, ...]
    initiator: bool = False
    """This side speaks first and keeps the path open: it has the lower public key, or only it can reach the other."""
    keepalive: int = 0
    """Seconds; of whichever side sends to an endpoint."""
    endpoints: tuple[str, ...] = ()
    psk: PresharedKey | None = None


class OnDevice(msgspec.Struct, frozen=True, kw_only=True):
    """An address on an interface."""

    device: str
    address: Interface


SPREADING: Final = ("net/ipv6/fib_multipath_hash_policy", "net/ipv4/fib_multipath_hash_policy")
"""By what the kernel chooses among equal paths."""
SPREAD_BY_DEFAULT: Final = "0"
"""Addresses, and of IPv6 the flow label."""
SPREAD_BY_PORTS: Final = "1"
"""Addresses, protocol and ports."""


class Sysctl(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    value: str


class Ruleset(msgspec.Struct, frozen=True, kw_only=True):
    """The text of the agent's nftables table."""

    text: str


Key = Hashable


class Piece(NamedTuple):
    """One thing that the host should hold. `plane` and `key` identify it."""

    plane: str
    key: Key
    value: Any


# Numbers and texts alone: hashing an IPv6Network takes longer than the rest of a step together.


def address_key(piece: OnDevice) -> Key:
    """What tells addresses apart."""
    return (piece.device, int(piece.address), piece.address.network.prefixlen)


def neighbour_key(neighbour: Neighbour) -> Key:
    """What tells neighbour entries apart."""
    return (neighbour.device, int(neighbour.address))


def route_key(route: Route) -> Key:
    """What tells routes apart in the kernel."""
    prefix = route.prefix
    return (route.table, prefix.version, int(prefix.network_address), prefix.prefixlen, route.metric)


def words(piece: object, key: Key) -> str:
    """A piece for people."""
    match piece:
        case Route(table=table) if table != MAIN_TABLE:
            return f"{piece.prefix} table {table}"
        case Route():
            return f"{piece.prefix} metric {piece.metric}"
        case OnDevice():
            return f"{piece.address} dev {piece.device}"
        case Neighbour():
            return f"{piece.address} dev {piece.device}"
    return " ".join(str(part) for part in (key if isinstance(key, tuple) else (key,)))
