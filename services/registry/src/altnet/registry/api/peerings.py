"""Peerings: BGP sessions with routers outside."""

from __future__ import annotations

from typing import Annotated

from altnet.common.contracts.routing import Engine
from altnet.common.http.auth import RequireAdmin, RequireAuditor
from altnet.common.http.etag import IfMatch, require_match
from altnet.common.http.paging import Page, Paging
from altnet.common.http.problems import responses
from altnet.common.http.routes import resource
from altnet.registry.api.deps import Parts, Registry, tell
from altnet.registry.api.lists import page_of
from altnet.registry.api.schemas.peerings import Peering, PeeringNew, PeeringPatch
from altnet.registry.api.schemas.sessions import Session
from altnet.registry.domain.liveness import Health
from altnet.registry.domain.sessions import Standing
from altnet.registry.handlers import peerings as handlers
from altnet.registry.store import networks, peerings, relays, status
from altnet.registry.tables import PeeringRow, PeeringStatusRow
from fastapi import Query, Response
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

router = resource("peerings")


@router.get("/v1/peerings", responses=responses(401, 403, 404, 422, 503))
async def list_peerings(
    registry: Registry,
    _: RequireAuditor,
    paging: Paging,
    network: Annotated[str | None, Query(max_length=64, description="Identifier or name.")] = None,
    name: Annotated[str | None, Query(max_length=63)] = None,
    relay: Annotated[str | None, Query(max_length=64, description="Held by this relay.")] = None,
    asn: Annotated[int | None, Query(ge=0, le=2**32 - 1, description="Of the neighbour.")] = None,
    standing: Annotated[Standing | None, Query(description="Of the session.")] = None,
    enabled: bool | None = None,
) -> Page[Peering]:
    """List peerings, oldest first."""
    query = select(PeeringRow)
    for column, value in (
        (PeeringRow.name, name),
        (PeeringRow.relay_id, relay),
        (PeeringRow.asn, asn),
        (PeeringRow.enabled, enabled),
    ):
        if value is not None:
            query = query.where(col(column) == value)
    if standing is not None:
        judged = func.coalesce(col(PeeringStatusRow.standing), Standing.NEW.value)
        query = query.outerjoin(PeeringStatusRow, col(PeeringStatusRow.peering_id) == col(PeeringRow.id))
        query = query.where(judged == standing.value)
    async with registry.db.read() as session:
        if network is not None:
            query = query.where(col(PeeringRow.network_id) == (await networks.find(session, network)).id)
        rows, cursor = await page_of(
            session,
            query,
            by=PeeringRow.id,
            params=paging,
            name=f"peerings:{network}:{name}:{relay}:{asn}:{standing}:{enabled}",
        )
        items = await _show(registry, session, [row[0] for row in rows])
    return Page[Peering](items=items, next_cursor=cursor)


@router.post("/v1/peerings", status_code=201, responses=responses(401, 403, 404, 409, 422, 503))
async def create_peering(registry: Registry, who: RequireAdmin, response: Response, body: PeeringNew) -> Peering:
    """Make a peering. The password, if any, is sealed for the relay at once and never shown again."""
    async with registry.work(who) as uow:
        row, change = await handlers.create_peering(uow, body.command(), randomness=registry.randomness)
        shown = (await _show(registry, uow.session, [row], change=change))[0]
    tell(response, change=change, version=row.version)
    return shown


@router.get("/v1/peerings/{peering}", responses=responses(401, 403, 404, 422, 503))
async def get_peering(registry: Registry, _: RequireAuditor, response: Response, peering: str) -> Peering:
    """Show a peering, and how its session is."""
    async with registry.db.read() as session:
        row = await peerings.find(session, peering)
        shown = (await _show(registry, session, [row]))[0]
    tell(response, version=row.version)
    return shown


@router.patch("/v1/peerings/{peering}", responses=responses(401, 403, 404, 409, 412, 422, 428, 503))
async def change_peering(
    registry: Registry,
    who: RequireAdmin,
    response: Response,
    peering: str,
    body: PeeringPatch,
    if_match: IfMatch = None,
) -> Peering:
    """Change a peering: what is left out stays."""
    async with registry.work(who) as uow:
        row = await handlers.hold(uow, peering)
        require_match(if_match, row.version)
        change = await handlers.change_peering(uow, row, body.fields(), randomness=registry.randomness)
        shown = (await _show(registry, uow.session, [row], change=change))[0]
    tell(response, change=change, version=row.version)
    return shown


@router.delete("/v1/peerings/{peering}", responses=responses(401, 403, 404, 412, 422, 428, 503))
async def remove_peering(
    registry: Registry, who: RequireAdmin, response: Response, peering: str, if_match: IfMatch = None
) -> Peering:
    """Remove a peering; its session ends and its routes go. Answers with what it was."""
    async with registry.work(who) as uow:
        row = await handlers.hold(uow, peering)
        require_match(if_match, row.version)
        was = (await _show(registry, uow.session, [row]))[0]
        change = await handlers.remove_peering(uow, row)
    tell(response, change=change)
    return was.model_copy(update={"change": change})


async def _show(
    registry: Parts, session: AsyncSession, rows: list[PeeringRow], *, change: int | None = None
) -> list[Peering]:
    judged = await peerings.statuses(session, [row.id for row in rows])
    holders = {row.id: row for row in await relays.many(session, sorted({row.relay_id for row in rows}))}
    stored = await relays.status(session, list(holders))
    said = {relay: status.routing_of(stored.get(relay), registry.pulse.last(relay)) for relay in holders}
    found = []
    for row in rows:
        routing = said[row.relay_id]
        own = next((one for one in routing.said.peerings if one.neighbour == row.id), None) if routing else None
        holder = holders[row.relay_id]
        found.append(
            Peering.of(
                row,
                judged.get(row.id),
                Session.of(own, routing.at) if routing and own else None,
                identity_key=holder.identity_key,
                engine=routing.said.engine if routing else Engine(holder.routing),
                silent=stored[holder.id].health in (Health.LATE, Health.DOWN),
                change=change,
            )
        )
    return found
