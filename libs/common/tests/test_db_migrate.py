"""Migrations: guarded, one transaction each, in turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import msgspec
import pytest
import sqlalchemy as sa
from altnet.common.db.migrate import MigrationSettings, differences, head, upgrade
from altnet.common.db.settings import DatabaseSettings
from altnet.common.embedded.postgres import PostgresServer
from altnet.common.errors import Conflict, Invalid, Unavailable
from support.postgres import SHARED_ONLY, DatabaseFactory, owner_dsn

REVISION = '''"""A step."""
from alembic import op

revision = "{number:04}"
down_revision = {before!r}


def upgrade() -> None:
    op.execute("{statement}")
'''


class Folder:
    """A migrations folder that grows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        (path / "versions").mkdir(parents=True)

    def add(self, statement: str) -> str:
        before = f"{self.count:04}" if self.count else None
        self.count += 1
        text = REVISION.format(number=self.count, before=before, statement=statement)
        (self.path / "versions" / f"{self.count:04}.py").write_text(text)
        return f"{self.count:04}"


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "alembic")


@pytest.fixture
def dsn(database_factory: DatabaseFactory, postgres_server: PostgresServer, folder: Folder) -> str:
    """An owner's DSN of a database whose schema is empty."""
    found: DatabaseSettings = database_factory("growing", folder.path)
    return owner_dsn(postgres_server, found, "growing")


@pytest.fixture
async def owner(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn)
    yield connection
    await connection.close()


async def test_new_revisions_are_applied_once_and_told(dsn: str, folder: Folder, owner: asyncpg.Connection) -> None:
    folder.add("CREATE TABLE one (n int)")
    folder.add("CREATE TABLE growing.two (n int)")
    assert await upgrade(dsn, folder.path, "growing") == ("0001", "0002")
    assert await upgrade(dsn, folder.path, "growing") == ()
    folder.add("ALTER TABLE one ADD COLUMN m int")
    assert await upgrade(dsn, folder.path, "growing") == ("0003",)
    assert head(folder.path) == "0003"
    tables = await owner.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'growing' ORDER BY 1")
    assert [row[0] for row in tables] == ["alembic_version", "one", "two"]


async def test_a_failing_revision_keeps_those_before_it_and_nothing_of_itself(
    dsn: str, folder: Folder, owner: asyncpg.Connection
) -> None:
    folder.add("CREATE TABLE one (n int)")
    folder.add("CREATE TABLE two (n int); CREATE TABLE one (n int)")
    with pytest.raises(sa.exc.DBAPIError):
        await upgrade(dsn, folder.path, "growing")
    assert await owner.fetchval("SELECT version_num FROM growing.alembic_version") == "0001"
    assert await owner.fetchval("SELECT to_regclass('growing.two')") is None


async def test_replicas_that_start_together_take_turns(dsn: str, folder: Folder) -> None:
    folder.add("SELECT pg_sleep(0.3)")
    folder.add("CREATE TABLE one (n int)")
    applied = await asyncio.gather(*(upgrade(dsn, folder.path, "growing") for _ in range(4)))
    assert sorted(applied) == [(), (), (), ("0001", "0002")]


async def test_another_process_s_turn_is_waited_for_and_not_for_ever(
    dsn: str, folder: Folder, owner: asyncpg.Connection
) -> None:
    await owner.execute("SELECT pg_advisory_lock(hashtextextended('growing.migrate', 0))")
    with pytest.raises(Unavailable) as waited:
        await upgrade(dsn, folder.path, "growing", settings=MigrationSettings(turn_timeout=0.3))
    assert waited.value.code == "database_busy"


async def test_a_migration_that_waits_for_a_busy_table_gives_up_and_lets_requests_through(
    dsn: str, folder: Folder, owner: asyncpg.Connection
) -> None:
    folder.add("CREATE TABLE one (n int)")
    await upgrade(dsn, folder.path, "growing")
    folder.add("ALTER TABLE one ADD COLUMN m int")
    async with owner.transaction():
        await owner.execute("SELECT * FROM growing.one")
        with pytest.raises(Unavailable) as busy:
            await upgrade(dsn, folder.path, "growing", settings=MigrationSettings(lock_timeout=0.1))
        assert busy.value.code == "database_busy"
    assert await upgrade(dsn, folder.path, "growing") == ("0002",)


async def test_a_schema_of_a_newer_version_is_refused(dsn: str, folder: Folder, owner: asyncpg.Connection) -> None:
    folder.add("SELECT 1")
    await upgrade(dsn, folder.path, "growing")
    await owner.execute("UPDATE growing.alembic_version SET version_num = '0099'")
    with pytest.raises(Conflict) as newer:
        await upgrade(dsn, folder.path, "growing")
    assert newer.value.code == "schema_is_newer"


async def test_what_is_missing_is_named(dsn: str, folder: Folder, tmp_path: Path) -> None:
    with pytest.raises(Invalid) as schema:
        await upgrade(dsn, folder.path, "nowhere")
    assert schema.value.code == "schema_missing"
    with pytest.raises(Invalid) as migrations:
        await upgrade(dsn, tmp_path / "none", "growing")
    assert migrations.value.code == "no_migrations"
    away = msgspec.structs.replace(DatabaseSettings.from_dsn(dsn), host="/nonexistent")
    with pytest.raises(Unavailable):
        await upgrade(f"postgresql://{away.user}@/x?host={away.host}", folder.path, "growing")


async def test_differences_between_tables_and_migrations_show(dsn: str, folder: Folder) -> None:
    folder.add("CREATE TABLE growing.one (n int NOT NULL)")
    await upgrade(dsn, folder.path, "growing")
    metadata = sa.MetaData()
    sa.Table("elsewhere", metadata, sa.Column("n", sa.Integer), schema="other")
    table = sa.Table("one", metadata, sa.Column("n", sa.Integer, nullable=False), schema="growing")
    assert await differences(dsn, "growing", metadata) == []
    table.append_column(sa.Column("m", sa.Text))
    assert len(await differences(dsn, "growing", metadata)) == 1


async def test_the_shared_tables_are_no_difference(
    database_factory: DatabaseFactory, postgres_server: PostgresServer
) -> None:
    found = owner_dsn(postgres_server, database_factory("example", SHARED_ONLY))
    assert await differences(found, "example", sa.MetaData()) == []
