"""Relays."""

from __future__ import annotations

from typing import Annotated

from altnet.common.contracts.agent import Heartbeat
from altnet.common.contracts.desired import RelayState
from altnet.common.contracts.routing import Engine
from altnet.common.http.schema import Model
from altnet.common.net import AddressPlan, asn
from altnet.registry.api.schemas.common import Endpoint, Labels, Name, Patch, Region, Time
from altnet.registry.api.schemas.sessions import RelayRouting
from altnet.registry.domain.liveness import Health
from altnet.registry.store.status import Beat, routing_of
from altnet.registry.tables import NetworkRow, RelayRow, RelayStatusRow
from pydantic import Field


class RelayPatch(Patch):
    """What of a relay is to change."""

    name: Name | None = None
    region: Region | None = None
    labels: Labels | None = None
    """Replaces all labels."""
    state: RelayState | None = None
    """`draining`: it keeps its clients for now and gets no new ones."""
    weight: Annotated[float, Field(ge=0, le=1000)] | None = None
    """Its share of clients against the others'; 0: none."""
    endpoints: Annotated[list[Endpoint], Field(max_length=8)] | None = None


class RelayVersions(Model):
    agent: str = ""
    kernel: str = ""
    wireguard: str = ""


class Relay(Model):
    """A relay, and how it is."""

    id: str
    network: str
    name: str
    slot: int
    address: str
    """Its overlay address."""
    locator: str
    client_prefix: str
    """The /64 that its clients' addresses come from."""
    access_address: str
    """Its own address in there: the clients' gateway."""
    asn: int
    key: str
    access_key: str
    identity_key: str
    """What texts for this relay alone are sealed for; empty: an agent of before there was one."""
    nkey: str
    routing: Engine
    """What decides its paths."""
    endpoints: list[str]
    mesh_port: int
    access_port: int
    region: str
    labels: dict[str, str]
    encapsulations: list[str]
    state: RelayState
    weight: float
    revoked: bool
    health: Health
    health_since: Time
    last_seen: Time | None
    note: str
    """What the relay itself says is wrong."""
    load: float
    routing_status: RelayRouting | None
    """What it last said of its routing, in short; null: nothing yet."""
    versions: RelayVersions
    version: int
    created_at: Time
    updated_at: Time
    change: int | None = None
    """Number of the change that this request was."""

    @classmethod
    def of(
        cls, row: RelayRow, status: RelayStatusRow | None, network: NetworkRow, *, change: int | None = None
    ) -> Relay:
        plan = AddressPlan(network.prefix)
        said = routing_of(status, None)
        told = {name: str(value) for name, value in row.versions.items() if name in RelayVersions.model_fields}
        if status is not None:
            told |= {
                name: str(value)
                for name, value in status.versions.items()
                if name in RelayVersions.model_fields and value
            }
        return cls(
            id=row.id,
            network=row.network_id,
            name=row.name,
            slot=row.slot,
            address=str(plan.relay_address(row.slot)),
            locator=str(plan.locator(row.slot)),
            client_prefix=str(plan.client_prefix(row.slot)),
            access_address=str(plan.access_address(row.slot)),
            asn=asn(row.slot),
            key=row.key,
            access_key=row.access_key,
            identity_key=row.identity_key,
            routing=Engine(row.routing),
            nkey=row.nkey,
            endpoints=row.endpoints,
            mesh_port=row.mesh_port,
            access_port=row.access_port,
            region=row.region,
            labels=row.labels,
            encapsulations=row.encapsulations,
            state=RelayState(row.state),
            weight=row.weight,
            revoked=row.revoked_at is not None,
            health=Health(status.health) if status else Health.NEW,
            health_since=status.health_since if status else row.created_at,
            last_seen=status.last_seen if status else None,
            note=status.note if status else "",
            load=status.load if status else 0.0,
            routing_status=RelayRouting.of(said.said) if said else None,
            versions=RelayVersions(**told),
            version=row.version,
            created_at=row.created_at,
            updated_at=row.updated_at,
            change=change,
        )


class LinkMetrics(Model):
    """One link of a relay, as it sees it. Times in seconds, sizes in bytes."""

    neighbour: str
    up: bool
    handshake_age: float | None
    received: int
    sent: int
    rtt: float | None
    loss: float | None
    endpoint: str | None


class AttachedClient(Model):
    """A client that the relay sees."""

    client: str
    handshake_age: float | None
    received: int
    sent: int
    endpoint: str | None


class RelaySample(Model):
    """One heartbeat."""

    at: Time
    boot: str
    number: int
    health: str
    load: float
    memory_used: float
    agent_rss: int
    uptime: float
    mesh_generation: int
    document_generation: int
    failed_count: int
    routing: RelayRouting | None
    """Its sessions, routes and BFD in short; null: it said nothing of them."""
    links: list[LinkMetrics]
    clients: list[AttachedClient]

    @classmethod
    def of(cls, beat: Beat) -> RelaySample:
        said: Heartbeat = beat.heartbeat
        return cls(
            at=beat.at,
            boot=said.boot,
            number=said.number,
            health=said.health,
            load=said.host.load,
            memory_used=said.host.memory_used,
            agent_rss=said.host.agent_rss,
            uptime=said.host.uptime,
            mesh_generation=said.applied.mesh_generation,
            document_generation=said.applied.document_generation,
            failed_count=said.applied.failed_count,
            routing=RelayRouting.of(said.routing) if said.routing else None,
            links=[
                LinkMetrics(
                    neighbour=link.neighbour,
                    up=link.up,
                    handshake_age=link.handshake_age,
                    received=link.received,
                    sent=link.sent,
                    rtt=link.rtt,
                    loss=link.loss,
                    endpoint=link.endpoint,
                )
                for link in said.links
            ],
            clients=[
                AttachedClient(
                    client=client.client,
                    handshake_age=client.handshake_age,
                    received=client.received,
                    sent=client.sent,
                    endpoint=client.endpoint,
                )
                for client in said.clients
            ],
        )


class RelayMetrics(Model):
    """The last heartbeats of a relay that this replica heard, oldest first."""

    relay: str
    samples: list[RelaySample]
