"""Networks."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from altnet.common.contracts.desired import MeshSettings
from altnet.common.errors import NotFound
from altnet.registry.tables import NetworkRow
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col


def settings_of(row: NetworkRow) -> MeshSettings:
    return msgspec.convert(row.settings, MeshSettings)


async def find(session: AsyncSession, name: str, *, lock: bool = False) -> NetworkRow:
    """By identifier or name. Raises `NotFound` (`no_such_network`)."""
    column = NetworkRow.id if name.startswith("net_") else NetworkRow.name
    query = select(NetworkRow).where(col(column) == name)
    row = (await session.execute(query.with_for_update() if lock else query)).scalars().first()
    if row is None:
        raise NotFound("no_such_network", "there is no such network.", field="/network", mend="See GET /v1/networks.")
    return row


async def only(session: AsyncSession) -> NetworkRow:
    """The oldest network, which is meant where none is named. Raises `NotFound` before the first start has made it."""
    row = (await session.execute(select(NetworkRow).order_by(col(NetworkRow.id)).limit(1))).scalars().first()
    if row is None:
        raise NotFound("no_such_network", "there is no network yet.", mend="The registry makes one when it starts.")
    return row


async def every(session: AsyncSession) -> Sequence[NetworkRow]:
    return (await session.execute(select(NetworkRow).order_by(col(NetworkRow.id)))).scalars().all()
