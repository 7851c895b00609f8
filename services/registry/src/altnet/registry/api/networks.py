"""Networks, and the mesh: what is planned against what is applied."""

from __future__ import annotations

from typing import Annotated

from altnet.common.http.auth import RequireAdmin, RequireAuditor
from altnet.common.http.etag import IfMatch, require_match
from altnet.common.http.paging import Page, Paging
from altnet.common.http.problems import responses
from altnet.common.http.routes import resource
from altnet.registry.api.deps import Registry, patch_of, tell
from altnet.registry.api.lists import page_of
from altnet.registry.api.schemas.changes import Reason
from altnet.registry.api.schemas.mesh import MeshRebuilt, MeshRelay
from altnet.registry.api.schemas.networks import Network, NetworkNew, NetworkPatch
from altnet.registry.domain.behind import Wanted, in_sync, reasons
from altnet.registry.domain.liveness import Health
from altnet.registry.handlers import networks as handlers
from altnet.registry.handlers.admin import rebuild_desired
from altnet.registry.store import networks, sync
from altnet.registry.tables import NetworkRow, RelayRow, RelayStatusRow
from fastapi import Query, Response
from sqlalchemy import select
from sqlmodel import col

router = resource("networks")


@router.get("/v1/networks", responses=responses(401, 403, 422, 503))
async def list_networks(
    registry: Registry, _: RequireAuditor, paging: Paging, name: Annotated[str | None, Query(max_length=63)] = None
) -> Page[Network]:
    """List networks, oldest first."""
    query = select(NetworkRow)
    if name is not None:
        query = query.where(col(NetworkRow.name) == name)
    async with registry.db.read() as session:
        rows, cursor = await page_of(
            session,
            query,
            by=NetworkRow.id,
            params=paging,
            name=f"networks:{name}",
        )
    return Page[Network](items=[Network.of(row[0]) for row in rows], next_cursor=cursor)


@router.post("/v1/networks", status_code=201, responses=responses(401, 403, 409, 422, 503))
async def create_network(registry: Registry, who: RequireAdmin, response: Response, body: NetworkNew) -> Network:
    """Make a network."""
    async with registry.work(who) as uow:
        row, change = await handlers.create_network(
            uow,
            name=body.name,
            prefix=body.prefix,
            settings=patch_of(body.settings) if body.settings else {},
            randomness=registry.randomness,
        )
    tell(response, change=change, version=row.version)
    return Network.of(row, change=change)


@router.get("/v1/networks/{network}", responses=responses(401, 403, 404, 422, 503))
async def get_network(registry: Registry, _: RequireAuditor, response: Response, network: str) -> Network:
    """Show a network, by identifier or name."""
    async with registry.db.read() as session:
        row = await networks.find(session, network)
    tell(response, version=row.version)
    return Network.of(row)


@router.patch("/v1/networks/{network}", responses=responses(401, 403, 404, 412, 422, 428, 503))
async def change_network(
    registry: Registry,
    who: RequireAdmin,
    response: Response,
    network: str,
    body: NetworkPatch,
    if_match: IfMatch = None,
) -> Network:
    """Change a network's settings. Its prefix stays."""
    async with registry.work(who) as uow:
        row = await networks.find(uow.session, network, lock=True)
        require_match(if_match, row.version)
        change = await handlers.change_network(uow, row, settings=patch_of(body.settings))
    tell(response, change=change, version=row.version)
    return Network.of(row, change=change)


mesh_router = resource("mesh")


@mesh_router.post("/v1/mesh/rebuild", status_code=202, responses=responses(401, 403, 503))
async def rebuild_mesh(registry: Registry, who: RequireAdmin) -> MeshRebuilt:
    """Have every document put on the bus again, whatever it seems to hold. Generations stay; relays notice nothing."""
    async with registry.work(who) as uow:
        return MeshRebuilt(documents=await rebuild_desired(uow))


@mesh_router.get("/v1/mesh", responses=responses(401, 403, 404, 422, 503))
async def list_mesh(
    registry: Registry,
    _: RequireAuditor,
    paging: Paging,
    network: Annotated[str | None, Query(max_length=64, description="Identifier or name; default: all.")] = None,
    health: Health | None = None,
    differs: Annotated[bool | None, Query(description="Only relays that differ from the plan, or only others.")] = None,
) -> Page[MeshRelay]:
    """Compare, relay by relay, what is planned with what is applied."""
    async with registry.db.read() as session:
        query = select(RelayRow, RelayStatusRow).join(RelayStatusRow, col(RelayStatusRow.relay_id) == col(RelayRow.id))
        query = query.where(col(RelayRow.revoked_at).is_(None))
        if network is not None:
            query = query.where(col(RelayRow.network_id) == (await networks.find(session, network)).id)
        if health is not None:
            query = query.where(col(RelayStatusRow.health) == health.value)
        if differs is not None:
            same = sync.is_in_sync()
            query = query.where(~same if differs else same)
        rows, cursor = await page_of(
            session,
            query,
            by=RelayRow.id,
            params=paging,
            name=f"mesh:{network}:{health}:{differs}",
        )
        planned = await sync.wanted(session, [row[0].id for row in rows])
    items = []
    for relay, status, *_rest in rows:
        report, wanted = sync.report_of(status), planned.get(relay.id, Wanted())
        items.append(
            MeshRelay.of(
                relay,
                report,
                wanted,
                in_sync=in_sync(report, wanted),
                reasons=[Reason.of(reason) for reason in reasons(report, wanted)],
            )
        )
    return Page[MeshRelay](items=items, next_cursor=cursor)
