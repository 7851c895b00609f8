"""The firewall plane: one nftables table of our own, replaced as a whole in one transaction.

The table guards what WireGuard cannot see. The VXLAN socket listens on every address of the host and takes a frame for
the link of its identifier, whoever sent it: without the table anybody on the underlay could put frames into a link, and
a neighbour into the link to another one. It lets in from clients what has a client's source, from links what has a
source in the network or in a known site, and never forwards locators.

Relays have no IPv4 address in the overlay, so the kernel would send its ICMPv4 errors (too big, time exceeded) from
whatever address the host has, which no neighbour lets in. They leave from `DUMMY4` instead, and errors alone may come
from there.

Leaves out access policy (a table of its own, later) and every other table. Invariant: rendering is pure, and the
table is there as rendered or not at all.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, collapse_addresses, ip_address
from typing import Final, Protocol

import msgspec
from altnet.common.contracts.routing import Peering
from altnet.common.errors import AltnetError, Invalid, NotFound, Unavailable
from altnet.common.net import Prefix
from altnet.relay_agent.bird.neighbours import is_neighbour
from altnet.relay_agent.diff import Delete, Update
from altnet.relay_agent.pieces import FIREWALL, Key, Ruleset
from altnet.relay_agent.planes import Failures
from altnet.relay_agent.rights import pools
from altnet.relay_agent.view import Context, place

MARK: Final = "altnet "
_COMMENT: Final = re.compile(rf'comment "{MARK}([0-9a-f]{{32}})"')


DUMMY4: Final = IPv4Address("192.0.0.8")
"""RFC 7600 §4.8: what a node without an IPv4 address sends ICMPv4 errors from. Linux does so by itself where a host has
none at all."""
_ERRORS4: Final = "icmp type { 3, 11, 12 }"
"""Destination unreachable (too big is one), time exceeded, parameter problem (RFC 792)."""

_VXLAN_IDENTIFIER: Final = "@th,96,24"
"""24 bits, 4 bytes into VXLAN's header, which follows the 8 bytes of UDP's (RFC 7348 §5). nftables names it since 1.0.9
only."""


def render(
    context: Context,
    *,
    probe_port: int,
    attach_port: int,
    outside: Iterable[Prefix],
    own: Iterable[Prefix],
    pairs: Iterable[tuple[IPv6Address, int]],
    peerings: Iterable[Peering] = (),
) -> Ruleset:
    """The rules, without the table's name.

    `pairs` are the neighbours' locators, each with the identifier of the one VXLAN that it may send in: WireGuard
    proves the locator, and the kernel takes a frame for the link of its identifier, whoever it came from (RFC 7348).
    `outside` are the sites' prefixes outside the network, of all relays; `own` those that this relay originates,
    whose hosts may send from them through any interface. BGP and BFD are let in from links and from `peerings`.
    """
    plan, start = context.plan, context.names.prefix
    locators, _, clients, services = pools(plan)
    here = place(plan, context.slot)
    own_locator = here.locator
    mesh = f'{{ "{start}m0", "{start}m1" }}'
    access = "{ " + ", ".join(f'"{context.names.access_of(number)}"' for number in range(4)) + " }"
    links = f'"{start}l*"'
    bgp = (
        f"""{_peering_rules(peerings)}
		tcp dport 179 iifname != {{ "lo" }} iifname != {links} counter drop
		udp dport {{ 3784, 3785, 4784 }} iifname != {links} counter drop"""
        if context.bird
        else ""
    )
    sites, mine = tuple(outside), tuple(own)
    text = f"""\
	set sites6 {{
		type ipv6_addr
		flags interval{_elements(sites, IPv6Network)}
	}}
	set sites4 {{
		type ipv4_addr
		flags interval{_elements(sites, IPv4Network)}
	}}
	set pairs {{
		typeof ip6 saddr . {_VXLAN_IDENTIFIER}{_pairs(pairs)}
	}}
	set own6 {{
		type ipv6_addr
		flags interval{_elements(mine, IPv6Network)}
	}}
	chain arrive {{
		type filter hook prerouting priority raw; policy accept;
		iifname "lo" accept
		iifname {mesh} goto from_mesh
		iifname {access} goto from_client
		iifname {links} goto from_link
		ip6 daddr {locators} counter drop
		ip6 saddr @own6 accept
		ip6 saddr {plan.prefix} counter drop
	}}
	chain from_mesh {{
		ip6 saddr {locators} ip6 daddr {own_locator} goto from_locator
		counter drop
	}}
	chain from_locator {{
		udp dport {context.link_port} ip6 saddr . {_VXLAN_IDENTIFIER} @pairs accept
		meta l4proto {{ 47, 58 }} accept comment "GRE, whose links know both their ends, and ICMPv6"
		counter drop
	}}
	chain from_client {{
		ip6 daddr {locators} counter drop
		ip6 saddr {{ {clients}, {services} }} accept
		counter drop
	}}
	chain from_link {{
		ip6 saddr {locators} counter drop
		ip6 daddr {locators} counter drop
		ip6 saddr {{ {plan.prefix}, fe80::/10 }} accept
		ip6 saddr @sites6 accept
		ip saddr @sites4 accept
		ip saddr {DUMMY4} {_ERRORS4} accept
		counter drop
	}}
	chain local {{
		type filter hook input priority filter - 10; policy accept;
		udp dport {context.link_port} iifname != {mesh} counter drop
		udp dport {probe_port} iifname != {links} counter drop
		udp dport {attach_port} iifname {access} accept
		udp dport {attach_port} iifname {links} ip6 daddr {here.address} accept
		udp dport {attach_port} counter drop{bgp}
	}}
	chain leave {{
		type filter hook output priority filter - 10; policy accept;
		oifname {links} {_ERRORS4} ip saddr != @sites4 ip saddr set {DUMMY4}
	}}
	chain pass {{
		type filter hook forward priority filter - 10; policy accept;
		ip6 saddr {locators} counter drop
		ip6 daddr {locators} counter drop
		oifname {links} tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu
		oifname {access} tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu
	}}
