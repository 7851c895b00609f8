"""Networks."""

from __future__ import annotations

from typing import Annotated

from altnet.common.contracts.desired import MeshSettings, PresharedPolicy
from altnet.common.http.schema import Model
from altnet.common.net import AddressPlan
from altnet.registry.api.schemas.common import Name, Patch, Time
from altnet.registry.store.networks import settings_of
from altnet.registry.tables import NetworkRow
from pydantic import Field


class NetworkSettings(Model):
    """What holds for every relay of a network. Times in seconds, sizes in bytes."""

    mtu: int
    access_mtu: int
    keepalive: int
    heartbeat: float
    probe: float
    bfd_interval: float
    bfd_multiplier: int
    restart_time: int
    preshared_keys: PresharedPolicy
    preshared_refresh: int

    @classmethod
    def of(cls, settings: MeshSettings) -> NetworkSettings:
        return cls(
            mtu=settings.mtu,
            access_mtu=settings.access_mtu,
            keepalive=settings.keepalive,
            heartbeat=settings.heartbeat,
            probe=settings.probe,
            bfd_interval=settings.bfd_interval,
            bfd_multiplier=settings.bfd_multiplier,
            restart_time=settings.restart_time,
            preshared_keys=settings.preshared_keys,
            preshared_refresh=settings.preshared_refresh,
        )


class NetworkSettingsPatch(Patch):
    """What of the settings is to change."""

    mtu: Annotated[int, Field(ge=1280, le=9000)] | None = None
    """Of the mesh interface."""
    access_mtu: Annotated[int, Field(ge=1280, le=9000)] | None = None
    """Of access interfaces and clients."""
    keepalive: Annotated[int, Field(ge=0, le=65535)] | None = None
    """Of the initiating side."""
    heartbeat: Annotated[float, Field(ge=0.2, le=300)] | None = None
    """Between two status messages of a relay."""
    probe: Annotated[float, Field(ge=0.05, le=60)] | None = None
    """Between two probes of a link."""
    bfd_interval: Annotated[float, Field(ge=0.01, le=10)] | None = None
    """Between two signs of life on a link (RFC 5880). A full mesh of n relays sends n(n-1) of them in this time."""
    bfd_multiplier: Annotated[int, Field(ge=2, le=50)] | None = None
    """How many of them have to be missing until a link counts as dead."""
    restart_time: Annotated[int, Field(ge=10, le=4095)] | None = None
    """For how long routes outlive a neighbour's routing engine."""
    preshared_keys: PresharedPolicy | None = None
    """WireGuard's pre-shared keys between relays, agreed on by the two alone. `required` closes pairs without one."""
    preshared_refresh: Annotated[int, Field(ge=120, le=86400)] | None = None
    """Between two pre-shared keys of a pair."""


class NetworkNew(Model):
    """A network to make."""

    name: Name
    prefix: Annotated[str | None, Field(max_length=64, examples=["fd12:3456:789a::/48"])] = None
    """A ULA /48; without it, a random one by RFC 4193."""
    settings: NetworkSettingsPatch | None = None


class NetworkPatch(Model):
    """What of a network is to change."""

    settings: NetworkSettingsPatch


class Network(Model):
    """A network and its pools."""

    id: str
    name: str
    prefix: str
    relays: str
    """The pool of relays' addresses."""
    clients: str
    """The pool of clients' addresses, a /64 of it for each relay."""
    services: str
    """The pool of services' addresses."""
    settings: NetworkSettings
    version: int
    created_at: Time
    updated_at: Time
    change: int | None = None
    """Number of the change that this request was."""

    @classmethod
    def of(cls, row: NetworkRow, *, change: int | None = None) -> Network:
        plan = AddressPlan(row.prefix)
        return cls(
            id=row.id,
            name=row.name,
            prefix=str(row.prefix),
            relays=str(plan.relays),
            clients=str(plan.clients),
            services=str(plan.services),
            settings=NetworkSettings.of(settings_of(row)),
            version=row.version,
            created_at=row.created_at,
            updated_at=row.updated_at,
            change=change,
        )
