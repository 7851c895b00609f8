"""Services: registered, found, changed, their health reported."""

from __future__ import annotations

from typing import Annotated

from altnet.common.http.auth import RequireAdmin, RequireAuditor
from altnet.common.http.etag import IfMatch, require_match
from altnet.common.http.paging import Page, Paging
from altnet.common.http.problems import responses
from altnet.common.http.routes import resource
from altnet.registry.api.deps import Registry, patch_of, tell
from altnet.registry.api.lists import page_of
from altnet.registry.api.schemas.services import (
    HealthReport,
    Protocol,
    Service,
    ServiceHealth,
    ServiceNew,
    ServicePatch,
)
from altnet.registry.handlers import services as handlers
from altnet.registry.store import networks, services
from altnet.registry.tables import ServiceRow
from fastapi import Query, Response
from sqlalchemy import select
from sqlmodel import col

router = resource("services")


@router.get("/v1/services", responses=responses(401, 403, 404, 422, 503))
async def list_services(
    registry: Registry,
    _: RequireAuditor,
    paging: Paging,
    network: Annotated[str | None, Query(max_length=64, description="Identifier or name.")] = None,
    name: Annotated[str | None, Query(max_length=63)] = None,
    tag: Annotated[list[str] | None, Query(max_length=32, description="All of them.")] = None,
    owner: Annotated[str | None, Query(max_length=64)] = None,
    health: ServiceHealth | None = None,
    protocol: Protocol | None = None,
) -> Page[Service]:
    """Find services, oldest first."""
    query = select(ServiceRow)
    for column, value in (
        (ServiceRow.name, name),
        (ServiceRow.owner_id, owner),
        (ServiceRow.health, health),
        (ServiceRow.protocol, protocol),
    ):
        if value is not None:
            query = query.where(col(column) == str(value))
    if tag:
        query = query.where(col(ServiceRow.tags).contains(tag))
    async with registry.db.read() as session:
        if network is not None:
            query = query.where(col(ServiceRow.network_id) == (await networks.find(session, network)).id)
        rows, cursor = await page_of(
            session,
            query,
            by=ServiceRow.id,
            params=paging,
            name=f"services:{network}:{name}:{tag}:{owner}:{health}:{protocol}",
        )
    return Page[Service](items=[Service.of(row[0]) for row in rows], next_cursor=cursor)


@router.post("/v1/services", status_code=201, responses=responses(401, 403, 404, 409, 422, 503))
async def register_service(registry: Registry, who: RequireAdmin, response: Response, body: ServiceNew) -> Service:
    """Register a service; with an owner it gets an address of its own."""
    command = handlers.NewService(
        name=body.name,
        port=body.port,
        protocol=body.protocol.value,
        network=body.network,
        tags=body.tags,
        owner=body.owner,
        address=body.address,
    )
    async with registry.work(who) as uow:
        row, change = await handlers.register_service(uow, command, randomness=registry.randomness)
    tell(response, change=change, version=row.version)
    return Service.of(row, change=change)


@router.get("/v1/services/{service}", responses=responses(401, 403, 404, 422, 503))
async def get_service(registry: Registry, _: RequireAuditor, response: Response, service: str) -> Service:
    """Show a service."""
    async with registry.db.read() as session:
        row = await services.find(session, service)
    tell(response, version=row.version)
    return Service.of(row)


@router.patch("/v1/services/{service}", responses=responses(401, 403, 404, 409, 412, 422, 428, 503))
async def change_service(
    registry: Registry,
    who: RequireAdmin,
    response: Response,
    service: str,
    body: ServicePatch,
    if_match: IfMatch = None,
) -> Service:
    """Change a service: what is left out stays, and so does its address."""
    async with registry.work(who) as uow:
        row = await services.find(uow.session, service, lock=True)
        require_match(if_match, row.version)
        await handlers.change_service(uow, row, patch_of(body))
    tell(response, version=row.version)
    return Service.of(row)


@router.put("/v1/services/{service}/health", responses=responses(401, 403, 404, 422, 503))
async def report_service_health(registry: Registry, who: RequireAdmin, service: str, body: HealthReport) -> Service:
    """Say how a service is; whoever checks it does."""
    async with registry.work(who) as uow:
        row = await services.find(uow.session, service, lock=True)
        await handlers.report_health(uow, row, health=body.health.value, note=body.note)
    return Service.of(row)


@router.delete("/v1/services/{service}", responses=responses(401, 403, 404, 412, 422, 428, 503))
async def remove_service(
    registry: Registry, who: RequireAdmin, response: Response, service: str, if_match: IfMatch = None
) -> Service:
    """Remove a service. Answers with what it was."""
    async with registry.work(who) as uow:
        row = await services.find(uow.session, service, lock=True)
        require_match(if_match, row.version)
        change = await handlers.remove_service(uow, row)
        shown = Service.of(row, change=change)
    tell(response, change=change)
    return shown
