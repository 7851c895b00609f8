"""Databases, schemas and roles: what a superuser makes once, before services migrate and run.

Each service gets a schema and two roles: `altnet_<schema>_owner` owns the schema and runs migrations, `altnet_<schema>`
reads and writes rows there and nothing else. Neither sees another service's schema. Everything may be done again.

Passwords travel and are stored as SCRAM verifiers only (RFC 5803), so no server log can hold one.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import asyncpg
from altnet.common.db import names
from altnet.common.db.failures import translated
from altnet.common.db.settings import DatabaseSettings
from altnet.common.errors import Invalid
from altnet.common.settings import Secret

_SCRAM_ITERATIONS: Final = 4096
"""Postgres' own number; our passwords are random, not guessable words."""
_LOCK: Final = "SELECT pg_advisory_lock(hashtextextended('altnet.provision', 0))"


@dataclass(frozen=True, kw_only=True)
class ServicePasswords:
    """Of a service's two roles."""

    owner: Secret
    runtime: Secret


async def provision(
    superuser_dsn: str,
    database: str,
    services: Mapping[str, ServicePasswords],
    *,
    randomness: Callable[[int], bytes] = secrets.token_bytes,
) -> None:
    """Make the database, its extension btree_gist, and each service's schema and roles; set the passwords.

    `services` is by schema. Raises `Unavailable`, `Invalid` (`bad_password`).
    """
    names.name(database)
    settings = DatabaseSettings.from_dsn(superuser_dsn, statement_timeout=60.0, lock_timeout=30.0, answer_timeout=65.0)
    arguments = settings.connect_arguments(search_path="public", application="altnet-provision")
    with translated():
        connection = await asyncpg.connect(**arguments)
        try:
            await connection.execute(_LOCK)
            await _make_roles(connection, services, randomness)
            if not await connection.fetchval("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", database):
                # C: names sort by their bytes everywhere, so pages and indexes do not depend on the host's locale.
                await connection.execute(
                    f"CREATE DATABASE {database} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'"
                )
            await admit(connection, database, services)
            inside = await asyncpg.connect(**(arguments | {"database": database}))
            try:
                await _make_schemas(inside, services)
            finally:
                await inside.close()
        finally:
            await connection.close()


async def admit(connection: asyncpg.Connection, database: str, schemas: Mapping[str, object]) -> None:
    """Let the services' roles, and no others, connect to `database`. A clone of a database needs it again."""
    statements = [f"REVOKE ALL ON DATABASE {names.name(database)} FROM PUBLIC"]
    for schema in schemas:
        roles = f"{names.owner_role(schema)}, {names.runtime_role(schema)}"
        statements.append(f"GRANT CONNECT ON DATABASE {database} TO {roles}")
    async with connection.transaction():
        await connection.execute(";".join(statements))


async def _make_roles(
    connection: asyncpg.Connection, services: Mapping[str, ServicePasswords], randomness: Callable[[int], bytes]
) -> None:
    async with connection.transaction():
        for schema, passwords in services.items():
            for role, password in (
                (names.owner_role(schema), passwords.owner),
                (names.runtime_role(schema), passwords.runtime),
            ):
                exists = await connection.fetchval("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", role)
                verifier = scram_verifier(password, randomness(16))
                await connection.execute(
                    f"{'ALTER' if exists else 'CREATE'} ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE "
                    f"NOREPLICATION NOBYPASSRLS PASSWORD {names.literal(verifier)}"
                )


async def _make_schemas(connection: asyncpg.Connection, services: Mapping[str, ServicePasswords]) -> None:
    async with connection.transaction():
        await connection.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        await connection.execute("CREATE EXTENSION IF NOT EXISTS btree_gist SCHEMA public")
        for schema in services:
            owner, runtime = names.owner_role(schema), names.runtime_role(schema)
            statements = f"""
                CREATE SCHEMA IF NOT EXISTS {schema} AUTHORIZATION {owner};
                REVOKE ALL ON SCHEMA {schema} FROM PUBLIC;
                GRANT USAGE ON SCHEMA {schema} TO {runtime};
                ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {schema}
                    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {runtime};
                ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {schema}
                    GRANT USAGE, SELECT ON SEQUENCES TO {runtime};
                ALTER DEFAULT PRIVILEGES FOR ROLE {owner} REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
                GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {runtime};
                GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA {schema} TO {runtime};
            """  # noqa: S608 - names.owner_role lets only plain names through
            await connection.execute(statements)
            if await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", f"{schema}.alembic_version"):
                await connection.execute(f"REVOKE INSERT, UPDATE, DELETE ON {schema}.alembic_version FROM {runtime}")


def scram_verifier(password: Secret, salt: bytes) -> str:
    """What Postgres stores for a password (RFC 5803): from it nobody can log in. Raises `Invalid` (`bad_password`)."""
    plain = password.reveal()
    if not plain or not plain.isascii() or not plain.isprintable():
        # Others would have to be normalised first (RFC 4013), and clients disagree about that.
        raise Invalid("bad_password", "a database password must be printable ASCII, and not empty.")
    salted = hashlib.pbkdf2_hmac("sha256", plain.encode(), salt, _SCRAM_ITERATIONS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    encoded = [base64.b64encode(part).decode() for part in (salt, stored, server)]
    return f"SCRAM-SHA-256${_SCRAM_ITERATIONS}:{encoded[0]}${encoded[1]}:{encoded[2]}"
