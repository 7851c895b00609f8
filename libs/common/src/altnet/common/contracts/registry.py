"""The registry's events: what happened to networks, relays, clients, services, sites and tokens.

Each carries what was before and what is after, as snapshots without secrets, so that a reader needs no second
question and an audit no second source. `before` is None for something new, `after` is None for something gone. Who
did it is in the envelope (`Alt-Actor`). `change` is the number under which desired state follows, None where nothing
has to be planned.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, ClassVar, Final

import msgspec
from altnet.common.contracts.desired import MeshSettings
from altnet.common.contracts.envelope import Event, event
from altnet.common.contracts.security import SecurityEvent

API_TOKEN_VERB: Final = "api_token"
"""Verb, for services: `ApiTokenQuery` → `KnownApiToken`, or `NotFound`."""


class ApiTokenQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A service asks whose API token this is."""

    token: Annotated[str, msgspec.Meta(max_length=64)]


class KnownApiToken(msgspec.Struct, frozen=True, kw_only=True):
    """An API token as the registry keeps it; `digest` is SHA-256 of its 256 random bits, of no use to show."""

    digest: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
    principal: str
    role: str
    scopes: tuple[str, ...]
    expires: Annotated[datetime, msgspec.Meta(tz=True)]
    revoked: bool


class NetworkSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    prefix: str
    settings: MeshSettings
    version: int


