"""The database as a caller meets it: away, busy, frozen, killed and back."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
import traceback
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import msgspec
import pytest
from altnet.common.clock import SystemClock
from altnet.common.db.engine import Database, DatabaseSettings
from altnet.common.db.migrate import ServicePasswords, provision, upgrade
from altnet.common.db.names import owner_role, runtime_role
from altnet.common.embedded.postgres import PostgresServer
from altnet.common.errors import Conflict, Invalid, Unavailable
from altnet.common.settings import Secret
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, ProgrammingError
from support.postgres import PASSWORD, SHARED_ONLY, DatabaseFactory, owner_dsn
from support.thing_event import ThingChanged

INBOX = "INSERT INTO example.inbox (consumer, message_id) VALUES ($1, $2)"


@pytest.fixture
async def db(database_factory: DatabaseFactory) -> AsyncIterator[Database]:
    async with Database(database_factory(), schema="example", clock=SystemClock()) as opened:
        yield opened


async def _received(db: Database) -> list[str]:
    async with db.read() as session:
        found = await session.execute(text("SELECT message_id FROM example.inbox ORDER BY message_id"))
        return list(found.scalars())


@contextlib.asynccontextmanager
async def _own_server() -> AsyncIterator[tuple[PostgresServer, DatabaseSettings]]:
    """A server that a test may kill, with a provisioned database."""
    base = Path(tempfile.mkdtemp(prefix="altnet-pg-"))
    os.chmod(base, 0o711)
    try:
        async with PostgresServer(base / "data") as server:
            await provision(
                server.superuser_dsn, "altnet", {"example": ServicePasswords(owner=PASSWORD, runtime=PASSWORD)}
            )
            await upgrade(server.dsn(owner_role("example"), "altnet", password=PASSWORD), SHARED_ONLY, "example")
            dsn = server.dsn(runtime_role("example"), "altnet", password=PASSWORD)
            yield server, DatabaseSettings.from_dsn(dsn, pool_size=4)
    finally:
        shutil.rmtree(base)


# -- away ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["transaction", "read", "raw", "dedicated", "ping"])
async def test_a_database_that_is_away_is_unavailable_in_every_way_and_opens_all_the_same(
    way: str, tmp_path: Path
) -> None:
    settings = DatabaseSettings(host=str(tmp_path), user="nobody", connect_timeout=0.5)
    async with Database(settings, schema="example", clock=SystemClock()) as db:
        ways = {"transaction": lambda: db.transaction(actor="me"), "read": db.read, "raw": db.raw}
        opened = ways.get(way, db.dedicated)()
        with pytest.raises(Unavailable) as away:
            await (db.ping(1.0) if way == "ping" else opened.__aenter__())
        assert away.value.code == "database_unavailable"


async def test_a_wrong_password_is_unavailable_and_not_shown(database_factory: DatabaseFactory) -> None:
    settings = msgspec.structs.replace(database_factory(), password=Secret("not-the-password"))
    async with Database(settings, schema="example", clock=SystemClock()) as db:
        with pytest.raises(Unavailable) as refused:
            await db.ping(5.0)
    assert "not-the-password" not in f"{refused.value} {settings!r} {db!r}"


async def test_a_killed_server_is_unavailable_and_the_pools_recover_by_themselves() -> None:
    async with _own_server() as (server, settings), Database(settings, schema="example", clock=SystemClock()) as db:
        async with db.raw() as connection:
            await connection.execute("SELECT 1")
        await asyncio.gather(*(_received(db) for _ in range(4)))  # every connection of the pool is warm

        with pytest.raises(Unavailable) as lost:  # noqa: PT012 - it may fail at any of these steps
            async with db.transaction(actor="me") as uow:
                await uow.connection.exec_driver_sql(INBOX, ("c", "half"))
                uow.emit(ThingChanged(thing="t1"))
                await server.kill()
                await uow.connection.exec_driver_sql(INBOX, ("c", "other half"))
        assert lost.value.code == "database_unavailable"
        with pytest.raises(Unavailable):
            await db.ping(2.0)

        await server.start()

        assert await _received(db) == []
        async with db.transaction(actor="me") as uow:
            await uow.connection.exec_driver_sql(INBOX, ("c", "whole"))
        async with db.raw() as connection:
            assert await connection.fetchval("SELECT count(*) FROM example.outbox") == 0
        assert await _received(db) == ["whole"]


@pytest.mark.slow
async def test_kills_in_mid_transaction_leave_no_row_without_its_event_and_lose_no_commit() -> None:
    """Writers write a row and its event; the server is killed under them, twice; the history must fit."""
    acknowledged: set[str] = set()
    refused: set[str] = set()
    more = asyncio.Event()

    async def reached(enough: int) -> None:
        async with asyncio.timeout(20):
            while len(acknowledged) < enough:
                more.clear()
                await more.wait()

    async def write(db: Database, writer: int) -> None:
        for number in range(1_000_000):
            name = f"w{writer}-{number}"
            try:
                async with db.transaction(actor="me") as uow:
                    await uow.connection.exec_driver_sql(INBOX, ("c", name))
                    uow.emit(ThingChanged(thing=name))
                acknowledged.add(name)
                more.set()
            except Unavailable:
                refused.add(name)
                await asyncio.sleep(0.02)

    async with _own_server() as (server, settings), Database(settings, schema="example", clock=SystemClock()) as db:
        writers = [asyncio.create_task(write(db, number)) for number in range(4)]
        for _ in range(2):
            enough = len(acknowledged) + 40
            await reached(enough)
            await server.kill()
            await server.start()
        enough = len(acknowledged) + 40
        await reached(enough)
        for writer in writers:
            writer.cancel()
        await asyncio.wait(writers)

        rows = set(await _received(db))
        async with db.raw() as connection:
            told = {row[0] for row in await connection.fetch("SELECT subject_id FROM example.outbox")}
    assert rows == told
    assert acknowledged <= rows
    assert refused


@pytest.mark.slow
async def test_a_frozen_server_is_given_up_after_the_answer_timeout() -> None:
    async with _own_server() as (_server, settings):
        settings = msgspec.structs.replace(settings, answer_timeout=0.5, connect_timeout=0.5, statement_timeout=0.4)
        async with Database(settings, schema="example", clock=SystemClock()) as db:
            async with db.transaction(actor="me") as uow:
                backend = await uow.connection.scalar(text("SELECT pg_backend_pid()"))
                assert isinstance(backend, int)
            os.kill(backend, signal.SIGSTOP)
            try:
                with pytest.raises(Unavailable) as frozen:
                    async with asyncio.timeout(8), db.transaction(actor="me") as uow:
                        await uow.connection.exec_driver_sql("SELECT 1")
                assert frozen.value.code == "database_unavailable"
                assert await _received(db) == []  # over another connection: the frozen one was dropped
            finally:
                os.kill(backend, signal.SIGCONT)


@pytest.mark.slow
async def test_an_idle_connection_that_died_unnoticed_is_replaced_before_use(database_factory: DatabaseFactory) -> None:
    settings = msgspec.structs.replace(database_factory(), check_after=0.0, pool_size=1, connect_timeout=0.3)
    async with Database(settings, schema="example", clock=SystemClock()) as db:
        async with db.transaction(actor="me") as uow:
            backend = await uow.connection.scalar(text("SELECT pg_backend_pid()"))
        assert isinstance(backend, int)
        os.kill(backend, signal.SIGSTOP)  # as a firewall that forgot: the socket is open and nobody answers
        try:
            async with db.transaction(actor="me") as uow:
                assert await uow.connection.scalar(text("SELECT pg_backend_pid()")) != backend
        finally:
            os.kill(backend, signal.SIGCONT)


# -- busy ----------------------------------------------------------------------------------------------------------


async def test_waiting_for_a_connection_ends_with_database_busy(database_factory: DatabaseFactory) -> None:
    settings = msgspec.structs.replace(database_factory(), pool_size=1, raw_pool_size=1, pool_timeout=0.1)
    async with Database(settings, schema="example", clock=SystemClock()) as db:
        async with db.transaction(actor="me"):
            with pytest.raises(Unavailable) as busy:
                async with db.transaction(actor="me"):
                    pass
        assert busy.value.code == "database_busy"
        async with db.raw():
            with pytest.raises(Unavailable) as busy:
                async with db.raw():
                    pass
        assert busy.value.code == "database_busy"
        await db.ping(1.0)


async def test_waiting_for_a_lock_and_too_long_a_statement_end_with_database_busy(
    database_factory: DatabaseFactory,
) -> None:
    settings = msgspec.structs.replace(database_factory(), lock_timeout=0.1, statement_timeout=0.3)
    async with Database(settings, schema="example", clock=SystemClock()) as db, db.transaction(actor="one") as holder:
        await holder.connection.exec_driver_sql("LOCK TABLE example.inbox IN SHARE ROW EXCLUSIVE MODE")
        with pytest.raises(Unavailable) as locked:
            async with db.transaction(actor="two") as uow:
                await uow.connection.exec_driver_sql(INBOX, ("c", "m"))
        assert locked.value.code == "database_busy"
        with pytest.raises(Unavailable) as slow:
            async with db.read() as session:
                await session.execute(text("SELECT pg_sleep(5)"))
        assert slow.value.code == "database_busy"


async def test_a_transaction_that_does_nothing_is_ended_by_the_server(database_factory: DatabaseFactory) -> None:
    settings = msgspec.structs.replace(database_factory(), idle_timeout=0.1)
    async with Database(settings, schema="example", clock=SystemClock()) as db:
        with pytest.raises(Unavailable):  # noqa: PT012 - it may fail at any of these steps
            async with db.transaction(actor="me") as uow:
                await uow.connection.exec_driver_sql(INBOX, ("c", "m"))
                await asyncio.sleep(0.3)
        assert await _received(db) == []


async def test_a_migration_under_running_services_costs_each_at_most_one_refusal(
    db: Database, postgres_server: PostgresServer
) -> None:
    async def look() -> None:
        async with db.transaction(actor="me") as uow:
            await uow.connection.exec_driver_sql("SELECT * FROM example.inbox")

    await look()
    owner = await asyncpg.connect(owner_dsn(postgres_server, db.settings))
    await owner.execute("ALTER TABLE example.inbox ADD COLUMN note text")
    await owner.close()
    with contextlib.suppress(Unavailable):
        await look()
    await look()


# -- what is right -------------------------------------------------------------------------------------------------


async def test_a_read_sees_one_state_and_cannot_write(db: Database) -> None:
    async with db.read() as session:
        count = text("SELECT count(*) FROM example.inbox")
        assert await session.scalar(count) == 0
        async with db.transaction(actor="me") as uow:
            await uow.connection.exec_driver_sql(INBOX, ("c", "m"))
        assert await session.scalar(count) == 0
    assert await _received(db) == ["m"]
    with pytest.raises(Exception, match="read-only transaction"):
        async with db.read() as session:
            await session.execute(text("DELETE FROM example.inbox"))
    async with db.transaction(actor="me") as uow:  # the same connection, writable again
        await uow.connection.exec_driver_sql(INBOX, ("c", "n"))


async def test_a_body_s_own_time_out_is_not_blamed_on_the_database(db: Database) -> None:
    for error in (TimeoutError("the bus"), ConnectionResetError("the bus")):
        with pytest.raises(type(error), match="the bus"):
            async with db.transaction(actor="me"):
                raise error


async def test_a_cancelled_unit_of_work_is_rolled_back_and_gives_its_connection_back(
    database_factory: DatabaseFactory,
) -> None:
    settings = msgspec.structs.replace(database_factory(), pool_size=1)
    async with Database(settings, schema="example", clock=SystemClock()) as db:
        for statement in ("SELECT pg_sleep(10)", None):
            started = asyncio.Event()

            async def work(statement: str | None = statement, started: asyncio.Event = started) -> None:
                async with db.transaction(actor="me") as uow:
                    await uow.connection.exec_driver_sql(INBOX, ("c", "m"))
                    started.set()
                    await (uow.connection.exec_driver_sql(statement) if statement else asyncio.Event().wait())

            task = asyncio.create_task(work())
            await started.wait()
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await _received(db) == []


async def test_a_violated_constraint_is_the_error_that_the_service_names(db: Database) -> None:
    async def insert(name: str) -> None:
        async with db.transaction(actor="me") as uow:
            uow.conflicts({"inbox_pkey": lambda: Conflict("taken", "the name is taken.", field="/name")})
            await uow.connection.exec_driver_sql(INBOX, ("c", name))

    await insert("a")
    with pytest.raises(Conflict) as taken:
        await insert("a")
    assert (taken.value.code, taken.value.field) == ("taken", "/name")
    with pytest.raises(IntegrityError):  # nobody named it: a fault of ours
        async with db.transaction(actor="me") as uow:
            await uow.connection.exec_driver_sql(INBOX, ("c", "a"))
    # A column that must not be null goes by its name.
    with pytest.raises(Conflict):  # noqa: PT012 - it may fail at any of these steps
        async with db.transaction(actor="me") as uow:
            uow.conflicts({"message_id": lambda: Conflict("no_id", "an id is needed.")})
            await uow.connection.exec_driver_sql(INBOX, ("c", None))


async def test_values_never_show_in_errors(db: Database) -> None:
    value = "hunter2" * 2  # put together, so that the traceback's lines of source do not hold it
    with pytest.raises(IntegrityError) as shown:  # noqa: PT012 - it may fail at any of these steps
        async with db.transaction(actor="me") as uow:
            statement = text("INSERT INTO example.inbox (consumer, message_id) VALUES (:secret, NULL)")
            await uow.connection.execute(statement, {"secret": value})
    with pytest.raises(asyncpg.NotNullViolationError) as raw:
        async with db.raw() as connection:
            await connection.execute(INBOX, value, None)
    for error in (shown, raw):
        assert value not in "".join(traceback.format_exception(error.value))


def test_a_dsn_is_read_and_a_wrong_one_refused_by_name() -> None:
    settings = DatabaseSettings.from_dsn("postgresql://me:p%40ss@db.example:6543/net?sslmode=require")
    assert (settings.host, settings.port, settings.name, settings.user) == ("db.example", 6543, "net", "me")
    assert settings.password.reveal() == "p@ss"
    assert settings.tls == "require"
    assert DatabaseSettings.from_dsn("postgresql://me@/net?host=/run/pg&port=7").host == "/run/pg"
    for wrong in ("mysql://me@h/n", "postgresql://h/n", "postgresql://me@h/n?oops=1", "postgresql://me@h:port/n"):
        with pytest.raises(Invalid) as refused:
            DatabaseSettings.from_dsn(wrong)
        assert refused.value.code == "bad_setting"


# -- least privilege -----------------------------------------------------------------------------------------------


async def test_a_service_s_role_reaches_its_own_rows_and_nothing_else(postgres_server: PostgresServer) -> None:
    passwords = ServicePasswords(owner=PASSWORD, runtime=PASSWORD)
    services = {"example": passwords, "other": passwords}
    await provision(postgres_server.superuser_dsn, "two_services", services)
    await provision(postgres_server.superuser_dsn, "two_services", services)  # again, to the same end
    for schema in services:
        owner = postgres_server.dsn(owner_role(schema), "two_services", password=PASSWORD)
        assert await upgrade(owner, SHARED_ONLY, schema) == ("0001",)
        assert await upgrade(owner, SHARED_ONLY, schema) == ()
    await provision(postgres_server.superuser_dsn, "two_services", services)
    connection = await asyncpg.connect(postgres_server.dsn(runtime_role("example"), "two_services", password=PASSWORD))
    try:
        for allowed in (
            "INSERT INTO example.inbox (consumer, message_id) VALUES ('c', 'm')",
            "UPDATE example.inbox SET received_at = now()",
            "DELETE FROM example.inbox",
            "SELECT * FROM example.alembic_version",
            "SELECT example.keep_outbox_partitions(3, 7)",
        ):
            await connection.execute(allowed)
        for forbidden in (
            "SELECT * FROM other.inbox",
            "INSERT INTO other.inbox (consumer, message_id) VALUES ('c', 'm')",
            "SELECT other.keep_outbox_partitions(3, 7)",
            "CREATE TABLE example.mine (n int)",
            "CREATE TABLE public.mine (n int)",
            "CREATE TEMP TABLE mine (n int)",
            "CREATE SCHEMA mine",
            "DROP TABLE example.inbox",
            "ALTER TABLE example.inbox ADD COLUMN n int",
            "TRUNCATE example.inbox",
            "UPDATE example.alembic_version SET version_num = 'x'",
            "DROP TABLE example.outbox_default",
            f"SET ROLE {owner_role('example')}",
            "COPY example.inbox TO PROGRAM 'cat'",
            "SELECT pg_read_file('/etc/passwd')",
            "SELECT rolpassword FROM pg_authid",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(forbidden)
        with pytest.raises(asyncpg.PostgresError):
            await connection.execute("SELECT example.keep_outbox_partitions(100000, 7)")
    finally:
        await connection.close()


async def test_roles_of_a_service_cannot_connect_to_a_foreign_altnet_database(
    postgres_server: PostgresServer, database_factory: DatabaseFactory
) -> None:
    passwords = ServicePasswords(owner=PASSWORD, runtime=PASSWORD)
    await provision(postgres_server.superuser_dsn, "strangers", {"stranger": passwords})
    database_factory()
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await asyncpg.connect(postgres_server.dsn(runtime_role("example"), "strangers", password=PASSWORD))


async def test_only_a_verifier_of_a_password_reaches_the_server(postgres_server: PostgresServer) -> None:
    secret = Secret("a-'quoted'-password")
    await provision(
        postgres_server.superuser_dsn, "verifiers", {"quoted": ServicePasswords(owner=secret, runtime=secret)}
    )
    connection = await asyncpg.connect(postgres_server.dsn(runtime_role("quoted"), "verifiers", password=secret))
    await connection.close()
    for wrong in ("", "gr\u00fc\u00dfe", "two\nlines"):
        with pytest.raises(Invalid) as refused:
            await provision(
                postgres_server.superuser_dsn,
                "verifiers",
                {"quoted": ServicePasswords(owner=Secret(wrong), runtime=secret)},
            )
        assert refused.value.code == "bad_password"


async def test_a_missing_table_is_a_fault_of_ours_and_not_unavailable(db: Database) -> None:
    with pytest.raises(ProgrammingError):
        async with db.read() as session:
            await session.execute(text("SELECT * FROM example.nowhere"))
