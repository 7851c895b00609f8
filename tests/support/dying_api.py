"""A service with one POST that writes to a real Postgres, and that dies by SIGKILL at a chosen point of it.

`python -m support.dying_api` reads `Orders` as JSON and sends itself the request; it does not survive that.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from enum import StrEnum
from typing import Annotated

import httpx
import msgspec
from altnet.common.clock import SystemClock
from altnet.common.db.engine import Database
from altnet.common.db.holding import Held, Last
from altnet.common.db.settings import DatabaseSettings
from altnet.common.http.app import create_app
from altnet.common.http.auth import JwtAuthenticator, RequireAdmin, Role, TokenIssuer, TokenVerifier
from altnet.common.http.routes import resource
from altnet.common.http.schema import Model
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from prometheus_client import CollectorRegistry
from pydantic import Field

from support.thing_event import ThingChanged

SCHEMA = "example"
Wait = Callable[[], Awaitable[None]]


class Point(StrEnum):
    """Where it dies."""

    NOWHERE = "nowhere"
    IN_THE_WORK = "in the work"
    BEFORE_THE_COMMIT = "before the commit"
    AFTER_THE_COMMIT = "after the commit"


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    dsn: str
    seed: str
    key: str
    name: str
    point: Point


class NewThing(Model):
    name: Annotated[str, Field(max_length=20)]


class Thing(Model):
    name: str
    event: str


async def _ready() -> Mapping[str, str]:
    return {}


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@asynccontextmanager
async def client(orders: Orders, *, before_work: Wait | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """The service as an admin of it sees it; its handler awaits `before_work` first."""
    clock = SystemClock()
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(orders.seed))
    async with Database(DatabaseSettings.from_dsn(orders.dsn), schema=SCHEMA, clock=clock) as database:
        router = resource("things")

        @router.post("/v1/things", status_code=201)
        async def make_thing(who: RequireAdmin, body: NewThing) -> Thing:
            if before_work is not None:
                await before_work()
            async with database.transaction(actor=who.id) as uow:
                event = uow.emit(ThingChanged(thing=body.name))
                if orders.point is Point.IN_THE_WORK:
                    die()
            if orders.point is Point.BEFORE_THE_COMMIT:
                die()
            return Thing(name=body.name, event=event)

        app = create_app(
            service="things",
            title="Things",
            version="1",
            description="",
            routers=[router],
            authenticator=JwtAuthenticator(TokenVerifier([key.public_key()], clock)),
            database=database,
            clock=clock,
            metrics=CollectorRegistry(),
            ready=_ready,
        )
        token = TokenIssuer(key, clock).issue("alice", role=Role.ADMIN, lifetime=timedelta(hours=1))
        headers = {"Authorization": f"Bearer {token.text.reveal()}", "Idempotency-Key": orders.key}
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://things", headers=headers) as http:
            yield http


async def _main(orders: Orders) -> None:
    if orders.point is Point.AFTER_THE_COMMIT:
        commit = Held.commit

        async def commit_and_die(self: Held, last: Last | None = None) -> None:
            pending = self.pending
            await commit(self, last)
            if pending:
                die()

        Held.commit = commit_and_die  # type: ignore[method-assign]  # the point to die at
    async with client(orders) as http:
        await http.post("/v1/things", json={"name": orders.name})


if __name__ == "__main__":
    asyncio.run(_main(msgspec.json.decode(sys.stdin.buffer.read(), type=Orders)))