class RelaySnapshot(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    network: str
    name: str
    slot: int
    address: str
    key: str
    access_key: str
    identity_key: str = ""
    nkey: str
    routing: str = "static"
    endpoints: tuple[str, ...]
    mesh_port: int
    access_port: int
    region: str
    labels: dict[str, str]
    state: str
    weight: float
    revoked: bool
    version: int


class ClientSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    network: str
    name: str
    key: str
    address: str
    relay: str | None
    labels: dict[str, str]
    expires_at: datetime | None
    version: int
    standby: str | None = None
    """The relay that it goes to when its own is away."""
    movable: bool = False
    """It can follow to another relay by itself."""
    next_key: str = ""
    """Announced, and taken beside `key`."""
    key_epoch: int = 0
    """How often its key was changed with overlap."""
    key_wished: bool = False
    """It is to have another key."""


class ServiceSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    network: str
    name: str
    port: int
    protocol: str
    health: str
    tags: tuple[str, ...]
    owner_kind: str
    owner: str | None
    address: str
    version: int


class SiteSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    network: str
    name: str
    prefixes: tuple[str, ...]
    relays: tuple[str, ...]
    labels: dict[str, str]
    version: int


class JoinTokenSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    network: str
    token_kind: str
    uses: int
    uses_left: int
    expires_at: datetime
    revoked: bool


class ApiTokenSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    role: str
    scopes: tuple[str, ...]
    expires_at: datetime
    revoked: bool


class NetworkEvent(SecurityEvent, frozen=True, kw_only=True):
    network: str
    before: NetworkSnapshot | None = None
    after: NetworkSnapshot | None = None
    change: int | None = None

    @property
    def subject_id(self) -> str:
        return self.network


@event
class NetworkCreated(NetworkEvent, frozen=True, kw_only=True):
    """A network was made."""

    kind: ClassVar[str] = "registry.network.created"


@event
class NetworkChanged(NetworkEvent, frozen=True, kw_only=True):
    """A network's settings changed."""

    kind: ClassVar[str] = "registry.network.changed"


class RelayEvent(SecurityEvent, frozen=True, kw_only=True):
    relay: str
    before: RelaySnapshot | None = None
    after: RelaySnapshot | None = None
    change: int | None = None

    @property
    def subject_id(self) -> str:
        return self.relay


@event
class RelayRegistered(RelayEvent, frozen=True, kw_only=True):
    """A relay enrolled for the first time."""

    kind: ClassVar[str] = "registry.relay.registered"
    token: str = ""
    """The join token that let it in."""


@event
class RelayChanged(RelayEvent, frozen=True, kw_only=True):
    """A relay, or an operator, changed what is known of the relay."""

    kind: ClassVar[str] = "registry.relay.changed"


@event
class RelayRevoked(RelayEvent, frozen=True, kw_only=True):
    """A relay was put out of the network."""

    kind: ClassVar[str] = "registry.relay.revoked"


@event
class RelayHealthChanged(Event, frozen=True, kw_only=True):
    """A relay went up, late or down."""

    kind: ClassVar[str] = "registry.relay.health_changed"
    relay: str
    name: str
    before: str
    after: str
    silence: float
    """Seconds since its last heartbeat when this was decided."""

    @property
    def subject_id(self) -> str:
        return self.relay


class ClientEvent(SecurityEvent, frozen=True, kw_only=True):
    client: str
    before: ClientSnapshot | None = None
    after: ClientSnapshot | None = None
    change: int | None = None

    @property
    def subject_id(self) -> str:
        return self.client


@event
class ClientCreated(ClientEvent, frozen=True, kw_only=True):
    """A client was made."""

    kind: ClassVar[str] = "registry.client.created"
    token: str = ""
    """The join token that let it in; empty where an operator made it."""


@event
class ClientChanged(ClientEvent, frozen=True, kw_only=True):
    """A client's name, key, labels, expiry or relay changed."""

    kind: ClassVar[str] = "registry.client.changed"
    reason: str = ""
    """Why, where the registry itself moved it; empty where somebody asked for it."""


@event
class ClientRemoved(ClientEvent, frozen=True, kw_only=True):
    """A client was removed, or expired."""

    kind: ClassVar[str] = "registry.client.removed"
    expired: bool = False


@event
class ClientSecretIssued(SecurityEvent, frozen=True, kw_only=True):
    """A client that joined by a token got a secret of its own; the one it had before is refused from now on."""

    kind: ClassVar[str] = "registry.client.secret_issued"
    client: str
    secret: str
    """The secret's id."""
    token: str
    """The join token that was shown for it."""

    @property
    def subject_id(self) -> str:
        return self.client


class ServiceEvent(Event, frozen=True, kw_only=True):
    service: str
    before: ServiceSnapshot | None = None
    after: ServiceSnapshot | None = None
    change: int | None = None

    @property
    def subject_id(self) -> str:
        return self.service


@event
class ServiceRegistered(ServiceEvent, frozen=True, kw_only=True):
    """A service was registered."""

    kind: ClassVar[str] = "registry.service.registered"


@event
class ServiceChanged(ServiceEvent, frozen=True, kw_only=True):
    """A service changed."""

    kind: ClassVar[str] = "registry.service.changed"


@event
class ServiceHealthChanged(ServiceEvent, frozen=True, kw_only=True):
    """A service's reported health changed, or what the reporter notes of it."""

    kind: ClassVar[str] = "registry.service.health_changed"
    note: str = ""


@event
class ServiceRemoved(ServiceEvent, frozen=True, kw_only=True):
    """A service was removed."""

    kind: ClassVar[str] = "registry.service.removed"


class SiteEvent(Event, frozen=True, kw_only=True):
    site: str
    before: SiteSnapshot | None = None
    after: SiteSnapshot | None = None
    change: int | None = None

    @property
    def subject_id(self) -> str:
        return self.site


@event
class SiteCreated(SiteEvent, frozen=True, kw_only=True):
    """A site was made."""

    kind: ClassVar[str] = "registry.site.created"


@event
class SiteChanged(SiteEvent, frozen=True, kw_only=True):
    """A site's prefixes, relays, name or labels changed."""

    kind: ClassVar[str] = "registry.site.changed"


@event
class SiteRemoved(SiteEvent, frozen=True, kw_only=True):
    """A site was removed."""

    kind: ClassVar[str] = "registry.site.removed"


class JoinTokenEvent(SecurityEvent, frozen=True, kw_only=True):
    token: str
    before: JoinTokenSnapshot | None = None
    after: JoinTokenSnapshot | None = None

    @property
    def subject_id(self) -> str:
        return self.token


@event
class JoinTokenCreated(JoinTokenEvent, frozen=True, kw_only=True):
    """A join token was made."""

    kind: ClassVar[str] = "registry.join_token.created"


@event
class JoinTokenRevoked(JoinTokenEvent, frozen=True, kw_only=True):
    """A join token was revoked."""

    kind: ClassVar[str] = "registry.join_token.revoked"


class ApiTokenEvent(SecurityEvent, frozen=True, kw_only=True):
    token: str
    before: ApiTokenSnapshot | None = None
    after: ApiTokenSnapshot | None = None

    @property
    def subject_id(self) -> str:
        return self.token


@event
class ApiTokenCreated(ApiTokenEvent, frozen=True, kw_only=True):
    """An API token was made."""

    kind: ClassVar[str] = "registry.api_token.created"


@event
class ApiTokenRevoked(ApiTokenEvent, frozen=True, kw_only=True):
    """An API token was revoked."""

    kind: ClassVar[str] = "registry.api_token.revoked"


@event
class AttemptRefused(SecurityEvent, frozen=True, kw_only=True):
    """Somebody tried to get in, or to get a key in, by what gives no right to it; counted, not told one by one."""

    kind: ClassVar[str] = "registry.attempt.refused"
    actor: str
    """Who, as far as he said: a join token's identifier, `host:<nkey>`, `relay:<id>`, a client, an operator; `many`."""
    reason: str
    """The error's code: `bad_join_token`, `token_revoked`, `bad_key_proof`, `key_revoked`, …"""
    count: int
    since: Annotated[datetime, msgspec.Meta(tz=True)]

    @property
    def subject_id(self) -> str:
        return self.reason


@event
class SigningKeyReplaced(SecurityEvent, frozen=True, kw_only=True):
    """Access tokens of operators are signed by another key: those of before are void."""

    kind: ClassVar[str] = "registry.signing_key.replaced"
    key: str
    """Its thumbprint (RFC 7638)."""
    before: str

    @property
    def subject_id(self) -> str:
        return self.key


@event
class KeyRevoked(SecurityEvent, frozen=True, kw_only=True):
    """A public key was revoked: nobody may have it again, and whoever has it now is to let go of it."""

    kind: ClassVar[str] = "registry.key.revoked"
    revocation: str
    key: str
    use: str = ""
    """What its holder had it for: `mesh`, `mesh_next`, `access`, `identity`, `client`; empty where nobody had it."""
    owner: str = ""
    """The relay or client; a client is removed with its key."""
    network: str = ""
    reason: str = ""
    change: int | None = None

    @property
    def subject_id(self) -> str:
        return self.revocation


class ChosenLink(msgspec.Struct, frozen=True, kw_only=True):
    """A link between two relays, and why it exists."""

    relays: tuple[str, str]
    kind: str


@event
class LinksChanged(Event, frozen=True, kw_only=True):
    """Other links were chosen in a network that is too large for a full mesh."""

    kind: ClassVar[str] = "registry.links.changed"
    network: str
    reason: str
    added: tuple[ChosenLink, ...]
    """At most 1,000 are named; `added_count` has all."""
    removed: tuple[ChosenLink, ...]
    added_count: int
    removed_count: int
    change: int

    @property
    def subject_id(self) -> str:
        return self.network


@event
class MeshRebuildAsked(Event, frozen=True, kw_only=True):
    """Somebody had every document put on the bus again, whatever it held; nothing that is desired changed."""

    kind: ClassVar[str] = "registry.mesh.rebuild_asked"
    documents: int

    @property
    def subject_id(self) -> str:
        return "mesh"


@event
class PlanRenumbered(Event, frozen=True, kw_only=True):
    """Documents had to differ without anybody's change (an upgrade, a restored backup) and got a new number."""

    kind: ClassVar[str] = "registry.plan.renumbered"
    reason: str
    change: int

    @property
    def subject_id(self) -> str:
        return "plan"
