"""How a control plane is hosted. Each service's own settings are its own (`ALTNET_REGISTRY_…`).

From flags, then the environment (`ALTNET_…`), then a TOML file. Times in seconds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from altnet.common.bus.connect import BusSettings
from altnet.common.embedded.postgres import PostgresSettings
from altnet.common.errors import Invalid
from altnet.common.http.settings import HttpSettings

Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]


class LogSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a process logs, to standard error."""

    json: bool = False
    level: Literal["debug", "info", "warning", "error"] = "warning"
    """What a person wants to see beside the few lines that `up` prints; `serve` takes info."""


class DatabasePlace(msgspec.Struct, frozen=True, kw_only=True):
    """Where Postgres is, for `altnet serve` and `altnet admin migrate`."""

    host: str = "localhost"
    port: Port = 5432
    name: str = "altnet"
    superuser: str = "postgres"
    tls: str = "prefer"


class HostSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One process's settings."""

    listen: tuple[str, ...] = ("localhost:8420",)
    """Where the API listens: `host:port`, `[address]:port`, or the path of a Unix socket."""
    bus_listen: str = "127.0.0.1:4222"
    """Where the embedded nats-server listens. Relays on other hosts need an address that they reach."""
    bus_advertise: tuple[str, ...] = ()
    """What relays are told to connect to; empty: `bus_listen`."""
    secrets: Path | None = None
    """The folder that `altnet admin init` made; `up` has its own in its data directory."""
    database: DatabasePlace = DatabasePlace()
    bus: BusSettings = BusSettings()
    http: HttpSettings = HttpSettings()
    postgres: PostgresSettings = PostgresSettings()
    log: LogSettings = LogSettings()


def split_address(text: str, *, field: str) -> tuple[str, int]:
    """Read `host:port` or `[address]:port`. Raises `Invalid` (`bad_setting`)."""
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        colon = ""
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise Invalid(
            "bad_setting",
            f"{text!r} is not an address to listen on.",
            field=field,
            mend="Write host:port, an IPv6 address in brackets, like [::1]:8420.",
        )
    return host, int(port)
