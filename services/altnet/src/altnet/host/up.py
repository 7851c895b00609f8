"""`altnet up`: the whole control plane in one process, on a Postgres and a nats-server of its own.

Starts the children, provisions and migrates, opens every service, makes the first owner once, says where everything is,
and stops in reverse order. Leaves out the services' work and the children's details.

Invariant: `ready.json` exists only while everything answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
from altnet.common import heap
from altnet.common.clock import Clock
from altnet.common.db.engine import DatabaseSettings
from altnet.common.embedded.nats import NatsServer
from altnet.common.embedded.postgres import PostgresServer
from altnet.common.files import write_private
from altnet.common.http import server
from altnet.common.jobs import Job
from altnet.common.service import Service
from altnet.host.data_dir import DataDir
from altnet.host.hosting import (
    Hosted,
    Places,
    advertise,
    open_services,
    open_sockets,
    prepare_database,
    run_hosted,
    urls_of,
)
from altnet.host.secrets import SecretsDir
from altnet.host.settings import HostSettings, split_address

DATABASE: Final = "altnet"
READY_TIMEOUT: Final = 60.0
"""Seconds until the services must have reached Postgres and NATS, which run already; longer means a fault."""

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Up:
    """What is up and where; also the content of `ready.json`."""

    api: Sequence[str]
    bus: Sequence[str]
    owner_token: Path
    data_dir: Path
    database: DatabaseSettings
    bus_local: str
    """Where this host itself reaches the bus."""
    seconds: float

    def facts(self) -> dict[str, Any]:
        """For `--json` and `ready.json`."""
        return {
            "api": list(self.api),
            "bus": list(self.bus),
            "owner_token": str(self.owner_token),
            "bus_local": [self.bus_local],
            "data_dir": str(self.data_dir),
            "database": {"host": self.database.host, "port": self.database.port, "name": self.database.name},
            "pid": os.getpid(),
            "ready_in": round(self.seconds, 3),
        }


async def run_up(
    data: DataDir,
    *,
    settings: HostSettings,
    services: Sequence[Service],
    clock: Clock,
    env: MutableMapping[str, str],
    say: Say,
    ready: Callable[[Up], None],
    file: Path | None = None,
) -> None:
    """Run until cancelled; `ready` is called once everything answers, `say` with each step on the way.

    Raises what the steps raise: `Invalid`, `Conflict`, `Unavailable`.
    """
    begin = time.monotonic()
    data.prepare()
    with data.held():
        data.clear_ready()
        sockets = open_sockets(settings.listen, inherited=server.inherited_sockets(env))
        secrets = SecretsDir(data.secrets)
        secrets.create(schemas=[service.schema for service in services], clock=clock)
        async with contextlib.AsyncExitStack() as stack:
            postgres = PostgresServer(data.postgres, settings=settings.postgres)
            host, port = split_address(settings.bus_listen, field="/bus_listen")
            nats = NatsServer(data.nats, secrets.bus_identity(clock), host=host, port=port)
            say("starting Postgres and nats-server")
            await asyncio.gather(stack.enter_async_context(postgres), stack.enter_async_context(nats))
            place = DatabaseSettings(host=postgres.host, port=postgres.port, name=DATABASE, user="nobody")
            say("bringing the schemas to their newest revision")
            await prepare_database(postgres.superuser_dsn, place=place, secrets=secrets, services=services)
            advertised = settings.bus_advertise or (nats.url,)
            bus = msgspec.structs.replace(settings.bus, servers=(_own_url(nats),))
            say("opening the services")
            hosted = await stack.enter_async_context(
                open_services(
                    services,
                    places=Places(database=place, bus=bus),
                    secrets=secrets,
                    clock=clock,
                    http=settings.http,
                    env=advertise(env, advertised),
                    file=file,
                )
            )

            async def announce() -> None:
                await _wait_ready(hosted)
                await _make_first_owner(hosted, data.owner_token)
                up = Up(
                    api=urls_of(sockets),
                    bus=list(advertised),
                    owner_token=data.owner_token,
                    data_dir=data.root,
                    database=place,
                    bus_local=_own_url(nats),
                    seconds=time.monotonic() - begin,
                )
                data.write_ready(up.facts())
                heap.settle()
                ready(up)

            jobs = [
                Job("postgres", postgres.keep_running),
                Job("nats-server", nats.keep_running),
                Job("announce", announce),
            ]
            stack.callback(data.clear_ready)
            await run_hosted(hosted, sockets=sockets, jobs=jobs, http=settings.http, clock=clock)


async def _wait_ready(hosted: Sequence[Hosted]) -> None:
    """Return once every service reaches its database and its bus."""
    for item in hosted:
        await item.context.bus.wait_connected(READY_TIMEOUT)
        await item.context.database.ping(READY_TIMEOUT)


async def _make_first_owner(hosted: Sequence[Hosted], target: Path) -> None:
    """Give the first owner a token, once; the file is its only copy."""
    if target.exists():
        return
    for item in hosted:
        if item.service.first_owner is not None:
            token = await item.service.first_owner(item.context)
            if token is not None:
                write_private(target, token.reveal().encode() + b"\n")


def _own_url(nats: NatsServer) -> str:
    """Where this process reaches its own nats-server, also when that listens on every address."""
    own = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(nats.host)  # noqa: S104 - compared, not bound
    return f"nats://{own}:{nats.port}" if own else nats.url
