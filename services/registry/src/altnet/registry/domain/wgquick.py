"""The file that wg-quick, and every WireGuard app, reads (wg-quick(8)).

The private key is the owner's: unless the caller gives it, the file has a placeholder in its place, and says so.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv6Address, IPv6Network

from altnet.common.contracts.routing import PrefixRule
from altnet.common.keys import PrivateKey, PublicKey
from altnet.registry.domain.endpoints import join_endpoint, split_endpoint
from altnet.registry.domain.prefix_rules import is_wide

PLACEHOLDER = "REPLACE-WITH-YOUR-PRIVATE-KEY"


@dataclass(frozen=True, kw_only=True)
class Tunnel:
    """All that the file says. `routes` are what goes through the tunnel."""

    name: str
    addresses: Sequence[IPv6Address]
    relay_name: str
    relay_key: PublicKey
    endpoint: str
    dns: IPv6Address | None
    search: str
    mtu: int
    keepalive: int
    routes: Sequence[str]
    renew_by: datetime | None = None
    """Until then a file of before works too: keys are being replaced."""


def access_endpoint(mesh_endpoints: Sequence[str], access_port: int) -> str | None:
    """Where clients reach a relay: the host of its first endpoint with the access port; None if it has none."""
    return next(iter(access_endpoints(mesh_endpoints, access_port)), None)


def access_endpoints(mesh_endpoints: Sequence[str], access_port: int) -> tuple[str, ...]:
    """Everywhere clients may reach a relay, preferred first."""
    hosts = dict.fromkeys(split_endpoint(endpoint)[0] for endpoint in mesh_endpoints)
    return tuple(join_endpoint(host, access_port) for host in hosts)


def render(tunnel: Tunnel, private_key: PrivateKey | None = None) -> str:
    """The file. With `private_key` it is a secret."""
    key = base64.b64encode(private_key.reveal()).decode() if private_key else PLACEHOLDER
    lines = [f"# Altnet client {tunnel.name} through relay {tunnel.relay_name}"]
    if private_key is None:
        lines.append(
            "# Put the private key that belongs to this client in the line below; the server has never seen it."
        )
    if tunnel.renew_by is not None:
        lines.append(f"# Keys are being replaced: install this file by {tunnel.renew_by:%Y-%m-%d %H:%M} UTC.")
    lines += ["[Interface]", f"PrivateKey = {key}"]
    lines += [f"Address = {', '.join(f'{address}/128' for address in tunnel.addresses)}"]
    if tunnel.dns is not None:
        lines.append(f"DNS = {tunnel.dns}, {tunnel.search}")
    lines += [
        f"MTU = {tunnel.mtu}",
        "",
        "[Peer]",
        f"PublicKey = {tunnel.relay_key.base64}",
        f"Endpoint = {tunnel.endpoint}",
        f"AllowedIPs = {', '.join(tunnel.routes)}",
        f"PersistentKeepalive = {tunnel.keepalive}",
    ]
    return "\n".join(lines) + "\n"


def routes_of(prefix: IPv6Network, sites: Sequence[str], imports: Iterable[PrefixRule] = ()) -> tuple[str, ...]:
    """What a client sends through the tunnel: the network, the sites behind it, and what peerings may bring in.

    Clients have IPv6 addresses alone, so IPv4 rules are left out. So are rules as wide as the internet: a peering that
    accepts everything is no reason to take over a laptop's way to everything.
    """
    outside = {rule.prefix for rule in imports if ":" in rule.prefix and not is_wide(rule)}
    return (str(prefix), *sorted({*sites, *outside}))
