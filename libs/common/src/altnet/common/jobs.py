"""Background work: jobs that run beside the requests, restart when they crash, and say how they are.

A job is a coroutine function that runs until it is cancelled (or returns, when its work is done). What starts
processes or hosts services is elsewhere; here is only the supervision of tasks.

Invariant: a crash of one job never stops another, and is always logged and visible in `Supervisor.health()`.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from altnet.common.clock import Clock, SystemClock
from altnet.common.log import Log

Random = Callable[[], float]
"""Gives numbers in 0 … 1; `random.random` outside tests."""


@dataclass(frozen=True, kw_only=True)
class Backoff:
    """How long a crashed job rests. Times in seconds."""

    first: float = 0.5
    """After the first crash: soon, most faults are gone then."""
    factor: float = 2.0
    ceiling: float = 30.0
    """Never longer: whoever mends the fault should not have to wait for us."""
    jitter: float = 0.2
    """Share by which a rest is lengthened or shortened, so that replicas do not come back in step."""
    calm: float = 60.0
    """A job that ran this long was healthy: its next crash counts as the first."""

    def rest(self, crashes: int, random: Random = random.random) -> float:
        """Seconds to rest after the `crashes`-th crash in a row (1, 2, …)."""
        # The exponent is bounded since 2.0**1024 overflows, and a job may crash for weeks.
        plain = min(self.ceiling, self.first * self.factor ** min(crashes - 1, 60))
        return plain * (1 + self.jitter * (2 * random() - 1))


@dataclass(frozen=True)
class Job:
    """Named work. `run` is called again after each crash; when it returns, the job is finished."""

    name: str
    run: Callable[[], Awaitable[None]]
    restart: Backoff = field(default_factory=Backoff)


class JobState(StrEnum):
    """Where a job is in its life."""

    WAITING = "waiting"
    RUNNING = "running"
    RESTING = "resting"
    FINISHED = "finished"
    STOPPED = "stopped"


@dataclass(frozen=True, kw_only=True)
class JobHealth:
    """How a job is. `since` is when `state` began; `last_error` stays until the job has been calm again."""

    name: str
    state: JobState
    restarts: int = 0
    last_error: str | None = None
    since: datetime


class Supervisor:
    """Runs jobs side by side. `stop_timeout` (seconds) bounds the wait for one job that is told to stop."""

    def __init__(
        self,
        jobs: Sequence[Job],
        *,
        log: Log,
        clock: Clock | None = None,
        random: Random = random.random,
        stop_timeout: float = 10.0,
    ) -> None:
        names = [job.name for job in jobs]
        if len(set(names)) != len(names):
            raise ValueError(f"two jobs share a name: {', '.join(names)}")
        self._jobs = tuple(jobs)
        self._log = log
        self._clock = clock or SystemClock()
        self._random = random
        self._stop_timeout = stop_timeout
        now = self._clock.now()
        self._health = {name: JobHealth(name=name, state=JobState.WAITING, since=now) for name in names}

    def health(self) -> tuple[JobHealth, ...]:
        """How every job is, in the order in which they were given."""
        return tuple(self._health.values())

    async def run(self) -> None:
        """Run until every job has finished, or until cancelled; then jobs stop in reverse order, one by one."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._keep(job), name=job.name) for job in self._jobs]
            try:
                if tasks:
                    await asyncio.wait(tasks)
            except asyncio.CancelledError:
                for task in reversed(tasks):
                    await self._stop(task)
                raise

    async def _stop(self, task: asyncio.Task[None]) -> None:
        task.cancel()
        _, pending = await asyncio.wait([task], timeout=self._stop_timeout)
        if pending:
            self._log.error("job does not stop", job=task.get_name(), waited_seconds=self._stop_timeout)

    async def _keep(self, job: Job) -> None:
        crashes = 0
        try:
            while True:
                started = self._loop_time()
                self._note(job, state=JobState.RUNNING)
                error = await self._run_once(job)
                if error is None:
                    self._note(job, state=JobState.FINISHED)
                    return
                crashes = 1 if self._loop_time() - started >= job.restart.calm else crashes + 1
                rest = job.restart.rest(crashes, self._random)
                self._log.error(
                    "job crashed", job=job.name, crashes=crashes, restart_in_seconds=round(rest, 3), exc_info=error
                )
                was = self._health[job.name]
                self._note(job, state=JobState.RESTING, restarts=was.restarts + 1, last_error=_describe(error))
                await asyncio.sleep(rest)
        except asyncio.CancelledError:
            self._note(job, state=JobState.STOPPED)
            raise

    async def _run_once(self, job: Job) -> BaseException | None:
        running = asyncio.current_task()
        calm = asyncio.get_running_loop().call_later(job.restart.calm, self._forgive, job)
        try:
            await job.run()
        except asyncio.CancelledError as error:
            # A cancelled task inside the job looks like our own cancellation; only the latter is counted here.
            if running is None or running.cancelling():
                raise
            return error
        except Exception as error:  # noqa: BLE001 - returned to be logged, counted and shown; this is the supervisor
            return error
        finally:
            calm.cancel()
        return None

    def _forgive(self, job: Job) -> None:
        self._health[job.name] = replace(self._health[job.name], last_error=None)

    def _note(self, job: Job, **changes: object) -> None:
        self._health[job.name] = replace(self._health[job.name], since=self._clock.now(), **changes)  # type: ignore[arg-type]  # the callers above are few and in sight

    def _loop_time(self) -> float:
        return asyncio.get_running_loop().time()


async def supervise(
    jobs: Sequence[Job], *, log: Log, clock: Clock | None = None, random: Random = random.random
) -> None:
    """Run jobs until cancelled. Make a `Supervisor` instead where their health is wanted."""
    await Supervisor(jobs, log=log, clock=clock, random=random).run()


def every(
    seconds: float, action: Callable[[], Awaitable[None]], *, jitter: float = 0.2, random: Random = random.random
) -> Callable[[], Awaitable[None]]:
    """Something for `Job.run`: `action` now, and again `seconds` ± `jitter` (a share) after each end of it."""

    async def run() -> None:
        while True:
            await action()
            await asyncio.sleep(seconds * (1 + jitter * (2 * random() - 1)))

    return run


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
