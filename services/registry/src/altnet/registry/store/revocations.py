"""Revocations, and keys that stay revoked."""

from __future__ import annotations

from typing import Final

from altnet.common.db.uow import UnitOfWork
from altnet.common.errors import NotFound
from altnet.common.ids import REVOCATION
from altnet.registry.tables import KeyRow, RevocationRow, RevokedKeyRow
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

_BAR: Final = text(
    "INSERT INTO registry.revoked_keys (key, revoked_at) VALUES (:key, :now) ON CONFLICT (key) DO NOTHING RETURNING 1"
)
_BAR_ALL: Final = text(
    "INSERT INTO registry.revoked_keys (key, revoked_at) SELECT key, :now FROM registry.keys WHERE owner = :owner"
    " ORDER BY key ON CONFLICT (key) DO NOTHING"
)
_KEEP: Final = text(
    "INSERT INTO registry.keys (key, owner, use) VALUES (:key, 'revoked:' || :key, 'client')"
    " ON CONFLICT (key) DO NOTHING"
)


async def note(
    uow: UnitOfWork,
    kind: str,
    *,
    subject: str = "",
    network: str | None = None,
    name: str = "",
    key: str = "",
    use: str = "",
    reason: str = "",
    change: int | None = None,
) -> RevocationRow:
    """Write down what was revoked, in the unit of work that does it."""
    row = RevocationRow(
        id=new_revocation(uow),
        kind=kind,
        subject=subject,
        network_id=network,
        name=name,
        key=key,
        use=use,
        reason=reason,
        revoked_by=uow.actor,
        revoked_at=uow.now,
        change=change,
    )
    uow.session.add(row)
    await uow.session.flush()
    return row


def new_revocation(uow: UnitOfWork) -> str:
    return f"{REVOCATION}_{uow.event_id().partition('_')[2]}"


async def bar(uow: UnitOfWork, key: str) -> bool:
    """Nobody who does not have this key by now may have it again. False if that was so before."""
    barred = (await uow.connection.execute(_BAR, {"key": key, "now": uow.now})).first() is not None
    await uow.connection.execute(_KEEP, {"key": key})  # waits for whoever claims it at this moment
    return barred


async def bar_all(uow: UnitOfWork, owner: str) -> None:
    """The same for every key that `owner` has. Before they are released."""
    await uow.session.flush()
    await uow.connection.execute(_BAR_ALL, {"owner": owner, "now": uow.now})


async def holder(session: AsyncSession, key: str) -> KeyRow | None:
    """Who has this key, and for what; None for nobody."""
    query = select(KeyRow).where(col(KeyRow.key) == key).execution_options(populate_existing=True)
    row = (await session.execute(query)).scalars().first()
    return None if row is None or row.owner.startswith("revoked:") else row


async def of_key(session: AsyncSession, key: str) -> RevocationRow | None:
    """The revocation that barred this key, if it was revoked by itself."""
    query = select(RevocationRow).where(col(RevocationRow.key) == key).order_by(col(RevocationRow.id)).limit(1)
    return (await session.execute(query)).scalars().first()


async def get(session: AsyncSession, id: str) -> RevocationRow:
    """Raises `NotFound` (`no_such_revocation`)."""
    row = await session.get(RevocationRow, id)
    if row is None:
        raise NotFound("no_such_revocation", "there is no such revocation.", mend="See GET /v1/revocations.")
    return row


async def still_held(session: AsyncSession, keys: list[str]) -> set[str]:
    """Of these revoked keys, those that somebody still uses."""
    query = (
        select(col(KeyRow.key))
        .join(RevokedKeyRow, col(RevokedKeyRow.key) == col(KeyRow.key))
        .where(col(KeyRow.key).in_(keys), col(KeyRow.owner).not_like("revoked:%"))
    )
    return set((await session.execute(query)).scalars())


async def of_subject(session: AsyncSession, kind: str, subject: str) -> RevocationRow:
    """The revocation of this relay or token. Raises `NotFound`: it was put out before revocations were kept."""
    query = select(RevocationRow).where(col(RevocationRow.kind) == kind, col(RevocationRow.subject) == subject)
    row = (await session.execute(query.order_by(col(RevocationRow.id)).limit(1))).scalars().first()
    if row is None:
        raise NotFound("no_such_revocation", "it was revoked before revocations were kept.", field=f"/{kind}")
    return row
