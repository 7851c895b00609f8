"""Identities and the history of their keys."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from altnet.common.contracts.keyd import (
    HostKeyUse,
    IdentityChanged,
    IdentityConfirmed,
    IdentityEvent,
    IdentityExpected,
    IdentityPending,
    IdentityRevoked,
    IdentitySnapshot,
    IdentityState,
)
from altnet.common.db.engine import Database
from altnet.common.db.uow import UnitOfWork
from altnet.common.errors import Conflict, NotFound
from altnet.common.noise.pins import KeyUse
from altnet.keyd.store.events import EMITTER, next_numbers
from altnet.keyd.tables import IdentityKeyRow, IdentityRow
from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

CONFLICTS: Final = {
    "identity_keys_in_use": lambda: Conflict(
        "key_taken",
        "another identity has this key.",
        field="/signing_key",
        mend="A copied state directory? Each host makes keys of its own: empty it and enrol anew.",
    )
}

WIREGUARD: Final = (HostKeyUse.MESH, HostKeyUse.ACCESS)

_LET_GO: Final = text(
    "UPDATE keyd.identity_keys SET removed_at = :now"
    " WHERE identity_id = :id AND use = :use AND key <> :key AND removed_at IS NULL"
)
_HAVE: Final = text(
    "INSERT INTO keyd.identity_keys (identity_id, use, key, added_at, why) VALUES (:id, :use, :key, :now, :why)"
    " ON CONFLICT (key) WHERE removed_at IS NULL DO NOTHING"
)

MOST_HISTORY: Final = 200
"""Newest keys shown of one identity."""


async def find(session: AsyncSession, id: str, *, lock: bool = False) -> IdentityRow | None:
    query = select(IdentityRow).where(col(IdentityRow.id) == id)
    return (await session.execute(query.with_for_update() if lock else query)).scalars().first()


async def get(session: AsyncSession, id: str, *, lock: bool = False) -> IdentityRow:
    """Raises `NotFound` (`no_such_identity`)."""
    row = await find(session, id, lock=lock)
    if row is None:
        raise NotFound("no_such_identity", "there is no such identity.", mend="See GET /v1/identities.")
    return row


class Known(NamedTuple):
    """What a handshake asks of an identity."""

    state: str
    static_key: str


async def known(db: Database, id: str) -> Known | None:
    """For handshakes: without the ORM, since a whole network may come at once."""
    async with db.raw() as connection:
        row = await connection.fetchrow("SELECT state, static_key FROM keyd.identities WHERE id = $1", id)
    return None if row is None else Known(**row)


async def changed_since(session: AsyncSession, since: datetime | None) -> Sequence[IdentityRow]:
    """Identities that changed since then, None for all; by the time of their change."""
    query = select(IdentityRow).order_by(col(IdentityRow.updated_at))
    if since is not None:
        query = query.where(col(IdentityRow.updated_at) >= since)
    return (await session.execute(query)).scalars().all()


async def name_known(uow: UnitOfWork, *, network: str, name: str, beside: str) -> bool:
    """Whether another identity has or had this name, revoked ones too."""
    query = select(col(IdentityRow.id)).where(
        col(IdentityRow.network) == network, col(IdentityRow.name) == name, col(IdentityRow.id) != beside
    )
    return (await uow.session.execute(query.limit(1))).first() is not None


async def history(session: AsyncSession, id: str) -> Sequence[IdentityKeyRow]:
    """Every key that the identity had, newest first."""
    query = select(IdentityKeyRow).where(col(IdentityKeyRow.identity_id) == id)
    return (
        (await session.execute(query.order_by(col(IdentityKeyRow.number).desc()).limit(MOST_HISTORY))).scalars().all()
    )


async def add(uow: UnitOfWork, after: IdentitySnapshot, *, nkey: str) -> IdentityRow:
    """Keep a new identity, and tell of it."""
    uow.conflicts(CONFLICTS)
    row = IdentityRow(
        id=after.id,
        network=after.network,
        name=after.name,
        nkey=nkey,
        state=after.state,
        reason=after.reason,
        static_key=after.static_key,
        created_at=uow.now,
        updated_at=uow.now,
    )
    uow.session.add(row)
    await uow.session.flush()
    await _keys(uow, None, after)
    await _tell(uow, None, after)
    return row


async def save(uow: UnitOfWork, row: IdentityRow, after: IdentitySnapshot, *, contact: bool = False) -> None:
    """Make the row what `after` says, with history and event; nothing where nothing differs."""
    uow.conflicts(CONFLICTS)
    before = row.snapshot()
    if after == before:
        return
    row.name, row.state, row.reason = after.name, after.state, after.reason
    row.static_key, row.signing_key, row.confirmed_by = after.static_key, after.signing_key, after.confirmed_by
    row.version, row.updated_at = row.version + 1, uow.now
    if contact:
        row.contact_at = uow.now
    await uow.session.flush()
    await _keys(uow, before, row.snapshot())
    await _tell(uow, before, row.snapshot())


async def _keys(uow: UnitOfWork, before: IdentitySnapshot | None, after: IdentitySnapshot) -> None:
    pairs = (
        (KeyUse.STATIC, before.static_key if before else "", after.static_key),
        (KeyUse.SIGNING, before.signing_key if before else "", after.signing_key),
    )
    gone = after.state is IdentityState.REVOKED
    if gone:
        for wireguard in WIREGUARD:
            await note_key(uow, after.id, wireguard, "", why="")
    for use, old, new in pairs:
        if old and (old != new or gone):
            await uow.connection.execute(
                update(IdentityKeyRow)
                .where(
                    col(IdentityKeyRow.identity_id) == after.id,
                    col(IdentityKeyRow.key) == old,
                    col(IdentityKeyRow.removed_at).is_(None),
                )
                .values(removed_at=uow.now)
            )
        if new and new != old and not gone:
            await uow.connection.execute(
                text(
                    "INSERT INTO keyd.identity_keys (identity_id, use, key, added_at, why)"
                    " VALUES (:id, :use, :key, :now, :why)"
                ),
                {"id": after.id, "use": str(use), "key": new, "now": uow.now, "why": after.reason or str(after.state)},
            )


async def note_key(uow: UnitOfWork, id: str, use: HostKeyUse, key: str, *, why: str) -> None:
    """Write down that an identity has this WireGuard key from now on, and no other for this use; empty: none."""
    about = {"id": id, "use": str(use), "key": key, "now": uow.now, "why": why}
    await uow.connection.execute(_LET_GO, about)
    if key:
        await uow.connection.execute(_HAVE, about)


async def _tell(uow: UnitOfWork, before: IdentitySnapshot | None, after: IdentitySnapshot) -> None:
    number = await next_numbers(uow)
    uow.emit(_event(before, after)(emitter=EMITTER, number=number, identity=after.id, before=before, after=after))


def _event(before: IdentitySnapshot | None, after: IdentitySnapshot) -> type[IdentityEvent]:
    was = before.state if before is not None else None
    if after.state is IdentityState.PENDING and (
        was is not after.state or before is None or _keys_of(before) != _keys_of(after)
    ):
        return IdentityPending
    if was is after.state:
        return IdentityChanged
    return {
        IdentityState.EXPECTED: IdentityExpected,
        IdentityState.ACTIVE: IdentityConfirmed,
        IdentityState.REVOKED: IdentityRevoked,
        IdentityState.PENDING: IdentityPending,
    }[after.state]


def _keys_of(identity: IdentitySnapshot) -> tuple[str, str]:
    return identity.static_key, identity.signing_key
