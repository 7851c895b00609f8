"""Jobs: crashes are contained, told and mended; stops are in order. All in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest
from altnet.common import log
from altnet.common.clock import FixedClock
from altnet.common.jobs import Backoff, Job, JobState, Supervisor, every, supervise
from hypothesis import given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.looptime

LOG = log.get("altnet.test.jobs")
PLAIN = Backoff(first=1, factor=2, ceiling=8, jitter=0, calm=60)


def now() -> float:
    return asyncio.get_running_loop().time()


async def forever() -> None:
    await asyncio.Event().wait()


def make(*jobs: Job, stop_timeout: float = 10) -> Supervisor:
    clock = FixedClock(datetime(2026, 1, 1, tzinfo=UTC))
    return Supervisor(jobs, log=LOG, clock=clock, random=lambda: 0.5, stop_timeout=stop_timeout)


async def run_for(seconds: float, supervisor: Supervisor) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(seconds):
            await supervisor.run()


async def test_a_crash_leaves_the_other_jobs_alone_and_is_restarted_later_and_later() -> None:
    starts: list[float] = []
    beats: list[float] = []

    async def crash() -> None:
        starts.append(now())
        raise RuntimeError("no luck")

    async def beat() -> None:
        beats.append(now())

    await run_for(20, make(Job("crash", crash, PLAIN), Job("beat", every(5, beat, jitter=0))))

    assert starts == [0, 1, 3, 7, 15]
    assert beats == [0, 5, 10, 15]


async def test_health_tells_the_state_the_restarts_and_the_last_error() -> None:
    async def crash() -> None:
        raise RuntimeError("no luck")

    async def finish() -> None:
        return

    supervisor = make(Job("crash", crash, PLAIN), Job("finish", finish), Job("forever", forever))
    assert {health.state for health in supervisor.health()} == {JobState.WAITING}
    running = asyncio.create_task(supervisor.run())
    await asyncio.sleep(1.5)

    crashed, finished, kept = supervisor.health()
    assert (crashed.state, crashed.restarts, crashed.last_error) == (JobState.RESTING, 2, "RuntimeError: no luck")
    assert (finished.state, finished.restarts, finished.last_error) == (JobState.FINISHED, 0, None)
    assert kept.state is JobState.RUNNING

    running.cancel()
    await asyncio.wait([running])
    assert [health.state for health in supervisor.health()] == [JobState.STOPPED, JobState.FINISHED, JobState.STOPPED]


async def test_a_job_that_ran_calmly_starts_over_with_short_rests_and_a_clean_record() -> None:
    starts: list[float] = []

    async def crash_each_minute() -> None:
        starts.append(now())
        if len(starts) > 2:
            await asyncio.sleep(100)
        raise RuntimeError("again")

    supervisor = make(Job("crash", crash_each_minute, PLAIN))
    running = asyncio.create_task(supervisor.run())
    await asyncio.sleep(70)
    assert supervisor.health()[0].last_error is None
    await asyncio.sleep(40)

    assert starts == [0, 1, 3, 104]
    running.cancel()
    await asyncio.wait([running])


async def test_jobs_stop_in_reverse_order_each_after_the_one_before() -> None:
    ends: list[tuple[str, float]] = []

    def slow_to_stop(name: str) -> Callable[[], Awaitable[None]]:
        async def run() -> None:
            try:
                await forever()
            finally:
                await asyncio.sleep(2)
                ends.append((name, now()))

        return run

    await run_for(1, make(*(Job(name, slow_to_stop(name)) for name in ("first", "second", "third"))))

    assert ends == [("third", 3), ("second", 5), ("first", 7)]


async def test_a_job_that_does_not_stop_in_time_holds_no_other_and_is_told_again() -> None:
    ends: list[tuple[str, float]] = []

    async def stubborn() -> None:
        try:
            await forever()
        finally:
            try:
                await asyncio.sleep(100)
            finally:
                ends.append(("stubborn", now()))

    async def ready() -> None:
        try:
            await forever()
        finally:
            ends.append(("ready", now()))

    await run_for(1, make(Job("ready", ready), Job("stubborn", stubborn), stop_timeout=3))

    assert ends == [("ready", 4), ("stubborn", 4)]


async def test_a_cancellation_from_inside_a_job_counts_as_its_crash() -> None:
    starts: list[float] = []

    async def await_something_cancelled() -> None:
        starts.append(now())
        inner = asyncio.create_task(forever())
        asyncio.get_running_loop().call_soon(inner.cancel)
        await inner

    await run_for(2, make(Job("inner", await_something_cancelled, PLAIN)))

    assert starts == [0, 1]


async def test_supervision_ends_when_every_job_has_finished() -> None:
    done: list[str] = []

    async def work() -> None:
        await asyncio.sleep(1)
        done.append("work")

    await supervise([Job("work", work)], log=LOG)
    await supervise([], log=LOG)

    assert done == ["work"]


def test_two_jobs_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="share a name"):
        make(Job("same", forever), Job("same", forever))


async def test_every_jitters_its_rests_around_the_given_seconds() -> None:
    numbers = iter([0.0, 1.0, 0.5, 0.5])
    beats: list[float] = []

    async def beat() -> None:
        beats.append(now())

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(35):
            await every(10, beat, jitter=0.2, random=lambda: next(numbers))()

    assert beats == [0, 8, 20, 30]


@settings(max_examples=100, deadline=None)
@given(crashes=st.integers(1, 10_000), random=st.floats(0, 1), jitter=st.floats(0, 0.5))
def test_a_rest_is_bounded_whatever_happens(crashes: int, random: float, jitter: float) -> None:
    backoff = Backoff(first=0.5, factor=2, ceiling=30, jitter=jitter)

    rest = backoff.rest(crashes, lambda: random)

    assert 0.5 * (1 - jitter) <= rest <= 30 * (1 + jitter)
