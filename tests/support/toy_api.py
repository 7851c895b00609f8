"""A small service in memory that uses every REST convention, for the tests of `altnet.common.http`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal

import httpx
from altnet.common.clock import FixedClock
from altnet.common.errors import AltnetError, Conflict, NotFound
from altnet.common.http import etag, paging, problems, sse
from altnet.common.http.app import create_app
from altnet.common.http.auth import (
    ChainAuthenticator,
    RequireAdmin,
    RequireAgent,
    RequireAuditor,
    RequireOwner,
    Role,
    StoredApiToken,
    TokenIssuer,
    TokenVerifier,
)
from altnet.common.http.context import Context
from altnet.common.http.principal import EVERYTHING
from altnet.common.http.routes import limit_body, operation_id
from altnet.common.http.schema import Model
from altnet.common.http.settings import HttpSettings
from altnet.common.ids import ApiTokenId
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import APIRouter, FastAPI, Path, Query, Response
from prometheus_client import CollectorRegistry
from pydantic import Field

START = datetime(2026, 1, 1, tzinfo=UTC)


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Hat(Model):
    """A part that is both sent and received, with a default: FastAPI splits its schema."""

    size: int = 7


class NewPeer(Model):
    """What a peer is made of."""

    name: str = Field(min_length=1, max_length=20, examples=["north"])
    """A label."""
    colour: Colour = Colour.RED
    hat: Hat | None = None


class Peer(Model):
    """A peer."""

    id: str
    name: str
    colour: Colour
    hat: Hat | None = None
    created_at: datetime
    bytes: int


class AddressRecord(Model):
    """AAAA."""

    type: Literal["AAAA"] = "AAAA"
    address: str


class TextRecord(Model):
    """TXT."""

    type: Literal["TXT"] = "TXT"
    text: str


class NewRecord(Model):
    """A record to add."""

    record: Annotated[AddressRecord | TextRecord, Field(discriminator="type")]


class PeerChanged(Model):
    """What an event of the stream says."""

    peer: str
    number: int


@dataclass
class Toy:
    """The application, its state, and ways to make it misbehave."""

    app: FastAPI
    clock: FixedClock
    issuer: TokenIssuer
    registry: CollectorRegistry
    made: list[str] = field(default_factory=list)
    bodies: list[int] = field(default_factory=list)
    raises: BaseException | None = None
    parts: dict[str, str] = field(default_factory=lambda: {"plan": "ok"})
    revoked: set[str] = field(default_factory=set)
    api_tokens: dict[ApiTokenId, StoredApiToken] = field(default_factory=dict)
    gate: asyncio.Event | None = None
    """Where set, the making of a peer waits for it, once it has set `entered`."""
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    stream_ended: asyncio.Event = field(default_factory=asyncio.Event)
    stream: Any = None

    def token(self, role: Role = Role.ADMIN, scopes: frozenset[str] = EVERYTHING, subject: str = "alice") -> str:
        issued = self.issuer.issue(subject, role=role, scopes=scopes, lifetime=timedelta(hours=1))
        return issued.text.reveal()

    def bearer(self, role: Role = Role.ADMIN, **more: Any) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token(role, **more)}"}

    def client(self, **headers: str) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=True)
        return httpx.AsyncClient(transport=transport, base_url="http://toy", headers=headers)


def make_toy(*, database: Any = None, settings: HttpSettings | None = None, clock: FixedClock | None = None) -> Toy:
    """A fresh toy, with a signing key of its own."""
    clock = clock or FixedClock(START)
    key = Ed25519PrivateKey.generate()
    toy = Toy(app=FastAPI(), clock=clock, issuer=TokenIssuer(key, clock), registry=CollectorRegistry())

    async def look_up(token: ApiTokenId) -> StoredApiToken | None:
        return toy.api_tokens.get(token)

    async def ready() -> Mapping[str, str]:
        if toy.raises is not None:
            raise toy.raises
        return toy.parts

    verifier = TokenVerifier([key.public_key()], clock, revoked=lambda token: token in toy.revoked)
    toy.app = create_app(
        service="toy",
        title="Toy",
        version="1.0.0",
        description="A toy.",
        routers=[_peers(toy), _rest(toy)],
        authenticator=ChainAuthenticator(verifier, look_up, clock=clock),
        database=database,
        clock=clock,
        metrics=toy.registry,
        ready=ready,
        settings=settings,
    )
    return toy


def _peers(toy: Toy) -> APIRouter:
    router = APIRouter(prefix="/v1/peers", tags=["peers"], generate_unique_id_function=operation_id)
    here = Peer(id="p1", name="north", colour=Colour.RED, created_at=START, bytes=2**40)

    @router.get("", response_model=paging.Page[Peer])
    async def list_peers(who: RequireAuditor, page: paging.Paging, colour: Colour | None = None) -> Any:
        """List peers."""
        return paging.Page[Peer](items=[here][: page.limit], next_cursor=None)

    @router.post("", status_code=201, responses=problems.responses(409))
    async def create_peer(body: NewPeer, who: RequireAdmin, context: Context, response: Response) -> Peer:
        """Make a peer."""
        if toy.gate is not None:
            toy.entered.set()
            await toy.gate.wait()
        if toy.raises is not None:
            raise toy.raises
        if body.name == "taken":
            raise Conflict("peer_name_taken", "There is a peer of this name.", field="/name", mend="Choose another.")
        toy.made.append(f"{body.name} by {who.id} in {context.trace_id}")
        response.headers["ETag"] = etag.etag_of(1)
        return here.model_copy(update={"id": f"p{len(toy.made)}", "name": body.name, "hat": body.hat})

    @router.get("/{peer}", responses=problems.responses(404))
    async def get_peer(peer: Annotated[str, Path(max_length=8)], who: RequireAuditor) -> Peer:
        """Show a peer."""
        if peer != "p1":
            raise NotFound("peer_not_found", "There is no such peer.")
        return here

    @router.put("/{peer}", responses=problems.responses(404, 412, 428))
    async def replace_peer(peer: str, body: NewPeer, who: RequireAdmin, if_match: etag.IfMatch = None) -> Peer:
        """Change a peer."""
        etag.require_match(if_match, 7)
        return here

    @router.delete("/{peer}", status_code=204)
    async def delete_peer(peer: str, who: RequireOwner) -> None:
        """Remove a peer."""

    @router.get("/{peer}/events", response_class=sse.EventStreamResponse, responses=sse.responses(PeerChanged))
    async def watch_peer(peer: str, who: RequireAuditor, last_event_id: sse.LastEventId = None) -> Response:
        """Watch a peer."""
        after = sse.sequence_after(last_event_id)

        async def source() -> AsyncIterator[sse.SseEvent]:
            try:
                async for event in toy.stream(after):
                    yield event
            finally:
                toy.stream_ended.set()

        return sse.event_stream(source(), heartbeat=0.05)

    return router


def _rest(toy: Toy) -> APIRouter:
    router = APIRouter(prefix="/v1", generate_unique_id_function=operation_id)

    @router.post("/records", tags=["records"], status_code=201)
    async def create_record(body: NewRecord, who: RequireAdmin) -> NewRecord:
        """Add a record."""
        return body

    @router.post("/enrol", tags=["enrolment"])
    @limit_body(1024)
    async def enrol_machine(body: dict[str, Any]) -> dict[str, int]:
        """Anybody may knock."""
        toy.bodies.append(len(str(body)))
        return {"size": len(str(body))}

    @router.get("/work", tags=["work"])
    async def get_work(who: RequireAgent) -> dict[str, str]:
        """For machines."""
        return {"for": who.id}

    @router.get("/whoami", include_in_schema=False)
    async def whoami(who: RequireAuditor) -> dict[str, str]:
        """A route without a resource: only an unnarrowed token reaches it."""
        return {"id": who.id, "token": who.token_id}

    @router.get("/fail", tags=["work"], responses=problems.responses(404))
    async def fail(kind: Annotated[str, Query(max_length=20)] = "") -> Peer:
        """Fail in the wanted way."""
        if isinstance(toy.raises, AltnetError | Exception):
            raise toy.raises
        return {"secret": "s3cret"}  # type: ignore[return-value]  # an answer that does not fit its schema

    return router
