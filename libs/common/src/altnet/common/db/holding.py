"""The last unit of work of a request, held open until the request's answer can be committed with it.

While a task holds (`Database.holding`), a unit of work that ends well is not committed: its events are written, its
locks stay, and `Held.commit` ends it, after writing what belongs into the same transaction. What was done and what was
answered then become true together, or not at all. Only the last one is held: whatever the task asks of the database
next is answered from what came before it, so that is committed first.

A `Trial` (`Database.trying`) holds what nobody shall ever commit: it is rolled back, and whoever would need it
committed is refused.

Invariant: what is held is committed or rolled back before its connection goes back to the pool.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from altnet.common.db.failures import translated_body
from altnet.common.errors import Conflict
from sqlalchemy.ext.asyncio import AsyncConnection

if TYPE_CHECKING:
    from altnet.common.db.engine import Database
    from altnet.common.db.uow import UnitOfWork

Last = Callable[[AsyncConnection], Awaitable[None]]
"""What is written last into a transaction; an error of it rolls everything back."""


@dataclass(frozen=True)
class _Pending:
    uow: UnitOfWork
    begun: AsyncExitStack
    connected: AsyncExitStack


class Held:
    """What a task has done in `database` and not committed. Made by `Database.holding`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._task = asyncio.current_task()
        self._pending: _Pending | None = None

    @property
    def pending(self) -> bool:
        """Whether there is something to commit."""
        return self._pending is not None

    def is_for(self, database: Database) -> bool:
        """Whether units of work in this database are held for the task that asks; not for one that it has started."""
        return database is self._database and asyncio.current_task() is self._task

    def keep(self, uow: UnitOfWork, *, begun: AsyncExitStack, connected: AsyncExitStack) -> None:
        """Take over a unit of work that has ended, with its transaction and its connection."""
        self._pending = _Pending(uow, begun, connected)

    def check_raw(self) -> None:
        """Whether a connection outside of units of work may be had. Raises `Conflict` where it may not."""

    async def commit(self, last: Last | None = None) -> None:
        """Commit, after `last`. Raises what a commit does, and what `last` does; then nothing is committed."""
        await self._end(last)

    async def _end(self, last: Last | None) -> None:
        if self._pending is None:
            return
        pending, self._pending = self._pending, None
        async with pending.connected:
            with translated_body(pending.uow.known_conflicts):
                async with pending.begun:
                    if last is not None:
                        await last(pending.uow.connection)

    async def roll_back(self) -> None:
        """Undo what is held. A connection that is lost has done it already."""
        if self._pending is None:
            return

        async def undo(_: AsyncConnection) -> None:
            raise _Undo

        try:
            await self._end(undo)
        except _Undo:
            return


class Trial(Held):
    """What a task tries and nobody may commit, also not the tasks that it starts, nor in another database."""

    def is_for(self, database: Database) -> bool:
        if not super().is_for(database):
            raise _cannot_be_tried()
        return True

    def check_raw(self) -> None:
        raise _cannot_be_tried()

    async def commit(self, last: Last | None = None) -> None:
        if self.pending:
            raise _cannot_be_tried()


def _cannot_be_tried() -> Conflict:
    return Conflict(
        "dry_run_unsupported",
        "This operation has several parts, of which a later one needs the earlier one done.",
        mend="Leave dry_run out to do it.",
    )


class _Undo(Exception):
    pass


holding: Final[ContextVar[Held | None]] = ContextVar("altnet_holding", default=None)
