"""keyd's numbers of security events (`altnet.common.db.numbers`)."""

from __future__ import annotations

from typing import Final

from altnet.common.db import numbers
from altnet.common.db.uow import UnitOfWork
from altnet.keyd.tables import SCHEMA

EMITTER: Final = "keyd"
"""All replicas are one emitter: they share the row."""


async def next_numbers(uow: UnitOfWork, count: int = 1) -> int:
    """The first of `count` numbers, for an event that has to know its own before the commit; else leave it to that."""
    return await numbers.take(uow.connection, SCHEMA, EMITTER, count)


async def skip_numbers(uow: UnitOfWork, count: int) -> None:
    """Leave `count` numbers out."""
    await numbers.skip(uow.connection, SCHEMA, EMITTER, count)
