"""Numbers of security events: counted along by a reader, and given by Postgres without a gap whoever dies."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import asyncpg
import pytest
import pytest_asyncio
from altnet.common.clock import SystemClock
from altnet.common.contracts.security import Counted, Gap, Reader, SecurityEvent
from altnet.common.db import names, numbers
from altnet.common.db.engine import Database, DatabaseSettings
from altnet.common.embedded.postgres import PostgresServer
from hypothesis import given
from hypothesis import strategies as st
from support.postgres import PASSWORD, DatabaseFactory, owner_dsn

MIGRATIONS = Path(__file__).parents[3] / "tests/support/migrations"
PERISHING = """
import asyncio, sys
from altnet.common.clock import SystemClock
from altnet.common.db.engine import Database, DatabaseSettings
from altnet.common.embedded.postgres import PostgresServer
from test_security_numbers import Alarm, settings_of

async def main():
    async with Database(settings_of(sys.argv[1]), schema="toy", clock=SystemClock()) as db:
        number = 0
        while True:
            async with db.transaction(actor="test") as uow:
                uow.emit(Alarm(what=str(number)))
                uow.emit(Alarm(what=str(number + 1)))
                number += 2
            print(number, flush=True)

asyncio.run(main())
"""


class Alarm(SecurityEvent, frozen=True, kw_only=True):
    """Not entered into the registry of kinds, which other tests compare with golden files."""

    kind: ClassVar[str] = "toy.alarm.rang"
    version: ClassVar[int] = 1
    what: str = ""

    @property
    def subject_id(self) -> str:
        return "bell"


def settings_of(text: str) -> DatabaseSettings:
    return DatabaseSettings.from_dsn(text)


@pytest_asyncio.fixture
async def database(
    database_factory: DatabaseFactory, postgres_server: PostgresServer
) -> AsyncIterator[tuple[Database, str]]:
    """A service's database, and how another process of it gets there."""
    settings = database_factory("toy", MIGRATIONS)
    owner = await asyncpg.connect(owner_dsn(postgres_server, settings, "toy"))
    await owner.execute(numbers.table("toy"))
    await owner.execute(numbers.known_table("toy"))
    await owner.close()
    dsn = postgres_server.dsn(names.runtime_role("toy"), settings.name, password=PASSWORD)
    async with Database(settings, schema="toy", clock=SystemClock()) as db:
        yield db, dsn


async def told(db: Database) -> list[tuple[str, int]]:
    """What the outbox holds, in the order in which it is published."""
    async with db.dedicated() as connection:
        rows = await connection.fetch("SELECT payload FROM toy.outbox ORDER BY ordinal")
    found = [json.loads(row["payload"]) for row in rows]
    return [(one["emitter"], one["number"]) for one in found]


@pytest.mark.server
async def test_units_of_work_that_run_at_once_and_some_that_fail_leave_neither_gap_nor_repeat(
    database: tuple[Database, str],
) -> None:
    db, _ = database

    async def work(which: int) -> None:
        try:
            async with db.transaction(actor="test") as uow:
                uow.emit(Alarm(what=f"{which} a"))
                await asyncio.sleep(0)
                uow.emit(Alarm(what=f"{which} b"))
                if which % 3 == 0:
                    raise ZeroDivisionError
        except ZeroDivisionError:
            pass

    await asyncio.gather(*(work(which) for which in range(30)))
    assert await told(db) == [("toy", number) for number in range(1, 41)]


@pytest.mark.server
async def test_an_emitter_that_is_killed_between_two_events_shows_neither_gap_nor_repeated_number(
    database: tuple[Database, str],
) -> None:
    db, dsn = database
    path = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[3] / "tests")])
    for _ in range(3):
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            PERISHING,
            dsn,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
        )
        assert process.stdout is not None
        for _ in range(3):
            async with asyncio.timeout(30):
                assert await process.stdout.readline(), "it ended by itself"
        process.send_signal(signal.SIGKILL)
        await process.wait()
    found = await told(db)
    assert len(found) >= 18
    assert found == [("toy", number) for number in range(1, len(found) + 1)]


@pytest.mark.server
async def test_after_a_restore_the_numbers_that_may_have_been_told_are_left_out_and_that_shows(
    database: tuple[Database, str],
) -> None:
    db, _ = database
    reader = Reader()
    async with db.transaction(actor="test") as uow:
        uow.emit(Alarm())
    async with db.transaction(actor="test") as uow:
        await numbers.skip(uow.connection, "toy", "toy", 10)
    async with db.transaction(actor="test") as uow:
        uow.emit(Alarm())
    assert [reader.take(*one) for one in await told(db)] == [Counted.NEXT, Counted.GAP]
    assert reader.missing == {"toy": tuple(range(2, 12))}


def test_a_reader_says_what_is_missing_and_takes_it_when_it_comes_late() -> None:
    reader = Reader.begin({"keyd": 4})
    assert [reader.take("keyd", number) for number in (5, 5, 8, 6, 6, 9)] == [
        Counted.NEXT,
        Counted.REPEATED,
        Counted.GAP,
        Counted.NEXT,
        Counted.REPEATED,
        Counted.NEXT,
    ]
    assert reader.missing == {"keyd": (7,)}
    assert reader.take("registry", 100) is Counted.NEXT, "an emitter's count begins where it is first heard"
    with pytest.raises(ValueError, match="0"):
        reader.take("keyd", 0)


@given(st.sets(st.integers(2, 40)), st.randoms(use_true_random=False))
def test_whatever_is_lost_or_reordered_the_missing_ones_are_exactly_named(lost: set[int], random: object) -> None:
    heard = [number for number in range(1, 42) if number not in lost]
    later = heard[1:] * 2
    random.shuffle(later)
    reader = Reader.begin({"x": 0})
    for number in [heard[0], *later]:
        reader.take("x", number)
    assert set(reader.missing.get("x", ())) == {number for number in lost if number < heard[-1]}
    stretches = reader.gaps.get("x", ())
    assert all(one.last + 1 < two.first for one, two in pairwise(stretches)), "in order, and none touches the next"


def test_a_gap_of_a_billion_numbers_costs_no_memory_and_is_told_as_one() -> None:
    reader = Reader.begin({"registry": 1})
    reader.take("registry", 1_000_000_002)
    reader.take("registry", 500)
    assert reader.gaps == {"registry": (Gap(2, 499), Gap(501, 1_000_000_001))}
