"""A POST with an Idempotency-Key whose server is killed is done once, and its repetition is answered at once."""

from __future__ import annotations

import asyncio
import secrets
import signal
import subprocess
import sys
from pathlib import Path

import asyncpg
import httpx
import msgspec
import pytest
from altnet.common.db.names import runtime_role
from support.dying_api import SCHEMA, Orders, Point, client
from support.postgres import PASSWORD, DatabaseFactory, PostgresServer

TESTS = Path(__file__).parents[3] / "tests"
PATIENCE = 10.0
"""Seconds for Postgres to hear of a client's death; a claim by itself lasts a minute."""


@pytest.fixture
def orders(database_factory: DatabaseFactory, postgres_server: PostgresServer) -> Orders:
    settings = database_factory()
    dsn = postgres_server.dsn(runtime_role(SCHEMA), settings.name, password=PASSWORD)
    return Orders(dsn=dsn, seed=secrets.token_hex(32), key="the-key", name="north", point=Point.NOWHERE)


async def told(orders: Orders) -> list[str]:
    """The events that were committed."""
    connection = await asyncpg.connect(orders.dsn)
    try:
        return [row["id"] for row in await connection.fetch("SELECT id FROM example.outbox ORDER BY ordinal")]
    finally:
        await connection.close()


async def ask(orders: Orders) -> httpx.Response:
    """The request once more, until nobody is thought to be at work on it."""
    async with client(orders) as http, asyncio.timeout(PATIENCE):
        while True:
            answer = await http.post("/v1/things", json={"name": orders.name})
            if answer.status_code != 409:
                return answer
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("point", [Point.IN_THE_WORK, Point.BEFORE_THE_COMMIT, Point.AFTER_THE_COMMIT])
async def test_wherever_the_server_is_killed_the_repetition_is_answered_and_the_work_done_once(
    orders: Orders, point: Point
) -> None:
    deadly = msgspec.json.encode(msgspec.structs.replace(orders, point=point))
    command = [sys.executable, "-m", "support.dying_api"]
    done = await asyncio.to_thread(
        subprocess.run, command, input=deadly, cwd=TESTS, timeout=60, check=False, capture_output=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert len(await told(orders)) == (1 if point is Point.AFTER_THE_COMMIT else 0)

    answer = await ask(orders)

    assert answer.status_code == 201, answer.text
    assert await told(orders) == [answer.json()["event"]]
    assert ("idempotency-replayed" in answer.headers) == (point is Point.AFTER_THE_COMMIT)
    assert (await ask(orders)).json() == answer.json()


async def test_who_commits_after_its_claim_was_taken_over_is_undone(orders: Orders) -> None:
    entered, gate = asyncio.Event(), asyncio.Event()
    async with client(orders) as http:
        slow = asyncio.create_task(_slowly(orders, entered, gate))
        await entered.wait()
        connection = await asyncpg.connect(orders.dsn)
        try:
            await connection.execute("UPDATE example.idempotency SET holder = NULL")  # as if its connection were gone
        finally:
            await connection.close()
        winner = await http.post("/v1/things", json={"name": orders.name})
        gate.set()
        late = await slow

    assert winner.status_code == 201, winner.text
    assert (late.status_code, late.json()["code"]) == (409, "idempotency_overtaken")
    assert await told(orders) == [winner.json()["event"]]
    assert (await ask(orders)).json() == winner.json()


async def _slowly(orders: Orders, entered: asyncio.Event, gate: asyncio.Event) -> httpx.Response:
    async def wait() -> None:
        entered.set()
        await gate.wait()

    async with client(orders, before_work=wait) as http:
        return await http.post("/v1/things", json={"name": orders.name})
