"""Numbered changes. A number is taken from one row, whose lock is held until the commit: so numbers have no gaps, and
whoever has the lower number committed first. Take it last, since everybody waits for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from altnet.common.contracts.envelope import Event
from altnet.common.db.uow import UnitOfWork
from altnet.registry.domain.world import Ref
from altnet.registry.tables import ChangeRow, CounterRow
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

_RECORD: Final = """
WITH counter AS (UPDATE registry.change_counter SET number = number + 1 RETURNING number)
INSERT INTO registry.changes (number, at, actor, kind, summary, event_id, network_id, touched)
SELECT number, $1, $2, $3, $4, $5, $6, $7 FROM counter RETURNING number
"""


def _nothing_else(_: int) -> Iterable[Event]:
    return ()


async def record(
    uow: UnitOfWork,
    event: Callable[[int], Event],
    *,
    touched: Iterable[Ref],
    summary: str,
    network: str | None,
    also: Callable[[int], Iterable[Event]] = _nothing_else,
) -> int:
    """Number this unit of work's change, emit its event (made from the number) and note what it touched.

    `also` are events of what followed from it, told first.
    """
    await uow.session.flush()
    event_id = uow.event_id()
    found = await uow.connection.exec_driver_sql(
        _RECORD,
        (
            uow.now,
            uow.actor,
            event(0).kind,  # a kind is the class's, so any number will do
            summary,
            event_id,
            network,
            [f"{kind}:{identifier}" for kind, identifier in touched],
        ),
    )
    number = int(found.scalar_one())
    for other in also(number):
        uow.emit(other)
    uow.emit(event(number), identifier=event_id)
    return number


async def raise_counter(uow: UnitOfWork, skip: int) -> int:
    """Leave out `skip` numbers: after a restore, agents may have seen later numbers than the backup has."""
    found = await uow.connection.execute(
        update(CounterRow).values(number=col(CounterRow.number) + skip).returning(col(CounterRow.number))
    )
    return int(found.scalar_one())


async def newest(session: AsyncSession) -> int:
    """The number of the last accepted change; 0 if there is none."""
    return int((await session.execute(select(col(CounterRow.number)))).scalar_one())


async def find(session: AsyncSession, number: int) -> ChangeRow | None:
    return await session.get(ChangeRow, number)


async def after(session: AsyncSession, number: int, *, limit: int) -> Sequence[ChangeRow]:
    """The changes after `number`, oldest first."""
    found = await session.execute(
        select(ChangeRow).where(col(ChangeRow.number) > number).order_by(col(ChangeRow.number)).limit(limit)
    )
    return found.scalars().all()
