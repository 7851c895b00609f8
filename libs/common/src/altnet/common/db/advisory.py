"""Work that only one replica does at a time.

Replicas campaign for an advisory lock; the one that holds it works, and the others stand by and take over when its
session ends, however it ends. The lock lives as long as its connection, so the winner watches that connection, and
stops working when it is gone.

What this cannot promise: the server may give the lock to another replica a moment before the loser has noticed. So the
work must bear a short overlap (the outbox does: what is published twice is stored once).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final

import asyncpg
import msgspec
from altnet.common import log
from altnet.common.db.engine import Database, RawConnection
from altnet.common.errors import Unavailable

_LOG: Final = log.get(__name__)
_TRY: Final = "SELECT pg_try_advisory_lock(hashtextextended($1, 0))"


class LeaderSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Times in seconds."""

    campaign: float = 1.0
    """Between two tries for the lock: how long the work rests after its leader's end, at most."""
    check: float = 5.0
    """Between two looks at the lock's connection. A closed one is known at once; this finds one that was cut off."""
    check_timeout: float = 15.0
    """For the answer to that look. Nobody else gets the lock before the server has given up our session, and whoever
    takes over begins anew: a lead given up because this process, or the server, was slow for a moment is only lost."""
    jitter: float = 0.2
    """Share by which these waits vary, so that replicas do not act in step."""


async def leader(
    db: Database,
    name: str,
    work: Callable[[], Awaitable[None]],
    *,
    settings: LeaderSettings | None = None,
    jitter: Callable[[], float] = random.random,
) -> None:
    """Wait until this replica leads in `name` (within the schema), then run `work`; cancel it if the lead is lost.

    Ends when `work` returns, and raises what it raises. While the database is away it waits.
    """
    limits = settings or LeaderSettings()
    name = f"{db.schema}.{name}"
    told = False
    while True:
        outcome: asyncio.Task[None] | None = None
        try:
            async with db.dedicated() as connection:
                while not await connection.fetchval(_TRY, name):  # noqa: ASYNC110 - the server tells nobody that a lock is free
                    await asyncio.sleep(_vary(limits.campaign, limits, jitter))
                told = False
                _LOG.debug("leads", name=name)
                outcome = await _work_while_leading(connection, name, work, limits, jitter)
        except Unavailable as error:
            if not told:
                _LOG.warning("cannot campaign: the database is away", name=name, reason=error.detail)
            told = True
        if outcome is not None and not outcome.cancelled():
            return outcome.result()
        await asyncio.sleep(_vary(limits.campaign, limits, jitter))


async def _work_while_leading(
    connection: RawConnection,
    name: str,
    work: Callable[[], Awaitable[None]],
    limits: LeaderSettings,
    jitter: Callable[[], float],
) -> asyncio.Task[None] | None:
    """The finished work, or None where it was cancelled because the lead was lost."""

    async def run() -> None:
        await work()

    working = asyncio.create_task(run(), name=f"leader of {name}")
    watching = asyncio.create_task(_until_lost(connection, limits, jitter), name=f"watch of {name}")
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working
        _LOG.warning("lost the lead: its connection ended", name=name)
        return None
    finally:
        for task in (working, watching):
            task.cancel()
        await asyncio.wait({working, watching})
        for task in (working, watching):
            if not task.cancelled() and (error := task.exception()) is not None and task is not working:
                _LOG.error("the watch of a lead failed", name=name, exc_info=error)


async def _until_lost(connection: RawConnection, limits: LeaderSettings, jitter: Callable[[], float]) -> None:
    lost = asyncio.Event()

    def note(_connection: object) -> None:
        lost.set()

    connection.add_termination_listener(note)
    while not lost.is_set() and not connection.is_closed():
        try:
            async with asyncio.timeout(_vary(limits.check, limits, jitter)):
                await lost.wait()
        except TimeoutError:
            try:
                await connection.execute("SELECT 1", timeout=limits.check_timeout)
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
                return


def _vary(seconds: float, limits: LeaderSettings, jitter: Callable[[], float]) -> float:
    return seconds * (1 + limits.jitter * (2 * jitter() - 1))
