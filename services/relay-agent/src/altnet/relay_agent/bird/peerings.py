"""Sessions with routers outside, as blocks of BIRD's configuration.

What no rule names is refused, both ways, and some things are refused whatever the rules say: our own prefix and what
overlaps it, prefixes of sites that other relays announce, default routes that no rule names as such, paths with a
number of ours in them. The filter notes why it refuses (`altnet_refused`), so that a refused route can be told with
its reason, and BIRD's verdict is the only one there is.

Towards the outside everything looks as if it began here: no private number, community or metric of the mesh leaves.

Leaves out reading what is written (neighbours.py), the mesh's side of learned routes (config.py) and telling them
(learned.py). Invariant: only numbers, addresses and checked texts are written; a peering that cannot be rendered is
refused alone, and its password shows in the configuration only.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Final

from altnet.common.contracts.routing import Family, Peering, PrefixRule
from altnet.common.errors import Invalid
from altnet.common.net import FIRST_ASN, LAST_SLOT, AddressPlan, Prefix
from altnet.relay_agent.bird.neighbours import PASSWORD, Neighbour, read_neighbour
from altnet.relay_agent.bird.pieces import RoutingHost

LONGEST_OUTSIDE_PATH: Final = 64
"""AS numbers on a path from outside: four times the longest sensible one, prepending included."""
MOST_REFUSED: Final = 20_000
"""Refused routes of a session and family that are kept to be listed; with more the session is taken down, as with too
many accepted ones: a neighbour that sends a whole table by mistake shall not fill the memory."""
BFD_INTERVAL: Final = 300
"""Milliseconds between BFD packets with a router outside: what common hardware can keep up. Three missed: down."""
BFD_MULTIPLIER: Final = 3
CONNECT_RETRY: Final = 5
"""Seconds between two tries to reach a neighbour."""
ERROR_WAIT: Final = (5, 300)
"""Seconds after an error, first and at most: each one doubles it, so that a neighbour over its limit does not flap."""
ORIGIN_TAG: Final = 2
"""Large community (first mesh number, this, AS number): where outside a route comes from."""
PEERING_TAG: Final = 3
"""Large community (first mesh number, this, `peering_number`): by which peering it came."""
OUTSIDE_PREFERENCE: Final = 100
"""LOCAL_PREF in the mesh of an outside route with preference 0; each point adds 2, and 1 more where it was learned
here: among equal exits a relay takes its own. A drained relay's 50 stays below all of them."""
LARGEST_PREFERENCE: Final = 65_535

_MESH_ASES: Final = f"{FIRST_ASN}..{FIRST_ASN + LAST_SLOT}"
_PREPENDED: Final = 3

# Not routed between networks (RFC 6890): unspecified, loopback, IPv4-mapped, link-local, multicast.
_MARTIANS: Final = {
    Family.IPV6: ("::/32+", "fe80::/10+", "ff00::/8+"),
    Family.IPV4: ("0.0.0.0/8{8,32}", "127.0.0.0/8+", "169.254.0.0/16+", "224.0.0.0/3+"),
}
# Numbers that name nobody: RFC 7607, RFC 6793, RFC 7300.
_BOGUS: Final = "0, 23456, 65535, 4294967295"


class Refusal(IntEnum):
    """Why a route from outside is refused: the value of `altnet_refused`. In the order in which it is looked at."""

    PATH_LOOP = 1
    """A number of ours is in its path: it is our own word that comes back."""
    DEFAULT_ROUTE = 2
    OWN_PREFIX = 3
    SITE_PREFIX = 4
    """It is in a site that other relays announce, and this one does not."""
    MARTIAN = 5
    PATH_TOO_LONG = 6
    BOGUS_ASN = 7
    NOT_IN_RULES = 8

    @property
    def word(self) -> str:
        """As `RefusedRoute.reason` has it."""
        return self.name.lower()


def peering_name(peering: str) -> str:
    """BIRD's name of a peering's session: begins with `p`, and follows from the identifier."""
    return f"p{hashlib.sha256(peering.encode()).hexdigest()[:12]}"


