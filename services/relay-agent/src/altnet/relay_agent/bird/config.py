"""BIRD's whole configuration, as text. Pure, and the same input gives the same text.

Three ideas carry it:

- *Who may originate what* is a ROA table (RFC 6482's idea, filled from the mesh document): a route from a neighbour
  counts only if the last AS of its path is the relay that the registry says owns the prefix. So a relay that was
  taken over cannot announce another's prefix.
- *Cost* is AIGP (RFC 7311): each session adds the cost of its link, and the lowest sum wins, whatever the hops.
- *Restarts* lose nothing: a session that ends, by a crash or by BFD, leaves its routes for a while as stale (long-lived
  graceful restart, RFC 9494). Any path that is not stale is better, so a dead link is left at once; where there is
  none the old one stays, which is right if only the routing engine died.

What this relay originates is not in here: it lies in a kernel table of its own, which BIRD watches, so that a prefix
more or less needs no new configuration. Leaves out the sessions of peerings (peerings.py); what came by one is told in
the mesh as this relay's own, where a rule of the mesh document says that it may bring it in. Invariant: only numbers,
addresses and names that we made are written; an identifier of a document appears in comments alone, as ASCII JSON.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

from altnet.common.contracts.routing import Peering
from altnet.common.errors import Invalid
from altnet.common.net import FIRST_ASN, AddressPlan, Prefix, asn, link_local
from altnet.common.origins import LOOPBACK6, NOWHERE4, NOWHERE6, SHORTEST_ORIGIN
from altnet.relay_agent.bird.cost import UNKNOWN_COST
from altnet.relay_agent.bird.peerings import (
    LARGEST_PREFERENCE,
    ORIGIN_TAG,
    OUTSIDE_PREFERENCE,
    PEERING_TAG,
    render_common,
    render_peering,
)
from altnet.relay_agent.bird.pieces import HOST_KEY, ROUTE_METRIC, Address, RoutingHost, RoutingRelay

LONGEST_PATH: Final = 32
"""Relays on a path: more than any sensible detour, and a bound for what a lying neighbour can make us keep."""
MOST_ROUTES: Final = 20_000
"""From one neighbour, of one family: 4,095 relays with two prefixes each, and as many sites again."""
LOG_SIZE: Final = 1 << 20
"""Bytes of BIRD's log before it starts a new one; one old one is kept."""
FIRST_ROUTER_ID: Final = int(IPv4Address("100.64.0.0"))
"""Plus the slot. From the shared address space (RFC 6598); a router id only has to be unique."""
DRAINED: Final = f"({FIRST_ASN}, 1, 1)"
"""Large community (RFC 8092) on what a draining relay announces: everybody prefers any other path."""

_LEDGER: Final = "#= "
_MARK: Final = re.compile(r'^define ALTNET_MARK = "([0-9a-f]{32})";$', re.MULTILINE)
_COST: Final = re.compile(r"^protocol bgp m(\d+) \{.*?; cost (\d+);", re.MULTILINE | re.DOTALL)
_PASSWORD: Final = re.compile(r'(password\s+)"[^"]*"')


@dataclass(frozen=True, kw_only=True)
class Config:
    """A rendered configuration."""

    text: str
    mark: str
    """Digest of the text; BIRD tells it (`eval ALTNET_MARK`), so we know which configuration runs."""
    rights: str
    """Digest of who may originate what: a change of it means that routes have to be looked at again."""
    owners: Sequence[tuple[int, Hashable]]
    """First line and piece of each block, in order."""

    def owner(self, line: int) -> Hashable | None:
        """The piece that a line (from 1) belongs to; None: all of them."""
        found: Hashable | None = None
        for first, key in self.owners:
            if first > line:
                break
            found = key
        return None if found == HOST_KEY else found


def mark_of(text: str) -> str:
    """The mark that is written in a configuration; empty if there is none."""
    found = _MARK.search(text)
    return found[1] if found else ""


def shown(text: str) -> str:
    """A configuration for people's eyes: without passwords."""
    return _PASSWORD.sub(r'\1"<hidden>"', text)


def pieces_in(text: str) -> dict[Hashable, str]:
    """The pieces that a configuration was made of, each with its `piece_hash`."""
    found: dict[Hashable, str] = {}
    for line in text.splitlines():
        if line.startswith(_LEDGER):
            key, digest = json.loads(line.removeprefix(_LEDGER))
            found[tuple(key) if isinstance(key, list) else key] = digest
    return found


def costs_in(text: str) -> dict[int, int]:
    """The costs of links in a configuration, by slot."""
    return {int(slot): int(cost) for slot, cost in _COST.findall(text)}


