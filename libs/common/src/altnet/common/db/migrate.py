"""Migrations: each service's own history, in its own schema, applied with guards.

A service keeps revisions in `<its alembic folder>/versions`; there is no env.py, since this module does that work.
Guards: an advisory lock, so that replicas that start together take turns; a lock timeout, so that a migration that
waits for a busy table gives up instead of queueing every request behind it; a statement timeout; one transaction per
revision; a connection of its own.

Rule for revisions: the code before still runs while they apply. Expand first, contract in a later release.
Leaves out roles and databases (`altnet.common.db.provision`).
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import asyncpg
import msgspec
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, MigrationInfo
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from altnet.common import log
from altnet.common.db import names
from altnet.common.db import shared_tables as _shared
from altnet.common.db.failures import translated
from altnet.common.db.provision import ServicePasswords, provision
from altnet.common.db.settings import DatabaseSettings
from altnet.common.errors import Conflict, Invalid, Unavailable
from sqlalchemy import pool
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

__all__ = ["MigrationSettings", "ServicePasswords", "differences", "head", "provision", "shared_tables", "upgrade"]

shared_tables = _shared.create

VERSION_TABLE: Final = "alembic_version"

_LOG: Final = log.get(__name__)
_ONE_AT_A_TIME = threading.Lock()
"""alembic's `op` is one for the whole process, so two upgrades take turns, each on a thread of its own."""


class MigrationSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Times in seconds."""

    lock_timeout: float = 4.0
    """Requests queue behind a migration that waits for a table: no longer than they would wait for a lock."""
    statement_timeout: float = 60.0
    """One step. What takes longer on a full table belongs into a job, in batches."""
    turn_timeout: float = 120.0
    """While another replica migrates the same schema."""


async def upgrade(
    dsn: str, migrations_dir: Path, schema: str, *, settings: MigrationSettings | None = None
) -> tuple[str, ...]:
    """Bring `schema` to the newest revision; returns the revisions applied, oldest first.

    `dsn` is the owner role's. Raises `Unavailable` (`database_unavailable`, `database_busy`), `Invalid`
    (`schema_missing`), `Conflict` (`schema_is_newer`: another version of the code was here).
    """
    limits = settings or MigrationSettings()
    script = _script(migrations_dir)

    def in_turn() -> tuple[str, ...]:
        with _ONE_AT_A_TIME:
            return asyncio.run(_upgrade(dsn, script, schema, limits))

    applied = await asyncio.to_thread(in_turn)
    if applied:
        _LOG.info("schema migrated", schema=schema, revisions=list(applied))
    return applied


async def _upgrade(dsn: str, script: ScriptDirectory, schema: str, limits: MigrationSettings) -> tuple[str, ...]:
    async with _connection(dsn, schema, limits) as connection:
        if not await connection.scalar(sa.text("SELECT to_regnamespace(:schema) IS NOT NULL"), {"schema": schema}):
            raise Invalid(
                "schema_missing", f"the database has no schema {schema}.", mend="Provision the database first."
            )
        await connection.commit()
        await _take_turn(connection, schema, limits.turn_timeout)
        applied: tuple[str, ...] = await connection.run_sync(_run, script, schema)
        return applied


def head(migrations_dir: Path) -> str | None:
    """The newest revision in the folder."""
    return _script(migrations_dir).get_current_head()


async def differences(dsn: str, schema: str, metadata: sa.MetaData) -> list[Any]:
    """What the tables of `metadata` in `schema` and the database disagree about: empty if the migrations are complete.

    For tests. The shared tables are left out: they have no metadata.
    """

    def belongs(item: Any, name: str | None, kind: str, reflected: bool, _to: object) -> bool:
        return kind != "table" or (item.schema == schema and not (reflected and name is not None and _is_shared(name)))

    def compare(connection: sa.Connection) -> list[Any]:
        options = {
            "include_schemas": True,
            "include_name": lambda name, kind, _parents: kind != "schema" or name == schema,
            "include_object": belongs,
            "version_table_schema": schema,
        }
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))

    async with _connection(dsn, schema, MigrationSettings(), search_path="public") as connection:
        found: list[Any] = await connection.run_sync(compare)
        return found


def _is_shared(table: str) -> bool:
    return table in _shared.NAMES or table.startswith("outbox_")


def _script(migrations_dir: Path) -> ScriptDirectory:
    if not (migrations_dir / "versions").is_dir():
        raise Invalid("no_migrations", f"{migrations_dir} has no folder named versions.")
    return ScriptDirectory(str(migrations_dir))


@contextlib.asynccontextmanager
async def _connection(
    dsn: str, schema: str, limits: MigrationSettings, *, search_path: str | None = None
) -> AsyncIterator[AsyncConnection]:
    """An engine for one connection, closed with it: a session's advisory lock must not survive in a pool."""
    settings = DatabaseSettings.from_dsn(
        dsn,
        lock_timeout=limits.lock_timeout,
        statement_timeout=limits.statement_timeout,
        answer_timeout=limits.statement_timeout + 5,
    )
    arguments = settings.connect_arguments(
        search_path=search_path or f"{names.name(schema)}, public", application=f"altnet-migrate-{schema}"
    )
    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=lambda: asyncpg.connect(**arguments),
        poolclass=pool.NullPool,
        hide_parameters=True,
    )
    try:
        with translated():
            async with engine.connect() as connection:
                yield connection
    finally:
        await engine.dispose()


async def _take_turn(connection: AsyncConnection, schema: str, timeout: float) -> None:
    """Wait for the schema's advisory lock by asking: a blocked statement would hold a snapshot for as long."""
    ask = sa.text("SELECT pg_try_advisory_lock(hashtextextended(:name, 0))")
    try:
        async with asyncio.timeout(timeout):
            while not await connection.scalar(ask, {"name": f"{schema}.migrate"}):
                await connection.rollback()
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise Unavailable("database_busy", f"another process has been migrating {schema} for {timeout} s.") from None
    await connection.commit()


def _run(connection: sa.Connection, script: ScriptDirectory, schema: str) -> tuple[str, ...]:
    applied: list[str] = []

    def note(ctx: MigrationContext, step: MigrationInfo, heads: object, run_args: object) -> None:
        applied.extend(step.up_revision_ids)

    def steps(revision: Any, _context: MigrationContext) -> Any:
        return script._upgrade_revs("head", revision)

    try:
        with EnvironmentContext(Config(), script, fn=steps, destination_rev="head") as environment:
            environment.configure(
                connection=connection,
                transaction_per_migration=True,
                version_table=VERSION_TABLE,
                version_table_schema=schema,
                on_version_apply=note,
            )
            with environment.begin_transaction():
                environment.run_migrations()
    except CommandError as error:
        raise Conflict(
            "schema_is_newer",
            f"the schema {schema} does not fit this version of the code: {error}.",
            mend="Install the version that migrated it, or restore a backup of before.",
        ) from error
    runtime = names.runtime_role(schema)
    if connection.scalar(sa.text("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = :name)"), {"name": runtime}):
        connection.exec_driver_sql(f"REVOKE INSERT, UPDATE, DELETE ON {schema}.{VERSION_TABLE} FROM {runtime}")
    connection.commit()
    return tuple(applied)
