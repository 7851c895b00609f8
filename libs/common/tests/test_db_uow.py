"""Units of work: rows and events together, in order, or not at all."""

# ruff: noqa: PT012 - a unit of work fails at its end, so the whole of it stands inside `raises`

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import asyncpg
import pytest
from altnet.common.clock import FixedClock
from altnet.common.db import bulk
from altnet.common.db.engine import Database
from altnet.common.errors import Conflict
from altnet.common.ids import EVENT, check_id
from sqlalchemy import text
from sqlmodel import Field, SQLModel, select
from support.postgres import DatabaseFactory
from support.thing_event import ThingChanged

NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)


class InboxRow(SQLModel, table=True):
    __tablename__ = "inbox"
    __table_args__ = {"schema": "example"}

    consumer: str = Field(primary_key=True)
    message_id: str = Field(primary_key=True)


@pytest.fixture
async def db(database_factory: DatabaseFactory) -> AsyncIterator[Database]:
    async with Database(database_factory(), schema="example", clock=FixedClock(NOW)) as opened:
        yield opened


async def _events(db: Database) -> list[asyncpg.Record]:
    async with db.raw() as connection:
        return await connection.fetch("SELECT * FROM example.outbox ORDER BY ordinal")


async def _rows(db: Database) -> list[str]:
    async with db.read() as session:
        return [row.message_id for row in (await session.execute(select(InboxRow))).scalars()]


async def test_rows_and_events_are_committed_together_with_who_when_and_trace(db: Database) -> None:
    async with db.transaction(actor="usr_1", trace="00-aa-bb-01") as uow:
        uow.session.add(InboxRow(consumer="c", message_id="m"))
        first = uow.emit(ThingChanged(thing="t1", number=1))
        uow.emit(ThingChanged(thing="t2", number=2))
        assert await _events(db) == []

    stored, other = await _events(db)
    assert check_id(EVENT, first) == stored["id"]
    assert (stored["kind"], stored["version"]) == ("registry.thing.changed", 1)
    assert stored["subject"] == "alt.v1.evt.registry.thing.changed.t1"
    assert (stored["subject_id"], stored["payload"]) == ("t1", '{"thing":"t1","number":1}')
    assert (stored["actor"], stored["trace"], stored["at"]) == ("usr_1", "00-aa-bb-01", NOW)
    assert stored["published_at"] is None
    assert other["ordinal"] > stored["ordinal"]
    assert await _rows(db) == ["m"]


async def test_an_error_drops_rows_and_events(db: Database) -> None:
    with pytest.raises(RuntimeError):
        async with db.transaction(actor="me") as uow:
            uow.session.add(InboxRow(consumer="c", message_id="m"))
            uow.emit(ThingChanged(thing="t1"))
            raise RuntimeError
    assert (await _events(db), await _rows(db)) == ([], [])


async def test_a_conflict_that_shows_at_the_last_flush_is_named_and_drops_events(db: Database) -> None:
    async with db.transaction(actor="me") as uow:
        uow.session.add(InboxRow(consumer="c", message_id="m"))
    with pytest.raises(Conflict, match="twice"):
        async with db.transaction(actor="me") as uow:
            uow.conflicts({"inbox_pkey": lambda: Conflict("twice", "twice.")})
            uow.session.add(InboxRow(consumer="c", message_id="m"))
            uow.emit(ThingChanged(thing="t1"))
    assert await _events(db) == []


async def test_a_session_s_own_commit_commits_nothing(db: Database) -> None:
    with pytest.raises(RuntimeError):
        async with db.transaction(actor="me") as uow:
            uow.session.add(InboxRow(consumer="c", message_id="m"))
            await uow.session.commit()
            raise RuntimeError
    assert await _rows(db) == []


