"""A fresh registry and a fresh keyd for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from altnet.common.bus.connect import Bus, BusSettings
from altnet.common.bus.jwt import BusIdentity
from altnet.common.db.settings import DatabaseSettings
from integration.keyd.running import RunningKeyd, running_keyd
from integration.registry.running import RunningRegistry, running
from support.postgres import DatabaseFactory

SERVICES = Path(__file__).parents[3] / "services"


@pytest.fixture
def keyd_database(database_factory: DatabaseFactory) -> DatabaseSettings:
    return database_factory("keyd", SERVICES / "keyd/alembic")


@pytest_asyncio.fixture
async def registry(
    database_factory: DatabaseFactory, bus_settings: BusSettings, bus_identity: BusIdentity, registry_bus: Bus
) -> AsyncIterator[RunningRegistry]:
    """`registry_bus` makes the streams first."""
    database = database_factory("registry", SERVICES / "registry/alembic")
    async with running(database, bus_settings, bus_identity) as made:
        yield made


@pytest_asyncio.fixture
async def keyd(
    keyd_database: DatabaseSettings, bus_settings: BusSettings, bus_identity: BusIdentity, registry: RunningRegistry
) -> AsyncIterator[RunningKeyd]:
    async with running_keyd(keyd_database, bus_settings, bus_identity) as made:
        yield made
