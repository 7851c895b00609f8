"""The network lock: its log, statements of authorities, and how hosts stand with it.

What is uploaded was signed elsewhere; no key that signs ever comes here.
"""

from __future__ import annotations

from typing import Annotated, Any

from altnet.common.http.auth import RequireAdmin, RequireAuditor
from altnet.common.http.paging import Page, Paging, fetch_page
from altnet.common.http.problems import responses
from altnet.common.http.routes import resource
from altnet.keyd.api.deps import Keyd
from altnet.keyd.api.lock_schemas import (
    LockEntryNew,
    LockEntrySigned,
    LockHost,
    LockState,
    LockStatementSigned,
    LockStatementsNew,
    LockTaken,
)
from altnet.keyd.handlers import lock as handlers
from altnet.keyd.handlers.rotations import only_network
from altnet.keyd.store import lock
from altnet.keyd.tables import IdentityRow, LockEntryRow, LockHostRow, LockStatementRow
from fastapi import Query
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

router = resource("lock")

NetworkId = Annotated[str | None, Query(max_length=64, description="Identifier; not needed where there is one.")]


@router.get("/v1/lock", responses=responses(401, 403, 422, 503))
async def get_lock(keyd: Keyd, _: RequireAuditor, network: NetworkId = None) -> LockState:
    """Show the lock: whether it is on, and by whose keys."""
    async with keyd.db.read() as session:
        return await _state(session, network or await only_network(session))


@router.get("/v1/lock/entries", responses=responses(401, 403, 422, 503))
async def list_lock_entries(
    keyd: Keyd,
    _: RequireAuditor,
    paging: Paging,
    network: NetworkId = None,
    after: Annotated[int, Query(ge=0, description="Only entries behind this number, for who has the others.")] = 0,
) -> Page[LockEntrySigned]:
    """The log, as it was signed, oldest first: all of it is enough for anybody to verify it."""
    async with keyd.db.read() as session:
        network = network or await only_network(session)
        rows, cursor = await fetch_page(
            session,
            select(LockEntryRow).where(col(LockEntryRow.network) == network, col(LockEntryRow.number) > after),
            order=col(LockEntryRow.number),  # type: ignore[arg-type]  # SQLModel declares columns as their values
            key=col(LockEntryRow.number),  # type: ignore[arg-type]  # SQLModel declares columns as their values
            params=paging,
            name=f"lock_entries:{network}:{after}",
        )
    return Page[LockEntrySigned](items=[LockEntrySigned.of(row[0]) for row in rows], next_cursor=cursor)


@router.post("/v1/lock/entries", status_code=201, responses=responses(401, 403, 404, 409, 412, 422, 503))
async def add_lock_entry(keyd: Keyd, who: RequireAdmin, body: LockEntryNew) -> LockState:
    """Add the next entry, signed by as many owners as there have to be. The last one again changes nothing."""
    async with keyd.work(who) as uow:
        network = body.network or await only_network(uow.session)
        await handlers.add_entry(uow, network, body.signed(), force=body.force)
        shown = await _state(uow.session, network)
    keyd.teller.wake()
    keyd.driver.wake()  # a new owner may be a reason to rotate
    return shown


@router.get("/v1/lock/statements", responses=responses(401, 403, 422, 503))
async def list_lock_statements(
    keyd: Keyd, _: RequireAuditor, paging: Paging, network: NetworkId = None
) -> Page[LockStatementSigned]:
    """The newest statement about each relay and client, as it was signed."""
    async with keyd.db.read() as session:
        network = network or await only_network(session)
        rows, cursor = await fetch_page(
            session,
            select(LockStatementRow).where(col(LockStatementRow.network) == network),
            order=col(LockStatementRow.subject),  # type: ignore[arg-type]  # SQLModel declares columns as their values
            key=col(LockStatementRow.subject),  # type: ignore[arg-type]  # SQLModel declares columns as their values
            params=paging,
            name=f"lock_statements:{network}",
        )
    return Page[LockStatementSigned](items=[LockStatementSigned.of(row[0]) for row in rows], next_cursor=cursor)


@router.post("/v1/lock/statements", responses=responses(401, 403, 409, 422, 503))
async def add_lock_statements(keyd: Keyd, who: RequireAdmin, body: LockStatementsNew) -> LockTaken:
    """Add statements that an authority signed, all or none. Those that are known change nothing."""
    async with keyd.work(who) as uow:
        network = body.network or await only_network(uow.session)
        taken = await handlers.add_statements(uow, network, [one.signed() for one in body.statements])
    keyd.teller.wake()
    return LockTaken(taken=taken)


@router.get("/v1/lock/hosts", responses=responses(401, 403, 422, 503))
async def list_lock_hosts(keyd: Keyd, _: RequireAuditor, paging: Paging, network: NetworkId = None) -> Page[LockHost]:
    """Each relay's keys as it certified them, the log that it knows, and what it refuses."""
    async with keyd.db.read() as session:
        network = network or await only_network(session)
        rows, cursor = await fetch_page(
            session,
            _hosts().where(col(IdentityRow.network) == network, col(IdentityRow.state) != "revoked"),
            order=col(IdentityRow.id),  # type: ignore[arg-type]  # SQLModel declares columns as their values
            key=col(IdentityRow.id),  # type: ignore[arg-type]  # SQLModel declares columns as their values
            params=paging,
            name=f"lock_hosts:{network}",
        )
    pairs: list[Any] = list(rows)
    return Page[LockHost](items=[LockHost.of(pair[0], pair[1]) for pair in pairs], next_cursor=cursor)


async def _state(session: AsyncSession, network: str) -> LockState:
    return LockState.of(await lock.log_of(session, network), await lock.hosts_of(session, network))


def _hosts() -> Any:  # what the two-column form of `select` is called differs from what `fetch_page` is given
    return select(IdentityRow, LockHostRow).outerjoin(LockHostRow, col(LockHostRow.relay) == col(IdentityRow.id))
