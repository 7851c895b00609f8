"""Routing as it is: sessions, routes, paths, and what neighbours outside told."""

from __future__ import annotations

from typing import Annotated, Any

from altnet.common.contracts.routing import MOST_ROUTES, Engine, Family, RouteQuery
from altnet.common.errors import Conflict
from altnet.common.http.auth import RequireAuditor
from altnet.common.http.paging import Page, Paging
from altnet.common.http.problems import responses
from altnet.common.http.routes import resource
from altnet.common.net import parse_prefix
from altnet.registry.api.deps import Parts, Registry
from altnet.registry.api.lists import page_of
from altnet.registry.api.schemas.routing import LearnedRoute, NetworkPath, RefusedRoute, RelayRoutes
from altnet.registry.api.schemas.sessions import RelayRouting, RelaySessions, Session
from altnet.registry.domain.learned import severity
from altnet.registry.handlers import routing as handlers
from altnet.registry.handlers.routing import Questions
from altnet.registry.store import networks, relays, status
from altnet.registry.tables import LearnedRouteRow, PeeringRow, RefusedRouteRow, RelayRow
from fastapi import Query
from sqlalchemy import func, literal, select
from sqlalchemy.dialects.postgresql import CIDR
from sqlmodel import col

router = resource("routing")

Within = Annotated[str | None, Query(max_length=64, description="Prefixes inside this one, itself included.")]
Relay = Annotated[str | None, Query(max_length=64, description="Told to this relay.")]
Peering = Annotated[str | None, Query(max_length=64, description="Told by this peering's neighbour.")]


@router.get("/v1/relays/{relay}/sessions", responses=responses(401, 403, 404, 422, 503))
async def list_relay_sessions(registry: Registry, _: RequireAuditor, relay: str) -> RelaySessions:
    """Show every BGP session of a relay, as it last said."""
    async with registry.db.read() as session:
        await relays.find(session, relay)
        stored = await relays.status(session, [relay])
    routing = status.routing_of(stored.get(relay), registry.pulse.last(relay))
    if routing is None:
        return RelaySessions(relay=relay, routing=None, heard_at=None, sessions=[], peerings=[])
    return RelaySessions(
        relay=relay,
        routing=RelayRouting.of(routing.said),
        heard_at=routing.at,
        sessions=[Session.of(one, routing.at) for one in routing.said.sessions],
        peerings=[Session.of(one, routing.at) for one in routing.said.peerings],
    )


@router.get("/v1/relays/{relay}/routes", responses=responses(401, 403, 404, 409, 422, 503))
async def list_relay_routes(
    registry: Registry,
    _: RequireAuditor,
    relay: str,
    to: Annotated[
        str, Query(max_length=64, description="Address or prefix: only routes that its packets can take.")
    ] = "",
    after: Annotated[str, Query(max_length=64, description="`next_after` of the answer before.")] = "",
    limit: Annotated[int, Query(ge=1, le=MOST_ROUTES)] = MOST_ROUTES,
) -> RelayRoutes:
    """Ask a relay for its routes, now. Of one without a routing engine they are computed."""
    query = RouteQuery(to=handlers.check_query(to), after=handlers.check_query(after, field="/after"), limit=limit)
    async with registry.db.read() as session:
        row = await relays.find(session, relay)
    if row.revoked_at is not None:
        raise Conflict("relay_revoked", "the relay has been revoked and routes nothing.")
    engine = _engines(registry, [row])[row.id]
    table = await _questions(registry).routes(row, engine, query)
    return RelayRoutes.of(relay, table, computed=engine is Engine.STATIC)


@router.get("/v1/paths", responses=responses(401, 403, 404, 409, 422, 503))
async def get_path(
    registry: Registry,
    _: RequireAuditor,
    source: Annotated[
        str,
        Query(alias="from", min_length=1, max_length=64, description="Relay, client or service (name, id, address)."),
    ],
    target: Annotated[str, Query(alias="to", min_length=1, max_length=64, description="The same, or any address.")],
    network: Annotated[str | None, Query(max_length=64, description="Identifier or name.")] = None,
) -> NetworkPath:
    """Follow a packet from relay to relay, asking each what it does and why.

    A relay that does not answer, a dead end and a loop are part of the answer: `complete` is false then.
    """
    async with registry.db.read() as session:
        ends = await handlers.find_ends(session, source=source, target=target, network=network)
    engines = _engines(registry, ends.relays.values())
    path = await handlers.follow(ends, _questions(registry), engines=engines, settings=registry.settings.paths)
    return NetworkPath.of(ends, path)