def peering_number(peering: str) -> int:
    """What stands for a peering in a large community: 32 bits."""
    return int.from_bytes(hashlib.sha256(peering.encode()).digest()[:4], "big")


WHOLE: Final = "whole6"
"""BIRD's protocol that has the network as one prefix."""


def render_common(host: RoutingHost, peerings: Iterable[Peering]) -> str:
    """What all peerings share. Empty without any."""
    told = list(peerings)
    if not told:
        return ""
    return f"""\
# Peerings with routers outside.
define MESH_ASES = [ {_MESH_ASES} ];
define BOGUS_ASES = [ {_BOGUS} ];
define OURS6 = [ {host.network}+, {host.network}- ];
define MARTIANS6 = [ {", ".join(_MARTIANS[Family.IPV6])} ];
define MARTIANS4 = [ {", ".join(_MARTIANS[Family.IPV4])} ];
# The network as one prefix, for export rules that name it. The mesh has the parts and gets this not.
protocol static {WHOLE} {{ ipv6 {{ preference 2; }}; route {host.network} unreachable; }}
"""


def render_peering(host: RoutingHost, peering: Peering, *, password: str = "") -> str:
    """The block of one peering. Raises `Invalid` where it cannot be had."""
    checked = read_neighbour(host, peering)
    if password and not PASSWORD.match(password):
        raise Invalid("bad_password", "the password cannot be written.", field=f"/peerings/{peering.id}/password")
    name = peering_name(peering.id)
    families = [family for family in Family if family in peering.families]
    blocks = [_import(host, checked, name, family) + _export(host, checked, name, family) for family in families]
    return f"# {json.dumps(peering.id)}\n" + "".join(blocks) + _session(checked, name, families, password)


def _import(host: RoutingHost, checked: Neighbour, name: str, family: Family) -> str:
    number = "6" if family is Family.IPV6 else "4"
    told = checked.told
    rules = [(prefix, rule) for prefix, rule in checked.imports if (prefix.version == 6) == (family is Family.IPV6)]
    default_said = any(rule.longest == 0 for _, rule in rules)
    tests = [(Refusal.PATH_LOOP, f"bgp_path ~ MESH_ASES || bgp_path ~ [ {checked.local_asn} ]")]
    if not default_said:
        tests.append((Refusal.DEFAULT_ROUTE, "net.len = 0"))
    if family is Family.IPV6:
        tests.append((Refusal.OWN_PREFIX, "net.len > 0 && net ~ OURS6"))
    tests += [
        (Refusal.SITE_PREFIX, f"roa_check(sites{number}, net, OWN_AS) = ROA_INVALID"),
        (Refusal.MARTIAN, f"net ~ MARTIANS{number}"),
        (Refusal.PATH_TOO_LONG, f"bgp_path.len > {LONGEST_OUTSIDE_PATH}"),
        (Refusal.BOGUS_ASN, "bgp_path ~ BOGUS_ASES"),
        (Refusal.NOT_IN_RULES, f"! (net ~ {_set(rules)})" if rules else "true"),
    ]
    lines = "".join(f"  if {test} then {{ altnet_refused = {int(why)}; reject; }}\n" for why, test in tests)
    # NO_EXPORT (RFC 1997) is about the AS, and the mesh is one towards the outside: it stays, and is never told on.
    # GRACEFUL_SHUTDOWN (RFC 8326): the neighbour is about to go.
    return f"""\
filter {name}_in{number} {{
{lines}  bgp_large_community.delete([({FIRST_ASN}, *, *)]);
  bgp_large_community.add(({FIRST_ASN}, {ORIGIN_TAG}, bgp_path.last));
  bgp_large_community.add(({FIRST_ASN}, {PEERING_TAG}, {peering_number(told.id)}));
  bgp_community.delete([(65535, 65281), (65535, 65283)]);
  altnet_preference = {told.preference};
  if (65535, 0) ~ bgp_community then altnet_preference = 0;
  bgp_local_pref = {OUTSIDE_PREFERENCE + 1} + 2 * altnet_preference;
  altnet_from = 2;
  accept;
}}
"""


