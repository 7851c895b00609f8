"""Numbers of security events: gapless per emitter, in the order of commits.

The emitter's row is locked from the number to the commit, so a number is taken last in a unit of work, and one that is
rolled back is given again.
"""

from __future__ import annotations

from typing import Final

from altnet.common.db.uow import UnitOfWork
from sqlalchemy import text

EMITTER: Final = "keyd"
"""All replicas are one emitter: they share the row."""

_TAKE: Final = text(
    "INSERT INTO keyd.emitters AS e (emitter, number) VALUES (:emitter, :count)"
    " ON CONFLICT (emitter) DO UPDATE SET number = e.number + :count RETURNING number"
)


async def next_numbers(uow: UnitOfWork, count: int = 1) -> int:
    """The first of `count` numbers."""
    last = (await uow.connection.execute(_TAKE, {"emitter": EMITTER, "count": count})).scalar_one()
    return int(last) - count + 1


async def skip_numbers(uow: UnitOfWork, count: int) -> None:
    """Leave `count` numbers out."""
    await next_numbers(uow, count)
