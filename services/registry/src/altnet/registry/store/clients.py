"""Clients."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from altnet.common.errors import NotFound
from altnet.registry.domain.balancing import Guest
from altnet.registry.tables import ClientRow
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col


async def find(session: AsyncSession, client: str, *, lock: bool = False, field: str | None = None) -> ClientRow:
    """By identifier. Raises `NotFound` (`no_such_client`)."""
    query = select(ClientRow).where(col(ClientRow.id) == client)
    row = (await session.execute(query.with_for_update() if lock else query)).scalars().first()
    if row is None:
        raise NotFound("no_such_client", "there is no such client.", field=field, mend="See GET /v1/clients.")
    return row


async def of_relay(session: AsyncSession, relay: str) -> Sequence[ClientRow]:
    """Locked, by identifier."""
    query = select(ClientRow).where(col(ClientRow.relay_id) == relay).order_by(col(ClientRow.id)).with_for_update()
    return (await session.execute(query)).scalars().all()


async def movable(session: AsyncSession, network: str) -> list[Guest]:
    """Those that can follow when they are moved."""
    query = select(col(ClientRow.id), col(ClientRow.relay_id), col(ClientRow.latencies))
    rows = await session.execute(query.where(col(ClientRow.network_id) == network, col(ClientRow.movable)))
    return [Guest(client=row[0], relay=row[1], latencies=row[2]) for row in rows]


async def expired(session: AsyncSession, now: datetime, *, limit: int) -> Sequence[ClientRow]:
    """Locked; what somebody else has locked is left for the next time."""
    query = select(ClientRow).where(col(ClientRow.expires_at) <= now).order_by(col(ClientRow.expires_at)).limit(limit)
    return (await session.execute(query.with_for_update(skip_locked=True))).scalars().all()
