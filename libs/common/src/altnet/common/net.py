"""The address plan of a network: pure arithmetic on IPv6 prefixes.

A network is one ULA /48 (RFC 4193). Its 16 subnet bits are divided into pools that never overlap:

    <prefix>:0000::/64   relays     one /128 a relay, its stable overlay address
    <prefix>:0001::/64   locators   one /128 a relay, what WireGuard's AllowedIPs carry between relays
    <prefix>:1000::/52   clients    one /64 a relay
    <prefix>:2000::/64   services   one /128 a service

A relay's *slot* (1 … 4095) is the one number that is allocated; its overlay address, its locator, its client /64,
its private ASN and the identifiers of its links all follow from it. Two relays cannot overlap unless they share a
slot, and Postgres refuses that.

What is left free (3000 … ffff) is for renumbering and for pools of later kinds.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Final

from altnet.common.errors import Invalid

DEFAULT_PREFIX: Final = IPv6Network("fd42:1337:beef::/48")
ULA: Final = IPv6Network("fd00::/8")

FIRST_SLOT: Final = 1
LAST_SLOT: Final = 4095
"""12 bits: pairs of slots then number 8.4 million links, which fits the 24 bits of a VXLAN identifier."""

FIRST_ASN: Final = 4_200_000_000
"""Start of the private 32-bit AS numbers (RFC 6996)."""

Prefix = IPv4Network | IPv6Network


@dataclass(frozen=True)
class AddressPlan:
    """The pools of one network. `prefix` is its /48."""

    prefix: IPv6Network

    def __post_init__(self) -> None:
        check_network_prefix(self.prefix)

    def _subnet(self, number: int, length: int) -> IPv6Network:
        return IPv6Network((int(self.prefix.network_address) | number << 64, length))

    @property
    def relays(self) -> IPv6Network:
        return self._subnet(0x0000, 64)

    @property
    def locators(self) -> IPv6Network:
        return self._subnet(0x0001, 64)

    @property
    def clients(self) -> IPv6Network:
        return self._subnet(0x1000, 52)

    @property
    def services(self) -> IPv6Network:
        return self._subnet(0x2000, 64)

    def relay_address(self, slot: int) -> IPv6Address:
        """The relay's overlay address, which outlives its keys, links and epochs."""
        return self.relays[_slot(slot)]

    def locator(self, slot: int) -> IPv6Address:
        """The address that the relay's tunnels start from; never routed, only carried by WireGuard."""
        return self.locators[_slot(slot)]

    def client_prefix(self, slot: int) -> IPv6Network:
        """The /64 that the relay gives its clients addresses from."""
        return self._subnet(0x1000 + _slot(slot), 64)

    def access_address(self, slot: int) -> IPv6Address:
        """The relay's own address in its client /64: the clients' gateway and resolver."""
        return self.client_prefix(slot)[1]

    def attach_address(self, slot: int) -> IPv6Address:
        """Where clients probe the relay and say that they are attached, each through its own tunnel to it. Not the
        access address, which a client has to reach through whatever relay it uses."""
        return self.client_prefix(slot)[2]

    def guest_address(self, slot: int, client: IPv6Address) -> IPv6Address:
        """By which a client can speak with a relay while it is attached elsewhere: its own host number with the first
        bit turned, in that relay's /64, so that answers come back the way the question came.

        The bit makes it another address at the client's own relay too: the client's own address is routed to where the
        client is attached, and so would be that relay's answers. Host numbers are 64 bits of a hash, so no two clients
        meet there.
        """
        return self.client_prefix(slot)[(int(client) & (2**64 - 1)) ^ 2**63]

    def slot_of_client(self, address: IPv6Address) -> int:
        """The slot of the relay that first gave out this client address. Raises `ValueError` outside the pool."""
        if address not in self.clients:
            raise ValueError(f"{address} is not a client address of {self.prefix}")
        return (int(address) >> 64 & 0xFFFF) - 0x1000


def check_network_prefix(prefix: IPv6Network, *, field: str | None = None) -> IPv6Network:
    """Return `prefix` if it is a ULA /48. Raises `Invalid` (`bad_network_prefix`)."""
    if prefix.prefixlen != 48 or not prefix.subnet_of(ULA):
        raise Invalid(
            "bad_network_prefix",
            f"{prefix} is not a /48 inside fd00::/8.",
            field=field,
            mend="Choose a unique local prefix (RFC 4193), or leave it out to get a random one.",
        )
    return prefix


def random_prefix(randomness: Callable[[int], bytes] = secrets.token_bytes) -> IPv6Network:
    """A /48 with a random 40-bit global identifier (RFC 4193 §3.2)."""
    return IPv6Network((int.from_bytes(b"\xfd" + randomness(5) + bytes(10), "big"), 48))


def parse_prefix(text: str, *, field: str | None = None) -> Prefix:
    """Read an IPv4 or IPv6 prefix without host bits. Raises `Invalid` (`bad_prefix`)."""
    try:
        if "%" in text:  # ip_network takes any text as a zone and gives it back
            raise ValueError("a prefix has no zone")
        return ip_network(text)
    except ValueError as error:
        raise Invalid(
            "bad_prefix",
            f"not a prefix: {error}.",
            field=field,
            mend="Write the network address and its length, like fd00:12::/64.",
        ) from None


def asn(slot: int) -> int:
    """The relay's private AS number (RFC 6996, RFC 7938)."""
    return FIRST_ASN + _slot(slot)


def link_number(one: int, other: int) -> int:
    """The identifier of the link between two slots: the same at both ends, unique among all pairs, below 2**24."""
    low, high = sorted((_slot(one), _slot(other)))
    if low == high:
        raise ValueError("a relay has no link to itself")
    return (high - 1) * (high - 2) // 2 + low


def link_local(slot: int) -> IPv6Address:
    """The address of the relay with `slot` on any of its links."""
    return IPv6Address(0xFE80 << 112 | _slot(slot))


def link_mac(slot: int) -> str:
    """The hardware address of the relay with `slot` on any of its links: local, unicast, deterministic."""
    return f"02:a1:7e:00:{_slot(slot) >> 8:02x}:{slot & 255:02x}"


def host_number(seed: str, attempt: int) -> int:
    """An interface identifier for a client or a service, spread over 64 bits so that nobody can count neighbours.

    Deterministic in `seed` and `attempt` (0, 1, … on collision). Leaves out 0 … 255, which are for the network.
    """
    digest = hashlib.sha256(f"altnet host {attempt} {seed}".encode()).digest()
    number = int.from_bytes(digest[:8], "big")
    return number if number > 255 else number + 256


def _slot(slot: int) -> int:
    if not FIRST_SLOT <= slot <= LAST_SLOT:
        raise ValueError(f"slot {slot} is outside {FIRST_SLOT} … {LAST_SLOT}")
    return slot
