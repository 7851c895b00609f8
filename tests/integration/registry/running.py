"""A registry that runs on a real Postgres and a real NATS, and relays that speak to it without a host below them."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
from altnet.common import log
from altnet.common.bus import desired
from altnet.common.bus.connect import Bus, BusSettings, Credentials
from altnet.common.bus.jwt import BusIdentity, make_nkey, service_credentials, sign
from altnet.common.bus.subjects import MESH_BUCKET, RELAY_BUCKET, mesh_snapshot_key, relay_applied, relay_status
from altnet.common.clock import SystemClock
from altnet.common.contracts.agent import Applied, Heartbeat
from altnet.common.contracts.desired import (
    MeshSnapshot,
    RelayDocument,
    unpack_relay_document,
    unpack_snapshot,
)
from altnet.common.contracts.digest import document_digest, mesh_digest
from altnet.common.db.engine import Database, DatabaseSettings
from altnet.common.http.auth import Role, TokenIssuer, TokenVerifier
from altnet.common.http.settings import HttpSettings
from altnet.common.jobs import Supervisor
from altnet.common.keys import PrivateKey
from altnet.common.service import ServiceContext
from altnet.common.settings import Source
from altnet.registry.service import service
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

OWNER = "the-owner"
PAUSE = 0.05
"""Seconds between two looks: a look is a request or two, and what is looked for is worked out by the same processor."""

FAST = {
    "ALTNET_REGISTRY_TRACKING__FLUSH_RECEIPTS": "0.02",
    "ALTNET_REGISTRY_TRACKING__FLUSH_STATUS": "0.1",
    "ALTNET_REGISTRY_LIVENESS__CHECK_EVERY": "0.05",
    "ALTNET_REGISTRY_PLANNING__POLL": "0.2",
    "ALTNET_REGISTRY_ENROLMENT__ATTEMPTS_AT_ONCE": "10000",
}
"""The settings of a production installation, in a hurry."""


@dataclass
class RunningRegistry:
    """`api` speaks as an owner; `anonymous` sends no token."""

    app: FastAPI
    api: httpx.AsyncClient
    anonymous: httpx.AsyncClient
    db: Database
    bus: Bus
    issuer: TokenIssuer
    bus_settings: BusSettings
    stack: contextlib.AsyncExitStack
    metrics: CollectorRegistry
    relays: list[Relay] = field(default_factory=list)

    def as_role(self, role: Role, scopes: frozenset[str] = frozenset({"*"})) -> dict[str, str]:
        """Headers of somebody with this role."""
        token = self.issuer.issue("somebody", role=role, lifetime=timedelta(minutes=5), scopes=scopes)
        return {"Authorization": f"Bearer {token.text.reveal()}"}

    async def join_token(self, **wishes: Any) -> str:
        answer = await self.api.post("/v1/tokens/join", json={"kind": "relay", **wishes})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["secret"])

    async def enrol(self, name: str, *, token: str | None = None, **wishes: Any) -> Relay:
        """Enrol a new host; raises `AssertionError` if it is refused."""
        host = Host(name)
        answer = await host.ask(self.anonymous, token or await self.join_token(), **wishes)
        assert answer.status_code in (200, 201), answer.text
        relay = Relay(host, answer.json(), self)
        self.relays.append(relay)
        return relay

    async def applied(self, change: int, timeout: float = 20) -> dict[str, Any]:
        """Wait until a change is applied everywhere; the last answer."""
        answer = await self.api.get(f"/v1/changes/{change}", params={"wait": "applied", "timeout": timeout})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


@dataclass
class Host:
    """A machine's keys before it is a relay."""

    name: str
    nkey: str = ""
    seed: bytes = b""
    key: str = ""
    access_key: str = ""

    def __post_init__(self) -> None:
        if not self.nkey:
            self.nkey, self.seed = make_nkey()
        self.key = self.key or PrivateKey.generate().public().base64
        self.access_key = self.access_key or PrivateKey.generate().public().base64

    def body(self, token: str, **wishes: Any) -> bytes:
        said = {
            "token": token,
            "nkey": self.nkey,
            "key": self.key,
            "access_key": self.access_key,
            "name": self.name,
            "endpoints": ["192.0.2.1:51820"],
            "timestamp": datetime.now(UTC).isoformat(),
            **wishes,
        }
        return json.dumps(said).encode()

    def signed(self, body: bytes, purpose: bytes = b"altnet-enrol-v1\n") -> dict[str, str]:
        signature = base64.b64encode(sign(self.seed, purpose + body)).decode()
        return {"Altnet-Signature": signature, "Content-Type": "application/json"}

    async def ask(self, client: httpx.AsyncClient, token: str, **wishes: Any) -> httpx.Response:
        body = self.body(token, **wishes)
        return await client.post("/v1/enrol", content=body, headers=self.signed(body))


