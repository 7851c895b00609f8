"""Discovery: relays and clients of a network in one list, by name."""

from __future__ import annotations

from typing import Annotated

from altnet.common.http.auth import RequireAuditor
from altnet.common.http.paging import Page, Paging
from altnet.common.http.problems import responses
from altnet.common.http.routes import resource
from altnet.registry.api.deps import Registry
from altnet.registry.api.lists import page_of
from altnet.registry.api.schemas.peers import Peer, PeerKind
from altnet.registry.store import networks, relays
from altnet.registry.tables import ClientRow, NameRow
from fastapi import Query
from sqlalchemy import select
from sqlmodel import col

router = resource("peers")


@router.get("/v1/peers", responses=responses(401, 403, 404, 422, 503))
async def list_peers(
    registry: Registry,
    _: RequireAuditor,
    paging: Paging,
    network: Annotated[str | None, Query(max_length=64, description="Identifier or name.")] = None,
    kind: PeerKind | None = None,
    name: Annotated[str | None, Query(max_length=63)] = None,
) -> Page[Peer]:
    """List relays and clients with their addresses, in the order in which they came."""
    kinds = [kind.value] if kind else [one.value for one in PeerKind]
    query = select(NameRow).where(col(NameRow.kind).in_(kinds))
    if name is not None:
        query = query.where(col(NameRow.name) == name)
    async with registry.db.read() as session:
        if network is not None:
            query = query.where(col(NameRow.network_id) == (await networks.find(session, network)).id)
        rows, cursor = await page_of(
            session,
            query,
            by=NameRow.owner,
            params=paging,
            name=f"peers:{network}:{kind}:{name}",
        )
        ids = [row[0].owner for row in rows]
        status = await relays.status(session, ids)
        plans = {row.id: row for row in await networks.every(session)}
        found = {
            row.id: Peer.of_relay(row, status.get(row.id), plans[row.network_id])
            for row in await relays.many(session, ids)
        }
        for client in (await session.execute(select(ClientRow).where(col(ClientRow.id).in_(ids)))).scalars():
            found[client.id] = Peer.of_client(client)
    return Page[Peer](items=[found[owner] for owner in ids if owner in found], next_cursor=cursor)
