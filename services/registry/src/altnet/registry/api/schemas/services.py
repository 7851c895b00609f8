"""Services."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from altnet.common.http.schema import Model
from altnet.registry.api.schemas.common import Id, Name, Patch, Port, Time
from altnet.registry.tables import ServiceRow
from pydantic import Field

Tag = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")]
Tags = Annotated[list[Tag], Field(max_length=32)]


class Protocol(StrEnum):
    TCP = "tcp"
    UDP = "udp"


class ServiceHealth(StrEnum):
    """As whoever checks it reports."""

    UNKNOWN = "unknown"
    PASSING = "passing"
    WARNING = "warning"
    CRITICAL = "critical"


class OwnerKind(StrEnum):
    """Who answers under the service's address."""

    RELAY = "relay"
    CLIENT = "client"
    ADDRESS = "address"


class ServiceNew(Model):
    """A service to register, with either an owner or an address."""

    name: Name
    port: Port
    protocol: Protocol = Protocol.TCP
    network: Id | None = None
    tags: Tags = Field(default_factory=list)
    owner: Id | None = None
    """A relay or client; the service then gets an address of its own, which is routed there."""
    address: Annotated[str | None, Field(max_length=64)] = None
    """Where the service is, if it has no owner here."""


class ServicePatch(Patch):
    """What of a service is to change."""

    name: Name | None = None
    port: Port | None = None
    protocol: Protocol | None = None
    tags: Tags | None = None
    """Replaces all tags."""


class HealthReport(Model):
    """How a service is, as somebody found out."""

    health: ServiceHealth
    note: Annotated[str, Field(max_length=500)] = ""


class Service(Model):
    """A service."""

    id: str
    network: str
    name: str
    port: int
    protocol: Protocol
    health: ServiceHealth
    health_at: Time | None
    health_note: str
    tags: list[str]
    owner_kind: OwnerKind
    owner: str | None
    address: str
    version: int
    created_at: Time
    updated_at: Time
    change: int | None = None
    """Number of the change that this request was."""

    @classmethod
    def of(cls, row: ServiceRow, *, change: int | None = None) -> Service:
        return cls(
            id=row.id,
            network=row.network_id,
            name=row.name,
            port=row.port,
            protocol=Protocol(row.protocol),
            health=ServiceHealth(row.health),
            health_at=row.health_at,
            health_note=row.health_note,
            tags=row.tags,
            owner_kind=OwnerKind(row.owner_kind),
            owner=row.owner_id,
            address=str(row.address),
            version=row.version,
            created_at=row.created_at,
            updated_at=row.updated_at,
            change=change,
        )
