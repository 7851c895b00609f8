"""Security events of this host: numbered on its disk, told to keyd in the channel that proves who tells.

A number is on the disk before anything else happens, so a kill at any moment neither repeats one nor leaves one out.
Events wait on the disk until keyd has taken them. Of a flood the first `MOST_WAITING` wait; the others are counted
all the same, so that what was lost shows as a gap. The same thing said again within `AGAIN` seconds is one event.

Invariant: what is told was noted, with the number that it was noted with; no secret is told, since callers give words
that are fit for the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
from altnet.common import log
from altnet.common.clock import Clock
from altnet.common.contracts.keyd import MOST_TOLD, HostReport, Tell
from altnet.common.errors import AltnetError
from altnet.relay_agent.settings import Timers
from altnet.relay_agent.state import State, Told

_log = log.get(__name__)

MOST_WAITING: Final = 500
AGAIN: Final = 60.0
LONGEST_TEXT: Final = 300
REMEMBERED: Final = 200
"""Things that were said lately; when there are more, the oldest may be said once more."""


class SecurityLog:
    """`note` whenever something happens; `run` tells it, until cancelled."""

    def __init__(self, state: State, *, clock: Clock, random: Callable[[], float], timers: Timers) -> None:
        self._state = state
        self._clock = clock
        self._random = random
        self._timers = timers
        self._told: Told = state.told()
        self._said: dict[tuple[str, str], float] = {}
        self._wake = asyncio.Event()
        if self._told.waiting:
            self._wake.set()

    @property
    def waiting(self) -> int:
        """Events that keyd has not heard yet."""
        return len(self._told.waiting)

    def note(self, code: str, text: str = "") -> None:
        """Number an event and keep it. A disk that does not take it is said in the log; the host goes on."""
        text, now = text[:LONGEST_TEXT], self._clock.monotonic()
        last = self._said.get((code, text))
        if last is not None and now - last < AGAIN:
            return
        self._said.pop((code, text), None)
        self._said[code, text] = now
        if len(self._said) > REMEMBERED:
            del self._said[next(iter(self._said))]
        number, waiting = self._told.number + 1, self._told.waiting
        if len(waiting) < MOST_WAITING:
            waiting = (*waiting, HostReport(number=number, at=self._clock.now(), code=code, text=text))
        if self._keep(Told(number=number, waiting=waiting)):
            _log.warning("security event", number=number, code=code, text=text)
            self._wake.set()

    async def run(self, tell: Callable[[Tell], Awaitable[object]]) -> None:
        """Tell keyd what waits, whenever there is something. `tell` raises where it cannot."""
        failures = 0
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._told.waiting:
                some = self._told.waiting[:MOST_TOLD]
                try:
                    await tell(Tell(events=some))
                except Exception as error:  # noqa: BLE001 - whatever it is, the data plane goes on
                    failures += 1
                    _log.info("security events wait", waiting=self.waiting, reason=_words(error))
                    first, most = self._timers.keyd_retry_first, self._timers.keyd_retry_most
                    await asyncio.sleep(min(most, first * 2 ** min(failures - 1, 16)) * (0.8 + 0.4 * self._random()))
                    continue
                failures = 0
                left = tuple(one for one in self._told.waiting if one.number > some[-1].number)
                self._keep(msgspec.structs.replace(self._told, waiting=left))

    def _keep(self, told: Told) -> bool:
        try:
            self._state.save_told(told)
        except AltnetError as error:
            _log.error("a security event could not be kept", reason=str(error))
            return False
        self._told = told
        return True


def _words(error: Exception) -> str:
    return str(error) if isinstance(error, AltnetError) else type(error).__name__
