"""Backup and restore of a control plane that `altnet up` runs.

A backup is one tar file of mode 0600: Postgres as `pg_dump` saw it at one instant, and the secrets. NATS is not in it:
it is rebuilt from Postgres. Taken while everything runs. A restore goes into an empty data directory only.

Agents may have seen later changes than the backup holds, and refuse what is older. So a restore raises the number of
the next change far above (`Service.after_restore`), and every document gets published anew under it.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import tarfile
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import asyncpg
from altnet.common.clock import Clock
from altnet.common.db import names
from altnet.common.db.engine import Database
from altnet.common.db.settings import DatabaseSettings
from altnet.common.embedded.postgres import SUPERUSER, PostgresServer
from altnet.common.errors import Conflict, Invalid, Unavailable
from altnet.common.files import write_private
from altnet.common.service import Service
from altnet.common.settings import Secret
from altnet.host.data_dir import DataDir
from altnet.host.hosting import database_settings, prepare_database, provision_database
from altnet.host.secrets import SecretsDir
from altnet.host.up import DATABASE

FORMAT: Final = 1
DUMP: Final = "postgres.dump"
MANIFEST: Final = "manifest.json"
DUMP_TIMEOUT: Final = 3600.0
"""Seconds for `pg_dump` or `pg_restore`: 100,000 clients take seconds; a frozen disk must not hang us for ever."""
SKIP: Final = 1_000_000
"""By how much a restore raises the next change's number: more changes than anybody makes between two backups."""


