"""Names and public keys: each has one owner in its network, whatever kind of thing that is."""

from __future__ import annotations

from collections.abc import Mapping

from altnet.common.db.uow import UnitOfWork
from altnet.registry.store.conflicts import key_taken, name_taken
from altnet.registry.tables import KeyRow, NameRow
from sqlalchemy import delete, select, update
from sqlmodel import col


async def claim_name(uow: UnitOfWork, *, network: str, name: str, kind: str, owner: str) -> None:
    """Give `name` to `owner`, which has none yet. Raises `Conflict` (`name_taken`)."""
    if await uow.session.get(NameRow, (network, name)) is not None:
        raise name_taken()
    uow.session.add(NameRow(network_id=network, name=name, kind=kind, owner=owner))
    await uow.session.flush()


async def change_name(uow: UnitOfWork, *, network: str, name: str, owner: str) -> None:
    """Give `owner` another name. Raises `Conflict` (`name_taken`)."""
    if await uow.session.get(NameRow, (network, name)) is not None:
        raise name_taken()
    await uow.session.execute(update(NameRow).where(col(NameRow.owner) == owner).values(name=name))


async def release_name(uow: UnitOfWork, owner: str) -> None:
    await uow.session.execute(delete(NameRow).where(col(NameRow.owner) == owner))


async def claim_keys(uow: UnitOfWork, *, owner: str, keys: Mapping[str, tuple[str, str]]) -> None:
    """Give `owner` its public keys: use → (key, field to blame). Keys it has for these uses are replaced.

    Raises `Conflict` (`key_taken`) with the field.
    """
    texts = [key for key, _ in keys.values()]
    if len(set(texts)) < len(texts):
        raise key_taken(list(keys.values())[-1][1])
    taken = await uow.session.execute(
        select(col(KeyRow.key)).where(col(KeyRow.key).in_(texts), col(KeyRow.owner) != owner)
    )
    if (other := taken.scalars().first()) is not None:
        raise key_taken(next(field for key, field in keys.values() if key == other))
    await uow.session.execute(delete(KeyRow).where(col(KeyRow.owner) == owner, col(KeyRow.use).in_(list(keys))))
    uow.session.add_all(KeyRow(key=key, owner=owner, use=use) for use, (key, _) in keys.items())
    await uow.session.flush()


async def release_keys(uow: UnitOfWork, owner: str) -> None:
    await uow.session.execute(delete(KeyRow).where(col(KeyRow.owner) == owner))
