"""What may be a prefix behind a relay: one rule, for the registry that takes it and for every relay that follows it.

Refused is what would take more away than it brings: prefixes as short as a default route, ranges that are not routed
between sites, and what covers the end of a tunnel, since tunnels would then run in themselves. Leaves out whose a
prefix is (Postgres keeps sites apart) and the network's own pools (each side knows these). Invariant: what the registry
takes is refused by no relay, unless an endpoint has moved into it since.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

from altnet.common.errors import Invalid
from altnet.common.net import Prefix

SHORTEST_ORIGIN: Final = {4: 8, 6: 16}
"""By version of IP. Shorter prefixes would take a host's own default route away."""

NOWHERE4: Final = (IPv4Network("127.0.0.0/8"), IPv4Network("169.254.0.0/16"), IPv4Network("224.0.0.0/3"))
"""A host itself, one link, groups of hosts, and what is reserved: nothing in there is routed between sites."""
NOWHERE6: Final = (IPv6Network("fe80::/10"), IPv6Network("ff00::/8"))
"""One link, and groups of hosts."""
LOOPBACK6: Final = IPv6Address("::1")
"""And whatever covers it."""

Address = IPv4Address | IPv6Address


def check_origin(prefix: Prefix, *, field: str | None = None) -> Prefix:
    """Return `prefix` if a relay may have it behind it. Raises `Invalid` (`bad_prefix`)."""
    shortest = SHORTEST_ORIGIN[prefix.version]
    if prefix.prefixlen < shortest:
        raise Invalid(
            "bad_prefix",
            f"{prefix} is too short a prefix for a site: it would take hosts' own default route.",
            field=field,
            mend=f"Name what is behind the relay, in prefixes of {shortest} bits or more.",
        )
    if _nowhere(prefix):
        raise Invalid(
            "bad_prefix",
            f"{prefix} is not routed between sites.",
            field=field,
            mend="Name unicast prefixes that others can reach.",
        )
    return prefix


def endpoint_address(endpoint: str) -> Address | None:
    """The address in `192.0.2.1:51820` or `[2001:db8::1]:51820`; None for a host name: who resolves it knows more.

    None also for an address with a zone. It is on one link, so no origin covers it, and a zone may be any text.
    """
    host = endpoint.rpartition(":")[0]
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    try:
        return None if "%" in host else ip_address(host)
    except ValueError:
        return None


def covered(prefix: Prefix, endpoints: Iterable[str]) -> str | None:
    """The first of these endpoints that is inside the prefix."""
    for endpoint in endpoints:
        address = endpoint_address(endpoint)
        if address is not None and address.version == prefix.version and address in prefix:
            return endpoint
    return None


def _nowhere(prefix: Prefix) -> bool:
    if isinstance(prefix, IPv4Network):
        return any(prefix.subnet_of(one) for one in NOWHERE4)
    return LOOPBACK6 in prefix or any(prefix.subnet_of(one) for one in NOWHERE6)
