"""Keeps BIRD's main loop turning, so that it does at once what it has decided.

BIRD 2 runs its events before its timers, and then sleeps until the next timer or packet. An event that a timer has
scheduled waits until then. Just that happens when BFD loses a neighbour: the timer of its graceful restart (of no
length) schedules the event that makes its routes stale, and the next timer is the new connection's, a second away.
Measured: a dead link was known after 150 ms and left after up to 1.1 s; with a word every 50 ms after 0.2 s.

So somebody has to wake it, and any word on its control socket does. How often follows from how long BFD itself takes:
waking is half of what an idle agent costs. While the agent is away failover still happens, within that second.
Invariant: a BIRD that does not answer is told nothing more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

WORD: Final = b"eval 1\n"
"""The shortest question that BIRD answers without looking at anything."""
SHARE: Final = 0.4
"""Of the time between two signs of life: a neighbour is lost after three of them, so a failover takes at most a seventh
longer for it."""
RETRY: Final = 1.0
"""Seconds between two looks for a BIRD that is not there."""
_MOST_UNANSWERED: Final = 20


class _Beat(asyncio.Protocol):
    """One connection. Replies are counted, not read: one word has one line of answer."""

    def __init__(self) -> None:
        self.unanswered = 0
        self.gone = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self.unanswered = max(0, self.unanswered - data.count(b"\n"))

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone.set()


def between(signs: Iterable[float], *, least: float) -> float:
    """Seconds between two words, for sessions whose signs of life are so many seconds apart."""
    return max(least, min([RETRY, *(SHARE * sign for sign in signs)]))


async def pulse(socket: Callable[[], Path | None], *, interval: Callable[[], float]) -> None:
    """Wake the BIRD at this control socket every `interval` seconds, until cancelled. None: there is none now."""
    loop = asyncio.get_running_loop()
    while True:
        path = socket()
        if path is not None:
            try:
                transport, beat = await loop.create_unix_connection(_Beat, str(path))
            except OSError:
                pass  # it is away; whoever looks after it says so
            else:
                try:
                    while not beat.gone.is_set():
                        if beat.unanswered < _MOST_UNANSWERED:
                            transport.write(WORD)
                            beat.unanswered += 1
                        await asyncio.sleep(interval())
                finally:
                    transport.abort()
        await asyncio.sleep(RETRY)
