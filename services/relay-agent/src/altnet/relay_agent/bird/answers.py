"""A relay's routing, as it is told: its status in heartbeats, and answers to questions about routes.

Everything is asked of BIRD at the moment of the question. Leaves out who may ask (the bus guards that) and reading
BIRD's texts (state.py). Invariant: an answer names relays and peerings by their identifiers, never by BIRD's names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv6Network, ip_address, ip_network
from itertools import groupby
from typing import Final

from altnet.common.clock import Clock
from altnet.common.contracts.routing import (
    Engine,
    LearnedTable,
    NextHop,
    RouteQuery,
    RouteTable,
    RouteView,
    RoutingStatus,
    SessionStatus,
)
from altnet.common.errors import AltnetError, Invalid
from altnet.common.kernel.links import MAIN_TABLE, Links, Route, RouteKind
from altnet.common.net import Prefix
from altnet.relay_agent.bird import learned, state
from altnet.relay_agent.bird.config import session_name
from altnet.relay_agent.bird.control import BirdRefused, Control
from altnet.relay_agent.bird.daemon import Found
from altnet.relay_agent.bird.peerings import WHOLE, peering_name
from altnet.relay_agent.bird.pieces import peering_key
from altnet.relay_agent.bird.state import KnownRoute
from altnet.relay_agent.bird.watch import Plane, Watch
from altnet.relay_agent.pieces import Names

_KERNEL: Final = ("kernel6", "kernel4")
_LIMIT: Final = 500
SIGNATURE_WINDOW: Final = 30.0
"""Seconds: six times as long as a neighbour waits between two tries to connect."""


class Routing:
    """One relay's. `relays` tells slot to identifier of every relay that is known."""

    def __init__(
        self,
        plane: Plane,
        watch: Watch,
        found: Found,
        *,
        names: Names,
        links: Links,
        relays: Callable[[], Mapping[int, str]],
        clock: Clock,
    ) -> None:
        self._plane = plane
        self._watch = watch
        self._found = found
        self._names = names
        self._links = links
        self._relays = relays
        self._clock = clock
        self._signatures = learned.Signatures(window=SIGNATURE_WINDOW, monotonic=clock.monotonic)
        self._stamp: tuple[object, ...] = ()
        self._digest = learned.NOTHING.digest

    @property
    def problem(self) -> str:
        """Why routing is not as it should be; empty where it is."""
        if self._found.problem:
            return self._found.problem
        if self._found.engine is Engine.BIRD and self._watch.engine is Engine.STATIC:
            return f"BIRD cannot be kept running, static direct routes stand in: {self._plane.problem}"[:_LIMIT]
        return self._plane.problem

    async def status(self) -> RoutingStatus:
        """Numbers for a heartbeat. Never raises: what cannot be had is the problem."""
        engine, problem = self._watch.engine, self.problem
        if engine is Engine.STATIC or self._plane.daemon is None:
            peerings = self._peerings({}, {}, without="peerings need BIRD, which does not run on this host")
            return RoutingStatus(engine=Engine.STATIC, healthy=not problem, problem=problem[:_LIMIT], peerings=peerings)
        try:
            async with await self._plane.daemon.connect() as control:
                protocols = state.protocols(await control.ask("show protocols all"))
                lines = await control.ask("show bfd sessions")
                bfd = state.bfd_sessions(lines) | state.bfd_neighbours(lines)
                digest = await self._learned_digest(control, protocols)
        except AltnetError as error:
            problem = problem or str(error)
            return RoutingStatus(
                engine=engine,
                version=self._found.version,
                healthy=False,
                problem=problem[:_LIMIT],
                peerings=self._peerings({}, {}, without="BIRD does not answer"),
            )
        sessions = tuple(
            self._session(slot, relay, protocols.get(session_name(slot)), bfd)
            for slot, relay in sorted(self._plane.sessions.items())
        )
        return RoutingStatus(
            engine=engine,
            version=self._found.version,
            healthy=not problem,
            problem=problem[:_LIMIT],
            sessions=sessions,
            peerings=self._peerings(protocols, bfd),
            routes=state.counts(protocols, _KERNEL),
            learned_digest=digest,
        )

    def _session(
        self, slot: int, relay: str, protocol: state.ProtocolState | None, bfd: Mapping[str, str]
    ) -> SessionStatus:
        cost = self._watch.costs.get(relay)
        if protocol is None:
            return SessionStatus(neighbour=relay, state="down", cost=cost, problem="BIRD does not have it yet")
        word, _, trouble = protocol.info.partition(" ")
        since = None
        if protocol.since is not None:
            since = max(0.0, (self._clock.now() - protocol.since).total_seconds())
        return SessionStatus(
            neighbour=relay,
            state=(word or protocol.state).lower(),
            bfd=bfd.get(self._names.link(slot), ""),
            since=since,
            received=protocol.imported,
            refused=protocol.filtered,
            sent=protocol.exported,
            cost=cost,
            problem=trouble.strip()[:_LIMIT],
        )

    async def routes(self, query: RouteQuery) -> RouteTable:
        """Every route that this relay knows, sorted. Raises `Invalid` for a bad question, `Unavailable`."""
        target = _target(query.to)
        views = await self._from_kernel(target)
        if self._watch.engine is Engine.BIRD and self._plane.daemon is not None:
            async with await self._plane.daemon.connect() as control:
                known = self._from_bird(await _ask(control, target))
            # What the host itself delivers is told once, with the interface that it is delivered to.
            delivered = {view.prefix for view in views if view.source == "own"}
            views += [view for view in known if view.source != "own" or view.prefix not in delivered]
        views.sort(key=lambda view: (_order(view.prefix), not view.used))
        if target is not None:
            views = _taken_by(target, views)
        begin = _order(str(_prefix(query.after, "/after"))) if query.after else None
        rest = [view for view in views if begin is None or _order(view.prefix) > begin]
        page = _page(rest, query.limit)
        return RouteTable(engine=self._watch.engine, routes=tuple(page), more=len(page) < len(rest))

    async def learned(self, query: RouteQuery) -> LearnedTable:
        """What peerings told, whole. Raises `Invalid` for a bad question, `Unavailable`."""
        _target(query.to)
        if self._watch.engine is Engine.STATIC or self._plane.daemon is None:
            return learned.NOTHING
        async with await self._plane.daemon.connect() as control:
            return await self._ask_learned(control)

    async def _ask_learned(self, control: Control) -> LearnedTable:
        accepted: dict[str, list[KnownRoute]] = {}
        refused: dict[str, list[KnownRoute]] = {}
        for peering in sorted(self._configured()):
            name = peering_name(peering)
            try:
                accepted[peering] = state.routes(await control.ask(f"show route all protocol {name}"))
                refused[peering] = state.routes(await control.ask(f"show route filtered all protocol {name}"))
            except BirdRefused:
                continue  # gone from the configuration meanwhile
        return learned.table(accepted, refused)

    async def _learned_digest(self, control: Control, protocols: Mapping[str, state.ProtocolState]) -> str:
        """Worked out again only after BIRD has heard something from a peering, or has lost it."""
        names = [peering_name(peering) for peering in sorted(self._configured())]
        stamp = tuple(
            (name, known.since, known.heard, known.imported, known.filtered)
            for name in names
            if (known := protocols.get(name)) is not None
        )
        if stamp != self._stamp:
            self._digest = (await self._ask_learned(control)).digest
            self._stamp = stamp
        return self._digest

    def _configured(self) -> list[str]:
        return [peering for peering in self._plane.peerings if not self._plane.refusal(peering_key(peering))]

    def _peerings(
        self, protocols: Mapping[str, state.ProtocolState], bfd: Mapping[str, str], *, without: str = ""
    ) -> tuple[SessionStatus, ...]:
        bad, now = self._signatures.bad(), self._clock.now()
        return tuple(
            learned.session(
                peering,
                protocols.get(peering_name(identifier)),
                bfd,
                now=now,
                refusal=self._plane.refusal(peering_key(identifier)) or without,
                bad_signatures=bad,
            )
            for identifier, peering in sorted(self._plane.peerings.items())
        )

    async def _from_kernel(self, target: Prefix | None) -> list[RouteView]:
        """The agent's own routes: clients, the unreachable one, links to relays without BIRD."""
        found: list[RouteView] = []
        for route in await self._links.read_routes(table=MAIN_TABLE):
            if self._is_locator(route) or (target is not None and not _concerns(route.prefix, target)):
                continue
            if route.kind is not RouteKind.UNICAST:
                why = "nothing more specific: packets stay in the network"
                found.append(
                    RouteView(prefix=str(route.prefix), next_hops=(), used=True, source="unreachable", why=why)
                )
                continue
            hop = self._hop(route.device or "")
            source = "static" if hop.relay else "own"
            why = "direct link to a relay without BIRD" if hop.relay else "attached here"
            found.append(RouteView(prefix=str(route.prefix), next_hops=(hop,), used=True, source=source, why=why))
        return found

    def _is_locator(self, route: Route) -> bool:
        return (
            route.device is not None
            and route.device in self._names.devices
            and route.prefix.prefixlen == 128
            and (route.device.startswith(f"{self._names.prefix}m"))
        )

    def _from_bird(self, known: Sequence[KnownRoute]) -> list[RouteView]:
        known = [route for route in known if route.protocol not in (WHOLE, *_KERNEL)]
        views: list[RouteView] = []
        for _, group in groupby(sorted(known, key=lambda route: route.prefix), key=lambda route: route.prefix):
            views += self._of_prefix(list(group))
        return views

    def _of_prefix(self, known: Sequence[KnownRoute]) -> list[RouteView]:
        best = next((route for route in known if route.best), known[0])
        views = []
        for route in known:
            own = route.origin == 0
            equal = route is not best and not own and _equal(route, best)
            used = route is best or equal
            source = "own" if own else "peering" if route.origin == 2 else "mesh"
            hops = (NextHop(device="lo"),) if own else self._hops(route)
            views.append(
                RouteView(
                    prefix=route.prefix,
                    next_hops=hops,
                    used=used,
                    source=source,
                    as_path=route.as_path,
                    cost=None if own else route.cost,
                    why=reason(route, best, [one for one in known if one is not route]) + _came_from(route),
                )
            )
        return views

    def _hops(self, route: KnownRoute) -> tuple[NextHop, ...]:
        for peering in self._plane.peerings if route.origin == 2 else ():
            if peering_name(peering) == route.protocol:
                return (NextHop(peering=peering),)
        return tuple(self._hop(hop.device, hop.weight) for hop in route.hops)

    def _hop(self, device: str, weight: int = 1) -> NextHop:
        number = device.removeprefix(self._names.link_start)
        if self._names.is_link(device) and (relay := self._relays().get(int(number))) is not None:
            return NextHop(relay=relay, weight=weight)
        return NextHop(device=device, weight=weight)


