"""A service's database: units of work, consistent reads, and raw connections for bulk work.

Opens lazily, so that a service starts and answers (with `Unavailable`) while Postgres is away, and recovers by itself:
a connection whose socket was closed is thrown away before anybody gets it.

Invariant: nothing outside `altnet.common.db` commits. A unit of work commits when its context ends, or not at all; or,
where its task holds (`altnet.common.db.holding`), together with the answer to the request.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator
from typing import Any, TypeAlias

import asyncpg
from altnet.common.clock import Clock
from altnet.common.db import names
from altnet.common.db.failures import driver_error, forget_values, translated, translated_body, unavailable
from altnet.common.db.holding import Held, Trial, holding
from altnet.common.db.settings import DatabaseSettings
from altnet.common.db.uow import UnitOfWork
from altnet.common.ids import Randomness
from asyncpg.pool import PoolConnectionProxy
from sqlalchemy import event, exc, pool
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine

__all__ = ["Database", "DatabaseSettings", "RawConnection"]

RawConnection: TypeAlias = "asyncpg.Connection | PoolConnectionProxy"
"""asyncpg's connection, as it is or lent by its pool."""


class Database:
    """One schema in one database, with one role. `async with` closes its connections in the end."""

    def __init__(
        self,
        settings: DatabaseSettings,
        *,
        schema: str,
        clock: Clock,
        randomness: Randomness = secrets.token_bytes,
    ) -> None:
        self.settings = settings
        self.schema = names.name(schema)
        self.clock = clock
        self.randomness = randomness
        self._arguments = settings.connect_arguments(
            search_path=f"{self.schema}, public", application=f"altnet-{self.schema}"
        )
        self.engine: AsyncEngine = _engine(settings, self._arguments)
        self._reader = self.engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self._pool: asyncpg.Pool | None = None
        self._pool_lock = asyncio.Lock()

    async def __aenter__(self) -> Database:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection. What runs on one is rolled back by the server."""
        if self._pool is not None:
            raw, self._pool = self._pool, None
            try:
                async with asyncio.timeout(self.settings.connect_timeout):
                    await raw.close()
            except TimeoutError:
                raw.terminate()
        await self.engine.dispose()

    @contextlib.asynccontextmanager
    async def transaction(self, *, actor: str, trace: str | None = None) -> AsyncIterator[UnitOfWork]:
        """A unit of work: what is done in the context is committed at its end, with its events, or not at all.

        `actor` is who does it, as events tell it; `trace` a W3C traceparent. Raises `Unavailable`, and what
        `UnitOfWork.conflicts` names. A failed commit whose answer got lost may have happened: callers retry with an
        idempotency key, consumers have their inbox.
        """
        held = await self._settled()
        async with contextlib.AsyncExitStack() as connected:
            connection = await connected.enter_async_context(self._connected(self.engine))
            uow = UnitOfWork(
                connection,
                schema=self.schema,
                actor=actor,
                trace=trace,
                now=self.clock.now(),
                randomness=self.randomness,
            )
            with translated_body(uow.known_conflicts):
                async with contextlib.AsyncExitStack() as begun:
                    await begun.enter_async_context(connection.begin())
                    async with uow:
                        yield uow
                    if held is not None:
                        held.keep(uow, begun=begun.pop_all(), connected=connected.pop_all())

    @contextlib.asynccontextmanager
    async def holding(self) -> AsyncIterator[Held]:
        """In here, the last unit of work of this task waits for `Held.commit`; without it, it is rolled back."""
        held = Held(self)
        token = holding.set(held)
        try:
            yield held
        finally:
            holding.reset(token)
            await held.roll_back()

    @contextlib.asynccontextmanager
    async def trying(self) -> AsyncIterator[None]:
        """In here, a unit of work of this task is rolled back in the end, whatever becomes of it."""
        trial = Trial(self)
        token = holding.set(trial)
        try:
            yield
        finally:
            holding.reset(token)
            await trial.roll_back()

    async def _settled(self) -> Held | None:
        """Who holds for this task, after what it held is committed: what follows may build on it."""
        held = holding.get()
        if held is None or not held.is_for(self):
            return None
        await held.commit()
        return held

    @contextlib.asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """A read-only session that sees one state of the database from its first statement on. Raises `Unavailable`."""
        await self._settled()
        async with self._connected(self._reader) as connection:
            with translated_body():
                async with connection.begin(), AsyncSession(connection, expire_on_commit=False) as session:
                    yield session

    async def pool(self) -> asyncpg.Pool:
        """asyncpg's own pool, for bulk work. Its errors are asyncpg's; `raw` gives translated ones."""
        async with self._pool_lock:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    min_size=0, max_size=self.settings.raw_pool_size, **self._arguments
                )
            return self._pool

    @contextlib.asynccontextmanager
    async def raw(self) -> AsyncIterator[RawConnection]:
        """One of the pool's connections, in no transaction. Raises `Unavailable`."""
        if (held := await self._settled()) is not None:
            held.check_raw()
        raw = await self.pool()
        with translated():
            try:
                connection = await raw.acquire(timeout=self.settings.pool_timeout)
            except TimeoutError:
                raise exc.TimeoutError from None
        with translated():
            try:
                yield connection
            finally:
                await raw.release(connection, timeout=self.settings.connect_timeout)

    @contextlib.asynccontextmanager
    async def dedicated(self) -> AsyncIterator[RawConnection]:
        """A connection outside the pools, for what lasts: LISTEN, advisory locks. Raises `Unavailable`."""
        with translated():
            connection: asyncpg.Connection = await asyncpg.connect(**self._arguments)
        with translated():
            try:
                yield connection
            finally:
                await _close(connection, self.settings.connect_timeout)

    async def ping(self, timeout: float) -> None:
        """Ask the server for a sign of life. Raises `Unavailable`."""
        with translated():
            async with asyncio.timeout(timeout), self._connected(self.engine) as connection:
                await connection.exec_driver_sql("SELECT 1")

    @contextlib.asynccontextmanager
    async def _connected(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        with translated():
            connection = await engine.connect()
        try:
            yield connection
        finally:
            await asyncio.shield(connection.close())


def _engine(settings: DatabaseSettings, arguments: dict[str, Any]) -> AsyncEngine:
    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=lambda: asyncpg.connect(**arguments),
        pool_size=settings.pool_size,
        max_overflow=0,
        pool_timeout=settings.pool_timeout,
        pool_use_lifo=True,
        hide_parameters=True,  # values may be secrets, and errors are logged
    )
    event.listen(engine.sync_engine, "handle_error", _say_unavailable)
    event.listen(engine.sync_engine, "checkin", _note_time)

    def check(dbapi: Any, record: pool.ConnectionPoolEntry, _proxy: object) -> None:
        """Cheaper than pool_pre_ping, which asks the server each time: a closed socket is known without asking."""
        if dbapi is None:
            return
        if dbapi.driver_connection.is_closed():
            raise exc.DisconnectionError("the server closed the connection")
        if time.monotonic() - record.info.get("idle_since", time.monotonic()) > settings.check_after:
            try:
                dbapi.run_async(lambda connection: connection.execute("SELECT 1", timeout=settings.connect_timeout))
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
                raise exc.DisconnectionError("the connection was idle and is dead") from error

    event.listen(engine.sync_engine, "checkout", check)
    return engine


def _note_time(_dbapi: object, record: pool.ConnectionPoolEntry) -> None:
    record.info["idle_since"] = time.monotonic()


def _say_unavailable(context: ExceptionContext) -> BaseException | None:
    """Engine event: name the failure where it happens, so that a body may catch it; drop a connection that hangs."""
    below = driver_error(context.original_exception)
    forget_values(below)
    if isinstance(below, TimeoutError | OSError):
        context.is_disconnect = True
    return unavailable(context.original_exception)


async def _close(connection: asyncpg.Connection, timeout: float) -> None:
    try:
        await connection.close(timeout=timeout)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
        connection.terminate()  # it is dead already; its session ends with the socket
