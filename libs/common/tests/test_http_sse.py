"""Event streams, over a real server and by hand: order, resume, heartbeats, and how they end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from altnet.common.errors import Invalid
from altnet.common.http import server, sse
from altnet.common.http.settings import HttpSettings
from altnet.common.http.sse import SseEvent, event_stream, sequence_after
from hypothesis import given
from hypothesis import strategies as st
from support.toy_api import Toy, make_toy

Source = Callable[[int | None], AsyncIterator[SseEvent]]


class Running:
    """The toy on a loopback port."""

    def __init__(self, toy: Toy, url: str, task: asyncio.Task[None]) -> None:
        self.toy, self.url, self.task = toy, url, task

    def stream(self, client: httpx.AsyncClient, **headers: str) -> Any:
        return client.stream("GET", f"{self.url}/v1/peers/p1/events", headers={**self.toy.bearer(), **headers})

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    toy = make_toy()
    sockets = server.listen("127.0.0.1", 0)
    started = asyncio.Event()
    task = asyncio.create_task(
        server.serve(toy.app, sockets=sockets, settings=HttpSettings(shutdown_grace=5), started=started)
    )
    await started.wait()
    running = Running(toy, f"http://127.0.0.1:{sockets[0].getsockname()[1]}", task)
    yield running
    await running.stop()


async def count(after: int | None) -> AsyncIterator[SseEvent]:
    start = 0 if after is None else after + 1
    for number in range(start, 5):
        yield SseEvent(id=str(number), event="tick", data=f'{{"n": {number}}}')


async def silent(_: int | None) -> AsyncIterator[SseEvent]:
    await asyncio.Event().wait()
    yield SseEvent(data="never")


async def test_events_arrive_in_order_and_the_stream_ends_with_its_source(running: Running) -> None:
    running.toy.stream = count
    async with httpx.AsyncClient() as client, running.stream(client) as answer:
        text = (await answer.aread()).decode()

    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-store"
    events = [block for block in text.split("\n\n") if block and not block.startswith(":")]
    assert events == [f'id: {n}\nevent: tick\ndata: {{"n": {n}}}' for n in range(5)]


async def test_a_client_goes_on_where_it_was(running: Running) -> None:
    running.toy.stream = count
    async with httpx.AsyncClient() as client, running.stream(client, **{"Last-Event-ID": "2"}) as answer:
        text = (await answer.aread()).decode()

    assert [line for line in text.splitlines() if line.startswith("id")] == ["id: 3", "id: 4"]


async def test_a_silent_stream_opens_at_once_and_beats(running: Running) -> None:
    running.toy.stream = silent
    beats = 0
    async with httpx.AsyncClient() as client, running.stream(client) as answer, asyncio.timeout(10):
        async for line in answer.aiter_lines():
            beats += line.startswith(":")
            if beats == 3:
                break


async def test_a_client_that_leaves_ends_the_source(running: Running) -> None:
    running.toy.stream = silent
    async with httpx.AsyncClient() as client:
        async with running.stream(client) as answer:
            await anext(answer.aiter_lines())
            assert not running.toy.stream_ended.is_set()
        async with asyncio.timeout(10):
            await running.toy.stream_ended.wait()


async def test_a_stopping_server_ends_its_streams_at_once_and_properly(running: Running) -> None:
    running.toy.stream = silent
    async with httpx.AsyncClient() as client, running.stream(client) as answer:
        lines = answer.aiter_lines()
        await anext(lines)
        async with asyncio.timeout(2):
            await running.stop()
            rest = [line async for line in lines]  # would raise if the body were cut off

    assert running.toy.stream_ended.is_set()
    assert all(line == "" or line.startswith(":") for line in rest)


async def test_a_source_that_fails_ends_the_stream_and_not_the_server(running: Running) -> None:
    async def failing(_: int | None) -> AsyncIterator[SseEvent]:
        yield SseEvent(data="1")
        raise RuntimeError("s3cret")

    running.toy.stream = failing
    async with httpx.AsyncClient() as client:
        async with running.stream(client) as answer:
            text = (await answer.aread()).decode()
        alive = await client.get(f"{running.url}/livez")

    assert "data: 1" in text
    assert "s3cret" not in text
    assert alive.status_code == 200


async def test_a_wrong_last_event_id_is_a_problem_before_the_stream_begins(running: Running) -> None:
    async with httpx.AsyncClient() as client, running.stream(client, **{"Last-Event-ID": "x"}) as answer:
        await answer.aread()

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/Last-Event-ID")


async def test_a_stream_ends_properly_after_its_lifetime() -> None:
    sent: list[Any] = []

    async def never() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    async def keep(message: Any) -> None:
        sent.append(message)

    async with asyncio.timeout(5):
        await event_stream(silent(None), lifetime=0.05)({"type": "http"}, never, keep)  # type: ignore[arg-type]

    assert sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}


async def test_a_client_that_does_not_read_is_cut_off_and_slows_the_source_down() -> None:
    made = 0
    ended = asyncio.Event()

    async def flood() -> AsyncIterator[SseEvent]:
        nonlocal made
        try:
            while True:
                made += 1
                yield SseEvent(data="x")
        finally:
            ended.set()

    async def never() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    async def stuck(message: Any) -> None:
        if message["type"] == "http.response.body" and message["body"].startswith(b"data"):
            await asyncio.Event().wait()

    response = event_stream(flood(), heartbeat=1, write_timeout=0.05)
    async with asyncio.timeout(5):
        await response({"type": "http"}, never, stuck)  # type: ignore[arg-type]

    assert ended.is_set()
    assert made <= 4


@given(
    data=st.text(),
    event=st.none() | st.from_regex(r"\A[a-z.]{1,20}\Z"),
    id=st.none() | st.from_regex(r"\A[0-9]{1,10}\Z"),
    retry=st.none() | st.integers(0, 10**6),
)
def test_an_event_reads_back_by_the_standards_own_rules(
    data: str, event: str | None, id: str | None, retry: int | None
) -> None:
    encoded = SseEvent(data=data, event=event, id=id, retry=retry).encode().decode()

    found: dict[str, list[str]] = {}
    lines = encoded.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    assert lines[-2:] == ["", ""]
    for line in lines[:-2]:
        name, _, value = line.partition(":")
        found.setdefault(name, []).append(value.removeprefix(" "))
    assert found.pop("data") == data.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    assert found.pop("event", None) == ([event] if event is not None else None)
    assert found.pop("id", None) == ([id] if id is not None else None)
    assert found.pop("retry", None) == ([str(retry)] if retry is not None else None)
    assert found == {}


@pytest.mark.parametrize("text", ["a\nb", "a\rb", "a\0b"])
def test_a_name_or_id_that_would_forge_lines_is_refused(text: str) -> None:
    for field in ("event", "id"):
        with pytest.raises(ValueError, match="one line"):
            SseEvent(data="", **{field: text})  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "-1", "1.0", "x", "9" * 19, "²", "7\n"])
def test_a_last_event_id_that_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        sequence_after(text)
    assert sequence_after("17") == 17
    assert sequence_after(None) is None
    assert sse.MEDIA_TYPE == "text/event-stream"