"""
    return Ruleset(text=text)


def _peering_rules(peerings: Iterable[Peering]) -> str:
    """What lets routers outside speak to BIRD: from exactly their addresses, and to ours where one is set."""
    lines = []
    for one in sorted(peerings, key=lambda one: one.id):
        if one.enabled and is_neighbour(one):
            address = ip_address(one.address)
            family = "ip6" if address.version == 6 else "ip"
            where = f'iifname "{one.interface}" ' if one.interface else ""
            to = f"{family} daddr {ip_address(one.source)} " if one.source else ""
            start = f"\n\t\t{where}{family} saddr {address} {to}"
            lines.append(f"{start}tcp dport 179 accept")
            if one.bfd:
                ports = "4784" if one.multihop else "{ 3784, 3785 }"
                lines.append(f"{start}udp dport {ports} accept")
    return "".join(lines)


def script(table: str, ruleset: Ruleset) -> str:
    """What `nft -f -` gets: the table is made, dropped and made again within one transaction."""
    comment = f'\tcomment "{MARK}{mark_of(ruleset)}"\n'
    return f"table inet {table} {{}}\ndelete table inet {table}\ntable inet {table} {{\n{comment}{ruleset.text}}}\n"


def mark_of(ruleset: Ruleset) -> str:
    """What tells one ruleset from another; it is the table's comment."""
    return hashlib.sha256(ruleset.text.encode()).hexdigest()[:32]


class Tables(Protocol):
    """The nftables of a host. Every verb raises `Unavailable` where the host does not answer, with the mend."""

    async def replace(self, table: str, ruleset: Ruleset) -> None:
        """Make the table so, at once.

        Raises `NotFound` (`nft_missing`), `Invalid` (`firewall_refused`) where the kernel does not know a rule.
        """
        ...

    async def read(self, table: str) -> str | None:
        """The table as the kernel shows it, without counters; None where there is none."""
        ...

    async def delete(self, table: str) -> None:
        """Remove the table; one that is not there is fine."""
        ...


