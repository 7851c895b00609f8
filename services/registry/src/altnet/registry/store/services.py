"""Services."""

from __future__ import annotations

from collections.abc import Sequence

from altnet.common.errors import NotFound
from altnet.registry.tables import ServiceRow
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col


async def find(session: AsyncSession, service: str, *, lock: bool = False) -> ServiceRow:
    """By identifier. Raises `NotFound` (`no_such_service`)."""
    query = select(ServiceRow).where(col(ServiceRow.id) == service)
    row = (await session.execute(query.with_for_update() if lock else query)).scalars().first()
    if row is None:
        raise NotFound("no_such_service", "there is no such service.", mend="See GET /v1/services.")
    return row


async def of_owner(session: AsyncSession, owner: str) -> Sequence[ServiceRow]:
    """Locked, by identifier."""
    query = select(ServiceRow).where(col(ServiceRow.owner_id) == owner).order_by(col(ServiceRow.id)).with_for_update()
    return (await session.execute(query)).scalars().all()


async def owned(session: AsyncSession, owner: str) -> Sequence[ServiceRow]:
    """Not locked."""
    query = select(ServiceRow).where(col(ServiceRow.owner_id) == owner).order_by(col(ServiceRow.id))
    return (await session.execute(query)).scalars().all()
