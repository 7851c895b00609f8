"""Leadership: one at a time, taken over when it ends, given up when it is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from altnet.common.clock import SystemClock
from altnet.common.db.advisory import LeaderSettings, leader
from altnet.common.db.engine import Database, DatabaseSettings
from support.postgres import DatabaseFactory

QUICK = LeaderSettings(campaign=0.02, check=0.1, check_timeout=0.3)


@pytest.fixture
async def db(database_factory: DatabaseFactory) -> AsyncIterator[Database]:
    async with Database(database_factory(), schema="example", clock=SystemClock()) as opened:
        yield opened


class Scene:
    """Who works, and how many at once."""

    def __init__(self) -> None:
        self.working: set[str] = set()
        self.most = 0
        self.changed = asyncio.Event()

    def part(self, name: str) -> Callable[[], Awaitable[None]]:
        async def work() -> None:
            self.working.add(name)
            self.most = max(self.most, len(self.working))
            self.changed.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.working.discard(name)
                self.changed.set()

        return work

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


async def _cut(db: Database) -> None:
    async with db.raw() as connection:
        await connection.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE locktype = 'advisory'")


async def test_one_works_and_another_takes_over_when_it_stops(db: Database) -> None:
    scene = Scene()
    tasks = {name: asyncio.create_task(leader(db, "x", scene.part(name), settings=QUICK)) for name in "abc"}
    for _ in range(3):
        await scene.until(lambda: len(scene.working) == 1)
        (now,) = scene.working
        stopped = tasks.pop(now)
        stopped.cancel()
        await asyncio.wait([stopped])
    assert scene.most == 1
    assert scene.working == set()


async def test_a_lost_connection_cancels_the_work_and_it_begins_again(db: Database) -> None:
    scene = Scene()
    task = asyncio.create_task(leader(db, "x", scene.part("a"), settings=QUICK))
    await scene.until(lambda: bool(scene.working))
    lost = asyncio.create_task(scene.until(lambda: not scene.working))
    await _cut(db)
    await lost
    await scene.until(lambda: bool(scene.working))
    task.cancel()
    await asyncio.wait([task])


async def test_different_names_and_schemas_lead_apart(database_factory: DatabaseFactory, db: Database) -> None:
    scene = Scene()
    tasks = [asyncio.create_task(leader(db, name, scene.part(name), settings=QUICK)) for name in "ab"]
    await scene.until(lambda: scene.working == {"a", "b"})
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def test_it_ends_with_the_work_and_raises_what_the_work_raises(db: Database) -> None:
    async def done() -> None:
        return None

    async def fails(error: Exception) -> None:
        raise error

    async with asyncio.timeout(10):
        await leader(db, "x", done, settings=QUICK)
        for error in (KeyError("mine"), TimeoutError("not the database's")):
            with pytest.raises(type(error)):
                await leader(db, "x", lambda error=error: fails(error), settings=QUICK)  # type: ignore[misc]  # bound at once
        await leader(db, "x", done, settings=QUICK)  # the lock was given back each time


async def test_it_waits_while_the_database_is_away(database_factory: DatabaseFactory) -> None:
    found = database_factory()
    away = DatabaseSettings(host="/nonexistent", user=found.user, connect_timeout=0.2)
    scene = Scene()
    async with Database(away, schema="example", clock=SystemClock()) as db:
        task = asyncio.create_task(leader(db, "x", scene.part("a"), settings=QUICK))
        await asyncio.sleep(0.2)
        assert not task.done()
        assert not scene.working
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
