"""The commands that make a planned lab, as text for `ip -batch` and `nft -f`. Pure.

Every line may be run again with the same outcome (`replace`, or a table deleted and made in one transaction); only
links are made with `add`, because a link that exists must not be made anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from altnet.host.lab.faults import Faults, unreached
from altnet.host.lab.topology import LAN, UPLINK, Host, Kind, Link, Topology

TABLE: Final = "altnet_lab"

SYSCTLS: Final = {
    # Addresses are planned, hence unique: duplicate detection would only cost a second a link.
    "net/ipv6/conf/all/accept_dad": "0",
    "net/ipv6/conf/default/accept_dad": "0",
    # Routes are planned too.
    "net/ipv6/conf/default/accept_ra": "0",
}
FORWARDING: Final = {
    "net/ipv6/conf/all/forwarding": "1",
    "net/ipv4/ip_forward": "1",
    # What comes out of a delay line comes from the wrong side.
    "net/ipv4/conf/all/rp_filter": "0",
    "net/ipv4/conf/default/rp_filter": "0",
}


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


def fault_ruleset(topology: Topology, router: str, faults: Faults) -> str:
    """What a router drops for these faults: of packets from hosts behind it, so that each is judged once."""
    rules: list[str] = []
    for cut in faults.cuts:
        rules += _drops(topology, router, cut.sources, cut.targets)
    for one in faults.impairments:
        # One in ten thousand is as fine as anybody can measure here.
        share = f"numgen random mod 10000 < {round(one.loss * 10000)} " if one.loss else ""
        if one.cut or one.loss:
            rules += _drops(topology, router, (one.source,), (one.target,), share)
    for relay, others in unreached(topology, faults.shape).items():
        rules += _drops(topology, router, (relay,), others)
    return _table(
        "  chain forward {\n"
        "    type filter hook forward priority filter; policy accept;\n"
        + "".join(f"    {rule}\n" for rule in rules)
        + "  }\n"
    )


def _drops(
    topology: Topology, router: str, sources: Iterable[str], targets: Iterable[str], share: str = ""
) -> list[str]:
    """One rule a family, for the sources behind this router. By interface too: a delayed packet passes here twice."""
    homes = [topology.home(name) for name in sources]
    inputs = sorted({f'"to-{home.name}"' for home in homes if home.router == router})
    if not inputs:
        return []
    rules = []
    for version, family in ((6, "ip6"), (4, "ip")):
        networks = {str(net) for name in targets for net in topology.edge(name) if net.version == version}
        if networks:
            from_here, to_there = f"{{ {', '.join(inputs)} }}", f"{{ {', '.join(sorted(networks))} }}"
            rules.append(f"iifname {from_here} {family} daddr {to_there} {share}counter drop")
    return rules


def needs_ruleset(host: Host) -> bool:
    return host.kind in (Kind.NAT, Kind.ROUTER)


def ruleset(topology: Topology, host: Host, faults: Faults) -> str:
    return nat_ruleset() if host.kind is Kind.NAT else fault_ruleset(topology, host.name, faults)


def _table(body: str) -> str:
    # Declared first so that the deletion of a table that is not there does not fail; nft applies a file as one.
    return f"table inet {TABLE} {{}}\ndelete table inet {TABLE}\ntable inet {TABLE} {{\n{body}}}\n"
