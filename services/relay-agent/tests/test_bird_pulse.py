"""Whoever stands for BIRD at its control socket is woken again and again, and left alone when it does not answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from altnet.relay_agent.bird import pulse as module
from altnet.relay_agent.bird.pulse import RETRY, between, pulse

WITHIN = 20.0


@asynccontextmanager
async def listening(path: Path, *, answers: bool) -> AsyncIterator[asyncio.Queue[bytes]]:
    """A control socket, and what is said to it."""
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        writer.write(b"0001 BIRD 2.0.12 ready.\n")
        while line := await reader.readline():
            heard.put_nowait(line)
            if answers:
                writer.write(b"0023 1\n")
        writer.close()

    server = await asyncio.start_unix_server(serve, path)
    try:
        yield heard
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await asyncio.sleep(0.01)  # the handlers see their end


@asynccontextmanager
async def pulsing(path: Path) -> AsyncIterator[None]:
    task = asyncio.create_task(pulse(lambda: path, interval=lambda: 0.001))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY", 0.01)


async def test_bird_is_woken_for_as_long_as_it_answers(tmp_path: Path) -> None:
    async with asyncio.timeout(WITHIN), listening(tmp_path / "ctl", answers=True) as heard, pulsing(tmp_path / "ctl"):
        words = {await heard.get() for _ in range(100)}

    assert words == {b"eval 1\n"}


async def test_a_bird_that_does_not_answer_is_not_flooded(tmp_path: Path) -> None:
    async with asyncio.timeout(WITHIN), listening(tmp_path / "ctl", answers=False) as heard, pulsing(tmp_path / "ctl"):
        for _ in range(20):  # the greeting is one line too many, so one more may come
            await heard.get()
        await asyncio.sleep(0.1)

    assert heard.qsize() <= 1


@pytest.mark.usefixtures("quick")
async def test_a_bird_that_was_started_again_is_found_again(tmp_path: Path) -> None:
    path = tmp_path / "ctl"
    async with asyncio.timeout(WITHIN), pulsing(path):
        for _ in range(3):
            async with listening(path, answers=True) as heard:
                await heard.get()
            path.unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("signs", "seconds"),
    [([0.05], 0.02), ([0.25], 0.1), ([0.3, 0.25, 10.0], 0.1), ([0.01], 0.02), ([10.0], RETRY), ([], RETRY)],
)
def test_words_are_as_far_apart_as_the_signs_of_life_allow_and_no_closer_than_is_set(
    signs: list[float], seconds: float
) -> None:
    assert between(signs, least=0.02) == pytest.approx(seconds)
