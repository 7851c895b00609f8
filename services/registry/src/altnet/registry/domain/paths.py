"""The path between two points, walked relay by relay: what each one does with a packet to that address, and why.

Every relay is asked once; equal-cost branches are followed side by side, level by level. Leaves out how a relay is
asked (`Ask`) and what the points are (`handlers.routing`).

Invariant: the walk ends, whatever relays answer: it goes at most so deep, asks at most so many, and never one twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Final

from altnet.common.contracts.routing import NextHop, RouteTable, RouteView
from altnet.common.errors import AltnetError
from altnet.common.net import Prefix

Address = IPv4Address | IPv6Address
Ask = Callable[[str], Awaitable[RouteTable]]
"""A relay's routes to the target. Raises `AltnetError` where there is no answer."""


class End(StrEnum):
    """What becomes of a packet at a relay, or of a path."""

    FORWARDED = "forwarded"
    DELIVERED = "delivered"
    """Here: to the relay itself, to one of its clients, to a network behind it."""
    LEFT = "left"
    """To a router outside, by a peering."""
    NO_ROUTE = "no_route"
    UNREACHABLE = "unreachable"
    """A route says that there is no way."""
    NOBODY = "nobody"
    """A relay has a network for it at its side, and nobody there has the address."""
    LOOP = "loop"
    NO_ANSWER = "no_answer"
    TOO_LONG = "too_long"


MOST_ALTERNATIVES: Final = 16
"""Shown of one relay."""

_GOOD = (End.FORWARDED, End.DELIVERED, End.LEFT)
_FATE = {
    End.DELIVERED: "the packet arrives.",
    End.LEFT: "the packet leaves the network through a peering.",
    End.NO_ROUTE: "a relay has no route to it.",
    End.UNREACHABLE: "a relay has no way to it and says so.",
    End.NOBODY: "it comes to where the address would be, and nobody has it.",
    End.LOOP: "relays hand it round in a circle.",
    End.NO_ANSWER: "a relay did not answer; what is known so far is shown.",
    End.TOO_LONG: "it goes on beyond what is followed.",
}


@dataclass
class Hop:
    """One relay on the way."""

    relay: str
    depth: int
    """Relays before it on the shortest branch."""
    end: End = End.NO_ANSWER
    detail: str = ""
    route: RouteView | None = None
    """The one that packets take."""
    alternatives: tuple[RouteView, ...] = ()
    """Others that it knows, next best first as the relay has them."""
    loops: frozenset[str] = frozenset()
    """Next relays that are on the way here already."""

    @property
    def next_relays(self) -> tuple[str, ...]:
        """Each once, in the route's order."""
        return _relays(self.route.next_hops if self.route else ())


@dataclass
class Walk:
    """All hops, nearest first, and what became of the packet on the worst branch."""

    hops: list[Hop] = field(default_factory=list)
    outcome: End = End.NO_ANSWER
    detail: str = ""

    @property
    def complete(self) -> bool:
        """Whether every branch ends where packets arrive, or leave by a peering."""
        return self.outcome in (End.DELIVERED, End.LEFT)

    @property
    def first_branch(self) -> list[str]:
        """Relays in a row, by the first next hop of each."""
        by_relay = {hop.relay: hop for hop in self.hops}
        found: list[str] = []
        relay = self.hops[0].relay if self.hops else None
        while relay is not None and relay not in found:
            found.append(relay)
            hop = by_relay.get(relay)
            relay = next(iter(hop.next_relays), None) if hop and hop.end is not End.TOO_LONG else None
        return found


