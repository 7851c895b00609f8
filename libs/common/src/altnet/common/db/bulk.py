"""Many rows at once: COPY for what is new, `unnest` for what may be there already.

Both take asyncpg's connection: `async with db.raw() as connection`, or `await uow.driver()` to stay in a unit of work.
Each call is one transaction (a savepoint inside another one): all rows or none.

Invariant: rows are written in the order of their key, so that two writers never wait for each other in a circle.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

from altnet.common.db import names
from altnet.common.db.engine import RawConnection

Row = Sequence[Any]
T = TypeVar("T")

CHUNK: Final = 5_000
"""Rows a statement: large enough that its cost is the rows', small enough for the statement timeout."""


async def copy_rows(
    connection: RawConnection, table: str, columns: Sequence[str], rows: Sequence[Row], *, chunk: int = CHUNK
) -> int:
    """COPY `rows` into `table` (`schema.table`); returns how many. A violated constraint raises asyncpg's error."""
    schema, _, plain = table.rpartition(".")
    if not rows:
        return 0
    async with connection.transaction():
        for part in _chunks(rows, chunk):
            await connection.copy_records_to_table(
                plain, schema_name=schema or None, columns=list(columns), records=part
            )
    return len(rows)


async def upsert_rows(
    connection: RawConnection,
    table: str,
    columns: Mapping[str, str],
    rows: Sequence[Row],
    *,
    conflict: Sequence[str],
    update: Sequence[str],
    newer: str | None = None,
    chunk: int = CHUNK,
) -> int:
    """Insert `rows`, or update the columns `update` of those whose `conflict` columns exist; returns how many changed.

    `columns` maps names to their SQL types, in the order of the rows' values (no arrays: unnest would flatten them).
    With an empty `update` existing rows stay. With `newer` a row is updated only by one whose column of that name is
    greater, so that a late message cannot undo a later one. Of rows with the same key in one call the last counts.
    """
    places = [list(columns).index(column) for column in conflict]
    by_key = {tuple(row[place] for place in places): row for row in rows}
    ordered = [by_key[key] for key in sorted(by_key, key=lambda key: tuple(map(str, key)))]
    statement = _upsert(table, columns, conflict, update, newer)
    changed = 0
    async with connection.transaction():
        for part in _chunks(ordered, chunk):
            values = [[row[place] for row in part] for place in range(len(columns))]
            changed += int((await connection.execute(statement, *values)).rpartition(" ")[2])
    return changed


def _upsert(
    table: str, columns: Mapping[str, str], conflict: Sequence[str], update: Sequence[str], newer: str | None
) -> str:
    listed = ", ".join(names.quoted(column) for column in columns)
    arrays = ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(columns.values(), 1))
    keys = ", ".join(names.quoted(column) for column in conflict)
    action = "NOTHING"
    if update:
        action = "UPDATE SET " + ", ".join(f"{names.quoted(c)} = excluded.{names.quoted(c)}" for c in update)
        if newer:
            action += f" WHERE excluded.{names.quoted(newer)} > old.{names.quoted(newer)}"
    return (
        f"INSERT INTO {names.dotted(table)} AS old ({listed}) SELECT * FROM unnest({arrays}) "  # noqa: S608 - names are quoted, values are parameters
        f"ON CONFLICT ({keys}) DO {action}"
    )


def _chunks(rows: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
