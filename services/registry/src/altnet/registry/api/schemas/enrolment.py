"""Enrolment of hosts, and their credentials."""

from __future__ import annotations

from typing import Annotated

from altnet.common.contracts.desired import Encapsulation
from altnet.common.contracts.routing import Engine
from altnet.common.http.schema import Model
from altnet.registry.api.schemas.common import Endpoint, Key, Labels, Name, Port, Region, Time
from pydantic import AwareDatetime, Field

Nkey = Annotated[str, Field(min_length=56, max_length=56, pattern=r"^U[A-Z2-7]{55}$")]
IdentityKey = Annotated[str, Field(max_length=44, pattern=r"^([A-Za-z0-9+/]{43}=)?$")]
"""X25519 public key that texts for this host are sealed for, base64; empty: it has none."""


class HostVersions(Model):
    """What runs on the host."""

    agent: Annotated[str, Field(max_length=256)] = ""
    kernel: Annotated[str, Field(max_length=256)] = ""
    wireguard: Annotated[str, Field(max_length=256)] = ""


class Enrolment(Model):
    """A host asks to become a relay. Signed by its nkey in the header Altnet-Signature."""

    token: Annotated[str, Field(max_length=256)]
    """The join token."""
    nkey: Nkey
    """The host's public key on the bus; from then on it is the relay's identity."""
    key: Key
    """Public key of the mesh interface."""
    access_key: Key
    """Public key of the access interface."""
    name: Name
    timestamp: AwareDatetime
    endpoints: Annotated[list[Endpoint], Field(max_length=8)] = Field(default_factory=list)
    mesh_port: Port = 51820
    access_port: Port = 51830
    region: Region = ""
    labels: Labels = Field(default_factory=dict)
    encapsulations: Annotated[list[Encapsulation], Field(min_length=1, max_length=8)] = Field(
        default_factory=lambda: [Encapsulation.VXLAN]
    )
    identity_key: IdentityKey = ""
    routing: Engine = Engine.STATIC
    """What decides the host's paths."""
    versions: HostVersions = HostVersions()


class CredentialsRenewal(Model):
    """A relay asks for fresh bus credentials. Signed by its nkey in the header Altnet-Signature."""

    nkey: Nkey
    key: Key
    access_key: Key
    timestamp: AwareDatetime
    endpoints: Annotated[list[Endpoint], Field(max_length=8)] = Field(default_factory=list)
    """Where it is reachable now; empty leaves what is known."""
    identity_key: IdentityKey = ""
    routing: Engine | None = None
    """Left out: as known."""


class EnrolledRelay(Model):
    """What the host is from now on."""

    id: str
    name: str
    slot: int
    address: str
    """Its overlay address."""
    locator: str
    client_prefix: str
    """The /64 that its clients' addresses come from."""
    region: str
    created: bool
    """False if the host was known."""


class EnrolledNetwork(Model):
    id: str
    name: str
    prefix: str


class BusPass(Model):
    """How to reach the bus, and the pass to it."""

    servers: list[str]
    jwt: str
    expires_at: Time


class EnrolmentAnswer(Model):
    """The host is a relay."""

    relay: EnrolledRelay
    network: EnrolledNetwork
    bus: BusPass
    change: int | None


class CredentialsAnswer(Model):
    """Fresh credentials."""

    bus: BusPass
    change: int | None
