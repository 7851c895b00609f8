"""Repairs of a bus that lost something: events from the ledger, documents from the tables.

Works beside a running `altnet up`, with the services' own roles. Leaves out why it was lost.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

import msgspec
from altnet.common.bus.connect import BusSettings
from altnet.common.clock import SystemClock
from altnet.common.db.outbox import replay
from altnet.common.db.settings import DatabaseSettings
from altnet.common.errors import Unavailable
from altnet.common.http.settings import HttpSettings
from altnet.host.data_dir import DataDir, default_root
from altnet.host.hosting import SERVICES, Hosted, Places, load_service, open_services
from altnet.host.secrets import SecretsDir


async def replay_events(data_dir: Path | None, since: datetime) -> int:
    """Mark every service's events since `since` as unpublished; the running control plane publishes them."""
    counted = 0
    async with opened(data_dir) as hosted:
        for item in hosted:
            counted += await replay(item.context.database, since)
    return counted


async def rebuild_documents(data_dir: Path | None) -> int:
    """Publish every document anew; returns how many."""
    counted = 0
    async with opened(data_dir) as hosted:
        for item in hosted:
            if item.service.rebuild is not None:
                await item.context.bus.wait_connected(10.0)
                counted += await item.service.rebuild(item.context)
    return counted


@contextlib.asynccontextmanager
async def opened(data_dir: Path | None) -> AsyncIterator[list[Hosted]]:
    """The services of a running control plane, opened a second time without their jobs."""
    data = DataDir((data_dir or default_root()).absolute())
    running = data.read_ready()
    if running is None:
        raise Unavailable("not_running", f"no `altnet up` runs on {data.root}.", mend="Start it, then repeat this.")
    place = msgspec.convert(running["database"] | {"user": "nobody"}, DatabaseSettings)
    async with open_services(
        [load_service(name) for name in SERVICES],
        places=Places(database=place, bus=BusSettings(servers=tuple(running["bus_local"]))),
        secrets=SecretsDir(data.secrets),
        clock=SystemClock(),
        http=HttpSettings(),
        env=os.environ,
    ) as hosted:
        yield hosted