def piece_hash(piece: object) -> str:
    """What tells a piece from another one under the same key."""
    return hashlib.sha256(repr(piece).encode()).hexdigest()[:16]


def _ledger(pieces: Mapping[Hashable, object]) -> str:
    # ASCII JSON in a comment: whatever an identifier holds, it stays on its line.
    lines = sorted(_LEDGER + json.dumps([key, piece_hash(piece)]) for key, piece in pieces.items())
    return "".join(f"{line}\n" for line in lines)


def session_name(slot: int) -> str:
    """BIRD's name of the session with the relay of a slot."""
    return f"m{slot}"


def render(
    host: RoutingHost,
    *,
    relays: Mapping[Hashable, RoutingRelay],
    peerings: Mapping[Hashable, Peering] | None = None,
    passwords: Mapping[Hashable, str] | None = None,
    costs: Mapping[int, int] | None = None,
    log_file: str = "",
) -> Config:
    """The configuration. `passwords` of peerings, opened; `costs` by slot; `log_file` empty: no log.

    Raises `Invalid` where a piece cannot be rendered.
    """
    ordered = sorted(relays.items(), key=lambda item: item[1].slot)
    rights = _rights(host, [relay for _, relay in ordered])
    covered = sorted({*host.endpoints, *(at for _, relay in ordered for at in relay.endpoints)}, key=str)
    outside, opened = peerings or {}, passwords or {}
    blocks: list[tuple[Hashable, str]] = [
        (HOST_KEY, _globals(host, log_file)),
        (HOST_KEY, _sets(host, covered)),
        (HOST_KEY, rights),
        (HOST_KEY, _protocols(host, outside.values())),
        (HOST_KEY, _filters(host)),
        (HOST_KEY, render_common(host, outside.values())),
    ]
    known = costs or {}
    for key, relay in ordered:
        if relay.session:
            blocks.append((key, _session(host, relay, known.get(relay.slot, UNKNOWN_COST))))
    for key, peering in sorted(outside.items(), key=lambda item: item[1].id):
        blocks.append((key, render_peering(host, peering, password=opened.get(key, ""))))
    blocks.append((HOST_KEY, _ledger({HOST_KEY: host, **relays, **outside})))
    return _assemble(blocks, rights)


def _assemble(blocks: Sequence[tuple[Hashable, str]], rights: str) -> Config:
    # The mark is shown to people: a password is in it as its piece has it, sealed, so that nobody can guess at it.
    digest = hashlib.sha256(shown("".join(text for _, text in blocks)).encode()).hexdigest()[:32]
    head = f'# Written by altnet-agent; changes are overwritten.\ndefine ALTNET_MARK = "{digest}";\n'
    text, owners, line = head, [(1, HOST_KEY)], head.count("\n") + 1
    found: list[tuple[int, Hashable]] = list(owners)
    for key, block in blocks:
        found.append((line, key))
        text += block
        line += block.count("\n")
    return Config(text=text, mark=digest, rights=hashlib.sha256(rights.encode()).hexdigest(), owners=found)


def quoted(text: str) -> str:
    """A string of BIRD's. Raises `Invalid`: its strings know no escapes, so what would need one is refused."""
    if not text.isprintable() or '"' in text:
        raise Invalid("bad_text", f"{text!r} cannot be written in BIRD's configuration.")
    return f'"{text}"'


def _globals(host: RoutingHost, log_file: str) -> str:
    log = ""
    if log_file:
        name, old = quoted(log_file), quoted(f"{log_file}.old")
        log = f"log {name} {LOG_SIZE} {old} {{ info, remote, warning, error, auth, fatal, bug }};\n"
    return f"""\
{log}router id {IPv4Address(FIRST_ROUTER_ID + host.slot)};
timeformat base iso long ms;
timeformat log iso long ms;
timeformat protocol iso long ms;
timeformat route iso long ms;
graceful restart wait 10;
define OWN_AS = {asn(host.slot)};
define OWN_ADDRESS = {AddressPlan(host.network).relay_address(host.slot)};
define DRAINED = {DRAINED};
define HOST_ROUTE = 1;
# 1: from a relay, 2: from a peering.
attribute int altnet_from;
# Set on what another relay has from outside.
attribute int altnet_outside;
# Of a peering, for what it tells.
attribute int altnet_preference;
# Why a peering's filter refuses a route.
attribute int altnet_refused;
ipv6 table origin6;
ipv4 table origin4;
roa6 table owned6;
roa4 table owned4;
roa6 table learned6;
roa4 table learned4;
roa6 table sites6;
roa4 table sites4;
# The host's own routes: where neighbours are that are some hops away.
ipv6 table host6;
ipv4 table host4;
"""


