"""What a service is to its host.

A service describes itself with one `Service` value; `altnet up` hosts all of them in one process and
`altnet serve <name>` runs one, by the same code. Nothing here opens anything: the host makes the context, enters
`Service.open`, serves the app and supervises the jobs, and leaves in reverse order.

Invariant: a service gets everything from its context and reaches for no global.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from altnet.common import settings
from altnet.common.clock import Clock
from altnet.common.jobs import Job
from prometheus_client import CollectorRegistry

if TYPE_CHECKING:  # a host lists services without importing their frameworks
    from altnet.common.bus.connect import Bus
    from altnet.common.bus.jwt import BusIdentity
    from altnet.common.db.engine import Database
    from altnet.common.http.auth import TokenIssuer, TokenVerifier
    from altnet.common.http.settings import HttpSettings
    from altnet.common.settings import Secret
    from fastapi import FastAPI

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class ServiceContext:
    """What the host gives to a service."""

    settings: settings.Source
    """The service's own table of the settings file and its own variables (`ALTNET_REGISTRY_…`)."""
    database: Database
    """With the service's own role, on its own schema."""
    bus: Bus
    """With the service's own identity."""
    admin_bus: Bus | None
    """May create streams; None where somebody else does."""
    clock: Clock
    verifier: TokenVerifier
    issuer: TokenIssuer | None
    """Only where the operators' signing key is at hand."""
    identity: BusIdentity | None
    """Only where the service may issue bus credentials."""
    metrics: CollectorRegistry
    http: HttpSettings

    def load_settings(self, cls: type[T]) -> T:
        """The service's settings struct. Raises `Invalid` (`bad_setting`)."""
        return self.settings.load(cls)


@dataclass(frozen=True, kw_only=True)
class ServiceParts:
    """What an opened service runs: its REST application and its background work."""

    app: FastAPI
    jobs: Sequence[Job]


@dataclass(frozen=True, kw_only=True)
class Service:
    """A service, described. `open` must not fail because Postgres or NATS is away: it starts, and says so."""

    name: str
    """As in commands, log fields and metrics: `registry`."""
    schema: str
    """Its schema in Postgres."""
    title: str
    description: str
    migrations: Path
    """Its Alembic folder."""
    open: Callable[[ServiceContext], AbstractAsyncContextManager[ServiceParts]]
    first_owner: Callable[[ServiceContext], Awaitable[Secret | None]] | None = None
    """Makes the first owner and returns its token, once; None where there is an owner already."""
    after_restore: Callable[[Database, int], Awaitable[None]] | None = None
    """Called after a restore from a backup: numbers given out next are above the old ones by at least the second."""
    rebuild: Callable[[ServiceContext], Awaitable[int]] | None = None
    """Publishes everything that it keeps on the bus anew; returns how many documents."""
