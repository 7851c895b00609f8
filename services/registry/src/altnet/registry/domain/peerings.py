"""What a peering may be: AS numbers, addresses, families and filters that make sense and do no harm.

Refuses what is wrong or dangerous. Leaves out what is allowed but worth a word (`peering_remarks`), and how a session
is made; that is BIRD's, on the relay.

Invariant: no import rule can ever match a prefix of the network itself, or of a site that the relay does not announce.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final

import msgspec
from altnet.common.contracts.routing import Family, Peering, PrefixRule
from altnet.common.errors import Conflict, Invalid
from altnet.common.net import FIRST_ASN, LAST_SLOT, AddressPlan, Prefix, asn
from altnet.registry.domain.names import check_name
from altnet.registry.domain.prefix_rules import WIDE, check_rules, in_order, is_wide, opened, reaches

AS_TRANS: Final = 23_456
_RESERVED: Final[Mapping[int, str]] = {
    0: "it is reserved (RFC 7607)",
    AS_TRANS: "it stands for any 4-byte number towards old routers (RFC 6793)",
    65_535: "it is reserved (RFC 7300)",
    4_294_967_295: "it is reserved (RFC 7300)",
}

_INTERFACE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}\Z")
_OUR_INTERFACE: Final = re.compile(r"alt[mla][0-9]")
_PASSWORD: Final = re.compile(r"[\x20-\x7e]{1,80}\Z")

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a peering is judged against."""

    network: IPv6Network
    slot: int
    """Of the relay that holds the session."""
    foreign_sites: Mapping[str, tuple[Prefix, ...]]
    """Prefixes of sites that this relay does not announce, by the site's name."""


def checked(
    wish: Peering, around: Surroundings, *, accept_everything: bool = False, announce_everything: bool = False
) -> Peering:
    """The wish in canonical form, without its password. Raises `Invalid` with the field, `Conflict` for overlaps."""
    check_name(wish.name)
    _check_asns(wish, around)
    address = _address(wish.address, field="/address")
    _check_neighbour(address, wish, around)
    source = _check_source(wish, address, around)
    families = _families(wish.families)
    imports = check_rules(wish.imports, families=families, field="/imports")
    exports = check_rules(wish.exports, families=families, field="/exports")
    _refuse_wide(imports, "imports", "accept_everything", said=accept_everything)
    _refuse_wide(exports, "exports", "announce_everything", said=announce_everything)
    check_imports(imports, around)
    return msgspec.structs.replace(
        wish,
        address=str(address),
        source=source,
        families=families,
        imports=in_order(imports),
        exports=in_order(exports),
        password="",
    )


def check_imports(imports: Iterable[PrefixRule], around: Surroundings) -> None:
    """Raises `Conflict` (`imports_own_prefix`, `imports_site_prefix`) for a rule that could bring in what is ours."""
    for number, rule in enumerate(imports):
        if reaches(rule, around.network):
            raise Conflict(
                "imports_own_prefix",
                f"{_text(rule)} lets a neighbour announce parts of this network ({around.network}).",
                field=f"/imports/{number}",
                mend="Name other prefixes: 2000::/3 for the whole internet, ::/0 with length 0 for a default route.",
            )
        for site, prefixes in around.foreign_sites.items():
            for prefix in prefixes:
                if reaches(rule, prefix):
                    raise Conflict(
                        "imports_site_prefix",
                        f"{_text(rule)} lets a neighbour announce {prefix} of the site {site}, which others announce.",
                        field=f"/imports/{number}",
                        mend="Leave that range out, or let this relay announce the site too.",
                    )


def check_password(text: str) -> str:
    """A TCP MD5 key (RFC 2385) that every router can be told. Raises `Invalid` (`bad_password`), never repeating it."""
    if not _PASSWORD.match(text) or '"' in text or "\\" in text or text != text.strip():
        raise Invalid(
            "bad_password",
            "a password has 1 to 80 printable ASCII characters, none of them a quotation mark or backslash,"
            " and no space at either end.",
            field="/password",
            mend="Make one of letters and digits; 80 bytes are what the kernel takes.",
        )
    return text


def password_context(*, relay: str, peering: str) -> bytes:
    """What a peering's password is sealed for."""
    return f"altnet bgp password {relay} {peering}".encode()


def check_asn(number: int, *, field: str, mesh: bool = False) -> int:
    """`number` if a router outside may have it. Raises `Invalid` (`bad_asn`). `mesh` lets the mesh's numbers pass."""
    if (why := _RESERVED.get(number)) is not None:
        raise Invalid(
            "bad_asn", f"AS{number} names nobody: {why}.", field=field, mend="Ask the neighbour for its number."
        )
    if not 0 < number < 2**32:
        raise Invalid("bad_asn", "an AS number has 32 bits.", field=field, mend="Ask the neighbour for its number.")
    if not mesh and FIRST_ASN < number <= FIRST_ASN + LAST_SLOT:
        raise Invalid(
            "bad_asn",
            f"AS{number} is one of the mesh's own: relays have {FIRST_ASN + 1} to {FIRST_ASN + LAST_SLOT}.",
            field=field,
            mend="Links between relays need no peering; give the outside router another private number.",
        )
    return number


