"""`?dry_run`: on a real Postgres nothing stays, and whoever cannot be tried is refused instead of done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime

import httpx
import pytest
from altnet.common.clock import FixedClock, SystemClock
from altnet.common.db.engine import Database
from altnet.common.errors import Conflict
from altnet.common.http.app import create_app
from altnet.common.http.auth import DECLARED, ChainAuthenticator, TokenVerifier
from altnet.common.http.routes import no_dry_run, operation_id
from fastapi import APIRouter, Depends
from prometheus_client import CollectorRegistry
from support.postgres import DatabaseFactory
from support.thing_event import ThingChanged


@pytest.fixture
async def database(database_factory: DatabaseFactory) -> AsyncIterator[Database]:
    async with Database(database_factory(), schema="example", clock=SystemClock()) as made:
        yield made


async def asked(database: Database, handler: Callable[[], Awaitable[object]], query: str) -> httpx.Response:
    async def ready() -> dict[str, str]:
        return {}

    router = APIRouter(tags=["things"], generate_unique_id_function=operation_id, dependencies=[Depends(DECLARED)])
    router.post("/v1/things", status_code=201)(handler)
    clock = FixedClock(datetime(2026, 5, 1, tzinfo=UTC))
    app = create_app(
        service="example",
        title="t",
        version="0",
        description="d",
        routers=[router],
        authenticator=ChainAuthenticator(TokenVerifier([], clock), None, clock=clock),
        database=database,
        clock=clock,
        metrics=CollectorRegistry(),
        ready=ready,
    )
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://example") as client:
        return await client.post(f"/v1/things{query}", headers={"Idempotency-Key": "k"})


async def stored(database: Database) -> int:
    async with database.raw() as connection:
        return int(await connection.fetchval("SELECT count(*) FROM example.outbox"))


async def one_unit(database: Database) -> dict[str, str]:
    async with database.transaction(actor="me") as uow:
        uow.emit(ThingChanged(thing="t"))
    return {"made": "t"}


async def test_what_is_tried_is_answered_as_ever_and_undone(database: Database) -> None:
    async def make() -> object:
        return await one_unit(database)

    tried = await asked(database, make, "?dry_run=true")
    assert (tried.status_code, tried.json(), tried.headers["Dry-Run"]) == (201, {"made": "t"}, "true")
    assert await stored(database) == 0

    done = await asked(database, make, "?dry_run=false")
    assert (done.status_code, "Dry-Run" in done.headers, await stored(database)) == (201, False, 1)


async def test_an_error_of_the_handler_is_the_answer_of_a_try_too(database: Database) -> None:
    async def refuse() -> object:
        raise Conflict("name_taken", "it is taken.")

    tried = await asked(database, refuse, "?dry_run=true")
    assert (tried.status_code, tried.json()["code"], tried.headers["Dry-Run"]) == (409, "name_taken", "true")


@pytest.mark.parametrize("query", ["?dry_run", "?dry_run=yes", "?dry_run=True", "?dry_run=true&dry_run=false"])
async def test_who_misspells_it_does_nothing_by_mistake(database: Database, query: str) -> None:
    async def make() -> object:
        return await one_unit(database)

    refused = await asked(database, make, query)
    assert (refused.status_code, refused.json()["code"], await stored(database)) == (422, "bad_dry_run", 0)


async def test_what_cannot_be_undone_is_refused_and_not_done(database: Database) -> None:
    @no_dry_run
    async def marked() -> object:
        return await one_unit(database)

    refused = await asked(database, marked, "?dry_run=true")
    assert (refused.status_code, refused.json()["code"], await stored(database)) == (422, "dry_run_unsupported", 0)


async def test_a_handler_that_builds_on_what_it_did_or_goes_around_units_of_work_is_refused(database: Database) -> None:
    async def twice() -> object:
        await one_unit(database)
        return await one_unit(database)

    async def looks_again() -> object:
        await one_unit(database)
        async with database.read():
            return {}

    async def raw() -> object:
        async with database.raw():
            return {}

    async def by_another_task() -> object:
        return await asyncio.create_task(one_unit(database))

    for handler in (twice, looks_again, raw, by_another_task):
        refused = await asked(database, handler, "?dry_run=true")
        assert (refused.status_code, refused.json()["code"]) == (409, "dry_run_unsupported"), handler
        assert await stored(database) == 0
