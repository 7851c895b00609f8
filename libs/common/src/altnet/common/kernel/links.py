"""What the agent may ask of a host's links, addresses, neighbours and routes.

Every verb is level-triggered: putting what exists makes it as given, deleting what is missing succeeds. Routes carry
a protocol number of their own, so that reading and deleting never touch a route that somebody else made.

Invariant: nothing here decides what should exist; that is the planes' work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from typing import Final, Protocol

import msgspec
from altnet.common.contracts.desired import Encapsulation
from altnet.common.errors import AltnetError, NotFound
from altnet.common.net import Prefix

Address = IPv4Address | IPv6Address
Interface = IPv4Interface | IPv6Interface

ROUTE_PROTOCOL: Final = 186
"""Marks routes as ours; unassigned in /etc/iproute2/rt_protos and in linux/rtnetlink.h."""

MAIN_TABLE: Final = 254

ROUTE_METRIC: Final = 512
"""Not the 1024 (IPv6) or 0 (IPv4) of `ip route add`: an operator's route to the same prefix is another route, and
ours does not replace it."""

VXLAN_PORT: Final = 4789


class Vxlan(msgspec.Struct, frozen=True, kw_only=True):
    """A point-to-point VXLAN (RFC 7348) between two addresses; it learns nothing."""

    number: int
    """Network identifier, 24 bits."""
    local: Address
    remote: Address
    port: int = VXLAN_PORT
    device: str | None = None
    """Binds the tunnel to an interface. None: routing decides, so that an epoch can change below it."""


class Ip6Gre(msgspec.Struct, frozen=True, kw_only=True):
    """A point-to-point GRE over IPv6 (RFC 7676), without encapsulation limit option."""

    local: IPv6Address
    remote: IPv6Address
    key: int | None = None
    device: str | None = None


class Dummy(msgspec.Struct, frozen=True):
    """An interface that goes nowhere."""


Form = Vxlan | Ip6Gre | Dummy


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """A link as wanted."""

    name: str
    form: Form
    mtu: int | None = None
    mac: str | None = None
    """`02:…`, lower case; Ip6Gre has none."""
    up: bool = True


class LinkState(msgspec.Struct, frozen=True, kw_only=True):
    """A link as it is."""

    name: str
    index: int
    kind: str
    """`vxlan`, `wireguard`, `tun`, `dummy`, `veth`…; empty where the kernel names none (lo, hardware)."""
    mtu: int
    mac: str | None
    up: bool
    form: Form | None = None
    """Of the kinds that we can make."""


class RouteKind(StrEnum):
    """What happens to a packet that the route matches."""

    UNICAST = "unicast"
    UNREACHABLE = "unreachable"
    BLACKHOLE = "blackhole"


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One route. Table, prefix and metric identify it; putting it replaces our route of the same identity."""

    prefix: Prefix
    device: str | None = None
    """Required for unicast, absent otherwise."""
    via: Address | None = None
    """Next hop; None: the prefix is on the link."""
    metric: int = ROUTE_METRIC
    """Lower wins; 1 … 2**32 - 1."""
    source: Address | None = None
    """The address that this host's own packets take; it must exist."""
    kind: RouteKind = RouteKind.UNICAST
    table: int = MAIN_TABLE

    def __post_init__(self) -> None:
        if (self.kind is RouteKind.UNICAST) != (self.device is not None):
            raise ValueError("a unicast route names its device, and no other does")
        if self.via is not None and self.device is None:
            raise ValueError("only a unicast route has a next hop")


class RouteFailure(msgspec.Struct, frozen=True):
    """A route that the host refused, and why."""

    route: Route
    reason: str


class Neighbour(msgspec.Struct, frozen=True, kw_only=True):
    """A permanent neighbour entry."""

    device: str
    address: Address
    mac: str


class HostRefused(AltnetError):
    """The host refuses to make a link, an address or a neighbour so; `reason` is the kernel's."""

    kind = "invalid"

    def __init__(self, what: str, reason: str) -> None:
        super().__init__("host_refused", f"{what} was refused: {reason}.")
        self.what = what
        self.reason = reason


def no_link(name: str) -> NotFound:
    return NotFound("no_link", f"there is no interface {name}.")


class Links(Protocol):
    """A host's links. Every verb raises `Unavailable` where the host does not answer in time, `HostRefused` where it
    says no, and `NotFound` (`no_link`) where it concerns an interface that is missing.
    """

    async def encapsulations(self) -> tuple[Encapsulation, ...]:
        """What this host can make, best first. Found out by trying, once."""
        ...

    async def put_link(self, link: Link) -> None:
        """Make the link so. One whose form differs is made anew; another kind of that name is `HostRefused`."""
        ...

    async def set_link(self, name: str, *, mtu: int | None = None, up: bool | None = None) -> None:
        """Change an existing link of any kind. Taking it down drops its IPv6 addresses and its routes."""
        ...

    async def delete_link(self, name: str) -> None:
        """Delete a link of a kind that we can make; refuses any other."""
        ...

    async def read_links(self, prefix: str = "") -> Mapping[str, LinkState]:
        """The links whose names begin with `prefix`, by name."""
        ...

    async def put_address(self, device: str, address: Interface) -> None:
        """Give the interface an address, usable at once (no duplicate address detection)."""
        ...

    async def delete_address(self, device: str, address: Interface) -> None: ...

    async def read_addresses(self, device: str) -> frozenset[Interface]:
        """Raises `NotFound` where there is no such interface."""
        ...

    async def read_all_addresses(self, prefix: str = "") -> Mapping[str, frozenset[Interface]]:
        """The addresses of the interfaces whose names begin with `prefix`, by name; those without any are left out.

        The kernel is asked as often for a thousand interfaces as for one.
        """
        ...

    async def put_neighbour(self, neighbour: Neighbour) -> None: ...

    async def delete_neighbour(self, device: str, address: Address) -> None: ...

    async def read_neighbours(self, device: str) -> frozenset[Neighbour]:
        """The permanent ones."""
        ...

    async def read_all_neighbours(self, prefix: str = "") -> frozenset[Neighbour]:
        """The permanent ones on interfaces whose names begin with `prefix`, asked for as `read_all_addresses` does."""
        ...

    async def put_routes(self, routes: Sequence[Route]) -> tuple[RouteFailure, ...]:
        """Make the routes so; returns those that were refused, the others are in place."""
        ...

    async def delete_routes(self, routes: Sequence[Route]) -> tuple[RouteFailure, ...]:
        """Delete our routes of the same table, prefix and metric."""
        ...

    async def read_routes(self, *, table: int = MAIN_TABLE) -> tuple[Route, ...]:
        """Our routes of both families, IPv6 first, in the kernel's order."""
        ...

    async def read_sysctl(self, name: str) -> str:
        """`net/ipv6/conf/all/forwarding`, with slashes: interface names may hold dots. Raises `NotFound`."""
        ...

    async def set_sysctl(self, name: str, value: str) -> None: ...

    async def close(self) -> None:
        """Let go of sockets. Links stay."""
        ...
