"""Relays."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final, NamedTuple

from altnet.common.db.engine import Database
from altnet.common.db.uow import UnitOfWork
from altnet.common.errors import NotFound
from altnet.registry.tables import ClientRow, RelayRow, RelayStatusRow
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

_COLUMNS: Final = tuple(RelayRow.model_fields)
_PLACES: Final = ", ".join(f"${number}" for number in range(1, len(_COLUMNS) + 1))
_TOKEN, _NOW = (_COLUMNS.index(name) + 1 for name in ("join_token", "created_at"))
_ADD: Final = f"""
WITH relay AS (
    INSERT INTO registry.relays ({", ".join(_COLUMNS)}) VALUES ({_PLACES})
    RETURNING id
), status AS (
    INSERT INTO registry.relay_status (relay_id, health, health_since) SELECT id, 'new', ${_NOW} FROM relay
), spent AS (
    UPDATE registry.join_tokens SET uses_left = uses_left - 1
    WHERE id = ${_TOKEN} AND uses_left > 0 AND revoked_at IS NULL AND expires_at > ${_NOW} RETURNING 1
)
SELECT EXISTS (SELECT FROM spent)
"""  # noqa: S608 - names of our own columns
"""The token's row comes with the last statement but one, since a rack that enrols with one token waits for it."""


async def find(session: AsyncSession, relay: str, *, lock: bool = False, field: str | None = None) -> RelayRow:
    """By identifier. Raises `NotFound` (`no_such_relay`)."""
    query = select(RelayRow).where(col(RelayRow.id) == relay)
    row = (await session.execute(query.with_for_update() if lock else query)).scalars().first()
    if row is None:
        raise no_such_relay(field)
    return row


def no_such_relay(field: str | None = None) -> NotFound:
    """For identifiers of relays that are none."""
    return NotFound("no_such_relay", "there is no such relay.", field=field, mend="See GET /v1/relays.")


class FirstContact(NamedTuple):
    """What a relay's first contact with keyd hangs on; `secret_hash` is None where no join token is known."""

    nkey: str
    identity_key: str
    revoked: bool
    secret_hash: bytes | None

    def __repr__(self) -> str:
        return f"FirstContact({self.nkey}, <hidden>)"


async def first_contact(db: Database, relay: str) -> FirstContact:
    """Without the ORM: a whole network asks at once when keyd comes to it. Raises `NotFound` (`no_such_relay`)."""
    async with db.raw() as connection:
        row = await connection.fetchrow(
            "SELECT relays.nkey, relays.identity_key, relays.revoked_at IS NOT NULL AS revoked, tokens.secret_hash"
            " FROM registry.relays LEFT JOIN registry.join_tokens AS tokens ON tokens.id = relays.join_token"
            " WHERE relays.id = $1",
            relay,
        )
    if row is None:
        raise no_such_relay()
    return FirstContact(**row)


async def by_nkey(uow: UnitOfWork, nkey: str) -> RelayRow | None:
    """The relay with this proven key. Until the end of the unit of work nobody else enrols with the same key."""
    await uow.connection.exec_driver_sql(
        "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", (f"registry enrols {nkey}",)
    )
    # Most are new, and then the ORM has nothing to do.
    found = await uow.connection.exec_driver_sql("SELECT id FROM registry.relays WHERE nkey = $1 FOR UPDATE", (nkey,))
    known = found.scalar()
    return None if known is None else await uow.session.get_one(RelayRow, known)


async def add(uow: UnitOfWork, row: RelayRow) -> bool:
    """Store a new relay with its status, and spend the token that let it in; False where that has no use left."""
    values = {**row.model_dump(), "labels": json.dumps(row.labels), "versions": json.dumps(row.versions)}
    found = await uow.connection.exec_driver_sql(_ADD, tuple(values[name] for name in _COLUMNS))
    return bool(found.scalar_one())


async def status(session: AsyncSession, relays: Sequence[str]) -> dict[str, RelayStatusRow]:
    """What is stored about how these relays are."""
    found = await session.execute(select(RelayStatusRow).where(col(RelayStatusRow.relay_id).in_(relays)))
    return {row.relay_id: row for row in found.scalars()}


async def client_counts(session: AsyncSession, network: str) -> dict[str, int]:
    """How many clients each relay of the network has; relays without any are left out."""
    query = (
        select(col(ClientRow.relay_id), func.count())
        .where(col(ClientRow.network_id) == network, col(ClientRow.relay_id).is_not(None))
        .group_by(col(ClientRow.relay_id))
    )
    return {str(relay): int(count) for relay, count in (await session.execute(query)).all()}


async def usable(session: AsyncSession, network: str) -> Sequence[RelayRow]:
    """The relays of a network that are not revoked."""
    query = select(RelayRow).where(col(RelayRow.network_id) == network, col(RelayRow.revoked_at).is_(None))
    return (await session.execute(query.order_by(col(RelayRow.id)))).scalars().all()


async def endpoints(session: AsyncSession, network: str) -> dict[str, tuple[str, ...]]:
    """Where the relays of a network are reached, by name, of those that are not revoked."""
    query = select(col(RelayRow.name), col(RelayRow.endpoints)).where(
        col(RelayRow.network_id) == network, col(RelayRow.revoked_at).is_(None)
    )
    return {name: tuple(told) for name, told in (await session.execute(query.order_by(col(RelayRow.name)))).all()}


async def to_revoke_on_bus(session: AsyncSession, *, limit: int = 500) -> Sequence[RelayRow]:
    """Revoked relays whose credentials the bus still takes."""
    query = select(RelayRow).where(col(RelayRow.revoked_at).is_not(None), col(RelayRow.bus_revoked_at).is_(None))
    return (await session.execute(query.order_by(col(RelayRow.id)).limit(limit))).scalars().all()


async def mark_revoked_on_bus(uow: UnitOfWork, ids: Sequence[str]) -> None:
    """The bus refuses these relays from now on."""
    await uow.connection.execute(
        text("UPDATE registry.relays SET bus_revoked_at = :now WHERE id = ANY(:ids)"),
        {"now": uow.now, "ids": list(ids)},
    )


async def locked(uow: UnitOfWork, ids: Sequence[str]) -> Sequence[RelayRow]:
    """These relays, as far as they exist, locked in the order of their identifiers until the end."""
    query = select(RelayRow).where(col(RelayRow.id).in_(ids)).order_by(col(RelayRow.id)).with_for_update()
    return (await uow.session.execute(query)).scalars().all()


async def many(session: AsyncSession, ids: Sequence[str]) -> Sequence[RelayRow]:
    return (await session.execute(select(RelayRow).where(col(RelayRow.id).in_(ids)))).scalars().all()
