"""A fresh registry for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from altnet.common.bus.connect import BusSettings
from altnet.common.bus.jwt import BusIdentity
from altnet.common.db.settings import DatabaseSettings
from integration.registry.running import RunningRegistry, running
from support.postgres import DatabaseFactory

MIGRATIONS = Path(__file__).parents[3] / "services/registry/alembic"


@pytest.fixture
def registry_database(database_factory: DatabaseFactory) -> DatabaseSettings:
    return database_factory("registry", MIGRATIONS)


@pytest_asyncio.fixture
async def registry(
    registry_database: DatabaseSettings, bus_settings: BusSettings, bus_identity: BusIdentity
) -> AsyncIterator[RunningRegistry]:
    async with running(registry_database, bus_settings, bus_identity) as made:
        yield made
