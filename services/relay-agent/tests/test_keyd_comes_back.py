"""When an agent that keyd did not answer asks again: virtual time, and a keyd that says what the test wants."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest
from altnet.common.bus.connect import Bus
from altnet.common.clock import SystemClock
from altnet.common.contracts.keyd import Standing
from altnet.common.errors import AltnetError, TooMany, Unavailable
from altnet.relay_agent.keyd import KeydContact
from altnet.relay_agent.membership import Membership
from altnet.relay_agent.memory_state import MemoryState
from altnet.relay_agent.settings import Timers
from support.relays import enrolment_of, identity_of

BUSY = Unavailable("rpc_busy", "more is asked than can be answered in time.")
GONE = Unavailable("bus_no_responders", "nobody listens.")


class _Connected:
    """A bus that is there."""

    async def wait_connected(self, _timeout: float | None) -> None:
        return None


class _Answering(KeydContact):
    """keyd refuses with these, one after the other; when it was asked is in `asked`."""

    def __init__(self, refusals: list[AltnetError]) -> None:
        enrolment = enrolment_of("me", 1)
        state = MemoryState(identity_of("me"), enrolment)
        timers = Timers(keyd_spread=0, keyd_timeout=5, keyd_retry_first=2, keyd_retry_most=120)
        membership = Membership(state, enrolment, clock=SystemClock())
        bus = cast("Bus", _Connected())
        super().__init__(state, membership, bus=bus, clock=SystemClock(), random=lambda: 0.5, timers=timers)
        self._refusals = list(reversed(refusals))
        self.asked: list[float] = []

    async def meet(self) -> Standing:
        self.asked.append(asyncio.get_running_loop().time())
        if not self._refusals:
            await asyncio.Event().wait()
        raise self._refusals.pop()


async def waits(refusals: list[AltnetError]) -> list[float]:
    contact = _Answering(refusals)
    running = asyncio.create_task(contact.run())
    await asyncio.sleep(10_000)
    running.cancel()
    return [round(after - before, 3) for before, after in zip(contact.asked, contact.asked[1:], strict=False)]


@pytest.mark.looptime
async def test_one_that_is_gone_is_asked_more_and_more_rarely() -> None:
    assert await waits([GONE] * 8) == [2, 4, 8, 16, 32, 64, 120, 120]


@pytest.mark.looptime
async def test_one_that_is_busy_is_asked_again_after_the_time_that_we_would_have_waited_however_often() -> None:
    assert await waits([BUSY] * 6) == [5] * 6


@pytest.mark.looptime
async def test_a_busy_one_is_no_failure_that_makes_us_wait_longer_for_the_next() -> None:
    assert await waits([GONE, BUSY, GONE, BUSY, GONE]) == [2, 5, 4, 5, 8]


@pytest.mark.looptime
@pytest.mark.parametrize(("after", "waited"), [(0.01, 2), (30, 30), (9_000, 120)])
async def test_one_that_says_when_is_asked_then_within_our_bounds(after: float, waited: float) -> None:
    assert await waits([TooMany("noise_too_many", "slower.", after=after)]) == [waited]
