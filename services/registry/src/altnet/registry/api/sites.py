"""Sites: networks behind relays."""

from __future__ import annotations

from typing import Annotated

from altnet.common.http.auth import RequireAdmin, RequireAuditor
from altnet.common.http.etag import IfMatch, require_match
from altnet.common.http.paging import Page, Paging
from altnet.common.http.problems import responses
from altnet.common.http.routes import resource
from altnet.registry.api.deps import Registry, patch_of, tell
from altnet.registry.api.lists import page_of
from altnet.registry.api.schemas.sites import Site, SiteNew, SitePatch
from altnet.registry.handlers import sites as handlers
from altnet.registry.handlers import snapshots
from altnet.registry.store import networks, sites
from altnet.registry.tables import SiteRelayRow, SiteRow
from fastapi import Query, Response
from sqlalchemy import select
from sqlmodel import col

router = resource("sites")


@router.get("/v1/sites", responses=responses(401, 403, 404, 422, 503))
async def list_sites(
    registry: Registry,
    _: RequireAuditor,
    paging: Paging,
    network: Annotated[str | None, Query(max_length=64, description="Identifier or name.")] = None,
    name: Annotated[str | None, Query(max_length=63)] = None,
    relay: Annotated[str | None, Query(max_length=64, description="Announced by this relay.")] = None,
) -> Page[Site]:
    """List sites, oldest first."""
    query = select(SiteRow)
    if name is not None:
        query = query.where(col(SiteRow.name) == name)
    if relay is not None:
        mine = select(col(SiteRelayRow.site_id)).where(col(SiteRelayRow.relay_id) == relay)
        query = query.where(col(SiteRow.id).in_(mine))
    async with registry.db.read() as session:
        if network is not None:
            query = query.where(col(SiteRow.network_id) == (await networks.find(session, network)).id)
        rows, cursor = await page_of(
            session,
            query,
            by=SiteRow.id,
            params=paging,
            name=f"sites:{network}:{name}:{relay}",
        )
        ids = [row[0].id for row in rows]
        prefixes, relays = await sites.prefixes(session, ids), await sites.relays(session, ids)
    items = [
        Site.of(row[0], snapshots.of_site(row[0], prefixes=prefixes[row[0].id], relays=relays[row[0].id]))
        for row in rows
    ]
    return Page[Site](items=items, next_cursor=cursor)


@router.post("/v1/sites", status_code=201, responses=responses(401, 403, 404, 409, 422, 503))
async def create_site(registry: Registry, who: RequireAdmin, response: Response, body: SiteNew) -> Site:
    """Make a site."""
    async with registry.work(who) as uow:
        shown, row, change = await handlers.create_site(
            uow,
            name=body.name,
            network=body.network,
            prefixes=body.prefixes,
            relay_ids=body.relays,
            labels=body.labels,
            randomness=registry.randomness,
        )
    tell(response, change=change, version=row.version)
    return Site.of(row, shown, change=change)


@router.get("/v1/sites/{site}", responses=responses(401, 403, 404, 422, 503))
async def get_site(registry: Registry, _: RequireAuditor, response: Response, site: str) -> Site:
    """Show a site."""
    async with registry.db.read() as session:
        row = await sites.find(session, site)
        prefixes, relays = await sites.prefixes(session, [site]), await sites.relays(session, [site])
    tell(response, version=row.version)
    return Site.of(row, snapshots.of_site(row, prefixes=prefixes[site], relays=relays[site]))


@router.patch("/v1/sites/{site}", responses=responses(401, 403, 404, 409, 412, 422, 428, 503))
async def change_site(
    registry: Registry, who: RequireAdmin, response: Response, site: str, body: SitePatch, if_match: IfMatch = None
) -> Site:
    """Change a site: what is left out stays."""
    async with registry.work(who) as uow:
        row = await sites.find(uow.session, site, lock=True)
        require_match(if_match, row.version)
        shown, change = await handlers.change_site(uow, row, patch_of(body))
    tell(response, change=change, version=row.version)
    return Site.of(row, shown, change=change)


@router.delete("/v1/sites/{site}", responses=responses(401, 403, 404, 412, 422, 428, 503))
async def remove_site(
    registry: Registry, who: RequireAdmin, response: Response, site: str, if_match: IfMatch = None
) -> Site:
    """Remove a site. Answers with what it was."""
    async with registry.work(who) as uow:
        row = await sites.find(uow.session, site, lock=True)
        require_match(if_match, row.version)
        prefixes, relays = await sites.prefixes(uow.session, [site]), await sites.relays(uow.session, [site])
        shown = snapshots.of_site(row, prefixes=prefixes[site], relays=relays[site])
        change = await handlers.remove_site(uow, row)
        answer = Site.of(row, shown, change=change)
    tell(response, change=change)
    return answer
