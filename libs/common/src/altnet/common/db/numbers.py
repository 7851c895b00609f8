"""Numbers of security events: gapless per emitter, in the order of commits.

All replicas of a service are one emitter: they share a row in the service's schema. It is locked from the number to
the commit, so a number that is rolled back is given again, and a reader of the outbox sees numbers in their order. A
unit of work takes them last, when it writes its events: nobody waits for anything but a commit.

Invariant: two committed events of one emitter have different numbers, and none is left out but on purpose (`skip`).
"""

from __future__ import annotations

from typing import Final

from altnet.common.db import names
from sqlalchemy.ext.asyncio import AsyncConnection

MOST_LEFT: Final = 1_000_000_000
"""Of numbers left out at once: a typing error would use them up."""

_TABLE: Final = """
CREATE TABLE {schema}.emitters (
    emitter text PRIMARY KEY,
    number bigint NOT NULL CONSTRAINT emitters_number_check CHECK (number >= 0)
)
"""
_TAKE: Final = """
INSERT INTO {schema}.emitters AS e (emitter, number) VALUES ($1, $2)
ON CONFLICT (emitter) DO UPDATE SET number = e.number + $2 RETURNING number
"""


def table(schema: str) -> str:
    """The statement that makes the table, for a migration of the service."""
    return _TABLE.format(schema=names.name(schema))


async def take(connection: AsyncConnection, schema: str, emitter: str, count: int = 1) -> int:
    """The first of `count` numbers, locked until the end of the transaction."""
    found = await connection.exec_driver_sql(_TAKE.format(schema=names.name(schema)), (emitter, count))
    return int(found.scalar_one()) - count + 1


async def skip(connection: AsyncConnection, schema: str, emitter: str, count: int) -> None:
    """Leave `count` numbers out: after a restore, later ones may have been told."""
    assert 0 <= count <= MOST_LEFT
    await take(connection, schema, emitter, count)
