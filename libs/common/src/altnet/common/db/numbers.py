"""Numbers of security events: gapless per emitter, in the order of commits.

All replicas of a service are one emitter: they share a row in the service's schema. It is locked from the number to
the commit, so a number that is rolled back is given again, and a reader of the outbox sees numbers in their order. A
unit of work takes them last, when it writes its events: nobody waits for anything but a commit.

Invariant: two committed events of one emitter have different numbers, and none is left out but on purpose (`skip`),
which is written down (`known_gaps`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from altnet.common.contracts.security import Gap
from altnet.common.db import names
from altnet.common.db.engine import RawConnection
from sqlalchemy.ext.asyncio import AsyncConnection

MOST_LEFT: Final = 1_000_000_000
"""Of numbers left out at once: a typing error would use them up."""

_TABLE: Final = """
CREATE TABLE {schema}.emitters (
    emitter text PRIMARY KEY,
    number bigint NOT NULL CONSTRAINT emitters_number_check CHECK (number >= 0)
)
"""
_KNOWN_TABLE: Final = """
CREATE TABLE {schema}.known_gaps (
    emitter text NOT NULL,
    first bigint NOT NULL CONSTRAINT known_gaps_first_check CHECK (first >= 1),
    last bigint NOT NULL,
    why text NOT NULL,
    known_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (emitter, first),
    CONSTRAINT known_gaps_order_check CHECK (last >= first)
)
"""
_KNOW: Final = """
INSERT INTO {schema}.known_gaps (emitter, first, last, why) VALUES ($1, $2, $3, $4)
"""
_TAKE: Final = """
INSERT INTO {schema}.emitters AS e (emitter, number) VALUES ($1, $2)
ON CONFLICT (emitter) DO UPDATE SET number = e.number + $2 RETURNING number
"""


def table(schema: str) -> str:
    """The statement that makes the table, for a migration of the service."""
    return _TABLE.format(schema=names.name(schema))


def known_table(schema: str) -> str:
    """The same, of the table of numbers that are missing and that somebody can account for."""
    return _KNOWN_TABLE.format(schema=names.name(schema))


async def take(connection: AsyncConnection, schema: str, emitter: str, count: int = 1) -> int:
    """The first of `count` numbers, locked until the end of the transaction."""
    found = await connection.exec_driver_sql(_TAKE.format(schema=names.name(schema)), (emitter, count))
    return int(found.scalar_one()) - count + 1


async def known_gaps(connection: RawConnection, schema: str) -> Mapping[str, tuple[Gap, ...]]:
    """By emitter: the numbers that are missing and that somebody can account for, in order."""
    rows = await connection.fetch(f"SELECT emitter, first, last FROM {names.name(schema)}.known_gaps ORDER BY first")  # noqa: S608 - checked
    found: dict[str, tuple[Gap, ...]] = {}
    for row in rows:
        found[row["emitter"]] = (*found.get(row["emitter"], ()), Gap(row["first"], row["last"]))
    return found


async def skip(connection: AsyncConnection, schema: str, emitter: str, count: int) -> None:
    """Leave `count` numbers out: after a restore, later ones may have been told."""
    assert 0 <= count <= MOST_LEFT
    first = await take(connection, schema, emitter, count)
    if count:
        known = (emitter, first, first + count - 1, "left out after a restore")
        await connection.exec_driver_sql(_KNOW.format(schema=names.name(schema)), known)
