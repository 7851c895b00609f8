"""A real nats-server for tests: one per test (6 ms), signed for by one identity per session."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Protocol

import pytest
import pytest_asyncio
from altnet.common.bus.connect import Bus, BusSettings
from altnet.common.bus.credentials import Credentials
from altnet.common.bus.jwt import BusIdentity, make_nkey, relay_user_jwt, service_credentials
from altnet.common.bus.streams import ensure_streams
from altnet.common.clock import SystemClock
from altnet.common.embedded.nats import NatsServer, NatsSettings

CONNECT_WITHIN = 10.0

# The first async test of a session makes pytest-asyncio ask for the current loop, which asyncio then creates and
# nobody closes: a ResourceWarning, hence an error, when the session ends. With "none" set, it is not created.
asyncio.set_event_loop(None)


class ServiceBus(Protocol):
    """`await service_bus("registry")` → a connected Bus of that user, closed after the test."""

    async def __call__(self, name: str) -> Bus: ...


class RelayBus(Protocol):
    """`await relay_bus("rly_1", network="net_1")` → a connected Bus of that relay, closed after the test."""

    async def __call__(self, relay: str, *, network: str = "net_1") -> Bus: ...


@pytest.fixture(scope="session")
def bus_identity() -> BusIdentity:
    """An installation's keys, in memory only. Tests that revoke make their own."""
    return BusIdentity.create(SystemClock())


@pytest.fixture
def nats_directory() -> Iterator[Path]:
    """A short directory of its own; removed in the end."""
    directory = Path(tempfile.mkdtemp(prefix="altnet-nats-"))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest_asyncio.fixture
async def nats_server(nats_directory: Path, bus_identity: BusIdentity) -> AsyncIterator[NatsServer]:
    """This test's server: stop, kill and wipe it as you like. It does not sync each write."""
    async with NatsServer(nats_directory, bus_identity, settings=NatsSettings(sync_always=False)) as server:
        yield server


@pytest.fixture
def bus_settings(nats_server: NatsServer) -> BusSettings:
    """To reach this test's server, with shorter waits than in life."""
    return BusSettings(
        servers=(nats_server.url,),
        reconnect_wait=0.02,
        reconnect_wait_max=0.2,
        refused_wait_max=0.3,
        request_timeout=3.0,
    )


@pytest_asyncio.fixture
async def service_bus(bus_settings: BusSettings, bus_identity: BusIdentity) -> AsyncIterator[ServiceBus]:
    """Makes buses of our own users (registry, keyd, dnsd, eventlog, admin, sys)."""
    async with contextlib.AsyncExitStack() as stack:

        async def make(name: str) -> Bus:
            bus = await stack.enter_async_context(Bus(bus_settings, service_credentials(bus_identity, name), name=name))
            await bus.wait_connected(CONNECT_WITHIN)
            return bus

        yield make


@pytest_asyncio.fixture
async def relay_bus(bus_settings: BusSettings, bus_identity: BusIdentity) -> AsyncIterator[RelayBus]:
    """Makes buses of relays."""
    async with contextlib.AsyncExitStack() as stack:

        async def make(relay: str, *, network: str = "net_1") -> Bus:
            credentials = relay_credentials(bus_identity, relay, network=network)
            bus = await stack.enter_async_context(Bus(bus_settings, credentials, name=relay))
            await bus.wait_connected(CONNECT_WITHIN)
            return bus

        yield make


@pytest_asyncio.fixture
async def registry_bus(service_bus: ServiceBus) -> Bus:
    """The registry's bus, with every stream made."""
    bus = await service_bus("registry")
    await ensure_streams(bus)
    return bus


def relay_credentials(
    identity: BusIdentity, relay: str, *, network: str = "net_1", life: timedelta = timedelta(hours=1)
) -> Credentials:
    """A pass for a relay with a new key."""
    public, seed = make_nkey()
    expires = SystemClock().now() + life
    return Credentials(relay_user_jwt(identity, relay=relay, network=network, nkey=public, expires=expires), seed)
