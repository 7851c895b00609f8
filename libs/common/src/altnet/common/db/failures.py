"""What a database error means to a caller.

A lost, refusing or overloaded server becomes `Unavailable`: the same call may succeed later. A violated constraint
becomes the error that the service names for it. Everything else is a fault of ours and passes as it is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NoReturn

import asyncpg
from altnet.common.errors import AltnetError, Unavailable
from sqlalchemy import exc

Conflicts = Mapping[str, Callable[[], AltnetError]]
"""Name of a constraint (or, for NOT NULL, of a column) → the error that its violation is."""

_BUSY: Final = frozenset({"40001", "40P01", "55P03", "57014"})
"""Serialization failure, deadlock, lock timeout, statement timeout: others were in the way."""
_GONE: Final = frozenset({"57P01", "57P02", "57P03", "57P05", "25P03", "3D000"})
"""Shutting down, crashed, starting up, idle for too long; no such database yet."""
_DRIVER: Final = (exc.SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What SQLAlchemy and asyncpg raise. The last is a connection that died between two messages of the protocol."""
_GONE_CLASSES: Final = ("08", "28", "53", "58")
"""Connection, login, resources (too many connections, disk full), the system below."""


def driver_error(error: BaseException | None) -> BaseException | None:
    """The error of asyncpg or of the socket below SQLAlchemy's wrappers."""
    while isinstance(error, exc.DBAPIError):
        error = error.orig.__cause__ or error.orig if error.orig is not None else None
    if error is not None and type(error).__module__.startswith("sqlalchemy.dialects"):
        return error.__cause__ or error
    return error


def unavailable(error: BaseException) -> Unavailable | None:
    """`Unavailable` where the error is one of the server's or of the way to it, else None."""
    below = driver_error(error)
    if isinstance(below, asyncpg.InvalidCachedStatementError):
        return Unavailable("database_busy", "the schema was changed meanwhile.", mend="Try again.")
    state = getattr(below, "sqlstate", None)
    if isinstance(state, str):
        if state in _BUSY:
            return Unavailable("database_busy", f"the database was busy with others: {_first_line(below)}.")
        if state in _GONE or state[:2] in _GONE_CLASSES:
            return _gone(below)
        return None
    if isinstance(below, exc.TimeoutError):
        return Unavailable("database_busy", "no database connection became free in time.")
    if isinstance(below, asyncpg.InterfaceError) and not _is_lost(below):
        return None  # misuse, such as two statements at once on one connection
    if isinstance(below, asyncpg.InterfaceError | asyncpg.InternalClientError | OSError | TimeoutError | EOFError):
        return _gone(below)
    return None


def translate(error: BaseException, conflicts: Conflicts) -> AltnetError | None:
    """The error that `conflicts` names for the violated constraint; `unavailable(error)` otherwise."""
    below = driver_error(error)
    if isinstance(below, asyncpg.IntegrityConstraintViolationError):
        forget_values(below)
        name = below.constraint_name or getattr(below, "column_name", None)
        make = conflicts.get(name) if name else None
        return make() if make else None
    return unavailable(error)


def forget_values(error: BaseException | None) -> None:
    """Drop what repeats the refused row: it may hold secrets, and errors are logged."""
    if isinstance(error, asyncpg.PostgresError):
        error.detail = None


@contextlib.contextmanager
def translated(conflicts: Conflicts | None = None) -> Iterator[None]:
    """Raise what `translate` says instead of the errors of the database and of the way to it."""
    try:
        yield
    except (*_DRIVER, OSError, TimeoutError) as error:
        _raise_meant(error, conflicts or {})


@contextlib.contextmanager
def translated_body(conflicts: Conflicts | None = None) -> Iterator[None]:
    """As `translated`, around code of others: its own time-outs and socket errors are not the database's."""
    try:
        yield
    except _DRIVER as error:
        _raise_meant(error, conflicts or {})


def _raise_meant(error: Exception, conflicts: Conflicts) -> NoReturn:
    meant = translate(error, conflicts)
    if meant is None:
        raise error
    raise meant from error


def _gone(error: BaseException | None) -> Unavailable:
    return Unavailable(
        "database_unavailable",
        f"the database does not answer: {_first_line(error)}.",
        mend="Try again shortly; if it lasts, see whether Postgres runs and its address and password are right.",
    )


def _first_line(error: BaseException | None) -> str:
    """Postgres' own message, without the statement and its values."""
    said = str(error).strip().split("\n", 1)[0].rstrip(".")
    return said or type(error).__name__


def _is_lost(error: asyncpg.InterfaceError) -> bool:
    return "closed" in str(error) or "closing" in str(error) or "released back to the pool" in str(error)