def _export(host: RoutingHost, checked: Neighbour, name: str, family: Family) -> str:
    number = "6" if family is Family.IPV6 else "4"
    rules = [(prefix, rule) for prefix, rule in checked.exports if (prefix.version == 6) == (family is Family.IPV6)]
    if not rules:
        return f"filter {name}_out{number} {{ reject; }}\n"
    leaving = ""
    if host.draining:
        leaving = "  bgp_community.add((65535, 0));\n" + f"  bgp_path.prepend({checked.local_asn});\n" * _PREPENDED
    locators = f"  if net ~ [ {AddressPlan(host.network).locators}+ ] then reject;\n" if number == "6" else ""
    return f"""\
filter {name}_out{number} {{
  # What the mesh originates, and nothing that came from outside: this is no transit between neighbours.
  if source = RTS_BGP && (altnet_from != 1 || defined(altnet_outside)) then reject;
  if net.len = 0 || preference = HOST_ROUTE then reject;
{locators}  if ! (net ~ {_set(rules)}) then reject;
  bgp_path.empty;
  bgp_community = -empty-;
  bgp_ext_community = --empty--;
  bgp_large_community = ---empty---;
  unset(bgp_med);
{leaving}  accept;
}}
"""


def _session(checked: Neighbour, name: str, families: Sequence[Family], password: str) -> str:
    told = checked.told
    local = f"local {checked.source} as" if checked.source is not None else "local as"
    where = f"{checked.address} % '{told.interface}'" if told.interface else str(checked.address)
    options = [
        "debug { events };",
        f"{local} {checked.local_asn};",
        f"neighbor {where} as {told.asn};",
        f"multihop {told.multihop};" if told.multihop else "direct;",
        f"hold time {told.hold_time}; keepalive time {max(1, told.hold_time // 3)};",
        f"connect delay time 1; connect retry time {CONNECT_RETRY};",
        f"error wait time {ERROR_WAIT[0]}, {ERROR_WAIT[1]};",
        # A loop is for the filter to refuse, which says so.
        "enforce first as on; allow local as;",
        "long lived graceful restart off;",
        f"graceful restart on; graceful restart time {told.restart_time};"
        if told.restart_time
        else "graceful restart off;",
    ]
    if told.ttl_security:
        options.append("ttl security on;")
    if told.passive:
        options.append("passive on;")
    if told.bfd:
        options.append(f"bfd {{ interval {BFD_INTERVAL} ms; multiplier {BFD_MULTIPLIER}; }};")
    if password:
        options.append(f'password "{password}";')
    lines = "".join(f"  {option}\n" for option in options)
    channels = "".join(_channel(checked, name, family) for family in families)
    return f"protocol bgp {name} {{\n{lines}{channels}}}\n"


def _channel(checked: Neighbour, name: str, family: Family) -> str:
    told, number = checked.told, "6" if family is Family.IPV6 else "4"
    # RFC 8950, where the neighbour can.
    extended = " extended next hop on;" if family is Family.IPV4 and checked.address.version == 6 else ""
    igp = ""
    if told.multihop:
        igp = f"\n    igp table host{number};" + (" igp table host6;" if extended else "")
    return f"""\
  {family} {{
    import filter {name}_in{number}; export filter {name}_out{number};
    import table on; import keep filtered on; next hop self on;{extended}{igp}
    import limit {told.import_limit} action restart; receive limit {told.import_limit + MOST_REFUSED} action restart;
    export limit {told.export_limit} action block;
  }};
"""


def _set(rules: Sequence[tuple[Prefix, PrefixRule]]) -> str:
    return "[ " + ", ".join(f"{prefix}{{{rule.shortest},{rule.longest}}}" for prefix, rule in rules) + " ]"
