"""keyd's own keys."""

from __future__ import annotations

from collections.abc import Sequence

from altnet.common.db.uow import UnitOfWork
from altnet.common.noise.pins import MOST_KEYS, KeyUse
from altnet.keyd.tables import ServiceKeyRow
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col


async def every(session: AsyncSession) -> Sequence[ServiceKeyRow]:
    """The newest `MOST_KEYS`, the oldest of them first."""
    query = select(ServiceKeyRow).order_by(col(ServiceKeyRow.number).desc()).limit(MOST_KEYS)
    return (await session.execute(query)).scalars().all()[::-1]


async def take_turns(uow: UnitOfWork) -> None:
    """Until the end of the unit of work nobody else makes keys."""
    await uow.connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('keyd service keys', 0))"))


async def current(uow: UnitOfWork, use: KeyUse) -> ServiceKeyRow | None:
    query = select(ServiceKeyRow).where(col(ServiceKeyRow.use) == use.value, col(ServiceKeyRow.replaced_at).is_(None))
    return (await uow.session.execute(query.with_for_update())).scalars().first()