class Relay:
    """An enrolled host: reads its documents from the bus and says what it applied, applying nothing."""

    def __init__(self, host: Host, answer: Mapping[str, Any], registry: RunningRegistry) -> None:
        self.host = host
        self.answer = answer
        self.id: str = answer["relay"]["id"]
        self.network: str = answer["network"]["id"]
        self.change: int = answer["change"] or 0
        self.registry = registry
        self.bus: Bus | None = None
        self.boot = secrets.token_hex(4)
        self.beats = 0

    async def connect(self) -> Bus:
        if self.bus is None:
            credentials = Credentials(self.answer["bus"]["jwt"], self.host.seed)
            bus = Bus(self.registry.bus_settings, credentials, name=self.id)
            self.bus = await self.registry.stack.enter_async_context(bus)
        await self.bus.wait_connected(20)
        return self.bus

    async def mesh(self) -> MeshSnapshot | None:
        data = await desired.fetch(await self.connect(), MESH_BUCKET, mesh_snapshot_key(self.network), timeout=20)
        return None if data is None else unpack_snapshot(data)

    async def document(self) -> RelayDocument | None:
        data = await desired.fetch(await self.connect(), RELAY_BUCKET, self.id, timeout=20)
        return None if data is None else unpack_relay_document(data)

    async def until(
        self, *, mesh: int = 0, document: int = 0, timeout: float = 20
    ) -> tuple[MeshSnapshot, RelayDocument]:
        """Both documents, once they have these generations or newer ones."""
        async with asyncio.timeout(timeout):
            while True:
                snapshot, private = await self.mesh(), await self.document()
                if snapshot and private and snapshot.generation >= mesh and private.generation >= document:
                    return snapshot, private
                await asyncio.sleep(PAUSE)

    async def acknowledge(self, *, mesh_digest_text: str | None = None) -> Applied:
        """Say that everything published is applied."""
        mesh, document = await self.mesh(), await self.document()
        assert mesh is not None
        assert document is not None
        applied = Applied(
            mesh_generation=mesh.generation,
            mesh_digest=mesh_digest_text or mesh_digest(mesh.settings, mesh.relays).text,
            document_generation=document.generation,
            document_digest=document_digest(document).text,
        )
        bus = await self.connect()
        await bus.publish(relay_applied(self.id), msgspec.json.encode(applied))
        return applied

    async def beat(self, **more: Any) -> None:
        """Send a heartbeat; the first one once the registry has published the relay, as of an agent that has applied
        something: before, whoever judges does not know the relay and passes by what it says."""
        if self.beats == 0:
            await self.until(document=self.change)
        applied = Applied(mesh_generation=0, mesh_digest="", document_generation=0, document_digest="")
        heartbeat = Heartbeat(boot=self.boot, number=self.beats, applied=applied, **more)
        self.beats += 1
        bus = await self.connect()
        await bus.publish(relay_status(self.id), msgspec.json.encode(heartbeat))
        await bus.flush(20)


@contextlib.asynccontextmanager
async def running(
    database: DatabaseSettings,
    bus_settings: BusSettings,
    identity: BusIdentity,
    *,
    env: Mapping[str, str] = FAST,
    wait: bool = True,
) -> AsyncIterator[RunningRegistry]:
    """Start a registry as its host would, without the HTTP server."""
    clock = SystemClock()
    key = Ed25519PrivateKey.generate()
    issuer = TokenIssuer(key, clock)
    async with contextlib.AsyncExitStack() as stack:
        db = await stack.enter_async_context(Database(database, schema="registry", clock=clock))
        bus = await stack.enter_async_context(
            Bus(bus_settings, service_credentials(identity, "registry"), name="registry")
        )
        context = ServiceContext(
            settings=Source(prefix="ALTNET_REGISTRY", env=env),
            database=db,
            bus=bus,
            admin_bus=None,
            clock=clock,
            verifier=TokenVerifier([key.public_key()], clock),
            issuer=issuer,
            identity=identity,
            metrics=CollectorRegistry(),
            http=HttpSettings(),
        )
        parts = await stack.enter_async_context(service.open(context))
        jobs = asyncio.create_task(Supervisor(parts.jobs, log=log.get("test")).run())
        stack.push_async_callback(_stop, jobs)
        transport = httpx.ASGITransport(app=parts.app, raise_app_exceptions=False)
        anonymous = await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url="http://registry"))
        token = issuer.issue(OWNER, role=Role.OWNER, lifetime=timedelta(hours=1))
        headers = {"Authorization": f"Bearer {token.text.reveal()}"}
        api = await stack.enter_async_context(
            httpx.AsyncClient(transport=transport, base_url="http://registry", headers=headers, timeout=30)
        )
        relays = await stack.enter_async_context(contextlib.AsyncExitStack())
        if wait:
            async with asyncio.timeout(30):
                await parts.app.state.registry.director.ready.wait()
        yield RunningRegistry(parts.app, api, anonymous, db, bus, issuer, bus_settings, relays, context.metrics)


async def eventually(check: Callable[[], Awaitable[object]], *, timeout: float = 15, pause: float = PAUSE) -> None:
    """Return once `check` answers something true; for what nobody announces. A process as a check takes a longer
    `pause`."""
    async with asyncio.timeout(timeout):
        while not await check():  # noqa: ASYNC110 - the one place that polls, so that tests do not
            await asyncio.sleep(pause)


async def _stop(jobs: asyncio.Task[None]) -> None:
    jobs.cancel()
    await asyncio.wait([jobs])
