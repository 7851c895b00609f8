"""Clients."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from altnet.common.db.engine import Database
from altnet.common.db.uow import UnitOfWork
from altnet.common.errors import NotFound
from altnet.registry.domain.balancing import Guest
from altnet.registry.tables import ClientRow, ClientSecretRow
from sqlalchemy import ColumnElement, and_, func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col


class ToAsk(NamedTuple):
    """A client that may be asked for another key, and its relays."""

    id: str
    relay: str | None
    standby: str | None


class KeyCounts(NamedTuple):
    """Clients with a younger key; of the others those that have announced one, were asked, and were not (and of those
    the ones that follow by themselves). Of those that the rotation has asked: the followers that go by another key, and
    whoever keeps the one that he had."""

    done: int
    announced: int
    asked: int
    waiting: int
    following: int
    changed: int
    left: int


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


async def lock_rotation(uow: UnitOfWork, network: str) -> None:
    """Until the end of the unit of work nobody else asks this network's clients: two would ask twice as many."""
    await uow.connection.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended('registry client keys ' || :network, 0))"),
        {"network": network},
    )


async def keys_before(session: AsyncSession, network: str, since: datetime, *, rotation: str) -> Sequence[ToAsk]:
    """Those that follow by themselves, whose key is older, and that this rotation has not asked: by identifier."""
    query = select(col(ClientRow.id), col(ClientRow.relay_id), col(ClientRow.standby_id)).where(
        *_to_ask(network, since, rotation), col(ClientRow.movable)
    )
    return [ToAsk(row[0], row[1], row[2]) for row in await session.execute(query.order_by(col(ClientRow.id)))]


async def lock_to_ask(
    session: AsyncSession, network: str, since: datetime, *, rotation: str, ids: Sequence[str], limit: int
) -> Sequence[ClientRow]:
    """Of those that are to be asked: the named ones, and up to `limit` that do not follow by themselves. Locked."""
    plain = (
        select(col(ClientRow.id))
        .where(*_to_ask(network, since, rotation), ~col(ClientRow.movable))
        .order_by(col(ClientRow.id))
        .limit(limit)
    )
    query = select(ClientRow).where(
        *_to_ask(network, since, rotation),
        or_(col(ClientRow.id).in_(ids), col(ClientRow.id).in_(plain)),
    )
    return (await session.execute(query.order_by(col(ClientRow.id)).with_for_update())).scalars().all()


async def keys_to_drop(session: AsyncSession, network: str, *, rotation: str) -> Sequence[ClientRow]:
    """Those that this rotation has asked and that do not go by another key yet: locked, by identifier.

    Who was announced a key by an operator goes on: its new file may be in place.
    """
    unused = and_(col(ClientRow.next_proven), col(ClientRow.next_seen_at).is_(None))
    query = select(ClientRow).where(
        col(ClientRow.network_id) == network,
        col(ClientRow.wish_rotation) == rotation,
        col(ClientRow.wish_epoch).is_not(None),
        or_(col(ClientRow.next_key) == "", unused),
    )
    return (await session.execute(query.order_by(col(ClientRow.id)).with_for_update())).scalars().all()


async def asked_by(session: AsyncSession, network: str, *, rotation: str) -> Sequence[tuple[ToAsk, datetime]]:
    """Those that follow by themselves, were asked by this rotation, and go by no other key yet: with the time."""
    query = select(col(ClientRow.id), col(ClientRow.relay_id), col(ClientRow.standby_id), col(ClientRow.wish_at)).where(
        col(ClientRow.network_id) == network,
        col(ClientRow.wish_rotation) == rotation,
        col(ClientRow.wish_epoch).is_not(None),
        col(ClientRow.wish_at).is_not(None),
        col(ClientRow.next_seen_at).is_(None),
        col(ClientRow.movable),
    )
    found = await session.execute(query.order_by(col(ClientRow.id)))
    return [(ToAsk(row[0], row[1], row[2]), row[3]) for row in found if row[3] is not None]


async def count_keys(session: AsyncSession, network: str, since: datetime, *, rotation: str) -> KeyCounts:
    """How many of a network's clients are how far, for a rotation that began at `since`."""
    older, mine = _key_age() < since, col(ClientRow.wish_rotation) == rotation
    announced, pending = col(ClientRow.next_key) != "", col(ClientRow.wish_epoch).is_not(None)
    used = col(ClientRow.next_seen_at).is_not(None)
    found = await session.execute(
        select(
            func.count().filter(~older),
            func.count().filter(older, announced),
            func.count().filter(older, ~announced, pending),
            func.count().filter(older, ~pending, ~mine),
            func.count().filter(older, ~pending, ~mine, col(ClientRow.movable)),
            func.count().filter(or_(~older, used), mine, col(ClientRow.movable)),
            func.count().filter(older, ~pending, mine),
        ).where(col(ClientRow.network_id) == network)
    )
    return KeyCounts(*(int(number) for number in found.one()))


async def note_next_seen(db: Database, told: Sequence[tuple[str, str, str]], *, now: datetime) -> None:
    """Relays (relay, client, key) saw handshakes by next keys; what is not so any more, or not theirs, is left out."""
    async with db.raw() as connection:
        await connection.execute(
            "UPDATE registry.clients SET next_seen_at = $4"
            " FROM unnest($1::text[], $2::text[], $3::text[]) AS told (relay, client, key)"
            " WHERE clients.id = told.client AND clients.next_key = told.key AND clients.next_seen_at IS NULL"
            "   AND told.relay IN (clients.relay_id, clients.standby_id)",
            [one[0] for one in told],
            [one[1] for one in told],
            [one[2] for one in told],
            now,
        )


def _to_ask(network: str, since: datetime, rotation: str) -> tuple[ColumnElement[bool], ...]:
    return (
        col(ClientRow.network_id) == network,
        col(ClientRow.wish_epoch).is_(None),
        col(ClientRow.wish_rotation) != rotation,
        _key_age() < since,
    )


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
