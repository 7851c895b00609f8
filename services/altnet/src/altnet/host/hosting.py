"""Opens services side by side and keeps them running: one or all, by the same code.

Leaves out where Postgres and NATS come from. Invariant: a service gets its own database role, its own bus identity and
its own settings, whether it shares the process or not.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlencode

import msgspec
from altnet.common import log
from altnet.common.bus.connect import Bus, BusSettings, Credentials
from altnet.common.bus.identity import BusIdentity
from altnet.common.bus.measured import BusCounters
from altnet.common.bus.streams import ensure_streams
from altnet.common.clock import Clock
from altnet.common.db import names
from altnet.common.db.engine import Database, DatabaseSettings
from altnet.common.db.migrate import ServicePasswords, provision, upgrade
from altnet.common.errors import NotFound
from altnet.common.http import server
from altnet.common.http.settings import HttpSettings
from altnet.common.jobs import Job, Supervisor
from altnet.common.metrics import Metrics, add_process
from altnet.common.service import Service, ServiceContext, ServiceParts
from altnet.common.settings import Secret, Source
from altnet.host.gateway import Gateway
from altnet.host.secrets import SecretsDir
from altnet.host.settings import split_address
from altnet.host.signing import SigningKey
from prometheus_client import CollectorRegistry

SERVICES: Final = ("registry", "keyd")
"""In the order in which they start. A new service adds its name; `altnet.<name>.service` exports `service`."""


def load_service(name: str) -> Service:
    """A service by name. Raises `NotFound` (`no_such_service`)."""
    if name not in SERVICES:
        raise NotFound("no_such_service", f"there is no service {name}.", mend=f"There is: {', '.join(SERVICES)}.")
    service: Service = importlib.import_module(f"altnet.{name}.service").service
    return service


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where the outside of a service is: its database server and its bus."""

    database: DatabaseSettings
    """With anybody's user and password; each service gets its own."""
    bus: BusSettings


@dataclass(frozen=True, kw_only=True)
class Hosted:
    """An opened service with what it was given."""

    service: Service
    context: ServiceContext
    parts: ServiceParts


@contextlib.asynccontextmanager
async def open_services(
    services: Sequence[Service],
    *,
    places: Places,
    secrets: SecretsDir,
    clock: Clock,
    http: HttpSettings,
    env: Mapping[str, str],
    file: Path | None = None,
) -> AsyncIterator[list[Hosted]]:
    """Open `services`; they are closed in reverse order. None of it waits for Postgres or NATS."""
    identity = secrets.bus_identity(clock)
    signing = SigningKey(secrets, clock)
    metrics = CollectorRegistry()
    add_process(metrics)
    async with contextlib.AsyncExitStack() as stack:
        following = asyncio.create_task(signing.follow(), name="follow the key of access tokens")
        stack.callback(following.cancel)
        admin = await stack.enter_async_context(
            Bus(places.bus, lambda: identity.credentials("admin"), name="altnet-admin")
        )

        async def streams() -> None:
            await ensure_streams(admin)

        admin.on_connect(streams)
        hosted = []
        for service in services:
            database = Database(
                database_settings(places.database, secrets, service.schema), schema=service.schema, clock=clock
            )
            await stack.enter_async_context(database)
            bus = Bus(places.bus, _credentials_of(identity, service.name), name=f"altnet-{service.name}")
            await stack.enter_async_context(bus)
            BusCounters(Metrics(metrics, service=service.name), bus)
            context = ServiceContext(
                settings=Source(
                    prefix=f"ALTNET_{service.name.upper()}",
                    env=secrets.with_files(service.name, env),
                    file=file,
                    section=service.name if file else None,
                ),
                database=database,
                bus=bus,
                admin_bus=admin,
                clock=clock,
                verifier=signing.verifier,
                issuer=signing.issuer,
                identity=identity,
                metrics=metrics,
                http=http,
            )
            parts = await stack.enter_async_context(service.open(context))
            hosted.append(Hosted(service=service, context=context, parts=parts))
        yield hosted


async def run_hosted(
    hosted: Sequence[Hosted], *, sockets: Sequence[socket.socket], jobs: Sequence[Job], http: HttpSettings, clock: Clock
) -> None:
    """Serve the services' applications on `sockets` and run their jobs and `jobs`, until cancelled."""
    gateway = Gateway({item.service.name: item.parts.app for item in hosted})

    async def serve() -> None:
        await server.serve(gateway, sockets=sockets, settings=http)

    every = [*jobs, *(job for item in hosted for job in item.parts.jobs), Job("http", serve)]
    await Supervisor(every, log=log.get("altnet.host"), clock=clock).run()


def open_sockets(listen: Sequence[str], *, inherited: Sequence[socket.socket] = ()) -> list[socket.socket]:
    """The sockets that systemd (or the lab) passed, and those to open. Raises `Invalid` (`cannot_listen`)."""
    sockets = list(inherited)
    for place in listen:
        if place.startswith("/"):
            sockets.append(server.listen_unix(Path(place)))
        else:
            sockets.extend(server.listen(*split_address(place, field="/listen")))
    return sockets


def urls_of(sockets: Sequence[socket.socket]) -> list[str]:
    """Where the sockets are reached, for people."""
    urls = []
    for listener in sockets:
        if listener.family == socket.AF_UNIX:
            urls.append(f"unix://{listener.getsockname()}")
            continue
        host, port = listener.getsockname()[:2]
        urls.append(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")
    return urls


def database_settings(place: DatabaseSettings, secrets: SecretsDir, schema: str) -> DatabaseSettings:
    """A service's own role on the server at `place`."""
    return msgspec.structs.replace(place, user=names.runtime_role(schema), password=secrets.database_password(schema))


async def provision_database(
    superuser_dsn: str, *, place: DatabaseSettings, secrets: SecretsDir, services: Sequence[Service]
) -> None:
    """Make the database, the roles with their passwords, and the schemas. May be repeated."""
    passwords = {
        service.schema: ServicePasswords(
            owner=secrets.database_password(f"{service.schema}_owner"),
            runtime=secrets.database_password(service.schema),
        )
        for service in services
    }
    await provision(superuser_dsn, place.name, passwords)


async def prepare_database(
    superuser_dsn: str, *, place: DatabaseSettings, secrets: SecretsDir, services: Sequence[Service]
) -> None:
    """Provision roles and schemas and bring every schema to its newest revision. May be repeated."""
    await provision_database(superuser_dsn, place=place, secrets=secrets, services=services)
    for service in services:
        owner = secrets.database_password(f"{service.schema}_owner")
        await upgrade(dsn_of(place, names.owner_role(service.schema), owner), service.migrations, service.schema)


def dsn_of(place: DatabaseSettings, user: str, password: Secret, *, database: str | None = None) -> str:
    """A connection string for one role, to the place's own database or another."""
    login = f"{quote(user, safe='')}:{quote(password.reveal(), safe='')}"
    query = urlencode(
        {"host": place.host, "port": place.port} | ({} if place.host.startswith("/") else {"sslmode": place.tls})
    )
    return f"postgresql://{login}@/{quote(database or place.name, safe='')}?{query}"


def advertise(env: Mapping[str, str], servers: Sequence[str]) -> dict[str, str]:
    """`env` with what relays are told to connect to, unless it says so already."""
    if not servers:
        return dict(env)
    return {"ALTNET_REGISTRY_BUS_SERVERS": ",".join(servers), **env}


def _credentials_of(identity: BusIdentity, name: str) -> Callable[[], Credentials]:
    return lambda: identity.credentials(name)
