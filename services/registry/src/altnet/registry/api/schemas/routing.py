"""Routes and paths, as relays have them now, and routes that neighbours outside told."""

from __future__ import annotations

from altnet.common.contracts.routing import Engine, RouteTable, RouteView
from altnet.common.http.schema import Model
from altnet.registry.api.schemas.common import Time
from altnet.registry.domain.paths import End, Hop
from altnet.registry.handlers.routing import Ends, Path
from altnet.registry.store.places import Place
from altnet.registry.tables import LearnedRouteRow, PeeringRow, RefusedRouteRow, RelayRow


class RouteNextHop(Model):
    """One way out: exactly one of `relay`, `peering` and `device` is not empty."""

    relay: str
    peering: str
    device: str
    """An interface of the host; `lo`: the relay itself, `host`: a network behind it."""
    weight: int
    """Its share of the packets, against the others'."""


class Route(Model):
    """A route that a relay knows."""

    prefix: str
    next_hops: list[RouteNextHop]
    """Several: packets are shared among them."""
    used: bool
    """Whether packets take it."""
    source: str
    """`own`, `mesh`, `peering`, `static` or `unreachable`."""
    as_path: list[int]
    cost: int | None
    """Summed along the path; the lowest wins."""
    why: str
    """Why it is used, or what another one has over it."""

    @classmethod
    def of(cls, view: RouteView) -> Route:
        return cls(
            prefix=view.prefix,
            next_hops=[
                RouteNextHop(relay=way.relay, peering=way.peering, device=way.device, weight=way.weight)
                for way in view.next_hops
            ],
            used=view.used,
            source=view.source,
            as_path=list(view.as_path),
            cost=view.cost,
            why=view.why,
        )


class RelayRoutes(Model):
    """A relay's routes at this moment, sorted by prefix."""

    relay: str
    engine: Engine
    computed: bool
    """It has no routing engine: what it does follows from its documents."""
    routes: list[Route]
    next_after: str | None
    """Ask with it as `after` for what follows; null: that was all."""

    @classmethod
    def of(cls, relay: str, table: RouteTable, *, computed: bool) -> RelayRoutes:
        last = table.routes[-1].prefix if table.more and table.routes else None
        return cls(
            relay=relay,
            engine=table.engine,
            computed=computed,
            routes=[Route.of(view) for view in table.routes],
            next_after=last,
        )


class PathEnd(Model):
    """One end of a path."""

    kind: str
    """`relay`, `client`, `service`, `site`, `nobody` (an address of the network that nobody has) or `outside`."""
    id: str
    name: str
    address: str
    relay: str | None
    """Where it is attached."""

    @classmethod
    def of(cls, place: Place) -> PathEnd:
        return cls(kind=place.kind, id=place.id, name=place.name, address=str(place.address), relay=place.relay)


class PathHop(Model):
    """One relay on the way."""

    relay: str
    name: str
    depth: int
    """Relays before it."""
    outcome: End
    """What becomes of the packet here."""
    detail: str
    computed: bool
    """It has no routing engine: its routes were computed."""
    route: Route | None
    """The one that packets take, and why."""
    alternatives: list[Route]
    """What else it knows, most specific first."""
    loops: list[str]
    """Next relays that are on the way here already."""

    @classmethod
    def of(cls, hop: Hop, ends: Ends, path: Path) -> PathHop:
        row = ends.relays.get(hop.relay)
        return cls(
            relay=hop.relay,
            name=row.name if row else "",
            depth=hop.depth,
            outcome=hop.end,
            detail=hop.detail,
            computed=hop.relay in path.computed,
            route=Route.of(hop.route) if hop.route else None,
            alternatives=[Route.of(view) for view in hop.alternatives],
            loops=sorted(hop.loops),
        )


class NetworkPath(Model):
    """The way of a packet, as the relays on it say at this moment."""

    source: PathEnd
    target: PathEnd
    complete: bool
    """Every branch ends where packets arrive, or leave by a peering."""
    outcome: End
    """What becomes of the packet; of several branches the worst."""
    detail: str
    cost: int | None
    """From the first relay on, as that one has it."""
    relays: list[str]
    """The first branch, in order."""
    hops: list[PathHop]
    """Every relay of every branch, nearest first."""

    @classmethod
    def of(cls, ends: Ends, path: Path) -> NetworkPath:
        walk = path.walk
        first = walk.hops[0].route if walk.hops else None
        return cls(
            source=PathEnd.of(ends.source),
            target=PathEnd.of(ends.target),
            complete=walk.complete,
            outcome=walk.outcome,
            detail=walk.detail,
            cost=first.cost if first else None,
            relays=walk.first_branch,
            hops=[PathHop.of(hop, ends, path) for hop in walk.hops],
        )


class LearnedRoute(Model):
    """A route that a router outside told, and that was accepted."""

    relay: str
    relay_name: str
    peering: str
    peering_name: str
    neighbour: str
    """Address of the router that told it."""
    prefix: str
    as_path: list[int]
    origin_asn: int | None
    """Who originated it: the last of the path."""
    next_hop: str
    communities: list[str]
    since: Time

    @classmethod
    def of(cls, row: LearnedRouteRow, peering: PeeringRow, relay: RelayRow) -> LearnedRoute:
        return cls(
            relay=relay.id,
            relay_name=relay.name,
            peering=peering.id,
            peering_name=peering.name,
            neighbour=peering.address,
            prefix=str(row.prefix),
            as_path=row.as_path,
            origin_asn=row.as_path[-1] if row.as_path else None,
            next_hop=row.next_hop,
            communities=row.communities,
            since=row.since,
        )


class RefusedRoute(Model):
    """A route that a router outside told, and that a filter refused."""

    relay: str
    relay_name: str
    peering: str
    peering_name: str
    neighbour: str
    prefix: str
    as_path: list[int]
    reason: str
    """`own_prefix`, `default_route`, `site_prefix`, `not_in_rules`, `path_loop`, …"""
    severity: str
    """`high`, `medium` or `low`."""
    since: Time

    @classmethod
    def of(cls, row: RefusedRouteRow, peering: PeeringRow, relay: RelayRow, *, severity: str) -> RefusedRoute:
        return cls(
            relay=relay.id,
            relay_name=relay.name,
            peering=peering.id,
            peering_name=peering.name,
            neighbour=peering.address,
            prefix=str(row.prefix),
            as_path=row.as_path,
            reason=row.reason,
            severity=severity,
            since=row.since,
        )
