"""Whoever stands for BIRD at its control socket is woken again and again, and left alone when it does not answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from altnet.relay_agent.bird import pulse as module
from altnet.relay_agent.bird.pulse import LISTEN, RETRY, WORD, Beat, between, pulse

WITHIN = 20.0


@dataclass
class Socket:
    """A control socket, and what is said to it."""

    heard: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    def tell(self, text: bytes) -> None:
        for writer in self.writers:
            writer.write(text)

    async def words(self) -> int:
        """How many words come in a while."""
        while not self.heard.empty():
            self.heard.get_nowait()
        await asyncio.sleep(0.1)
        return self.heard.qsize()


@asynccontextmanager
async def listening(path: Path, *, answers: bool = True, echoes: bool = True) -> AsyncIterator[Socket]:
    made = Socket()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        made.writers.append(writer)
        writer.write(b"0001 BIRD 2.0.12 ready.\n")
        while line := await reader.readline():
            made.heard.put_nowait(line)
            if answers:
                writer.write(b"0023 1\n" if line == WORD else b"0000 \n" if echoes else b"9001 syntax error\n")
        writer.close()

    server = await asyncio.start_unix_server(serve, path)
    try:
        yield made
    finally:
        server.close()
        for writer in made.writers:
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
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is kept awake for a moment, and then left alone."""
    monkeypatch.setattr(module, "AWAKE", 0.5)
    monkeypatch.setattr(module, "REST", WITHIN)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY", 0.01)


@pytest.mark.usefixtures("brief")
async def test_a_bird_that_has_nothing_to_tell_is_let_sleep_and_woken_by_what_it_tells(tmp_path: Path) -> None:
    async with asyncio.timeout(WITHIN), listening(tmp_path / "ctl") as bird, pulsing(tmp_path / "ctl"):
        assert await bird.heard.get() == LISTEN
        assert await bird.heard.get() == WORD
        while await bird.words():
            pass

        bird.tell(b"+m3: BFD session down\n+m3: Neighbor graceful restart detected\n")
        for _ in range(3):
            assert await bird.heard.get() == WORD


@pytest.mark.parametrize("cut", range(1, 20))
def test_what_it_tells_is_heard_once_it_is_whole_however_it_is_cut(cut: int) -> None:
    beat = Beat()
    told = b"+m3: session + down\n"

    beat.data_received(b"0023 1\n" + told[:cut])
    assert not beat.stirred.is_set()
    beat.data_received(told[cut:])
    assert beat.stirred.is_set()


@pytest.mark.usefixtures("brief")
async def test_a_bird_that_will_not_tell_is_woken_all_the_time(tmp_path: Path) -> None:
    async with (
        asyncio.timeout(WITHIN),
        listening(tmp_path / "ctl", echoes=False) as bird,
        pulsing(tmp_path / "ctl"),
    ):
        await asyncio.sleep(2 * module.AWAKE)
        await bird.words()
        assert await bird.heard.get() == WORD


@pytest.mark.usefixtures("brief")
async def test_a_bird_that_does_not_answer_is_not_flooded(tmp_path: Path) -> None:
    async with asyncio.timeout(WITHIN), listening(tmp_path / "ctl", answers=False) as bird, pulsing(tmp_path / "ctl"):
        for _ in range(20):  # the greeting is one line too many, so one more may come
            bird.tell(b"+m3: BFD session down\n")
            await bird.heard.get()
        bird.tell(b"+m3: BFD session down\n")
        assert await bird.words() <= 1


@pytest.mark.usefixtures("quick")
async def test_a_bird_that_was_started_again_is_found_again(tmp_path: Path) -> None:
    path = tmp_path / "ctl"
    async with asyncio.timeout(WITHIN), pulsing(path):
        for _ in range(3):
            async with listening(path) as bird:
                await bird.heard.get()
            path.unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("signs", "seconds"),
    [([0.05], 0.02), ([0.25], 0.1), ([0.3, 0.25, 10.0], 0.1), ([0.01], 0.02), ([10.0], RETRY), ([], RETRY)],
)
def test_words_are_as_far_apart_as_the_signs_of_life_allow_and_no_closer_than_is_set(
    signs: list[float], seconds: float
) -> None:
    assert between(signs, least=0.02) == pytest.approx(seconds)