def reason(route: KnownRoute, best: KnownRoute, others: Sequence[KnownRoute]) -> str:
    """Why a route is used, or what the used one has over it, in the order in which BIRD decides."""
    if route is not best:
        return "load is shared with it: it costs the same" if _equal(route, best) else f"not used: {_over(best, route)}"
    rivals = [one for one in others if one is not route]
    if route.origin == 0:
        return "this relay originates it"
    if not rivals:
        return "the only route" + (", and a stale one: its session is down" if route.stale else "")
    strongest = min(rivals, key=lambda one: (one.origin != 0, one.stale, -one.local_preference, one.cost or 0))
    return f"equal to the others: {_over(route, strongest)}" if _equal(route, strongest) else _over(route, strongest)


def _over(better: KnownRoute, worse: KnownRoute) -> str:
    """What the better one has over the worse one."""
    if better.origin == 0:
        return "this relay originates it"
    if better.stale != worse.stale:
        return "the other one is stale: its session is down"
    if better.local_preference != worse.local_preference:
        if (better.origin, worse.origin) == (2, 1) and better.local_preference == worse.local_preference + 1:
            return "this relay's own way out"
        return "the other one leads through a relay that is drained" if worse.local_preference == 50 else "preferred"
    if better.cost != worse.cost:
        return f"lowest cost, {better.cost} against {worse.cost}"
    if len(better.as_path) != len(worse.as_path):
        return f"shorter path, {len(better.as_path)} against {len(worse.as_path)} relays"
    return "same cost and length"