class NftTables:
    """Through the `nft` program."""

    def __init__(self, *, timeout: float) -> None:
        self._timeout = timeout

    async def replace(self, table: str, ruleset: Ruleset) -> None:
        code, _, errors = await self._run("-f", "-", given=script(table, ruleset))
        if code != 0:
            raise Invalid(
                "firewall_refused",
                f"nft refused table inet {table}: {_first_line(errors)}.",
                mend="Load the kernel's nf_tables modules, or set `firewall = false` and filter by other means.",
            )

    async def read(self, table: str) -> str | None:
        try:
            code, shown, errors = await self._run("-s", "-n", "list", "table", "inet", table)
        except NotFound:
            return None  # setting it will say what is missing
        if code == 0:
            return shown
        if "No such file or directory" in errors:
            return None
        raise Unavailable("firewall_unreadable", f"nft cannot list table inet {table}: {_first_line(errors)}.")

    async def delete(self, table: str) -> None:
        if await self.read(table) is None:
            return
        # Made first, so that deleting what is not there succeeds.
        code, _, errors = await self._run("-f", "-", given=f"table inet {table} {{}}\ndelete table inet {table}\n")
        if code != 0:
            raise Unavailable("firewall_stuck", f"nft cannot delete table inet {table}: {_first_line(errors)}.")

    async def _run(self, *arguments: str, given: str = "") -> tuple[int, str, str]:
        try:
            process = await asyncio.create_subprocess_exec(
                "nft",
                *arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        except FileNotFoundError:
            raise NotFound(
                "nft_missing",
                "the firewall cannot be set: there is no nft program.",
                field="/firewall",
                mend="Install nftables, or set `firewall = false` and drop UDP to the link port from outside.",
            ) from None
        except OSError as error:
            raise Unavailable("nft_failed", f"nft cannot be started: {error.strerror}.", field="/firewall") from None
        try:
            async with asyncio.timeout(self._timeout):
                shown, errors = await process.communicate(given.encode())
        except TimeoutError:
            raise Unavailable("nft_hangs", f"nft did not end within {self._timeout:g} s.", field="/firewall") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return process.returncode or 0, shown.decode(errors="replace"), errors.decode(errors="replace")


class MemoryTables:
    """In a dictionary. `missing` behaves like a host without nft."""

    def __init__(self) -> None:
        self.tables: dict[str, str] = {}
        self.missing = False

    async def replace(self, table: str, ruleset: Ruleset) -> None:
        self._check()
        self.tables[table] = script(table, ruleset)

    async def read(self, table: str) -> str | None:
        return self.tables.get(table)

    async def delete(self, table: str) -> None:
        self.tables.pop(table, None)

    def _check(self) -> None:
        if self.missing:
            raise NotFound("nft_missing", "the firewall cannot be set: there is no nft program.", field="/firewall")


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """The table as it is: which ruleset it says it is, and whether it is as it was after we set it."""

    mark: str
    intact: bool


class FirewallPlane:
    """The agent's own table. Drift is seen by comparing with how the kernel showed it after we set it.

    `trust` believes a table that carries the right mark, without having set it: for looking, not for doing.
    """

    name = FIREWALL

    def __init__(self, tables: Tables, table: str, *, trust: bool = False) -> None:
        self._tables = tables
        self._table = table
        self._trust = trust
        self._shown: bytes | None = None

    async def read(self) -> Mapping[Key, Seen]:
        shown = await self._tables.read(self._table)
        if shown is None:
            return {}
        mark = _COMMENT.search(shown)
        intact = self._trust if self._shown is None else _digest(shown) == self._shown
        return {"ruleset": Seen(mark=mark[1] if mark else "", intact=intact)}

    def same(self, have: Seen, want: Ruleset) -> bool:
        return have.intact and have.mark == mark_of(want)

    async def update(self, operations: Sequence[Update]) -> Failures:
        failures: Failures = {}
        for operation in operations:
            try:
                await self._tables.replace(self._table, operation.want)
                self._shown = _digest(await self._tables.read(self._table) or "")
            except AltnetError as error:
                failures[operation.key] = error
        return failures

    async def delete(self, operations: Sequence[Delete]) -> Failures:
        failures: Failures = {}
        for operation in operations:
            try:
                await self._tables.delete(self._table)
                self._shown = None
            except AltnetError as error:
                failures[operation.key] = error
        return failures


def _pairs(pairs: Iterable[tuple[IPv6Address, int]]) -> str:
    listed = ", ".join(f"{locator} . 0x{number:06x}" for locator, number in pairs)
    return f"\n\t\telements = {{ {listed} }}" if listed else ""


@lru_cache(maxsize=16)
def _elements(prefixes: tuple[Prefix, ...], family: type[IPv4Network] | type[IPv6Network]) -> str:
    # Collapsed, because an interval set refuses members that overlap.
    wanted: Iterable[Prefix]
    if family is IPv4Network:
        wanted = collapse_addresses(prefix for prefix in prefixes if isinstance(prefix, IPv4Network))
    else:
        wanted = collapse_addresses(prefix for prefix in prefixes if isinstance(prefix, IPv6Network))
    listed = ", ".join(str(prefix) for prefix in wanted)
    return f"\n\t\telements = {{ {listed} }}" if listed else ""


def _digest(shown: str) -> bytes:
    return hashlib.sha256(shown.encode()).digest()


def _first_line(text: str) -> str:
    return text.strip().split("\n", 1)[0].rstrip(".") or "no reason given"
