"""keyd beside a registry, on a real Postgres and a real NATS, and agents' ends of the channel without a host below."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import secrets
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import msgspec
from altnet.common import log
from altnet.common.bus.connect import Bus, BusSettings, Credentials
from altnet.common.bus.jwt import BusIdentity, service_credentials
from altnet.common.clock import SystemClock
from altnet.common.db.engine import Database, DatabaseSettings
from altnet.common.http.auth import Role, TokenIssuer, TokenVerifier
from altnet.common.http.settings import HttpSettings
from altnet.common.jobs import Supervisor
from altnet.common.keys import PrivateKey
from altnet.common.service import ServiceContext
from altnet.common.settings import Secret, Source
from altnet.common.signing import SigningKey
from altnet.keyd.service import service
from altnet.relay_agent.keyd import KeydContact, remember_token
from altnet.relay_agent.membership import Membership
from altnet.relay_agent.memory_state import MemoryState
from altnet.relay_agent.settings import Timers
from altnet.relay_agent.state import Enrolment, Identity
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import FastAPI
from integration.registry.running import Host, Relay, RunningRegistry, eventually
from prometheus_client import CollectorRegistry

OWNER = "the-owner"
KEK = base64.b64encode(b"k" * 32).decode()
FAST = {
    "ALTNET_KEYD_KEY_ENCRYPTION_KEY": KEK,
    "ALTNET_KEYD_KEYS__RELOAD": "0.1",
    "ALTNET_KEYD_CHANNEL__FLUSH_REFUSALS": "0.1",
    "ALTNET_KEYD_CHANNEL__SWEEP": "0.1",
    "ALTNET_KEYD_CHANNEL__LIMITS__UNUSED_AFTER": "1",
}
PATIENT = Timers(keyd_spread=0, keyd_timeout=3, keyd_retry_first=0.05, keyd_retry_most=0.1)


@dataclass
class RunningKeyd:
    """`api` speaks as an owner, by an access token."""

    app: FastAPI
    api: httpx.AsyncClient
    db: Database
    bus: Bus
    issuer: TokenIssuer
    jobs: asyncio.Task[None]

    def as_role(self, role: Role) -> dict[str, str]:
        token = self.issuer.issue("somebody", role=role, lifetime=timedelta(minutes=5), scopes=frozenset({"*"}))
        return {"Authorization": f"Bearer {token.text.reveal()}"}

    async def identity(self, id: str) -> dict[str, Any]:
        answer = await self.api.get(f"/v1/identities/{id}")
        return dict(answer.json()) if answer.status_code == 200 else {}

    async def until(self, id: str, state: str, *, timeout: float = 15) -> dict[str, Any]:
        """Wait until an identity has this state."""

        async def there() -> bool:
            return (await self.identity(id)).get("state") == state

        await eventually(there, timeout=timeout)
        return await self.identity(id)

    async def events(self) -> list[dict[str, Any]]:
        """Every event that was written, in order."""
        async with self.db.raw() as connection:
            rows = await connection.fetch("SELECT kind, payload FROM keyd.outbox ORDER BY ordinal")
        return [{"kind": row["kind"], **msgspec.json.decode(row["payload"])} for row in rows]


@dataclass
class Agent:
    """A host's end of the channel, over its relay's own bus."""

    relay: Relay
    state: MemoryState
    contact: KeydContact
    bus: Bus

    @property
    def id(self) -> str:
        return self.relay.id

    def again(self) -> Agent:
        """The agent after a restart: what was in memory only is gone."""
        return _agent(self.relay, self.state, self.bus)


@contextlib.asynccontextmanager
async def running_keyd(
    database: DatabaseSettings,
    bus_settings: BusSettings,
    identity: BusIdentity,
    *,
    env: Mapping[str, str] = FAST,
    problem: str = "",
) -> AsyncIterator[RunningKeyd]:
    """Start a replica of keyd as its host would, without the HTTP server. `problem`: what ails its keys."""
    clock = SystemClock()
    key = Ed25519PrivateKey.generate()
    issuer = TokenIssuer(key, clock)
    async with contextlib.AsyncExitStack() as stack:
        db = await stack.enter_async_context(Database(database, schema="keyd", clock=clock))
        bus = await stack.enter_async_context(Bus(bus_settings, service_credentials(identity, "keyd"), name="keyd"))
        context = ServiceContext(
            settings=Source(prefix="ALTNET_KEYD", env=env),
            database=db,
            bus=bus,
            admin_bus=None,
            clock=clock,
            verifier=TokenVerifier([key.public_key()], clock),
            issuer=None,
            identity=identity,
            metrics=CollectorRegistry(),
            http=HttpSettings(),
        )
        parts = await stack.enter_async_context(service.open(context))
        jobs = asyncio.create_task(Supervisor(parts.jobs, log=log.get("test")).run())
        stack.push_async_callback(_stop, jobs)
        token = issuer.issue(OWNER, role=Role.OWNER, lifetime=timedelta(hours=1))
        api = await stack.enter_async_context(
            httpx.AsyncClient(
                transport=httpx.ASGITransport(app=parts.app, raise_app_exceptions=False),
                base_url="http://keyd",
                headers={"Authorization": f"Bearer {token.text.reveal()}"},
                timeout=30,
            )
        )
        await bus.wait_connected(20)
        keyring = parts.app.state.keyd.keyring

        async def ready() -> bool:
            return bool(keyring.problem == problem)

        await eventually(ready)
        yield RunningKeyd(parts.app, api, db, bus, issuer, jobs)


async def enrol_agent(
    registry: RunningRegistry, name: str, *, token: str | None = None, keep_token: bool = True
) -> Agent:
    """Enrol a host with an identity of its own. `keep_token` off: a host of before there was a keyd."""
    text = token or await registry.join_token()
    host = Host(name)
    identity = identity_for(host)
    host.key, host.access_key = identity.mesh.public().base64, identity.access.public().base64
    answer = await host.ask(registry.anonymous, text, identity_key=identity.sealed_for.public().base64)
    assert answer.status_code in (200, 201), answer.text
    relay = Relay(host, answer.json(), registry)
    state = MemoryState(identity, msgspec.convert(answer.json(), Enrolment))
    if keep_token:
        await remember_token(state, Secret(text))
    bus = await registry.stack.enter_async_context(
        Bus(registry.bus_settings, Credentials(relay.answer["bus"]["jwt"], host.seed), name=relay.id)
    )
    await bus.wait_connected(20)
    return _agent(relay, state, bus)


def identity_for(host: Host, *, static: PrivateKey | None = None) -> Identity:
    return Identity(
        nkey=host.nkey,
        nkey_seed=host.seed.decode(),
        mesh_key=_text(PrivateKey.generate().reveal()),
        access_key=_text(PrivateKey.generate().reveal()),
        identity_key=_text((static or PrivateKey.generate()).reveal()),
        signing_key=_text(SigningKey.generate().reveal()),
    )


def with_identity(agent: Agent, identity: Identity) -> Agent:
    """The same relay with other keys, and what it knew of keyd."""
    state = MemoryState(identity, agent.state.enrolment())
    state._keyd = agent.state.keyd()
    return _agent(agent.relay, state, agent.bus)


async def meet(agent: Agent, *, timeout: float = 15) -> Any:
    """Make contact as the agent does: again and again, until it works."""
    task = asyncio.create_task(agent.contact.run())

    async def met() -> bool:
        return agent.contact.standing is not None and not agent.contact.problem

    try:
        await eventually(met, timeout=timeout)
    finally:
        task.cancel()
        await asyncio.wait([task])
    return agent.contact.standing


def _agent(relay: Relay, state: MemoryState, bus: Bus) -> Agent:
    enrolment = state.enrolment()
    assert enrolment is not None
    membership = Membership(state, enrolment, clock=SystemClock())
    contact = KeydContact(
        state, membership, bus=bus, clock=SystemClock(), random=lambda: secrets.randbelow(1000) / 1000, timers=PATIENT
    )
    return Agent(relay, state, contact, bus)


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


async def _stop(jobs: asyncio.Task[None]) -> None:
    jobs.cancel()
    await asyncio.wait([jobs])