async def test_a_savepoint_undoes_its_rows_and_events_and_the_rest_goes_on(db: Database) -> None:
    async with db.transaction(actor="me") as uow:
        uow.conflicts({"inbox_pkey": lambda: Conflict("twice", "twice.")})
        uow.session.add(InboxRow(consumer="c", message_id="first"))
        uow.emit(ThingChanged(thing="kept"))
        with pytest.raises(Conflict):
            async with uow.savepoint():
                uow.emit(ThingChanged(thing="dropped"))
                uow.session.add(InboxRow(consumer="c", message_id="second"))
                await uow.session.flush()
                await uow.connection.execute(text("INSERT INTO example.inbox VALUES ('c', 'second')"))
        async with uow.savepoint():
            uow.session.add(InboxRow(consumer="c", message_id="third"))
    assert sorted(await _rows(db)) == ["first", "third"]
    assert [event["subject_id"] for event in await _events(db)] == ["kept"]


async def test_core_and_driver_statements_share_the_transaction(db: Database) -> None:
    with pytest.raises(RuntimeError):
        async with db.transaction(actor="me") as uow:
            driver = await uow.driver()  # the first thing that happens: there must be a transaction already
            await driver.execute("INSERT INTO example.inbox (consumer, message_id) VALUES ('c', 'driver')")
            await bulk.copy_rows(driver, "example.inbox", ["consumer", "message_id"], [("c", "copied")])
            await uow.connection.execute(text("INSERT INTO example.inbox VALUES ('c', 'core')"))
            raise RuntimeError
    assert await _rows(db) == []


async def test_one_notification_is_sent_at_commit_however_many_events(db: Database) -> None:
    heard: asyncio.Queue[object] = asyncio.Queue()
    async with db.dedicated() as listener:
        await listener.add_listener("example_outbox", lambda *notice: heard.put_nowait(notice))
        async with db.transaction(actor="me") as uow:
            for number in range(50):
                uow.emit(ThingChanged(thing=f"t{number}"))
        async with db.transaction(actor="me") as uow:
            await uow.connection.execute(text("SELECT 1"))  # nothing told, nobody woken
        async with asyncio.timeout(5):
            await heard.get()
        await listener.execute("SELECT 1")
        assert heard.empty()


async def test_ten_thousand_events_in_one_unit_of_work_keep_their_order(db: Database) -> None:
    async with db.transaction(actor="me") as uow:
        for number in range(10_000):
            uow.emit(ThingChanged(thing=f"t{number}", number=number))
    assert [event["subject_id"] for event in await _events(db)] == [f"t{number}" for number in range(10_000)]


async def test_events_about_one_thing_are_numbered_in_the_order_of_their_commits(db: Database) -> None:
    """Without a lock on the thing, the one that got the smaller number might commit later."""
    committed: list[int] = []

    async def tell(number: int) -> None:
        async with db.transaction(actor="me") as uow:
            await uow.connection.execute(text("SELECT 1"))
            uow.emit(ThingChanged(thing="same", number=number))
            uow.emit(ThingChanged(thing=f"other{number % 3}", number=number))

    async def watch() -> None:
        """Each snapshot shows what has committed: a later one may only append."""
        while len(committed) < 200:
            async with db.raw() as connection:
                found = await connection.fetch(
                    "SELECT (payload->>'number')::int FROM example.outbox WHERE subject_id = 'same' ORDER BY ordinal"
                )
            seen = [row[0] for row in found]
            assert seen[: len(committed)] == committed
            committed[:] = seen

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(watch())
        for number in range(200):
            group.create_task(tell(number))
    assert sorted(committed) == list(range(200))


async def test_units_of_work_about_the_same_things_in_opposite_order_do_not_deadlock(db: Database) -> None:
    async def tell(number: int) -> None:
        things = [f"t{n}" for n in range(40)]
        async with db.transaction(actor="me") as uow:
            for thing in things if number % 2 else reversed(things):
                uow.emit(ThingChanged(thing=thing, number=number))

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(tell(number))
    assert len(await _events(db)) == 800


async def test_an_event_about_something_that_is_no_subject_token_is_refused_at_once(db: Database) -> None:
    with pytest.raises(ValueError, match="subject token"):
        async with db.transaction(actor="me") as uow:
            uow.emit(ThingChanged(thing="a.b >"))
