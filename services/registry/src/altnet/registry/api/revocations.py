"""Revocations: made, listed, shown. Deleting a relay, a client or a token is told here too."""

from __future__ import annotations

from typing import Annotated

from altnet.common.db.uow import UnitOfWork
from altnet.common.http.auth import Principal, RequireAdmin, RequireAuditor
from altnet.common.http.paging import Page, Paging
from altnet.common.http.problems import responses
from altnet.common.http.routes import resource
from altnet.registry.api.deps import Registry, tell
from altnet.registry.api.lists import page_of
from altnet.registry.api.schemas.common import TimeIn
from altnet.registry.api.schemas.revocations import Revocation, RevocationKind, RevocationNew
from altnet.registry.handlers import relays as relay_handlers
from altnet.registry.handlers import revocations as handlers
from altnet.registry.handlers import tokens
from altnet.registry.store import networks, relays, revocations
from altnet.registry.tables import RevocationRow
from fastapi import Path, Query, Response
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

router = resource("revocations")

Id = Annotated[str, Path(max_length=64, description="The revocation's identifier.")]


@router.post("/v1/revocations", status_code=201, responses=responses(401, 403, 404, 409, 422, 503))
async def revoke(registry: Registry, who: RequireAdmin, response: Response, body: RevocationNew) -> Revocation:
    """Put out a relay, a client, a key or a token, for good."""
    kind, what = next((kind, value) for kind, value in body.wanted.items() if value is not None)
    async with registry.work(who) as uow:
        row = await _revoke(uow, who, kind, what, body.reason)
        shown = await _show(uow.session, row)
    tell(response, change=row.change)
    response.headers["Location"] = f"/v1/revocations/{row.id}"
    return shown


@router.get("/v1/revocations", responses=responses(401, 403, 404, 422, 503))
async def list_revocations(
    registry: Registry,
    _: RequireAuditor,
    paging: Paging,
    kind: RevocationKind | None = None,
    subject: Annotated[str | None, Query(max_length=64, description="Identifier of what was put out.")] = None,
    key: Annotated[str | None, Query(max_length=64, description="Public key, base64.")] = None,
    network: Annotated[str | None, Query(max_length=64, description="Identifier or name.")] = None,
    revoked_by: Annotated[str | None, Query(max_length=64)] = None,
    since: Annotated[TimeIn | None, Query(description="Not older than this.")] = None,
) -> Page[Revocation]:
    """List revocations, newest first."""
    query = select(RevocationRow)
    for column, value in (
        (RevocationRow.kind, kind),
        (RevocationRow.subject, subject),
        (RevocationRow.key, key),
        (RevocationRow.revoked_by, revoked_by),
    ):
        if value is not None:
            query = query.where(col(column) == str(value))
    if since is not None:
        query = query.where(col(RevocationRow.revoked_at) >= since)
    async with registry.db.read() as session:
        if network is not None:
            query = query.where(col(RevocationRow.network_id) == (await networks.find(session, network)).id)
        rows, cursor = await page_of(
            session,
            query,
            by=RevocationRow.id,
            params=paging,
            name=f"revocations:{kind}:{subject}:{key}:{network}:{revoked_by}:{since}",
            descending=True,
        )
        found = [row[0] for row in rows]
        held = await revocations.still_held(session, [row.key for row in found if row.key])
    return Page[Revocation](items=[Revocation.of(row, still=row.key in held) for row in found], next_cursor=cursor)


@router.get("/v1/revocations/{revocation}", responses=responses(401, 403, 404, 422, 503))
async def get_revocation(registry: Registry, _: RequireAuditor, revocation: Id) -> Revocation:
    """Show a revocation."""
    async with registry.db.read() as session:
        return await _show(session, await revocations.get(session, revocation))


async def _revoke(uow: UnitOfWork, who: Principal, kind: RevocationKind, what: str, reason: str) -> RevocationRow:
    match kind:
        case RevocationKind.KEY:
            return await handlers.revoke_key(uow, what, reason=reason)
        case RevocationKind.CLIENT:
            return await handlers.revoke_client(uow, what, reason=reason)
        case RevocationKind.RELAY:
            row = await relays.find(uow.session, what, lock=True, field="/relay")
            if row.revoked_at is None:
                await relay_handlers.revoke_relay(uow, row, reason=reason)
        case RevocationKind.JOIN_TOKEN:
            await tokens.revoke_join_token(uow, what, reason=reason)
        case RevocationKind.API_TOKEN:
            await tokens.revoke_api_token(uow, what, by=who, reason=reason)
    return await revocations.of_subject(uow.session, kind.value, what)


async def _show(session: AsyncSession, row: RevocationRow) -> Revocation:
    held = await revocations.still_held(session, [row.key]) if row.key else set()
    return Revocation.of(row, still=row.key in held)
