"""The last unit of work of a task that holds waits for its commit; on a real Postgres."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from altnet.common.clock import SystemClock
from altnet.common.db.engine import Database
from altnet.common.errors import Conflict
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from support.postgres import DatabaseFactory
from support.thing_event import ThingChanged


@pytest.fixture
async def database(database_factory: DatabaseFactory) -> AsyncIterator[Database]:
    async with Database(database_factory(), schema="example", clock=SystemClock()) as made:
        yield made


async def work(database: Database, thing: str, *, error: Exception | None = None) -> None:
    async with database.transaction(actor="tester") as uow:
        uow.emit(ThingChanged(thing=thing))
        if error is not None:
            raise error


async def committed(database: Database) -> list[str]:
    """As another task sees it, for whom nothing is held."""

    async def look() -> list[str]:
        async with database.raw() as connection:
            rows = await connection.fetch("SELECT subject_id FROM example.outbox ORDER BY ordinal")
            return [row["subject_id"] for row in rows]

    return await asyncio.create_task(look())


async def test_what_is_held_is_committed_with_what_is_written_last(database: Database) -> None:
    async def last(connection: AsyncConnection) -> None:
        await connection.execute(text("UPDATE example.outbox SET actor = 'last'"))

    async with database.holding() as held:
        await work(database, "one")
        assert held.pending
        assert await committed(database) == []
        await held.commit(last)
        assert not held.pending
    async with database.raw() as connection:
        assert await connection.fetchval("SELECT actor FROM example.outbox") == "last"


async def test_an_error_of_what_is_written_last_undoes_everything(database: Database) -> None:
    async def last(_: AsyncConnection) -> None:
        raise Conflict("no", "no.")

    async with database.holding() as held:
        await work(database, "one")
        with pytest.raises(Conflict):
            await held.commit(last)
    assert await committed(database) == []


async def test_what_nobody_commits_is_undone_and_its_connection_given_back(database: Database) -> None:
    for _ in range(database.settings.pool_size + 1):
        async with database.holding():
            await work(database, "one")
    assert await committed(database) == []
    assert database.engine.pool.checkedout() == 0  # type: ignore[attr-defined]  # of the pool that it is


async def test_a_unit_of_work_that_fails_is_undone_as_ever(database: Database) -> None:
    async with database.holding() as held:
        with pytest.raises(Conflict):
            await work(database, "one", error=Conflict("no", "no."))
        assert not held.pending
    assert await committed(database) == []


async def test_whatever_the_task_asks_next_sees_what_it_did_before(database: Database) -> None:
    async with database.holding() as held:
        await work(database, "one")
        async with database.read() as session:
            assert (await session.execute(text("SELECT count(*) FROM example.outbox"))).scalar() == 1
        assert not held.pending
        await work(database, "two")
        await work(database, "three")
    assert await committed(database) == ["one", "two"]


async def test_a_task_that_was_started_meanwhile_commits_by_itself(database: Database) -> None:
    async with database.holding() as held:
        await work(database, "held")
        await asyncio.create_task(work(database, "free"))
        assert await committed(database) == ["free"]
        await held.commit()
    assert sorted(await committed(database)) == ["free", "held"]
