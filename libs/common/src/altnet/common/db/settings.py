"""Where a service's database is, and how long it may take. All times in seconds."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec
from altnet.common.errors import Invalid
from altnet.common.settings import Secret


class DatabaseSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One service's way to Postgres (15 or newer)."""

    host: str = "localhost"
    """A name, an address, or the directory of a Unix socket (starts with /)."""
    port: int = 5432
    name: str = "altnet"
    user: str
    password: Secret = Secret("")
    tls: str = "prefer"
    """libpq's sslmode: disable, prefer, require, verify-ca, verify-full. A Unix socket needs none."""
    pool_size: int = 10
    """Connections for units of work and reads. One serves about 500 small transactions a second."""
    raw_pool_size: int = 4
    """Connections for bulk writes, which are few and long."""
    connect_timeout: float = 5.0
    """A server that lives answers in milliseconds, so a failed one is reported before a caller gives up."""
    pool_timeout: float = 5.0
    """How long to wait for a free connection before the caller is told that the database is busy."""
    statement_timeout: float = 10.0
    """The server stops a longer statement; ours take milliseconds."""
    lock_timeout: float = 4.0
    """Shorter than the statement's, so that the error says that it waited for a lock."""
    idle_timeout: float = 30.0
    """The server ends a transaction that does nothing for so long, since it holds locks and keeps rows from vacuum."""
    answer_timeout: float = 15.0
    """Given up by us, where the server cannot: longer than `statement_timeout`, for a frozen or cut-off server."""
    check_after: float = 30.0
    """A connection that was idle for longer is tried before use: a firewall may have forgotten it."""

    @classmethod
    def from_dsn(cls, dsn: str, **overrides: Any) -> DatabaseSettings:
        """Read `postgresql://user:password@host:port/name?host=/socket/directory`. Raises `Invalid` (`bad_setting`)."""
        try:
            parts = urlsplit(dsn)
            query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
            found: dict[str, Any] = {
                "host": query.pop("host", None) or parts.hostname or "localhost",
                "port": int(query.pop("port", None) or parts.port or 5432),
                "name": unquote(parts.path.lstrip("/")) or "altnet",
                "user": unquote(parts.username or query.pop("user", "")),
                "password": Secret(unquote(parts.password or query.pop("password", ""))),
                "tls": query.pop("sslmode", "prefer"),
            }
        except ValueError as error:
            raise Invalid("bad_setting", f"not a Postgres DSN: {error}.", field="/database") from None
        if parts.scheme not in ("postgresql", "postgres") or not found["user"] or query:
            unknown = f"; unknown: {', '.join(sorted(query))}" if query else ""
            raise Invalid(
                "bad_setting",
                f"not a Postgres DSN with a user{unknown}.",
                field="/database",
                mend="Write postgresql://user:password@host:5432/name.",
            )
        return cls(**(found | overrides))

    def connect_arguments(self, *, search_path: str, application: str) -> dict[str, Any]:
        """Keyword arguments for `asyncpg.connect`: with them every connection has its limits from the start."""
        return {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "password": self.password.reveal() or None,
            "database": self.name,
            "ssl": False if self.host.startswith("/") else self.tls,
            "timeout": self.connect_timeout,
            "command_timeout": self.answer_timeout,
            "server_settings": {
                "application_name": application,
                "search_path": search_path,
                "statement_timeout": _milliseconds(self.statement_timeout),
                "lock_timeout": _milliseconds(self.lock_timeout),
                "idle_in_transaction_session_timeout": _milliseconds(self.idle_timeout),
                "timezone": "UTC",
            },
        }


def _milliseconds(seconds: float) -> str:
    return str(round(seconds * 1000))
