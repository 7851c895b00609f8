"""A request that is sent again is answered again and not done again; on a real Postgres."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator

import asyncpg
import httpx
import msgspec
import pytest
from altnet.common.clock import FixedClock
from altnet.common.db.engine import Database
from altnet.common.errors import Unavailable
from altnet.common.http.idempotency import sweep
from altnet.common.http.settings import HttpSettings
from support.postgres import DatabaseFactory
from support.toy_api import START, Role, Toy, make_toy

SETTINGS = HttpSettings(idempotency_keep=3600, idempotency_claim=60)


@pytest.fixture
async def toy(database_factory: DatabaseFactory) -> AsyncIterator[Toy]:
    clock = FixedClock(START)
    async with Database(database_factory(), schema="example", clock=clock) as database:
        toy = make_toy(database=database, settings=SETTINGS, clock=clock)
        toy.database = database  # type: ignore[attr-defined]  # for the tests below
        yield toy


async def post(
    toy: Toy, key: str, name: str = "north", *, subject: str = "alice", path: str = "/v1/peers"
) -> httpx.Response:
    headers = {"Idempotency-Key": key, **toy.bearer(subject=subject)}
    async with toy.client() as client:
        return await client.post(path, json={"name": name}, headers=headers)


async def stored(toy: Toy) -> list[asyncpg.Record]:
    async with toy.database.raw() as connection:  # type: ignore[attr-defined]
        found: list[asyncpg.Record] = await connection.fetch("SELECT * FROM example.idempotency")
        return found


async def test_the_same_request_again_is_answered_the_same_and_done_once(toy: Toy) -> None:
    key = str(uuid.uuid4())

    first = await post(toy, key)
    again = await post(toy, key)

    assert len(toy.made) == 1
    assert (first.status_code, first.content) == (again.status_code, again.content)
    assert again.status_code == 201
    assert again.headers["etag"] == first.headers["etag"] == '"1"'
    assert again.headers["content-type"] == first.headers["content-type"]
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert again.headers["x-request-id"] != first.headers["x-request-id"]


async def test_the_same_key_for_another_request_is_refused(toy: Toy) -> None:
    await post(toy, "key")

    for other in (await post(toy, "key", "south"), await post(toy, "key", path="/v1/peers?x=1")):
        assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert len(toy.made) == 1


async def test_a_key_is_its_senders_own(toy: Toy) -> None:
    await post(toy, "key", subject="alice")
    other = await post(toy, "key", "south", subject="bob")

    assert other.status_code == 201
    assert len(toy.made) == 2


async def test_without_a_key_every_request_counts(toy: Toy) -> None:
    async with toy.client(**toy.bearer()) as client:
        for _ in range(2):
            await client.post("/v1/peers", json={"name": "north"})

    assert len(toy.made) == 2
    assert await stored(toy) == []


async def test_the_second_of_two_at_once_is_told_to_wait(toy: Toy) -> None:
    toy.gate = asyncio.Event()
    first = asyncio.create_task(post(toy, "key"))
    await toy.entered.wait()

    second = await post(toy, "key")
    other = await post(toy, "key", "south")
    toy.gate.set()

    assert (second.status_code, second.json()["code"]) == (409, "idempotency_in_flight")
    assert other.json()["code"] == "idempotency_key_reused"
    assert (await first).status_code == 201
    assert (await post(toy, "key")).headers["idempotency-replayed"] == "true"
    assert len(toy.made) == 1


async def test_of_many_at_once_exactly_one_is_done(toy: Toy) -> None:
    answers = await asyncio.gather(*(post(toy, "key") for _ in range(12)))

    assert len(toy.made) == 1
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert any(answer.status_code == 201 for answer in answers)


async def test_a_claim_whose_process_died_expires(toy: Toy) -> None:
    toy.gate = asyncio.Event()
    dying = asyncio.create_task(post(toy, "key"))
    await toy.entered.wait()
    dying.cancel()
    await asyncio.wait([dying])
    toy.gate = None

    toy.clock.advance(59)
    assert (await post(toy, "key")).status_code == 409
    toy.clock.advance(2)
    assert (await post(toy, "key", "south")).json()["code"] == "idempotency_key_reused"
    assert (await post(toy, "key")).status_code == 201
    assert len(toy.made) == 1


async def test_a_slow_request_whose_claim_was_taken_over_has_no_say_any_more(toy: Toy) -> None:
    slow_gate = toy.gate = asyncio.Event()
    slow = asyncio.create_task(post(toy, "key"))
    await toy.entered.wait()
    toy.clock.advance(61)
    gate = toy.gate = asyncio.Event()
    toy.entered.clear()
    second = asyncio.create_task(post(toy, "key"))
    await toy.entered.wait()

    slow_gate.set()
    late = await slow
    between = await post(toy, "key")
    gate.set()
    winner = await second

    assert between.status_code == 409
    assert late.json()["id"] != winner.json()["id"]
    assert (await post(toy, "key")).json() == winner.json()


async def test_a_clients_own_fault_is_replayed_and_the_servers_is_not(toy: Toy) -> None:
    assert (await post(toy, "fault", "taken")).status_code == 409
    assert (await post(toy, "fault", "taken")).headers["idempotency-replayed"] == "true"

    toy.raises = RuntimeError("bug")
    assert (await post(toy, "bug")).status_code == 500
    toy.raises = Unavailable("bus_down", "d")
    assert (await post(toy, "bug")).status_code == 503
    toy.raises = None
    assert (await post(toy, "bug")).status_code == 201


async def test_a_refusal_of_the_sender_is_not_kept(toy: Toy) -> None:
    async def attempt(role: Role) -> int:
        headers = {"Idempotency-Key": "key", **toy.bearer(role)}
        async with toy.client() as client:
            return (await client.post("/v1/peers", json={"name": "x"}, headers=headers)).status_code

    assert [await attempt(Role.AUDITOR), await attempt(Role.ADMIN)] == [403, 201]


async def test_a_sender_without_a_token_leaves_no_trace(toy: Toy) -> None:
    async with toy.client() as client:
        refused = await client.post("/v1/peers", json={"name": "x"}, headers={"Idempotency-Key": "key"})
        public = await client.post("/v1/enrol", json={"a": 1}, headers={"Idempotency-Key": "key"})

    assert (refused.status_code, public.status_code) == (401, 200)
    assert await stored(toy) == []


async def test_a_key_is_forgotten_after_its_time_and_swept(toy: Toy) -> None:
    await post(toy, "old")
    toy.clock.advance(SETTINGS.idempotency_keep + 1)
    await post(toy, "new", "south")
    assert len(await stored(toy)) == 2

    await sweep(toy.database, clock=toy.clock, settings=SETTINGS)  # type: ignore[attr-defined]

    assert len(await stored(toy)) == 1
    assert (await post(toy, "old", "west")).status_code == 201
    assert len(toy.made) == 3


async def test_an_unswept_old_key_is_as_good_as_new(toy: Toy) -> None:
    await post(toy, "key")
    toy.clock.advance(SETTINGS.idempotency_keep + 1)

    assert (await post(toy, "key", "south")).status_code == 201


async def test_the_table_holds_neither_keys_nor_answers_that_can_be_read(toy: Toy) -> None:
    key = str(uuid.uuid4())
    await post(toy, key, "s3cret-name")

    shown = repr([dict(row) for row in await stored(toy)])
    assert key not in shown
    assert "s3cret-name" not in shown


@pytest.mark.parametrize("key", ["x" * 256, "with space", "tab\t", ""])
async def test_a_malformed_key_is_refused(toy: Toy, key: str) -> None:
    answer = await post(toy, key)

    assert (answer.status_code, answer.json()["code"]) == (422, "bad_idempotency_key")
    assert answer.json()["errors"][0]["pointer"] == "/Idempotency-Key"


async def test_without_postgres_a_request_with_a_key_is_a_503_and_nothing_is_done(
    database_factory: DatabaseFactory,
) -> None:
    settings = msgspec.structs.replace(database_factory(), port=1, connect_timeout=0.5)
    async with Database(settings, schema="example", clock=FixedClock(START)) as database:
        toy = make_toy(database=database)
        answer = await post(toy, "key")

    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
    assert answer.headers["retry-after"]
    assert toy.made == []


async def test_ready_asks_the_database(toy: Toy) -> None:
    async with toy.client() as client:
        assert (await client.get("/readyz")).json()["parts"]["database"] == "ok"


async def test_a_service_without_a_database_refuses_keys_instead_of_ignoring_them() -> None:
    toy = make_toy()

    answer = await post(toy, "key")

    assert answer.json()["code"] == "idempotency_unsupported"
    assert toy.made == []
