"""Links between relays: those that exist, how long they are, and why each does."""

from __future__ import annotations

from typing import Annotated

from altnet.common.http.auth import RequireAuditor
from altnet.common.http.paging import Page, PageParams, Paging, fetch_page
from altnet.common.http.problems import responses
from altnet.common.http.routes import resource
from altnet.registry.api.deps import Parts, Registry
from altnet.registry.api.schemas.links import Link
from altnet.registry.domain.links import LinkKind
from altnet.registry.store import networks, relays
from altnet.registry.store.links import existing_links
from fastapi import Query
from sqlalchemy.ext.asyncio import AsyncSession

router = resource("links")


@router.get("/v1/links", responses=responses(401, 403, 404, 422, 503))
async def list_links(
    registry: Registry,
    _: RequireAuditor,
    paging: Paging,
    network: Annotated[str | None, Query(max_length=64, description="Identifier or name.")] = None,
    relay: Annotated[str | None, Query(max_length=64, description="Links of this relay.")] = None,
    kind: LinkKind | None = None,
) -> Page[Link]:
    """List the links that exist, with why each does.

    Those with which a relay of a large network begins, for the moment until links are chosen for it, are left out.
    """
    async with registry.db.read() as session:
        if relay is not None:
            await relays.find(session, relay, field="/relay")
        found = (await networks.find(session, network)).id if network is not None else None
        return await _page(registry, session, paging, network=found, relay=relay, kind=kind)


@router.get("/v1/relays/{relay}/links", responses=responses(401, 403, 404, 422, 503))
async def list_relay_links(registry: Registry, _: RequireAuditor, paging: Paging, relay: str) -> Page[Link]:
    """List the links of a relay."""
    async with registry.db.read() as session:
        await relays.find(session, relay)
        return await _page(registry, session, paging, network=None, relay=relay, kind=None)


async def _page(
    registry: Parts,
    session: AsyncSession,
    paging: PageParams,
    *,
    network: str | None,
    relay: str | None,
    kind: LinkKind | None,
) -> Page[Link]:
    query = existing_links(
        full_mesh_up_to=registry.settings.planning.full_mesh_up_to, network=network, relay=relay, kind=kind
    )
    identifier = query.selected_columns[0]
    rows, cursor = await fetch_page(
        session, query, order=identifier, key=identifier, params=paging, name=f"links:{network}:{relay}:{kind}"
    )
    ends = {end for row in rows for end in (row.one, row.other)}
    known = {row.id: row for row in await relays.many(session, sorted(ends))}
    return Page[Link](items=[Link.of(row, known) for row in rows], next_cursor=cursor)