@router.get("/v1/routes/learned", responses=responses(401, 403, 404, 422, 503))
async def list_learned_routes(
    registry: Registry,
    _: RequireAuditor,
    paging: Paging,
    network: Annotated[str | None, Query(max_length=64, description="Identifier or name.")] = None,
    relay: Relay = None,
    peering: Peering = None,
    prefix: Annotated[str | None, Query(max_length=64, description="Exactly this prefix.")] = None,
    within: Within = None,
    family: Family | None = None,
    asn: Annotated[int | None, Query(ge=0, le=2**32 - 1, description="Anywhere in the path.")] = None,
    origin_asn: Annotated[int | None, Query(ge=0, le=2**32 - 1, description="At the path's end.")] = None,
) -> Page[LearnedRoute]:
    """List routes that routers outside told and that were accepted, in the order in which they came."""
    row = LearnedRouteRow
    query = _told(row, relay=relay, peering=peering, prefix=prefix, within=within)
    if family is not None:
        query = query.where(func.family(col(row.prefix)) == (4 if family is Family.IPV4 else 6))
    path = col(row.as_path)
    if asn is not None:
        query = query.where(literal(asn) == func.any(path))
    if origin_asn is not None:
        query = query.where(path[func.cardinality(path)] == origin_asn)
    async with registry.db.read() as session:
        if network is not None:
            query = query.where(col(row.network_id) == (await networks.find(session, network)).id)
        rows, cursor = await page_of(
            session,
            query,
            by=row.id,
            params=paging,
            name=f"learned:{network}:{relay}:{peering}:{prefix}:{within}:{family}:{asn}:{origin_asn}",
        )
    return Page[LearnedRoute](items=[LearnedRoute.of(one[0], one[1], one[2]) for one in rows], next_cursor=cursor)


@router.get("/v1/routes/refused", responses=responses(401, 403, 404, 422, 503))
async def list_refused_routes(
    registry: Registry,
    _: RequireAuditor,
    paging: Paging,
    network: Annotated[str | None, Query(max_length=64, description="Identifier or name.")] = None,
    relay: Relay = None,
    peering: Peering = None,
    prefix: Annotated[str | None, Query(max_length=64, description="Exactly this prefix.")] = None,
    within: Within = None,
    reason: Annotated[str | None, Query(max_length=64)] = None,
) -> Page[RefusedRoute]:
    """List routes that routers outside tell and that filters refuse, in the order in which they came."""
    row = RefusedRouteRow
    query = _told(row, relay=relay, peering=peering, prefix=prefix, within=within)
    if reason is not None:
        query = query.where(col(row.reason) == reason)
    async with registry.db.read() as session:
        if network is not None:
            query = query.where(col(row.network_id) == (await networks.find(session, network)).id)
        rows, cursor = await page_of(
            session,
            query,
            by=row.id,
            params=paging,
            name=f"refused:{network}:{relay}:{peering}:{prefix}:{within}:{reason}",
        )
    items = [RefusedRoute.of(one[0], one[1], one[2], severity=severity(one[0].reason)) for one in rows]
    return Page[RefusedRoute](items=items, next_cursor=cursor)


def _told(row: Any, *, relay: str | None, peering: str | None, prefix: str | None, within: str | None) -> Any:
    """What learned and refused routes are filtered by alike. Raises `Invalid` for a prefix that is none."""
    query = (
        select(row, PeeringRow, RelayRow)
        .join(PeeringRow, col(PeeringRow.id) == col(row.peering_id))
        .join(RelayRow, col(RelayRow.id) == col(row.relay_id))
    )
    if relay is not None:
        query = query.where(col(row.relay_id) == relay)
    if peering is not None:
        query = query.where(col(row.peering_id) == peering)
    if prefix is not None:
        query = query.where(col(row.prefix) == parse_prefix(prefix, field="/prefix"))
    if within is not None:
        inside = literal(str(parse_prefix(within, field="/within"))).cast(CIDR)
        query = query.where(col(row.prefix).op("<<=")(inside))
    return query


def _questions(registry: Parts) -> Questions:
    return Questions(registry.bus, timeout=registry.settings.paths.ask_timeout)


def _engines(registry: Parts, rows: Any) -> dict[str, Engine]:
    """What each relay runs: its last heartbeat's word, which is newer than its enrolment's."""
    found = {}
    for row in rows:
        last = registry.pulse.last(row.id)
        said = last.heartbeat.routing if last is not None else None
        found[row.id] = said.engine if said is not None else Engine(row.routing)
    return found