def _check_asns(wish: Peering, around: Surroundings) -> None:
    check_asn(wish.asn, field="/asn")
    ours = asn(around.slot)
    if wish.local_asn is not None:
        check_asn(wish.local_asn, field="/local_asn", mesh=wish.local_asn == ours)
    if wish.asn == (wish.local_asn or ours):
        raise Invalid(
            "internal_peering",
            f"both ends would be AS{wish.asn}; a peering is with another AS.",
            field="/local_asn" if wish.local_asn else "/asn",
            mend="Leave local_asn out: the relay then uses its own private number.",
        )


def _address(text: str, *, field: str) -> Address:
    try:
        address = ip_address(text)
    except ValueError:
        raise Invalid(
            "bad_address",
            "not an IPv6 or IPv4 address.",
            field=field,
            mend="Write it without length and zone, like 2001:db8::1; the zone goes into interface.",
        ) from None
    if isinstance(address, IPv6Address) and (address.scope_id or address.ipv4_mapped):
        raise Invalid(
            "bad_address",
            "a plain address is meant.",
            field=field,
            mend="Put the zone into interface, write IPv4 as such.",
        )
    broadcast = address == IPv4Address("255.255.255.255")
    if address.is_multicast or address.is_unspecified or address.is_loopback or broadcast:
        raise Invalid(
            "bad_address", f"{address} is no router's address.", field=field, mend="Name the neighbour's own."
        )
    return address


def _check_neighbour(address: Address, wish: Peering, around: Surroundings) -> None:
    if address in around.network:
        raise Invalid(
            "address_is_ours",
            f"{address} is inside this network ({around.network}), where no outside router is.",
            field="/address",
            mend="Name the neighbour's address on the network that it shares with the relay's host.",
        )
    link_local = isinstance(address, IPv6Address) and address.is_link_local
    if link_local and not wish.interface:
        raise Invalid(
            "interface_missing",
            f"{address} is link-local: it exists on every interface.",
            field="/interface",
            mend="Name the interface of the relay's host, like eth1.",
        )
    if wish.interface and not link_local:
        raise Invalid(
            "interface_not_needed",
            "an interface is for link-local neighbours; others are found by the routing table.",
            field="/interface",
            mend="Leave it out, or use source to choose our end.",
        )
    if wish.interface and not _INTERFACE.match(wish.interface):
        raise Invalid(
            "bad_interface",
            "not the name of an interface: at most 15 letters, digits, '.', '_' and '-'.",
            field="/interface",
            mend="Write it as `ip link` shows it.",
        )
    if wish.interface and _OUR_INTERFACE.match(wish.interface):
        raise Invalid(
            "bad_interface",
            f"{wish.interface} is the mesh's own; no outside router is there.",
            field="/interface",
            mend="Name an interface of the host.",
        )
    if link_local and wish.multihop:
        raise Invalid("bad_multihop", "a link-local neighbour is no hop away.", field="/multihop", mend="Set it to 0.")


def _check_source(wish: Peering, address: Address, around: Surroundings) -> str:
    if not wish.source:
        return ""
    source = _address(wish.source, field="/source")
    if source.version != address.version:
        raise Invalid(
            "bad_source",
            "both ends need the same family.",
            field="/source",
            mend="Leave it out, or name the other one.",
        )
    if source == address:
        raise Invalid("bad_source", "both ends have one address.", field="/source", mend="Name an address of the host.")
    plan = AddressPlan(around.network)
    if source in around.network and source not in (plan.relay_address(around.slot), plan.access_address(around.slot)):
        raise Invalid(
            "bad_source",
            f"{source} is inside this network and not this relay's.",
            field="/source",
            mend=f"The relay's own is {plan.relay_address(around.slot)}.",
        )
    return str(source)


def _families(said: Iterable[Family]) -> tuple[Family, ...]:
    families = tuple(family for family in Family if family in set(said))
    if not families:
        raise Invalid(
            "bad_families", "the session would carry nothing.", field="/families", mend="Name ipv6, ipv4 or both."
        )
    return families


def _refuse_wide(rules: Sequence[PrefixRule], field: str, flag: str, *, said: bool) -> None:
    if said:
        return
    for number, rule in enumerate(rules):
        if is_wide(rule):
            raise Invalid(
                "everything_not_said",
                f"{_text(rule)} would let (nearly) everything through, or a default route.",
                field=f"/{field}/{number}",
                mend=f"Narrow the rule, or say {flag}: true; that is recorded.",
            )
    family = opened(rules)
    if family is not None:
        raise Invalid(
            "everything_not_said",
            f"these rules together let through as much of {family} as one rule of {WIDE[family] - 1} bits would.",
            field=f"/{field}",
            mend=f"Leave some out, or say {flag}: true; that is recorded.",
        )


def _text(rule: PrefixRule) -> str:
    return f"{rule.prefix} ({rule.shortest} to {rule.longest})"
