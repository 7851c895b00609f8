"""Bulk writes: all rows or none, in any number, by two writers at once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from ipaddress import IPv6Address

import asyncpg
import pytest
from altnet.common.clock import SystemClock
from altnet.common.db import bulk
from altnet.common.db.engine import Database, DatabaseSettings
from altnet.common.embedded.postgres import PostgresServer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.postgres import DatabaseFactory, owner_dsn

COLUMNS = {"id": "text", "address": "inet", "seen": "bigint"}


@pytest.fixture
async def db(database_factory: DatabaseFactory, postgres_server: PostgresServer) -> AsyncIterator[Database]:
    found = database_factory()
    owner = await asyncpg.connect(owner_dsn(postgres_server, found))
    await owner.execute('CREATE TABLE example."Last Seen" (id text PRIMARY KEY, address inet, seen bigint NOT NULL)')
    await owner.close()
    async with Database(found, schema="example", clock=SystemClock()) as opened:
        yield opened


TABLE = "example.Last Seen"


async def _stored(db: Database) -> dict[str, int]:
    async with db.raw() as connection:
        return {row["id"]: row["seen"] for row in await connection.fetch('SELECT * FROM example."Last Seen"')}


def _row(name: str, seen: int) -> tuple[str, IPv6Address, int]:
    return (name, IPv6Address("fd00::1"), seen)


async def test_rows_are_copied_in_chunks_all_or_none(db: Database) -> None:
    rows = [_row(f"r{number}", number) for number in range(25)]
    async with db.raw() as connection:
        assert await bulk.copy_rows(connection, TABLE, list(COLUMNS), rows, chunk=10) == 25
        assert await bulk.copy_rows(connection, TABLE, list(COLUMNS), []) == 0
        with pytest.raises(asyncpg.UniqueViolationError):
            await bulk.copy_rows(connection, TABLE, list(COLUMNS), [_row("new", 1), _row("r3", 1)], chunk=1)
    assert await _stored(db) == {f"r{number}": number for number in range(25)}


async def test_an_upsert_inserts_updates_and_keeps_the_last_of_a_key(db: Database) -> None:
    async with db.raw() as connection:
        rows = [_row("a", 1), _row("b", 1), _row("a", 2)]
        done = await bulk.upsert_rows(connection, TABLE, COLUMNS, rows, conflict=["id"], update=["seen"], chunk=1)
        assert done == 2
        await bulk.upsert_rows(connection, TABLE, COLUMNS, [_row("b", 9)], conflict=["id"], update=["seen"])
        nothing = await bulk.upsert_rows(connection, TABLE, COLUMNS, [_row("b", 5)], conflict=["id"], update=[])
    assert nothing == 0
    assert await _stored(db) == {"a": 2, "b": 9}


async def test_a_late_row_does_not_undo_a_newer_one(db: Database) -> None:
    async with db.raw() as connection:
        for seen in (5, 3, 8):
            await bulk.upsert_rows(
                connection, TABLE, COLUMNS, [_row("a", seen)], conflict=["id"], update=["seen"], newer="seen"
            )
            await bulk.upsert_rows(
                connection, TABLE, COLUMNS, [_row("a", 4)], conflict=["id"], update=["seen"], newer="seen"
            )
    assert await _stored(db) == {"a": 8}


async def test_two_writers_of_the_same_rows_in_other_orders_do_not_deadlock(db: Database) -> None:
    async def write(seed: int) -> None:
        rows = [_row(f"r{number}", number) for number in range(300)]
        random.Random(seed).shuffle(rows)
        async with db.raw() as connection:
            await bulk.upsert_rows(connection, TABLE, COLUMNS, rows, conflict=["id"], update=["seen"], chunk=7)

    async with asyncio.timeout(30):
        await asyncio.gather(*(write(seed) for seed in range(4)))
    assert len(await _stored(db)) == 300


async def test_a_unit_of_work_that_fails_undoes_its_bulk_rows(db: Database) -> None:
    async def write() -> None:
        async with db.transaction(actor="me") as uow:
            rows = [_row("a", 1)]
            await bulk.upsert_rows(await uow.driver(), TABLE, COLUMNS, rows, conflict=["id"], update=["seen"])
            raise KeyError

    with pytest.raises(KeyError):
        await write()
    assert await _stored(db) == {}


@pytest.fixture
def one_database(database_factory: DatabaseFactory) -> DatabaseSettings:
    """One for all examples, which empty it first."""
    return database_factory()


@pytest.mark.slow
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.tuples(st.sampled_from("abcde"), st.integers(0, 9)), max_size=8), max_size=5))
def test_any_batches_end_as_if_the_rows_had_come_one_by_one(
    one_database: DatabaseSettings, batches: list[list[tuple[str, int]]]
) -> None:
    async def run() -> None:
        model: dict[str, int] = {}
        async with Database(one_database, schema="example", clock=SystemClock()) as db, db.raw() as connection:
            await connection.execute("DELETE FROM example.dead_letter")
            for batch in batches:
                rows = [("c", name, number) for name, number in batch]
                await bulk.upsert_rows(
                    connection,
                    "example.dead_letter",
                    {
                        "consumer": "text",
                        "message_id": "text",
                        "delivered": "int",
                        "subject": "text",
                        "headers": "json",
                        "payload": "bytea",
                        "reason": "text",
                        "first_at": "timestamptz",
                        "last_at": "timestamptz",
                    },
                    [(*row, "s", "{}", b"", "r", SystemClock().now(), SystemClock().now()) for row in rows],
                    conflict=["consumer", "message_id"],
                    update=["delivered"],
                    chunk=2,
                )
                model |= dict(batch)
            found = await connection.fetch("SELECT message_id, delivered FROM example.dead_letter")
            assert {row[0]: row[1] for row in found} == model

    asyncio.run(run())
