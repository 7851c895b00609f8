"""Keeps BIRD's main loop turning, so that it does at once what it has decided.

BIRD 2 runs its events before its timers, and then sleeps until the next timer or packet. An event that a timer has
scheduled waits until then. Just that happens when BFD loses a neighbour: the timer of its graceful restart (of no
length) schedules the event that makes its routes stale, and the next timer is the new connection's, a second away.
Measured: a dead link was known after 150 ms and left after up to 1.1 s; with a word every 50 ms after 0.2 s.

So somebody has to wake it, and any word on its control socket does. BIRD itself says when: the events of its sessions
(`debug { events }`) come over that socket (`echo`), the first of them before it sleeps. One is answered by a word at
once, and by some more for a moment. At rest there is one a second: fifty were half of what an idle agent cost. While
the agent is away failover still happens, within that second.
Invariant: a BIRD that does not answer is told nothing more, and one that tells nothing is woken all the time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

WORD: Final = b"eval 1\n"
"""The shortest question that BIRD answers without looking at anything."""
SHARE: Final = 0.4
"""Of the time between two signs of life: a neighbour is lost after three of them, so a late word makes a failover take
at most a seventh longer."""
RETRY: Final = 1.0
"""Seconds between two looks for a BIRD that is not there."""
REST: Final = 1.0
"""Seconds between two words to a BIRD that has nothing to tell."""
AWAKE: Final = 0.3
"""Seconds for which it is kept awake after it told something: one event leads to the next."""
LISTEN: Final = b"echo { trace }\n"
"""Has it tell what its configuration has it trace."""
_MOST_UNANSWERED: Final = 20
_LONGEST_LINE: Final = 4096


class Beat(asyncio.Protocol):
    """One connection. Answers are counted, not read: one word has one line. What BIRD tells unasked begins with a plus
    sign."""

    def __init__(self) -> None:
        self.unanswered = 0
        self.stirred = asyncio.Event()
        """It told something, or is gone."""
        self.deaf = False
        """It refused to tell anything unasked."""
        self.gone = False
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = rest[:_LONGEST_LINE]
        answers = [line for line in lines if not line.startswith(b"+")]
        self.unanswered = max(0, self.unanswered - len(answers))
        self.deaf = self.deaf or any(line[:1] in (b"8", b"9") for line in answers)
        if len(answers) < len(lines):
            self.stirred.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone = True
        self.stirred.set()


def between(signs: Iterable[float], *, least: float) -> float:
    """Seconds between two words, for sessions whose signs of life are so many seconds apart."""
    return max(least, min([RETRY, *(SHARE * sign for sign in signs)]))


async def pulse(socket: Callable[[], Path | None], *, interval: Callable[[], float]) -> None:
    """Wake the BIRD at this control socket, until cancelled: every `interval` seconds while it has something to tell.

    No path: there is no BIRD now.
    """
    loop = asyncio.get_running_loop()
    while True:
        path = socket()
        if path is not None:
            try:
                transport, beat = await loop.create_unix_connection(Beat, str(path))
            except OSError:
                pass  # it is away; whoever looks after it says so
            else:
                try:
                    await _keep_awake(transport, beat, interval)
                finally:
                    transport.abort()
        await asyncio.sleep(RETRY)


async def _keep_awake(transport: asyncio.WriteTransport, beat: Beat, interval: Callable[[], float]) -> None:
    """Until BIRD closes the connection."""
    loop = asyncio.get_running_loop()
    until = loop.time() + AWAKE  # what it told before we came, nobody heard
    _say(transport, beat, LISTEN)
    while not beat.gone:
        _say(transport, beat, WORD)
        try:
            async with asyncio.timeout(interval() if beat.deaf or loop.time() < until else REST):
                await beat.stirred.wait()
        except TimeoutError:
            continue
        beat.stirred.clear()
        until = loop.time() + AWAKE


def _say(transport: asyncio.WriteTransport, beat: Beat, line: bytes) -> None:
    if beat.unanswered < _MOST_UNANSWERED:
        transport.write(line)
        beat.unanswered += 1