async def walk(start: str, target: Address, ask: Ask, *, most_hops: int, most_relays: int) -> Walk:
    """Follow a packet to `target` from the relay `start`."""
    found = Walk()
    seen = {start}
    level = [start]
    while level:
        depth = found.hops[-1].depth + 1 if found.hops else 0
        hops = await asyncio.gather(*(_hop(relay, depth, target, ask) for relay in level))
        found.hops += hops
        following: list[str] = []
        for hop in hops:
            fresh = [relay for relay in hop.next_relays if relay not in seen and relay not in following]
            if fresh and (depth + 1 >= most_hops or len(seen) + len(following) + len(fresh) > most_relays):
                hop.end, hop.detail = (
                    End.TOO_LONG,
                    f"not followed further than {most_hops} hops and {most_relays} relays",
                )
                continue
            following += fresh
        seen.update(following)
        level = following
    judge(found)
    return found


def judge(found: Walk) -> None:
    """Mark loops, and say what became of the packet."""
    _mark_loops(found.hops)
    ends = [hop.end for hop in found.hops]
    bad = next((end for end in ends if end not in _GOOD), None)
    if bad is not None:
        found.outcome = bad
    elif End.DELIVERED in ends:
        found.outcome = End.DELIVERED
    else:
        found.outcome = End.LEFT if End.LEFT in ends else End.NO_ANSWER
    found.detail = _FATE[found.outcome]


def end_at_nobody(found: Walk) -> None:
    """Nobody has the target, by the registry: what a relay would deliver to a network at its side, nobody takes."""
    for hop in found.hops:
        if hop.end is End.DELIVERED:
            hop.end, hop.detail = End.NOBODY, "no relay, client or service has this address"
    judge(found)


def covers(prefix: str, target: Address) -> Prefix | None:
    """The prefix, if packets to `target` match it."""
    try:
        network = ip_network(prefix)
    except ValueError:
        return None
    return network if network.version == target.version and target in network else None


async def _hop(relay: str, depth: int, target: Address, ask: Ask) -> Hop:
    hop = Hop(relay=relay, depth=depth)
    try:
        table = await ask(relay)
    except AltnetError as error:
        hop.detail = error.detail
        return hop
    fitting = [(prefix.prefixlen, route) for route in table.routes if (prefix := covers(route.prefix, target))]
    used = [(length, route) for length, route in fitting if route.used]
    if not used:
        hop.end, hop.detail = End.NO_ROUTE, f"no route to {target}"
        hop.alternatives = _specific_first(fitting)
        return hop
    hop.route = max(used, key=lambda one: one[0])[1]
    hop.alternatives = _specific_first([one for one in fitting if one[1] is not hop.route])
    hop.end, hop.detail = _end(hop.route, relay)
    return hop


def _specific_first(routes: list[tuple[int, RouteView]]) -> tuple[RouteView, ...]:
    return tuple(route for _, route in sorted(routes, key=lambda one: -one[0])[:MOST_ALTERNATIVES])


def _end(route: RouteView, relay: str) -> tuple[End, str]:
    ways = route.next_hops
    if route.source == "unreachable" or not ways:
        return End.UNREACHABLE, f"{route.prefix} is unreachable here"
    if relay in _relays(ways):
        return End.LOOP, "it names itself as next hop"
    if any(way.relay for way in ways):
        return End.FORWARDED, ""
    if any(way.peering for way in ways):
        return End.LEFT, ""
    return End.DELIVERED, ""


def _relays(ways: Iterable[NextHop]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(way.relay for way in ways if way.relay))


def _mark_loops(hops: list[Hop]) -> None:
    """Depth first from the start, without recursion: an edge to a relay that is on the way here closes a circle."""
    by_relay: Mapping[str, Hop] = {hop.relay: hop for hop in hops}
    done: set[str] = set()
    way: list[tuple[Hop, list[str]]] = []
    if hops:
        way.append((hops[0], list(hops[0].next_relays)))
    while way:
        hop, left = way[-1]
        if not left:
            done.add(hop.relay)
            way.pop()
            continue
        relay = left.pop(0)
        if any(relay == earlier.relay for earlier, _ in way):
            hop.loops |= {relay}
            hop.end, hop.detail = End.LOOP, f"it goes back to {relay}"
        elif relay not in done and relay in by_relay:
            way.append((by_relay[relay], list(by_relay[relay].next_relays)))
