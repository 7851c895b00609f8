"""Join tokens and API tokens."""

from __future__ import annotations

from altnet.common.db.uow import UnitOfWork
from altnet.common.errors import NotFound
from altnet.registry.tables import ApiTokenRow, JoinTokenRow, NetworkRow
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col


async def find_join(session: AsyncSession, token: str, *, lock: bool = False) -> JoinTokenRow | None:
    query = select(JoinTokenRow).where(col(JoinTokenRow.id) == token)
    return (await session.execute(query.with_for_update() if lock else query)).scalars().first()


async def join_with_network(session: AsyncSession, token: str) -> tuple[JoinTokenRow, NetworkRow] | None:
    """A join token and the network that it leads into."""
    query = select(JoinTokenRow, NetworkRow).join(NetworkRow, col(NetworkRow.id) == col(JoinTokenRow.network_id))
    found = (await session.execute(query.where(col(JoinTokenRow.id) == token))).first()
    return None if found is None else (found[0], found[1])


async def get_join(session: AsyncSession, token: str, *, lock: bool = False) -> JoinTokenRow:
    """Raises `NotFound` (`no_such_token`)."""
    row = await find_join(session, token, lock=lock)
    if row is None:
        raise NotFound("no_such_token", "there is no such join token.", mend="See GET /v1/tokens/join.")
    return row


async def spend_join(uow: UnitOfWork, token: str) -> bool:
    """Take one use of a join token; False where it has none left, is revoked or expired by now."""
    found = await uow.connection.execute(
        update(JoinTokenRow)
        .where(
            col(JoinTokenRow.id) == token,
            col(JoinTokenRow.uses_left) > 0,
            col(JoinTokenRow.revoked_at).is_(None),
            col(JoinTokenRow.expires_at) > uow.now,
        )
        .values(uses_left=col(JoinTokenRow.uses_left) - 1)
    )
    return found.rowcount == 1


async def find_api(session: AsyncSession, token: str, *, lock: bool = False) -> ApiTokenRow | None:
    query = select(ApiTokenRow).where(col(ApiTokenRow.id) == token)
    return (await session.execute(query.with_for_update() if lock else query)).scalars().first()


async def any_owner(session: AsyncSession) -> ApiTokenRow | None:
    """An owner's token that is not revoked, if there is one."""
    query = select(ApiTokenRow).where(col(ApiTokenRow.role) == "owner", col(ApiTokenRow.revoked_at).is_(None)).limit(1)
    return (await session.execute(query)).scalars().first()
