"""Names and public keys: each has one owner in its network, whatever kind of thing that is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from altnet.common.db.uow import UnitOfWork
from altnet.common.errors import Conflict
from altnet.registry.store.conflicts import key_revoked, key_taken, name_taken
from altnet.registry.tables import KeyRow, NameRow, RevokedKeyRow
from sqlalchemy import delete, select, update
from sqlmodel import col

_CLAIM: Final = """
WITH name AS (
    INSERT INTO registry.names (network_id, name, kind, owner) VALUES ($1, $2, $3, $4)
    ON CONFLICT (network_id, name) DO NOTHING RETURNING 1
), keys AS (
    INSERT INTO registry.keys (key, owner, use)
    SELECT key, $4, use FROM unnest($5::text[], $6::text[]) AS wanted (key, use) ORDER BY key
    ON CONFLICT (key) DO NOTHING RETURNING key
)
SELECT EXISTS (SELECT FROM name) AS name, ARRAY(SELECT key FROM keys) AS keys
"""
"""Keys in one order, so that two that claim the same ones wait for each other and not in a circle."""


async def claim(
    uow: UnitOfWork,
    *,
    network: str,
    name: str,
    kind: str,
    owner: str,
    keys: Mapping[str, tuple[str, str]] | None = None,
) -> None:
    """Give a new `owner` its name and its public keys: use → (key, field to blame).

    Whoever claims the same at this moment is waited for. Raises `Conflict` (`name_taken`, `key_taken`, `key_revoked`),
    with the field.
    """
    keys = keys or {}
    texts = _different(keys)
    found = await uow.connection.exec_driver_sql(_CLAIM, (network, name, kind, owner, texts, list(keys)))
    got = found.mappings().one()
    if not got["name"]:
        raise name_taken()
    if len(got["keys"]) < len(texts):
        refused = [(key, field) for key, field in keys.values() if key not in got["keys"]]
        raise await _refusal(uow, *refused[0])


async def change_name(uow: UnitOfWork, *, network: str, name: str, owner: str) -> None:
    """Give `owner` another name. Raises `Conflict` (`name_taken`)."""
    if await uow.session.get(NameRow, (network, name)) is not None:
        raise name_taken()
    await uow.session.execute(update(NameRow).where(col(NameRow.owner) == owner).values(name=name))


async def release_name(uow: UnitOfWork, owner: str) -> None:
    await uow.session.execute(delete(NameRow).where(col(NameRow.owner) == owner))


async def claim_keys(uow: UnitOfWork, *, owner: str, keys: Mapping[str, tuple[str, str]]) -> None:
    """Give `owner` its public keys: use → (key, field to blame). Keys it has for these uses are replaced.

    Raises `Conflict` (`key_taken`, `key_revoked`) with the field.
    """
    texts = _different(keys)
    taken = await uow.session.execute(
        select(col(KeyRow.key)).where(col(KeyRow.key).in_(texts), col(KeyRow.owner) != owner)
    )
    if (other := taken.scalars().first()) is not None:
        raise await _refusal(uow, other, next(field for key, field in keys.values() if key == other))
    query = select(KeyRow).where(col(KeyRow.owner) == owner, col(KeyRow.use).in_(list(keys)))
    had = {row.use: row for row in (await uow.session.execute(query)).scalars()}
    for use, row in had.items():
        if row.key != keys[use][0]:
            await uow.session.delete(row)
    await uow.session.flush()
    uow.session.add_all(
        KeyRow(key=key, owner=owner, use=use)
        for use, (key, _) in keys.items()
        if use not in had or had[use].key != key  # a key that is kept is not claimed anew: it may be revoked by now
    )
    await uow.session.flush()


async def drop_key(uow: UnitOfWork, *, owner: str, use: str) -> None:
    """Free the key that `owner` has for this use, at once: another use may claim it next."""
    await uow.session.execute(delete(KeyRow).where(col(KeyRow.owner) == owner, col(KeyRow.use) == use))


async def release_keys(uow: UnitOfWork, owner: str) -> None:
    await uow.session.execute(delete(KeyRow).where(col(KeyRow.owner) == owner))


async def _refusal(uow: UnitOfWork, key: str, field: str) -> Conflict:
    revoked = await uow.session.get(RevokedKeyRow, key)
    return key_taken(field) if revoked is None else key_revoked(field)


def _different(keys: Mapping[str, tuple[str, str]]) -> list[str]:
    texts = [key for key, _ in keys.values()]
    if len(set(texts)) < len(texts):
        raise key_taken(list(keys.values())[-1][1])
    return texts
