"""Peerings read: whether addresses, interface, rules and password are what they should be.

Pure. The registry has checked all of it; here it is checked again, because what passes is written into configurations
that run as root. Leaves out the writing (peerings.py). Invariant: what these return holds no text of a document but an
interface's name and a password, of characters that mean nothing to BIRD and nftables.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from altnet.common.contracts.routing import Peering, PrefixRule
from altnet.common.errors import Broken, Invalid
from altnet.common.keys import PrivateKey
from altnet.common.net import Prefix, asn, parse_prefix
from altnet.common.seal import unseal
from altnet.relay_agent.bird.pieces import Address, RoutingHost

_INTERFACE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}\Z", re.ASCII)
PASSWORD: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]([\x20\x21\x23-\x5b\x5d-\x7e]{0,78}[\x21\x23-\x5b\x5d-\x7e])?\Z")


@dataclass(frozen=True, kw_only=True)
class Neighbour:
    """A peering whose texts were read."""

    told: Peering
    address: Address
    source: Address | None
    imports: tuple[tuple[Prefix, PrefixRule], ...]
    exports: tuple[tuple[Prefix, PrefixRule], ...]
    local_asn: int


def password_context(*, relay: str, peering: str) -> bytes:
    """What a peering's password is sealed for."""
    return f"altnet bgp password {relay} {peering}".encode()


def open_password(peering: Peering, *, relay: str, key: PrivateKey) -> str:
    """The password of a peering, empty where it has none. Raises `Invalid` (`password_sealed`, `bad_password`)."""
    if not peering.password:
        return ""
    field = f"/peerings/{peering.id}/password"
    try:
        plain = unseal(peering.password, key=key, context=password_context(relay=relay, peering=peering.id))
    except Broken:
        raise Invalid(
            "password_sealed",
            "the password does not open with this relay's identity key, so the session is not set up.",
            field=field,
            mend="Set the peering's password again; it was sealed for an earlier enrolment, or for another relay.",
        ) from None
    text = plain.decode("latin-1")
    if not PASSWORD.match(text):
        raise Invalid(
            "bad_password",
            "the password is not one that BIRD and the kernel take.",
            field=field,
            mend="Set one of 1 to 80 printable ASCII characters, without quotation mark, backslash and outer spaces.",
        )
    return text


def is_neighbour(peering: Peering) -> bool:
    """Whether its addresses and its interface are what they should be. What is not gets no session and no way in."""
    field = f"/peerings/{peering.id}"
    try:
        _endpoints(peering, field)
        _check_interface(peering, field)
    except Invalid:
        return False
    return True


def read_neighbour(host: RoutingHost, told: Peering) -> Neighbour:
    """Raises `Invalid` with the field of what cannot be had."""
    where = f"/peerings/{told.id}"
    address, source = _endpoints(told, where)
    _check_interface(told, where)
    if re.match(rf"{re.escape(host.links.removesuffix('l'))}[mla][0-9]", told.interface):
        raise Invalid("bad_interface", f"{told.interface} is the mesh's own.", field=f"{where}/interface")
    if address in host.network:
        raise Invalid("address_is_ours", f"{address} is inside this network.", field=f"{where}/address")
    if not told.families:
        raise Invalid("bad_families", "the session would carry nothing.", field=f"{where}/families")
    local_asn = asn(host.slot) if told.local_asn is None else told.local_asn
    if told.asn == local_asn:
        raise Invalid("internal_peering", f"both ends would be AS{told.asn}.", field=f"{where}/asn")
    return Neighbour(
        told=told,
        address=address,
        source=source,
        imports=_rules(told.imports, f"{where}/imports"),
        exports=_rules(told.exports, f"{where}/exports"),
        local_asn=local_asn,
    )


def _endpoints(told: Peering, where: str) -> tuple[Address, Address | None]:
    address = _address(told.address, f"{where}/address")
    source = _address(told.source, f"{where}/source") if told.source else None
    if source is not None and source.version != address.version:
        raise Invalid("bad_source", "both ends need the same family.", field=f"{where}/source", mend="Leave it out.")
    return address, source


def _address(text: str, field: str) -> Address:
    try:
        found = ip_address(text)
    except ValueError:
        raise Invalid("bad_address", "not an IPv6 or IPv4 address.", field=field) from None
    scoped = isinstance(found, IPv6Address) and (found.scope_id is not None or found.ipv4_mapped is not None)
    if (
        scoped
        or found.is_multicast
        or found.is_unspecified
        or found.is_loopback
        or found == IPv4Address("255.255.255.255")
    ):
        raise Invalid("bad_address", f"{found} is no router's address.", field=field)
    return found


def _check_interface(told: Peering, where: str) -> None:
    field, address = f"{where}/interface", ip_address(told.address)
    link_local = isinstance(address, IPv6Address) and address.is_link_local
    if link_local != bool(told.interface):
        raise Invalid(
            "bad_interface",
            "a link-local neighbour needs an interface, and no other one has it.",
            field=field,
            mend="Name the interface of this host where the neighbour is, or leave it out.",
        )
    if told.interface and not _INTERFACE.match(told.interface):
        raise Invalid("bad_interface", "not the name of an interface.", field=field)


def _rules(rules: Iterable[PrefixRule], field: str) -> tuple[tuple[Prefix, PrefixRule], ...]:
    found = []
    for number, rule in enumerate(rules):
        prefix = parse_prefix(rule.prefix, field=f"{field}/{number}/prefix")
        if not prefix.prefixlen <= rule.shortest <= rule.longest <= prefix.max_prefixlen:
            raise Invalid(
                "bad_rule",
                f"{prefix} has no prefixes of {rule.shortest} to {rule.longest} bits.",
                field=f"{field}/{number}",
                mend=f"Give lengths from {prefix.prefixlen} to {prefix.max_prefixlen}.",
            )
        found.append((prefix, rule))
    return tuple(found)
