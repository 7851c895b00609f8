"""Relays: listed, changed, put out, measured."""

from __future__ import annotations

from typing import Annotated

from altnet.common.contracts.desired import RelayState
from altnet.common.http.auth import RequireAdmin, RequireAuditor
from altnet.common.http.etag import IfMatch, require_match
from altnet.common.http.paging import Page, Paging
from altnet.common.http.problems import responses
from altnet.common.http.routes import resource
from altnet.registry.api.deps import Registry, patch_of, tell
from altnet.registry.api.lists import page_of
from altnet.registry.api.schemas.relays import Relay, RelayMetrics, RelayPatch, RelaySample
from altnet.registry.domain.liveness import Health
from altnet.registry.handlers import relays as handlers
from altnet.registry.store import networks, relays
from altnet.registry.tables import NetworkRow, RelayRow, RelayStatusRow
from fastapi import Query, Response
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

router = resource("relays")


@router.get("/v1/relays", responses=responses(401, 403, 404, 422, 503))
async def list_relays(
    registry: Registry,
    _: RequireAuditor,
    paging: Paging,
    network: Annotated[str | None, Query(max_length=64, description="Identifier or name.")] = None,
    name: Annotated[str | None, Query(max_length=63)] = None,
    region: Annotated[str | None, Query(max_length=63)] = None,
    state: RelayState | None = None,
    health: Health | None = None,
    label: Annotated[str | None, Query(max_length=128, description="`key` or `key=value`.")] = None,
    revoked: Annotated[bool, Query(description="List revoked relays instead.")] = False,
) -> Page[Relay]:
    """List relays, oldest first."""
    query = (
        select(RelayRow, RelayStatusRow, NetworkRow)
        .join(RelayStatusRow, col(RelayStatusRow.relay_id) == col(RelayRow.id))
        .join(NetworkRow, col(NetworkRow.id) == col(RelayRow.network_id))
    )
    out = col(RelayRow.revoked_at)
    query = query.where(out.is_not(None) if revoked else out.is_(None))
    for column, value in ((RelayRow.name, name), (RelayRow.region, region), (RelayRow.state, state)):
        if value is not None:
            query = query.where(col(column) == str(value))
    if health is not None:
        query = query.where(col(RelayStatusRow.health) == health.value)
    if label is not None:
        key, has_value, value = label.partition("=")
        labels = col(RelayRow.labels)
        query = query.where(labels.contains({key: value}) if has_value else labels.has_key(key))  # type: ignore[attr-defined]  # JSONB's own
    async with registry.db.read() as session:
        if network is not None:
            query = query.where(col(RelayRow.network_id) == (await networks.find(session, network)).id)
        rows, cursor = await page_of(
            session,
            query,
            by=RelayRow.id,
            params=paging,
            name=f"relays:{network}:{name}:{region}:{state}:{health}:{label}:{revoked}",
        )
    return Page[Relay](items=[Relay.of(row[0], row[1], row[2]) for row in rows], next_cursor=cursor)


@router.get("/v1/relays/{relay}", responses=responses(401, 403, 404, 422, 503))
async def get_relay(registry: Registry, _: RequireAuditor, response: Response, relay: str) -> Relay:
    """Show a relay."""
    async with registry.db.read() as session:
        row = await relays.find(session, relay)
        shown = await _show(session, row)
    tell(response, version=row.version)
    return shown


@router.patch("/v1/relays/{relay}", responses=responses(401, 403, 404, 409, 412, 422, 428, 503))
async def change_relay(
    registry: Registry, who: RequireAdmin, response: Response, relay: str, body: RelayPatch, if_match: IfMatch = None
) -> Relay:
    """Change a relay: what is left out stays."""
    async with registry.work(who) as uow:
        row = await relays.find(uow.session, relay, lock=True)
        require_match(if_match, row.version)
        change = await handlers.change_relay(uow, row, patch_of(body))
        shown = await _show(uow.session, row, change=change)
    tell(response, change=change, version=row.version)
    return shown


@router.delete("/v1/relays/{relay}", responses=responses(401, 403, 404, 409, 412, 422, 428, 503))
async def revoke_relay(
    registry: Registry, who: RequireAdmin, response: Response, relay: str, if_match: IfMatch = None
) -> Relay:
    """Put a relay out for good: its keys are refused, its clients wait for another relay."""
    async with registry.work(who) as uow:
        row = await relays.find(uow.session, relay, lock=True)
        require_match(if_match, row.version)
        change = await handlers.revoke_relay(uow, row)
        shown = await _show(uow.session, row, change=change)
    tell(response, change=change, version=row.version)
    return shown


@router.get("/v1/relays/{relay}/metrics", responses=responses(401, 403, 404, 422, 503))
async def get_relay_metrics(
    registry: Registry,
    _: RequireAuditor,
    relay: str,
    last: Annotated[int, Query(ge=1, le=1000, description="So many of the newest.")] = 120,
) -> RelayMetrics:
    """Show the last heartbeats of a relay, with its links and clients."""
    async with registry.db.read() as session:
        await relays.find(session, relay)
    return RelayMetrics(relay=relay, samples=[RelaySample.of(beat) for beat in registry.pulse.series(relay)[-last:]])


async def _show(session: AsyncSession, row: RelayRow, *, change: int | None = None) -> Relay:
    status = await relays.status(session, [row.id])
    network = await networks.find(session, row.network_id)
    return Relay.of(row, status.get(row.id), network, change=change)
