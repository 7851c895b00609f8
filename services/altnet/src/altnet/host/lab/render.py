"""The commands that make a planned lab, as text for `ip -batch` and `nft -f`. Pure.

Every line may be run again with the same outcome (`replace`, or a table deleted and made in one transaction); only
links are made with `add`, because a link that exists must not be made anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from altnet.host.lab.topology import LAN, UPLINK, Host, Kind, Link, Network, Topology

TABLE: Final = "altnet_lab"

SYSCTLS: Final = {
    # Addresses are planned, hence unique: duplicate detection would only cost a second a link.
    "net/ipv6/conf/all/accept_dad": "0",
    "net/ipv6/conf/default/accept_dad": "0",
    # Routes are planned too.
    "net/ipv6/conf/default/accept_ra": "0",
}
FORWARDING: Final = {"net/ipv6/conf/all/forwarding": "1", "net/ipv4/ip_forward": "1"}


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Packets from the hosts in `sources` to the hosts in `targets` are dropped in the routers. One direction."""

    sources: tuple[str, ...]
    targets: tuple[str, ...]


def sysctls(host: Host) -> dict[str, str]:
    """Path below /proc/sys to value, for this host's namespace."""
    return SYSCTLS | (FORWARDING if host.forwards else {})


def link_line(topology: Topology, link: Link) -> str:
    """One line for `ip -batch` in any namespace: makes both ends where they belong."""
    one, other = (topology.host(port.host).namespace for port in link)
    return f"link add name {link.one.name} netns {one} type veth peer name {link.other.name} netns {other}"


def bridge_lines(host: Host) -> list[str]:
    return [f"link add name {host.bridge} type bridge"] if host.bridge else []


def up_lines(topology: Topology, host: Host) -> list[str]:
    """Bring up every interface of a host, for `ip -n <namespace> -batch`."""
    lines = ["link set dev lo up"]
    if host.bridge:
        lines.append(f"link set dev {host.bridge} up")
    for port in topology.ports(host.name):
        master = f" master {port.bridge}" if port.bridge else ""
        lines.append(f"link set dev {port.name}{master} up")
    return lines


def address_lines(topology: Topology, host: Host) -> list[str]:
    """Addresses and routes of a host, for `ip -n <namespace> -batch`, once every link is up at both ends."""
    lines = []
    devices = [(port.name, port.addresses) for port in topology.ports(host.name)]
    if host.bridge:
        devices.append((host.bridge, host.bridge_addresses))
    for device, addresses in devices:
        for address in addresses:
            nodad = " nodad" if address.version == 6 else ""
            lines.append(f"address replace {address} dev {device}{nodad}")
    lines += [f"route replace {route.to} via {route.via}" for route in host.routes]
    return lines


def nat_ruleset() -> str:
    """A home router: everybody inside shares one address, and nothing comes in that was not asked for."""
    return _table(
        f"""\
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    oifname "{UPLINK}" masquerade
  }}
  chain forward {{
    type filter hook forward priority filter; policy drop;
    ct state established,related accept
    iifname "{LAN}" oifname {{ "{UPLINK}", "{LAN}" }} accept comment "bridged packets pass here with br_netfilter"
  }}
  chain input {{
    type filter hook input priority filter; policy drop;
    ct state established,related accept
    iifname {{ "lo", "{LAN}" }} accept
    meta l4proto {{ icmp, icmpv6 }} accept
  }}
"""
    )


def cut_ruleset(topology: Topology, cuts: Iterable[Cut]) -> str:
    """What every router drops for these cuts. The same text for all: a packet passes at least one of them."""
    rules = []
    for cut in cuts:
        sources = [network for name in cut.sources for network in topology.edge(name)]
        targets = [network for name in cut.targets for network in topology.edge(name)]
        for version, family in ((6, "ip6"), (4, "ip")):
            one, other = _set(sources, version), _set(targets, version)
            if one and other:
                rules.append(f"    {family} saddr {one} {family} daddr {other} counter drop")
    return _table(
        "  chain forward {\n"
        "    type filter hook forward priority filter; policy accept;\n"
        + "".join(f"{rule}\n" for rule in rules)
        + "  }\n"
    )


def needs_ruleset(host: Host) -> bool:
    return host.kind in (Kind.NAT, Kind.ROUTER)


def ruleset(topology: Topology, host: Host, cuts: Sequence[Cut]) -> str:
    return nat_ruleset() if host.kind is Kind.NAT else cut_ruleset(topology, cuts)


def _set(networks: Iterable[Network], version: int) -> str:
    members = sorted({str(network) for network in networks if network.version == version})
    return f"{{ {', '.join(members)} }}" if members else ""


def _table(body: str) -> str:
    # Declared first so that the deletion of a table that is not there does not fail; nft applies a file as one.
    return f"table inet {TABLE} {{}}\ndelete table inet {TABLE}\ntable inet {TABLE} {{\n{body}}}\n"
