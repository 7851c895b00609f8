"""What every request gets: an id, a trace, a log line, counts by route, bounded bodies, and probes."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from altnet.common import log
from altnet.common.errors import Unavailable
from altnet.common.http.limits import DRAINED
from altnet.common.http.settings import HttpSettings
from altnet.common.metrics import render
from fastapi import FastAPI
from support.toy_api import Role, Toy, make_toy

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def toy() -> Toy:
    return make_toy(settings=HttpSettings(body_limit=4096, body_timeout=0.2, ready_timeout=0.1))


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    stream = io.StringIO()
    log.configure(json=True, level="info", stream=stream)
    yield stream
    root.handlers, root.level = handlers, level


async def test_a_request_id_is_made_or_taken_over_when_well_formed(toy: Toy) -> None:
    async with toy.client() as client:
        made = await client.get("/livez")
        taken = await client.get("/livez", headers={"X-Request-Id": "my-request-1"})
        forged = await client.get("/livez", headers={"X-Request-Id": "a\tb" * 20})

    assert re.fullmatch(r"req_[0-9a-z]{26}", made.headers["x-request-id"])
    assert taken.headers["x-request-id"] == "my-request-1"
    assert forged.headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize(
    ("sent", "kept"), [(TRACE, True), ("", False), ("00-" + "0" * 32 + "-00f067aa0ba902b7-01", False), ("x", False)]
)
async def test_a_trace_goes_on_where_there_is_one(toy: Toy, sent: str, kept: bool) -> None:
    async with toy.client(**toy.bearer(), traceparent=sent) as client:
        await client.post("/v1/peers", json={"name": "a"})

    trace = toy.made[0].split()[-1]
    assert re.fullmatch("[0-9a-f]{32}", trace)
    assert (trace == TRACE.split("-")[1]) is kept


async def test_one_log_line_a_request_says_who_what_and_how_it_went(toy: Toy, lines: io.StringIO) -> None:
    async with toy.client() as client:
        await client.get("/v1/peers/p1?token=s3cret", headers=toy.bearer())
        await client.get("/v1/peers")
        await client.get("/livez")

    first, second = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert (first["method"], first["route"], first["path"], first["status"]) == (
        "GET",
        "/v1/peers/{peer}",
        "/v1/peers/p1",
        200,
    )
    assert (first["principal"], first["service"]) == ("alice", "toy")
    assert second["principal"] is None
    assert second["status"] == 401
    assert "s3cret" not in lines.getvalue()


async def test_metrics_count_by_route_and_never_by_path(toy: Toy) -> None:
    async with toy.client(**toy.bearer()) as client:
        for number in range(5):
            await client.get(f"/v1/peers/x{number}")
            await client.get(f"/v1/nowhere/{number}")
            await client.request("BREW", f"/v1/pot/{number}")
        text = (await client.get("/metrics")).text

    assert 'altnet_toy_http_requests_total{method="GET",route="/v1/peers/{peer}",status="404"} 5.0' in text
    assert 'altnet_toy_http_requests_total{method="GET",route="unmatched",status="404"} 5.0' in text
    assert 'altnet_toy_http_requests_total{method="OTHER",route="unmatched",status="404"} 5.0' in text
    assert "x3" not in text
    assert 'altnet_toy_http_request_seconds_count{method="GET",route="/v1/peers/{peer}"} 5.0' in text
    assert b"altnet_toy_http_requests_open 0.0" in render(toy.registry)


async def test_answers_are_not_kept_by_caches(toy: Toy) -> None:
    async with toy.client(**toy.bearer()) as client:
        answer = await client.get("/v1/peers")

    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"


# Bodies.


async def chunks(size: int, *, pause: float = 0.0) -> AsyncIterator[bytes]:
    for _ in range(size // 512):
        yield b"x" * 512
        await asyncio.sleep(pause)


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_the_limit_is_refused_before_anybody_is_asked_who_sent_it(toy: Toy, chunked: bool) -> None:
    content: Any = chunks(8192) if chunked else b"x" * 8192
    async with toy.client() as client:
        answer = await client.post("/v1/peers", content=content)

    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert "4096" in answer.json()["detail"]
    assert [(fault["location"], fault["pointer"]) for fault in answer.json()["errors"]] == [("body", "")]
    assert answer.headers["connection"] == "close"


async def test_an_endless_body_is_given_up(toy: Toy) -> None:
    given = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal given
        while True:
            given += 512
            yield b"x" * 512
            if sent:
                answered_after.append(given)

    sent: list[Any] = []
    answered_after: list[int] = []
    body = endless()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": await anext(body), "more_body": True}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/peers",
        "query_string": b"",
        "headers": [(b"transfer-encoding", b"chunked")],
    }
    await toy.app(scope, receive, send)

    assert sent[0]["status"] == 413
    assert answered_after[0] == 4096 + 512
    assert given <= 4096 + 512 + DRAINED


async def test_a_route_may_have_a_smaller_limit(toy: Toy) -> None:
    async with toy.client() as client:
        fits = await client.post("/v1/enrol", json={"a": "x" * 900})
        over = await client.post("/v1/enrol", json={"a": "x" * 1100})
        chunked = await client.post("/v1/enrol", content=chunks(2048), headers={"Content-Type": "application/json"})
        elsewhere = await client.post("/v1/peers", json={"name": "x" * 1100}, headers=toy.bearer())

    assert (fits.status_code, over.status_code, chunked.status_code) == (200, 413, 413)
    assert elsewhere.status_code == 422
    assert len(toy.bodies) == 1


async def test_a_body_that_trickles_in_is_given_up(toy: Toy) -> None:
    async with toy.client() as client:
        answer = await client.post("/v1/peers", content=chunks(4096, pause=0.1))

    assert (answer.status_code, answer.json()["code"]) == (408, "body_too_slow")


async def test_a_chunked_body_arrives_whole(toy: Toy) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for part in (b'{"na', b'me": "north', b'"}'):
            yield part

    headers = {"Content-Type": "application/json", **toy.bearer()}
    async with toy.client() as client:
        answer = await client.post("/v1/peers", content=parts(), headers=headers)

    assert answer.status_code == 201
    assert answer.json()["name"] == "north"


# Probes.


async def test_ready_says_of_each_part_how_it_is(toy: Toy) -> None:
    async with toy.client() as client:
        well = await client.get("/readyz")
        toy.parts["bus"] = "not connected"
        ill = await client.get("/readyz")
        alive = await client.get("/livez")

    assert (well.status_code, well.json()) == (200, {"status": "ok", "parts": {"plan": "ok"}})
    assert (ill.status_code, ill.json()["parts"]["bus"]) == (503, "not connected")
    assert alive.status_code == 200


@pytest.mark.parametrize(
    ("error", "said"),
    [(Unavailable("database_unavailable", "d"), "database_unavailable"), (RuntimeError("s3cret"), "failed")],
)
async def test_a_check_that_raises_is_unready_and_says_no_more(toy: Toy, error: Exception, said: str) -> None:
    toy.raises = error
    async with toy.client() as client:
        answer = await client.get("/readyz")

    assert answer.status_code == 503
    assert said in answer.json()["parts"]["service"]
    assert "s3cret" not in answer.text


async def test_a_check_that_hangs_is_unready_in_time() -> None:
    class Hanging:
        schema = "toy"

        async def ping(self, timeout: float) -> None:
            await asyncio.Event().wait()

    toy = make_toy(database=Hanging(), settings=HttpSettings(ready_timeout=0.05))
    async with toy.client() as client, asyncio.timeout(5):
        answer = await client.get("/readyz")

    assert answer.status_code == 503
    assert "no answer" in answer.json()["parts"]["database"]


async def test_a_mounted_application_knows_its_routes(toy: Toy) -> None:
    outer = FastAPI()
    outer.mount("/registry", toy.app)
    transport = httpx.ASGITransport(outer)
    async with httpx.AsyncClient(transport=transport, base_url="http://toy") as client:
        narrow = toy.bearer(Role.AUDITOR, scopes=frozenset({"peers:read"}))
        answer = await client.get("/registry/v1/peers/p1", headers=narrow)

    assert answer.status_code == 200
    assert b'route="/v1/peers/{peer}"' in render(toy.registry)