def _sets(host: RoutingHost, endpoints: Sequence[Address]) -> str:
    plan = AddressPlan(host.network)
    six = [f"{plan.locators}+", f"{plan.locators}-", *(f"{one}+" for one in NOWHERE6), f"{LOOPBACK6}/128-"]
    six += [f"::/0{{0,{SHORTEST_ORIGIN[6] - 1}}}"]
    four = [*(f"{one}+" for one in NOWHERE4), f"0.0.0.0/0{{0,{SHORTEST_ORIGIN[4] - 1}}}"]
    six += [f"{at}/128-" for at in endpoints if isinstance(at, IPv6Address)]
    four += [f"{at}/32-" for at in endpoints if isinstance(at, IPv4Address)]
    return f"""\
# Never from a neighbour: locators, default routes, what covers the end of a tunnel.
define NEVER6 = [
  {_joined(six)}
];
define NEVER4 = [
  {_joined(four)}
];
define INSIDE = [ {host.network}+ ];
"""


def _joined(items: Sequence[str]) -> str:
    return ",\n  ".join(items)


def _rights(host: RoutingHost, relays: Sequence[RoutingRelay]) -> str:
    plan = AddressPlan(host.network)
    owned: list[tuple[Prefix, int, int]] = []
    learned: list[tuple[Prefix, int, int]] = []
    sites: list[tuple[Prefix, int, int]] = []
    for relay in relays:
        own = (IPv6Network(plan.relay_address(relay.slot)), *relay.origins)
        owned += [(prefix, prefix.prefixlen, asn(relay.slot)) for prefix in own]
        # A client that has come home is announced by its own address for a while.
        home = plan.client_prefix(relay.slot)
        owned.append((home, home.max_prefixlen, asn(relay.slot)))
        learned += [(rule.prefix, rule.longest, asn(relay.slot)) for rule in relay.learned]
        sites += _whole(host, relay.origins, relay.slot)
    sites += _whole(host, host.sites, host.slot)
    return "".join(
        _roa(name, [entry for entry in entries if isinstance(entry[0], kind)], number)
        for name, entries in (("owned", owned), ("learned", learned), ("sites", sites))
        for kind, number in ((IPv6Network, 6), (IPv4Network, 4))
    )


def _whole(host: RoutingHost, origins: Iterable[Prefix], slot: int) -> list[tuple[Prefix, int, int]]:
    """Sites with all that is inside them: only who announces a site may have parts of it from outside."""
    outside = (one for one in origins if not (isinstance(one, IPv6Network) and one.subnet_of(host.network)))
    return [(prefix, prefix.max_prefixlen, asn(slot)) for prefix in outside]


def _roa(name: str, entries: Iterable[tuple[Prefix, int, int]], number: int) -> str:
    lines = "".join(f"  route {prefix} max {longest} as {origin};\n" for prefix, longest, origin in entries)
    return f"protocol static rights_{name}{number} {{\n  roa{number} {{ table {name}{number}; }};\n{lines}}}\n"


def _protocols(host: RoutingHost, peerings: Iterable[Peering]) -> str:
    interval = f"{round(host.bfd_interval * 1e6)} us"
    told = list(peerings)
    accept = "" if any(one.bfd and one.multihop for one in told) else " direct"
    # Learned from the host only where a neighbour is some hops away; preferred by nothing, told to nobody.
    far = any(one.multihop for one in told)
    taken = "filter { preference = HOST_ROUTE; accept; }" if far else "none"
    learning = "learn; " if far else ""
    host_routes = _HOST_ROUTES if far else ""
    kernel = f"  {learning}persist; graceful restart; merge paths on limit 8; metric {ROUTE_METRIC}; scan time 20;\n"
    origin = f"  kernel table {host.table}; learn; scan time 20;\n"
    # A metric of its own kind makes what we originate comparable: AIGP starts from it (RFC 7311 §3.4.3).
    learn = "import filter { igp_metric = 0; accept; }; export none; preference 240;"
    return f"""\
protocol device {{ scan time 10; }}
protocol bfd {{
  accept{accept};
  interface "{host.links}*" {{ interval {interval}; multiplier {host.bfd_multiplier}; idle tx interval 200 ms; }};
}}
protocol kernel kernel6 {{
{kernel}  ipv6 {{
    import {taken};
    # Towards the outside the host speaks with the address of its interface there, as any router does.
    export filter {{
      if source != RTS_BGP then reject;
      if altnet_from != 2 then krt_prefsrc = OWN_ADDRESS;
      accept;
    }};
  }};
}}
protocol kernel kernel4 {{
{kernel}  ipv4 {{ import {taken}; export where source = RTS_BGP; }};
}}
# What this relay originates: the agent puts it into a kernel table, and it is here at once.
protocol kernel learn6 {{
{origin}  ipv6 {{ table origin6; {learn} }};
}}
protocol kernel learn4 {{
{origin}  ipv4 {{ table origin4; {learn} }};
}}
protocol pipe own6 {{ table master6; peer table origin6; import all; export none; }}
protocol pipe own4 {{ table master4; peer table origin4; import all; export none; }}
{host_routes}"""