def _came_from(route: KnownRoute) -> str:
    """Who told it outside, and whether it is of any use."""
    origin = learned.outside_origin(route)
    said = "" if origin is None else f"; from AS{origin} outside"
    return said if route.in_kernel else f"{said}; but the kernel does not take it"


def _equal(one: KnownRoute, other: KnownRoute) -> bool:
    """Whether BIRD shares load over both (its `merge paths`)."""
    return (one.stale, one.local_preference, one.cost, len(one.as_path), one.origin) == (
        other.stale,
        other.local_preference,
        other.cost,
        len(other.as_path),
        other.origin,
    )


async def _ask(control: Control, target: Prefix | None) -> list[KnownRoute]:
    found: list[KnownRoute] = []
    for table, version in (("master6", 6), ("master4", 4)):
        if target is not None and target.version != version:
            continue
        found += state.routes(await control.ask(f"show route table {table} all"))
    return found if target is None else [route for route in found if _concerns(ip_network(route.prefix), target)]


def _target(text: str) -> Prefix | None:
    return _prefix(text, "/to") if text else None


def _prefix(text: str, field: str) -> Prefix:
    try:
        return ip_network(text if "/" in text else ip_address(text))
    except ValueError as error:
        raise Invalid("bad_prefix", f"not an address or prefix: {error}.", field=field) from None


def _concerns(prefix: Prefix, target: Prefix) -> bool:
    """Whether packets to the target can take a route to the prefix."""
    return (
        prefix.version == target.version
        and int(target.network_address) & int(prefix.netmask) == int(prefix.network_address)
        and prefix.prefixlen <= target.prefixlen
    )


def _taken_by(target: Prefix, views: Sequence[RouteView]) -> list[RouteView]:
    """The most specific of those that cover the target, and its rivals."""
    longest = max((ip_network(view.prefix).prefixlen for view in views), default=0)
    return [view for view in views if ip_network(view.prefix).prefixlen == longest]


def _order(prefix: str) -> tuple[int, int, int]:
    network = ip_network(prefix)
    return (4 if not isinstance(network, IPv6Network) else 6, int(network.network_address), network.prefixlen)


def _page(views: Sequence[RouteView], limit: int) -> Sequence[RouteView]:
    """At most `limit`, and never half of a prefix's routes unless one prefix alone has more."""
    if len(views) <= limit:
        return views
    cut = views[limit].prefix
    whole = [view for view in views[:limit] if view.prefix != cut]
    return whole or views[:limit]
