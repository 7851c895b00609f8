"""Identities: listed, shown with their keys' history, approved."""

from __future__ import annotations

from typing import Annotated

from altnet.common.contracts.keyd import IdentityState
from altnet.common.http.auth import RequireAuditor, RequireOwner
from altnet.common.http.etag import etag_of
from altnet.common.http.paging import Page, Paging, fetch_page
from altnet.common.http.problems import responses
from altnet.common.http.routes import resource
from altnet.common.ids import RELAY, check_id
from altnet.keyd.api.deps import Keyd
from altnet.keyd.api.schemas import Approval, Identity, IdentityWithHistory
from altnet.keyd.handlers.contact import approve_identity as approve
from altnet.keyd.store import identities
from altnet.keyd.tables import IdentityRow
from fastapi import Path, Query, Response
from sqlalchemy import select
from sqlmodel import col

router = resource("identities")

Id = Annotated[str, Path(max_length=64, description="The relay's identifier.")]


@router.get("/v1/identities", responses=responses(401, 403, 422, 503))
async def list_identities(
    keyd: Keyd,
    _: RequireAuditor,
    paging: Paging,
    state: IdentityState | None = None,
    network: Annotated[str | None, Query(max_length=64, description="Identifier.")] = None,
    name: Annotated[str | None, Query(max_length=63)] = None,
) -> Page[Identity]:
    """List identities of hosts, oldest first."""
    query = select(IdentityRow)
    for column, value in ((IdentityRow.state, state), (IdentityRow.network, network), (IdentityRow.name, name)):
        if value is not None:
            query = query.where(col(column) == str(value))
    async with keyd.db.read() as session:
        rows, cursor = await fetch_page(
            session,
            query,
            order=col(IdentityRow.id),  # type: ignore[arg-type]  # SQLModel declares columns as their values
            key=col(IdentityRow.id),  # type: ignore[arg-type]
            params=paging,
            name=f"identities:{state}:{network}:{name}",
        )
    return Page[Identity](items=[Identity.of(row[0]) for row in rows], next_cursor=cursor)


@router.get("/v1/identities/{identity}", responses=responses(401, 403, 404, 422, 503))
async def get_identity(keyd: Keyd, _: RequireAuditor, response: Response, identity: Id) -> IdentityWithHistory:
    """Show an identity with every key that it had."""
    check_id(RELAY, identity, field="/identity")
    async with keyd.db.read() as session:
        row = await identities.get(session, identity)
        history = await identities.history(session, identity)
    response.headers["ETag"] = etag_of(row.version)
    return IdentityWithHistory.with_history(row, history)


@router.post("/v1/identities/{identity}/approve", responses=responses(401, 403, 404, 409, 422, 503))
async def approve_identity(keyd: Keyd, who: RequireOwner, response: Response, identity: Id, body: Approval) -> Identity:
    """Vouch for a pending host whose fingerprint you compared on the host itself."""
    check_id(RELAY, identity, field="/identity")
    async with keyd.work(who) as uow:
        row = await approve(uow, identity, fingerprint=body.fingerprint)
        shown = Identity.of(row)
    response.headers["ETag"] = etag_of(row.version)
    return shown