_HOST_ROUTES: Final = """\
protocol direct near { ipv6 { table host6; }; ipv4 { table host4; }; }
protocol pipe far6 { table host6; peer table master6; import where preference = HOST_ROUTE; export none; }
protocol pipe far4 { table host4; peer table master4; import where preference = HOST_ROUTE; export none; }
"""


def _filters(host: RoutingHost) -> str:
    drain = "  bgp_large_community.add(DRAINED);\n" if host.draining else ""
    out = f"""\
  if net.len = 0 || preference = HOST_ROUTE then reject;
  # What came from outside starts here: its path is not the mesh's business. MED carries its preference.
  if source = RTS_BGP && altnet_from = 2 then {{
    bgp_path.empty;
    bgp_med = {LARGEST_PREFERENCE} - altnet_preference;
  }}
  if source = RTS_BGP && defined(altnet_outside) then bgp_med = bgp_med;
{drain}  accept;
"""
    common = f"""\
  if bgp_path.len > {LONGEST_PATH} then reject;
  bgp_community = filter(bgp_community, [(65535, 6)]);
  bgp_ext_community = --empty--;
  bgp_local_pref = 100;
  if defined(altnet_outside) then {{
    bgp_large_community = filter(bgp_large_community, [{DRAINED}, {_tag(ORIGIN_TAG)}, {_tag(PEERING_TAG)}]);
    if ! defined(bgp_med) then bgp_med = {LARGEST_PREFERENCE};
    if bgp_med > {LARGEST_PREFERENCE} then bgp_med = {LARGEST_PREFERENCE};
    bgp_local_pref = {OUTSIDE_PREFERENCE} + 2 * ({LARGEST_PREFERENCE} - bgp_med);
  }} else {{
    bgp_large_community = filter(bgp_large_community, [{DRAINED}]);
    unset(bgp_med);
  }}
  if DRAINED ~ bgp_large_community then bgp_local_pref = 50;
  altnet_from = 1;
  accept;
"""
    return f"""\
filter mesh_in6 {{
  if net ~ NEVER6 then reject;
  if roa_check(owned6, net, bgp_path.last) != ROA_VALID then {{
    if net ~ INSIDE then reject;
    if roa_check(sites6, net, bgp_path.last) = ROA_INVALID then reject;
    if roa_check(learned6, net, bgp_path.last) != ROA_VALID then reject;
    altnet_outside = 1;
  }}
{common}}}
filter mesh_in4 {{
  if net ~ NEVER4 then reject;
  if roa_check(owned4, net, bgp_path.last) != ROA_VALID then {{
    if roa_check(sites4, net, bgp_path.last) = ROA_INVALID then reject;
    if roa_check(learned4, net, bgp_path.last) != ROA_VALID then reject;
    altnet_outside = 1;
  }}
{common}}}
filter mesh_out6 {{
  if net ~ [ {host.network}, {AddressPlan(host.network).locators}+ ] then reject;
{out}}}
filter mesh_out4 {{
{out}}}
"""


def _tag(kind: int) -> str:
    return f"({FIRST_ASN}, {kind}, *)"


def _session(host: RoutingHost, relay: RoutingRelay, cost: int) -> str:
    name, here, there = session_name(relay.slot), link_local(host.slot), link_local(relay.slot)
    limits = f"receive limit {MOST_ROUTES} action restart; export limit {MOST_ROUTES} action block;"
    rest = f"next hop self on; import table on; import keep filtered on; aigp originate; cost {cost};"
    return f"""\
protocol bgp {name} {{
  local {here} as OWN_AS;
  neighbor {there} % '{host.links}{relay.slot}' as {asn(relay.slot)};
  debug {{ events }};
  direct; ttl security on; bfd graceful; enforce first as on; enable extended messages on;
  # No plain restart time: routes of a session that is gone are stale from its first moment.
  graceful restart on; graceful restart time 0;
  long lived graceful restart on; long lived stale time {host.restart_time};
  connect delay time 1; connect retry time 1; error wait time 1, 5; error forget time 30;
  hold time 9; keepalive time 3;
  ipv6 {{
    import filter mesh_in6; export filter mesh_out6; {limits}
    {rest}
  }};
  ipv4 {{
    import filter mesh_in4; export filter mesh_out4; {limits}
    {rest} extended next hop on;
  }};
}}
"""
