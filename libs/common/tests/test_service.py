"""A service as its host meets it: described, opened, served, supervised, left; and light where it must be."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from altnet.common import log
from altnet.common.clock import SystemClock
from altnet.common.errors import Invalid
from altnet.common.http import server
from altnet.common.http.auth import TokenVerifier
from altnet.common.http.settings import HttpSettings
from altnet.common.jobs import Job, JobState, Supervisor, every
from altnet.common.service import Service, ServiceContext, ServiceParts
from altnet.common.settings import Source
from prometheus_client import CollectorRegistry
from support.toy_api import make_toy


class ToySettings(msgspec.Struct, frozen=True, kw_only=True):
    greeting: str = "hello"


def context(env: dict[str, str]) -> ServiceContext:
    absent: Any = None  # a toy needs neither Postgres nor NATS
    return ServiceContext(
        settings=Source(prefix="ALTNET_TOY", env=env),
        database=absent,
        bus=absent,
        admin_bus=None,
        clock=SystemClock(),
        verifier=TokenVerifier([], SystemClock()),
        issuer=None,
        identity=None,
        metrics=CollectorRegistry(),
        http=HttpSettings(),
    )


async def test_a_host_opens_serves_supervises_and_leaves_a_service() -> None:
    told: list[str] = []

    @asynccontextmanager
    async def open_toy(given: ServiceContext) -> AsyncIterator[ServiceParts]:
        greeting = given.load_settings(ToySettings).greeting

        async def greet() -> None:
            told.append(greeting)

        yield ServiceParts(app=make_toy().app, jobs=[Job("greet", every(60, greet))])
        told.append("closed")

    service = Service(
        name="toy", schema="toy", title="Toy", description="A toy.", migrations=Path("nowhere"), open=open_toy
    )
    sockets = server.listen("127.0.0.1", 0)
    url = f"http://127.0.0.1:{sockets[0].getsockname()[1]}/livez"
    started = asyncio.Event()
    async with service.open(context({"ALTNET_TOY_GREETING": "good day"})) as parts:

        async def serve() -> None:
            await server.serve(parts.app, sockets=sockets, settings=HttpSettings(), started=started)

        supervisor = Supervisor([*parts.jobs, Job("http", serve)], log=log.get("test"))
        running = asyncio.create_task(supervisor.run())
        async with asyncio.timeout(10):
            await started.wait()
        async with httpx.AsyncClient() as client:
            assert (await client.get(url)).status_code == 200
        assert {health.state for health in supervisor.health()} == {JobState.RUNNING}

        running.cancel()
        await asyncio.wait([running])
    assert {health.state for health in supervisor.health()} == {JobState.STOPPED}
    assert told == ["good day", "closed"]


def test_a_services_wrong_setting_stops_it_with_its_name() -> None:
    with pytest.raises(Invalid) as caught:
        context({"ALTNET_TOY_GREETING_FILE": "/nowhere/at/all"}).load_settings(ToySettings)
    assert caught.value.field == "/greeting"


def test_what_agents_use_needs_no_web_framework_and_no_database() -> None:
    names = "settings log metrics jobs service"
    script = (
        f"import sys, {', '.join(f'altnet.common.{name}' for name in names.split())}; "
        "heavy = {'pydantic', 'fastapi', 'starlette', 'sqlalchemy', 'asyncpg', 'uvicorn', 'joserfc', 'nats'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )

    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": ":".join(path for path in sys.path if path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert done.stdout.strip() == "[]"