@dataclass(frozen=True, kw_only=True)
class Backup:
    """What a backup file says of itself."""

    path: Path
    at: str
    size: int
    schemas: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class _Programs:
    """A running server, and its own `pg_dump` and `pg_restore`."""

    folder: Path
    host: str
    port: int
    password: str

    async def run(self, program: str, *arguments: str) -> None:
        """Run one of Postgres's programs. The password goes by environment, never among the arguments."""
        env = {
            "PATH": os.environ.get("PATH", ""),
            "PGHOST": self.host,
            "PGPORT": str(self.port),
            "PGUSER": SUPERUSER,
            "PGPASSWORD": self.password,
            "PGDATABASE": DATABASE,
        }
        process = await asyncio.create_subprocess_exec(
            self.folder / program,
            *arguments,
            env=env,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(DUMP_TIMEOUT):
                _, said = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            raise Unavailable("backup_failed", f"{program} did not end within {DUMP_TIMEOUT:g} s.") from None
        if process.returncode:
            lines = said.decode(errors="replace").strip().splitlines()
            raise Unavailable("backup_failed", f"{program}: {lines[-1] if lines else process.returncode}.")


async def back_up(data: DataDir, target: Path, *, services: Sequence[Service], clock: Clock) -> Backup:
    """Write a backup to `target`, whole or not at all. Raises `Conflict` (`file_exists`), `NotFound`, `Unavailable`."""
    if target.exists():
        raise Conflict("file_exists", f"{target} is there already.", mend="Choose another name; backups are kept.")
    schemas = [service.schema for service in services]
    at = clock.now().isoformat()
    with tempfile.TemporaryDirectory(dir=target.absolute().parent, prefix=".altnet-backup-") as folder:
        dump, whole = Path(folder) / DUMP, Path(folder) / "whole.tar"
        async with _server_of(data) as programs:
            await programs.run("pg_dump", "--format=custom", f"--file={dump}")
        manifest = {"format": FORMAT, "at": at, "schemas": schemas}
        await asyncio.to_thread(_pack, whole, dump=dump, data=data, manifest=manifest)
        try:
            os.link(whole, target)  # refuses to overwrite, unlike a rename
        except FileExistsError:
            raise Conflict("file_exists", f"{target} is there already.", mend="Choose another name.") from None
    return Backup(path=target, at=at, size=target.stat().st_size, schemas=schemas)


async def restore(source: Path, data: DataDir, *, services: Sequence[Service], clock: Clock) -> None:
    """Make `data`, which must be empty, what `source` holds.

    Raises `Conflict` (`data_dir_not_empty`), `Invalid` (`bad_backup`), `Unavailable`.
    """
    if data.root.exists() and any(data.root.iterdir()):
        raise Conflict(
            "data_dir_not_empty", f"{data.root} is not empty.", mend="Restore into a new folder with --data-dir."
        )
    with tempfile.TemporaryDirectory(prefix="altnet-restore-") as folder:
        await asyncio.to_thread(_unpack, source, Path(folder))
        data.prepare()
        with data.held():
            await asyncio.to_thread(_place, Path(folder), data)
            secrets = SecretsDir(data.secrets)
            async with PostgresServer(data.postgres) as server:
                place = DatabaseSettings(host=server.host, port=server.port, name=DATABASE, user="nobody")
                await provision_database(server.superuser_dsn, place=place, secrets=secrets, services=services)
                await _drop_schemas(server, services)
                arguments = ("--exit-on-error", "--single-transaction")
                dump = Path(folder) / DUMP
                await _programs_of(server).run("pg_restore", *arguments, f"--dbname={DATABASE}", str(dump))
                # An older backup gets the migrations since, and the grants that a dump does not carry.
                await prepare_database(server.superuser_dsn, place=place, secrets=secrets, services=services)
                for service in services:
                    if service.after_restore is not None:
                        settings = database_settings(place, secrets, service.schema)
                        async with Database(settings, schema=service.schema, clock=clock) as database:
                            await service.after_restore(database, SKIP)


async def _drop_schemas(server: PostgresServer, services: Sequence[Service]) -> None:
    """Make room for the dump's own: `pg_restore --clean` cannot drop what partitions inherit."""
    password = Secret(server.password_file.read_text().strip())
    connection = await asyncpg.connect(server.dsn(SUPERUSER, DATABASE, password=password))
    try:
        for service in services:
            await connection.execute(f"DROP SCHEMA IF EXISTS {names.name(service.schema)} CASCADE")
    finally:
        await connection.close()


@contextlib.asynccontextmanager
async def _server_of(data: DataDir) -> AsyncIterator[_Programs]:
    """The server of `data`: the one that runs, or one that is started for the moment."""
    running = data.read_ready()
    if running is not None:
        server = PostgresServer(data.postgres)
        place = running["database"]
        password = server.password_file.read_text().strip()
        yield _Programs(
            folder=server.binaries.directory, host=place["host"], port=int(place["port"]), password=password
        )
        return
    if not data.postgres.exists():
        raise Invalid("no_data", f"{data.root} holds no control plane.", mend="Name its folder with --data-dir.")
    with data.held():
        async with PostgresServer(data.postgres) as started:
            yield _programs_of(started)


def _programs_of(server: PostgresServer) -> _Programs:
    password = server.password_file.read_text().strip()
    return _Programs(folder=server.binaries.directory, host=server.host, port=server.port, password=password)


def _pack(whole: Path, *, dump: Path, data: DataDir, manifest: dict[str, Any]) -> None:
    descriptor = os.open(whole, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        with tarfile.open(fileobj=file, mode="w") as tar:
            text = json.dumps(manifest, indent=2).encode()
            entry = tarfile.TarInfo(MANIFEST)
            entry.size, entry.mode = len(text), 0o600
            tar.addfile(entry, io.BytesIO(text))
            tar.add(data.secrets, arcname="secrets")
            if data.owner_token.exists():
                tar.add(data.owner_token, arcname="owner.token")
            tar.add(dump, arcname=DUMP)
        file.flush()
        os.fsync(file.fileno())


def _unpack(source: Path, folder: Path) -> None:
    """Everything into `folder`, nothing outside it (PEP 706's data filter)."""
    try:
        with tarfile.open(source, "r:") as tar:
            tar.extractall(folder, filter="data")
        manifest = json.loads((folder / MANIFEST).read_bytes())
    except FileNotFoundError:
        raise Invalid("bad_backup", f"{source} does not exist or holds no {MANIFEST}.") from None
    except (tarfile.TarError, OSError, ValueError) as error:
        raise Invalid("bad_backup", f"{source} is not a backup: {error}.") from None
    if manifest.get("format") != FORMAT:
        raise Invalid(
            "bad_backup",
            f"{source} has the form {manifest.get('format')}; this program reads {FORMAT}.",
            mend="Restore it with the version that made it, then upgrade.",
        )


def _place(folder: Path, data: DataDir) -> None:
    """The secrets and the owner's token, each with its private mode."""
    for found in (folder / "secrets").rglob("*"):
        target = data.secrets / found.relative_to(folder / "secrets")
        if found.is_dir():
            target.mkdir(mode=0o700, exist_ok=True)
        else:
            target.parent.mkdir(mode=0o700, exist_ok=True)
            write_private(target, found.read_bytes())
    token = folder / "owner.token"
    if token.exists():
        write_private(data.owner_token, token.read_bytes())
