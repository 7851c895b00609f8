"""What the routing plane is told, and the numbers that mark what BIRD makes.

Pure values: view.py makes them from documents, config.py renders them. Invariant: whatever is in here was checked;
no text of a document gets from here into a configuration.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network
from typing import Final

import msgspec
from altnet.common.net import Prefix

ROUTE_PROTOCOL: Final = 12
"""RTPROT_BIRD of linux/rtnetlink.h: what BIRD's routes bear in the kernel."""

ROUTE_METRIC: Final = 384
"""Of BIRD's routes: behind the host's own networks (256), before the agent's static ones (512)."""

Address = IPv4Address | IPv6Address

HOST_KEY: Final = "host"


class RoutingHost(msgspec.Struct, frozen=True, kw_only=True):
    """What BIRD needs with no neighbour."""

    slot: int
    network: IPv6Network
    links: str
    """What the names of links begin with; the neighbour's slot follows."""
    table: int
    """Kernel table with the prefixes that this relay originates."""
    bfd_interval: float
    """Seconds."""
    bfd_multiplier: int
    restart_time: int
    """Seconds for which routes outlive a neighbour's routing engine."""
    endpoints: tuple[Address, ...] = ()
    """Where this relay's own tunnels end."""
    sites: tuple[Prefix, ...] = ()
    """What it originates outside the network: parts of it may be learned from outside, of other relays' sites not."""
    draining: bool = False
    """Others shall use any other path rather than one through here."""


class LearnedRule(msgspec.Struct, frozen=True, kw_only=True):
    """Prefixes inside `prefix`, of `shortest` … `longest` bits, that a relay may bring in from outside."""

    prefix: Prefix
    shortest: int
    longest: int


class RoutingRelay(msgspec.Struct, frozen=True, kw_only=True):
    """One other relay: what it may originate, and whether there is a session with it."""

    slot: int
    session: bool
    origins: tuple[Prefix, ...] = ()
    """Beyond its own address and its clients' /64, guests that may attach to it included."""
    learned: tuple[LearnedRule, ...] = ()
    endpoints: tuple[Address, ...] = ()
    """Where its tunnels end: no route from the mesh may cover them, or tunnels would run in themselves."""


def relay_key(relay: str) -> tuple[str, str]:
    """The piece of another relay."""
    return ("relay", relay)


def peering_key(peering: str) -> tuple[str, str]:
    """The piece of a peering with the outside."""
    return ("peering", peering)
