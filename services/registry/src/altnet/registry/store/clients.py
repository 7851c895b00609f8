"""Clients."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from altnet.common.db.uow import UnitOfWork
from altnet.common.errors import NotFound
from altnet.registry.domain.balancing import Guest
from altnet.registry.tables import ClientRow, ClientSecretRow
from sqlalchemy import ColumnElement, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col


async def find(session: AsyncSession, client: str, *, lock: bool = False, field: str | None = None) -> ClientRow:
    """By identifier. Raises `NotFound` (`no_such_client`)."""
    query = select(ClientRow).where(col(ClientRow.id) == client)
    row = (await session.execute(query.with_for_update() if lock else query)).scalars().first()
    if row is None:
        raise NotFound("no_such_client", "there is no such client.", field=field, mend="See GET /v1/clients.")
    return row


async def by_key(uow: UnitOfWork, key: str) -> ClientRow | None:
    """The client with this public key, locked. Until the end of the unit of work nobody else joins with the same."""
    await uow.connection.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended('registry joins ' || :key, 0))"), {"key": key}
    )
    query = select(ClientRow).where(col(ClientRow.key) == key).with_for_update()
    return (await uow.session.execute(query)).scalars().first()


async def secret_of(session: AsyncSession, client: str) -> ClientSecretRow | None:
    return (
        (await session.execute(select(ClientSecretRow).where(col(ClientSecretRow.client_id) == client)))
        .scalars()
        .first()
    )


async def by_secret(session: AsyncSession, secret: str) -> tuple[ClientSecretRow, ClientRow] | None:
    """A secret by its id, and whose it is."""
    query = (
        select(ClientSecretRow, ClientRow)
        .join(ClientRow, col(ClientRow.id) == col(ClientSecretRow.client_id))
        .where(col(ClientSecretRow.id) == secret)
    )
    found = (await session.execute(query)).first()
    return None if found is None else (found[0], found[1])


async def replace_secret(uow: UnitOfWork, client: str, *, secret: str, digest: bytes, join_token: str) -> None:
    """From the commit on this is the client's one secret."""
    await uow.connection.execute(
        text(
            "INSERT INTO registry.client_secrets (client_id, id, secret_hash, join_token, created_at)"
            " VALUES (:client, :id, :digest, :join_token, :now) ON CONFLICT (client_id) DO UPDATE"
            " SET id = excluded.id, secret_hash = excluded.secret_hash, created_at = excluded.created_at"
        ),
        {"client": client, "id": secret, "digest": digest, "join_token": join_token, "now": uow.now},
    )


async def of_relay(session: AsyncSession, relay: str) -> Sequence[ClientRow]:
    """Locked, by identifier."""
    query = select(ClientRow).where(col(ClientRow.relay_id) == relay).order_by(col(ClientRow.id)).with_for_update()
    return (await session.execute(query)).scalars().all()


async def movable(session: AsyncSession, network: str) -> list[Guest]:
    """Those that can follow when they are moved."""
    query = select(col(ClientRow.id), col(ClientRow.relay_id), col(ClientRow.standby_id), col(ClientRow.latencies))
    rows = await session.execute(query.where(col(ClientRow.network_id) == network, col(ClientRow.movable)))
    return [Guest(client=row[0], relay=row[1], standby=row[2], latencies=row[3]) for row in rows]


async def standing_by(session: AsyncSession, relay: str) -> Sequence[ClientRow]:
    """Those whose second relay this is: locked, by identifier."""
    query = select(ClientRow).where(col(ClientRow.standby_id) == relay).order_by(col(ClientRow.id)).with_for_update()
    return (await session.execute(query)).scalars().all()


async def keys_before(session: AsyncSession, network: str, since: datetime, *, limit: int) -> Sequence[ClientRow]:
    """Those whose key is older and that nobody has asked for another one: locked, by identifier."""
    query = select(ClientRow).where(
        col(ClientRow.network_id) == network, col(ClientRow.wish_epoch).is_(None), _key_age() < since
    )
    return (await session.execute(query.order_by(col(ClientRow.id)).limit(limit).with_for_update())).scalars().all()


async def keys_asked(session: AsyncSession, network: str) -> Sequence[ClientRow]:
    """Those that have not answered: locked, by identifier."""
    query = select(ClientRow).where(col(ClientRow.network_id) == network, col(ClientRow.wish_secret) != "")
    return (await session.execute(query.order_by(col(ClientRow.id)).with_for_update())).scalars().all()


async def count_keys(session: AsyncSession, network: str, since: datetime) -> tuple[int, int, int, int]:
    """Clients with a younger key, and of the others those that have announced one, were asked, and were not."""
    older = _key_age() < since
    announced, asked = col(ClientRow.next_key) != "", col(ClientRow.wish_secret) != ""
    found = await session.execute(
        select(
            func.count().filter(~older),
            func.count().filter(older, announced),
            func.count().filter(older, ~announced, asked),
            func.count().filter(older, ~announced, ~asked),
        ).where(col(ClientRow.network_id) == network)
    )
    row = found.one()
    return int(row[0]), int(row[1]), int(row[2]), int(row[3])


def _key_age() -> ColumnElement[datetime]:
    return func.coalesce(col(ClientRow.key_changed_at), col(ClientRow.created_at))


async def keys_due(session: AsyncSession, now: datetime, *, limit: int) -> Sequence[ClientRow]:
    """Those whose change of keys is at its latest date. Locked; what somebody else has locked is left for later."""
    query = select(ClientRow).where(col(ClientRow.key_until) <= now).order_by(col(ClientRow.key_until)).limit(limit)
    return (await session.execute(query.with_for_update(skip_locked=True))).scalars().all()


async def expired(session: AsyncSession, now: datetime, *, limit: int) -> Sequence[ClientRow]:
    """Locked; what somebody else has locked is left for the next time."""
    query = select(ClientRow).where(col(ClientRow.expires_at) <= now).order_by(col(ClientRow.expires_at)).limit(limit)
    return (await session.execute(query.with_for_update(skip_locked=True))).scalars().all()
