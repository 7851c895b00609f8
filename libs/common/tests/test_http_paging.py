"""Pages of a real table: complete, in order, whatever is inserted meanwhile; and cursors that are not forged."""

from __future__ import annotations

import base64
import itertools
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from altnet.common.clock import FixedClock
from altnet.common.db.engine import Database
from altnet.common.errors import Invalid
from altnet.common.http.paging import LARGEST_LIMIT, Page, PageParams, decode_cursor, encode_cursor, fetch_page
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Column, DateTime, Integer, MetaData, String, Table, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from support.postgres import DatabaseFactory, owner_dsn
from support.toy_api import Hat, make_toy

START = datetime(2026, 1, 1, tzinfo=UTC)
THING = Table(
    "thing",
    MetaData(schema="example"),
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("made", DateTime(timezone=True), nullable=False),
    Column("size", Integer, nullable=False),
)


@pytest.fixture
async def rows(database_factory: DatabaseFactory, postgres_server: Any) -> AsyncIterator[Database]:
    settings = database_factory()
    dsn = owner_dsn(postgres_server, settings).replace("postgresql://", "postgresql+asyncpg://")
    engine = create_async_engine(dsn)
    async with engine.begin() as connection:
        await connection.run_sync(THING.metadata.create_all)
        await connection.execute(text("GRANT ALL ON example.thing TO PUBLIC"))
        await add(connection, range(25))
    await engine.dispose()
    async with Database(settings, schema="example", clock=FixedClock(START)) as database:
        yield database


async def add(connection: AsyncConnection, numbers: Any) -> None:
    values = [
        {"id": f"id{n:03}", "name": f"name {n % 4}", "made": START + timedelta(seconds=n // 3), "size": n % 2}
        for n in numbers
    ]
    await connection.execute(insert(THING).values(values))


async def walk(database: Database, column: str, *, limit: int, descending: bool) -> list[str]:
    """All ids, page after page."""
    found: list[str] = []
    cursor: str | None = None
    while True:
        async with database.read() as session:
            page, cursor = await fetch_page(
                session,
                select(THING.c.id),
                order=THING.c[column],
                key=THING.c.id,
                params=PageParams(cursor=cursor, limit=limit),
                name=f"things:{column}",
                descending=descending,
            )
        assert len(page) <= limit
        found += [row.id for row in page]
        if cursor is None:
            return found


async def test_every_row_comes_once_and_in_order_whatever_the_sort(rows: Database) -> None:
    async with rows.read() as session:
        everything = (await session.execute(select(THING))).all()

    for column, descending in itertools.product(("id", "name", "made", "size"), (False, True)):
        ordered = sorted(everything, key=lambda row: (getattr(row, column), row.id), reverse=descending)
        for limit in (1, 7, 25, 100):
            found = await walk(rows, column, limit=limit, descending=descending)
            assert found == [row.id for row in ordered], (column, descending, limit)


async def test_rows_inserted_meanwhile_neither_shift_nor_repeat_others(rows: Database) -> None:
    async def page(cursor: str | None) -> tuple[list[str], str | None]:
        async with rows.read() as session:
            found, following = await fetch_page(
                session,
                select(THING.c.id),
                order=THING.c.made,
                key=THING.c.id,
                params=PageParams(cursor=cursor, limit=10),
                name="things",
            )
        return [row.id for row in found], following

    first, cursor = await page(None)
    async with rows.transaction(actor="test") as uow:
        await uow.session.execute(insert(THING).values(id="early", name="x", made=START - timedelta(days=1), size=0))
    second, cursor = await page(cursor)

    assert second[0] == "id010"
    assert not set(first) & set(second)


@given(st.one_of(st.text(), st.integers(-(2**53), 2**53), st.datetimes(timezones=st.just(UTC)), st.uuids()), st.text())
def test_a_cursor_gives_back_what_was_put_in(value: Any, key: str) -> None:
    cursor = encode_cursor("list", value, key)

    assert decode_cursor(cursor, name="list", types=(type(value), str)) == (value, key)


def token(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "=",
        "%00",
        "ééé",
        token(b"[]"),
        token(b"{}"),
        token(b'["things"]'),
        token(b'["other","a","b"]'),
        token(b'["things",1,"b"]'),
        token(b'["things","a","b","c"]'),
        token(b"\xff"),
    ],
)
def test_a_cursor_that_is_not_of_this_list_is_refused(cursor: str) -> None:
    with pytest.raises(Invalid) as caught:
        decode_cursor(cursor, name="things", types=(str, str))
    assert (caught.value.code, caught.value.field) == ("bad_cursor", "/cursor")


@given(st.text(max_size=100))
def test_any_text_for_a_cursor_is_refused_and_never_an_error(text: str) -> None:
    with pytest.raises(Invalid):
        decode_cursor(text, name="things", types=(uuid.UUID, str))


async def test_limits_are_bounded() -> None:
    toy = make_toy()
    async with toy.client(**toy.bearer()) as client:
        statuses = [
            (await client.get("/v1/peers", params={"limit": limit})).status_code
            for limit in (1, LARGEST_LIMIT, 0, -1, LARGEST_LIMIT + 1)
        ]

    assert statuses == [200, 200, 422, 422, 422]


def test_a_page_is_named_after_what_it_lists() -> None:
    assert Page[Hat].__name__ == "HatPage"


def test_a_page_of_something_new_is_made_without_reading_anybodys_source(monkeypatch: pytest.MonkeyPatch) -> None:
    class Scarf(Hat):
        """Listed nowhere yet."""

    def refuse(*_: object) -> None:
        raise AssertionError("pydantic looks for docstrings")

    for name in ("getmodule", "findsource", "getsourcelines"):
        monkeypatch.setattr(f"inspect.{name}", refuse)

    properties = Page[Scarf].model_json_schema()["properties"]

    assert properties["next_cursor"]["description"] == "Ask with it for the next page; null on the last one."
