"""The registry's tables, as classes. The truth about constraints is the migration; here is what code reads and writes.

Rows never leave `store` and `handlers`: the API has its own schemas, events their own snapshots.
"""

from __future__ import annotations

from datetime import datetime
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, ClassVar

from sqlalchemy import BigInteger, Boolean, DateTime, Dialect, Float, Identity, Integer, LargeBinary, MetaData, Text
from sqlalchemy.dialects.postgresql import ARRAY, CIDR, INET, JSONB
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field, SQLModel

SCHEMA = "registry"


class Prefix(TypeDecorator[IPv4Network | IPv6Network]):
    """A `cidr` column as `ipaddress` network, whatever the driver's own habit is."""

    impl = CIDR
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Dialect) -> IPv4Network | IPv6Network | None:
        return None if value is None else ip_network(str(value))


class Address(TypeDecorator[IPv6Address]):
    """An `inet` column as `ipaddress` address."""

    impl = INET
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Dialect) -> IPv6Address | None:
        if value is None:
            return None
        address = ip_address(str(value).split("/")[0])
        assert isinstance(address, IPv6Address)
        return address


_METADATA = MetaData(schema=SCHEMA)


class Row(SQLModel):
    """Base of every table here, with a registry of its own beside other services' in the same process."""

    metadata: ClassVar[MetaData] = _METADATA


def _text(**more: Any) -> Any:
    return Field(sa_type=Text, **more)


def _integer(**more: Any) -> Any:
    return Field(sa_type=Integer, **more)


def _big(**more: Any) -> Any:
    return Field(sa_type=BigInteger, **more)


def _float(**more: Any) -> Any:
    return Field(sa_type=Float, **more)


def _time(**more: Any) -> Any:
    return Field(sa_type=DateTime(timezone=True), **more)


def _boolean(**more: Any) -> Any:
    return Field(sa_type=Boolean, **more)


def _json(**more: Any) -> Any:
    return Field(sa_type=JSONB, **more)


def _texts(**more: Any) -> Any:
    return Field(sa_type=ARRAY(Text), **more)


class NetworkRow(Row, table=True):
    __tablename__ = "networks"

    id: str = _text(primary_key=True)
    name: str = _text()
    prefix: Any = Field(sa_type=Prefix)
    settings: dict[str, Any] = _json(default_factory=dict)
    created_at: datetime = _time()
    updated_at: datetime = _time()
    version: int = _integer(default=1)


class NameRow(Row, table=True):
    __tablename__ = "names"

    network_id: str = _text(primary_key=True)
    name: str = _text(primary_key=True)
    kind: str = _text()
    owner: str = _text()


class KeyRow(Row, table=True):
    """Every public key in use, so that no two things share one."""

    __tablename__ = "keys"

    key: str = _text(primary_key=True)
    owner: str = _text()
    use: str = _text()


class RevokedKeyRow(Row, table=True):
    """Public keys that nobody may have again. A trigger keeps them in `keys` when their holder lets go of them."""

    __tablename__ = "revoked_keys"

    key: str = _text(primary_key=True)
    revoked_at: datetime = _time()


class RevocationRow(Row, table=True):
    """Each revocation, told once: what was put out, by whom and why. Only ever added to."""

    __tablename__ = "revocations"

    id: str = _text(primary_key=True)
    kind: str = _text()
    subject: str = _text(default="")
    network_id: str | None = _text(default=None)
    name: str = _text(default="")
    key: str = _text(default="")
    use: str = _text(default="")
    reason: str = _text(default="")
    revoked_by: str = _text()
    revoked_at: datetime = _time()
    change: int | None = _big(default=None)


class EmitterRow(Row, table=True):
    """The number of the last security event of an emitter."""

    __tablename__ = "emitters"

    emitter: str = _text(primary_key=True)
    number: int = _big()


class KnownGapRow(Row, table=True):
    """Numbers of security events that are missing, and why that is right."""

    __tablename__ = "known_gaps"

    emitter: str = _text(primary_key=True)
    first: int = Field(sa_type=BigInteger, primary_key=True)
    last: int = _big()
    why: str = _text()
    known_at: datetime = _time()


class SigningKeyRow(Row, table=True):
    """Which key signed access tokens when somebody looked last. One row."""

    __tablename__ = "signing_key"

    one: bool = Field(sa_type=Boolean, primary_key=True)
    key: str = _text()
    seen_at: datetime = _time()


class AllocationRow(Row, table=True):
    __tablename__ = "allocations"

    id: int | None = Field(default=None, sa_type=BigInteger, primary_key=True, sa_column_args=[Identity(always=True)])
    network_id: str = _text()
    network_prefix: Any = Field(sa_type=Prefix)
    pool: str = _text()
    prefix: Any = Field(sa_type=Prefix)
    slot: int | None = _integer(default=None)
    owner: str = _text()
    allocated_at: datetime = _time()
    released_at: datetime | None = _time(default=None)


class JoinTokenRow(Row, table=True):
    __tablename__ = "join_tokens"

    id: str = _text(primary_key=True)
    network_id: str = _text()
    kind: str = _text()
    secret_hash: bytes = Field(sa_type=LargeBinary, repr=False)
    note: str = _text(default="")
    labels: dict[str, str] = _json(default_factory=dict)
    uses: int = _integer()
    uses_left: int = _integer()
    expires_at: datetime = _time()
    revoked_at: datetime | None = _time(default=None)
    created_by: str = _text()
    created_at: datetime = _time()


class ApiTokenRow(Row, table=True):
    __tablename__ = "api_tokens"

    id: str = _text(primary_key=True)
    name: str = _text()
    role: str = _text()
    scopes: list[str] = _texts(default_factory=list)
    secret_hash: bytes = Field(sa_type=LargeBinary, repr=False)
    expires_at: datetime = _time()
    revoked_at: datetime | None = _time(default=None)
    created_by: str = _text()
    created_at: datetime = _time()


class RelayRow(Row, table=True):
    __tablename__ = "relays"

    id: str = _text(primary_key=True)
    network_id: str = _text()
    name: str = _text()
    slot: int = _integer()
    nkey: str = _text()
    key: str = _text()
    key_epoch: int = _integer(default=0)
    key_port: int = _integer(default=0)
    next_epoch: int | None = _integer(default=None)
    next_stage: str | None = _text(default=None)
    next_key: str = _text(default="")
    next_port: int = _integer(default=0)
    keys_change: int = Field(default=0, sa_type=BigInteger)
    access_key: str = _text()
    access_epoch: int = _integer(default=0)
    access_device: int = _integer(default=0)
    access_next_epoch: int | None = _integer(default=None)
    access_next_stage: str | None = _text(default=None)
    access_next_key: str = _text(default="")
    access_until: datetime | None = _time(default=None)
    access_change: int = Field(default=0, sa_type=BigInteger)
    identity_key: str = _text(default="")
    proven_static: str = _text(default="")
    proven_signing: str = _text(default="")
    routing: str = _text(default="static")
    endpoints: list[str] = _texts(default_factory=list)
    mesh_port: int = _integer()
    access_port: int = _integer()
    region: str = _text(default="")
    labels: dict[str, str] = _json(default_factory=dict)
    encapsulations: list[str] = _texts(default_factory=list)
    state: str = _text(default="active")
    weight: float = _float(default=1.0)
    versions: dict[str, str] = _json(default_factory=dict)
    join_token: str | None = _text(default=None)
    revoked_at: datetime | None = _time(default=None)
    bus_revoked_at: datetime | None = _time(default=None)
    created_at: datetime = _time()
    updated_at: datetime = _time()
    version: int = _integer(default=1)


class ClientRow(Row, table=True):
    __tablename__ = "clients"

    id: str = _text(primary_key=True)
    network_id: str = _text()
    relay_id: str | None = _text(default=None)
    name: str = _text()
    key: str = _text()
    address: Any = Field(sa_type=Address)
    standby_id: str | None = _text(default=None)
    movable: bool = Field(default=False, sa_type=Boolean)
    door: int = _integer(default=0)
    key_epoch: int = _integer(default=0)
    next_key: str = _text(default="")
    wish_epoch: int | None = _integer(default=None)
    wish_secret: str = Field(default="", sa_type=Text, repr=False)
    key_until: datetime | None = _time(default=None)
    key_changed_at: datetime | None = _time(default=None)
    wish_at: datetime | None = _time(default=None)
    wish_rotation: str = _text(default="")
    next_proven: bool = Field(default=False, sa_type=Boolean)
    next_seen_at: datetime | None = _time(default=None)
    labels: dict[str, str] = _json(default_factory=dict)
    latencies: dict[str, float] = _json(default_factory=dict)
    expires_at: datetime | None = _time(default=None)
    created_at: datetime = _time()
    updated_at: datetime = _time()
    version: int = _integer(default=1)


class ClientSecretRow(Row, table=True):
    """By what a client that joined by a token asks about itself."""

    __tablename__ = "client_secrets"

    client_id: str = _text(primary_key=True)
    id: str = _text()
    secret_hash: bytes = Field(sa_type=LargeBinary, repr=False)
    join_token: str = _text()
    created_at: datetime = _time()


class ServiceRow(Row, table=True):
    __tablename__ = "services"

    id: str = _text(primary_key=True)
    network_id: str = _text()
    name: str = _text()
    port: int = _integer()
    protocol: str = _text()
    health: str = _text(default="unknown")
    health_at: datetime | None = _time(default=None)
    health_note: str = _text(default="")
    tags: list[str] = _texts(default_factory=list)
    owner_kind: str = _text()
    owner_id: str | None = _text(default=None)
    address: Any = Field(sa_type=Address)
    created_at: datetime = _time()
    updated_at: datetime = _time()
    version: int = _integer(default=1)


class SiteRow(Row, table=True):
    __tablename__ = "sites"

    id: str = _text(primary_key=True)
    network_id: str = _text()
    name: str = _text()
    labels: dict[str, str] = _json(default_factory=dict)
    created_at: datetime = _time()
    updated_at: datetime = _time()
    version: int = _integer(default=1)


class SitePrefixRow(Row, table=True):
    __tablename__ = "site_prefixes"

    site_id: str = _text(primary_key=True)
    prefix: Any = Field(sa_type=Prefix, primary_key=True)
    network_id: str = _text()
    network_prefix: Any = Field(sa_type=Prefix)


class SiteRelayRow(Row, table=True):
    __tablename__ = "site_relays"

    site_id: str = _text(primary_key=True)
    relay_id: str = _text(primary_key=True)


class LinkRow(Row, table=True):
    """A chosen link; a network that fits a full mesh has none."""

    __tablename__ = "links"

    id: str = _text(primary_key=True)
    network_id: str = _text()
    one: str = _text()
    other: str = _text()
    kind: str = _text()
    chosen_at: datetime = _time()


class LatencyRow(Row, table=True):
    """The round trip between two relays, as it lasts."""

    __tablename__ = "latencies"

    one: str = _text(primary_key=True)
    other: str = _text(primary_key=True)
    milliseconds: float = _float()
    measured_at: datetime = _time()


class PeeringRow(Row, table=True):
    """`password` is sealed for the relay whose identity key `password_key` was; nobody here can read it."""

    __tablename__ = "peerings"

    id: str = _text(primary_key=True)
    network_id: str = _text()
    relay_id: str = _text()
    name: str = _text()
    address: str = _text()
    interface: str = _text(default="")
    source: str = _text(default="")
    asn: int = _big()
    local_asn: int | None = _big(default=None)
    families: list[str] = _texts()
    imports: list[dict[str, Any]] = _json(default_factory=list)
    exports: list[dict[str, Any]] = _json(default_factory=list)
    accept_everything: bool = _boolean(default=False)
    announce_everything: bool = _boolean(default=False)
    import_limit: int = _integer()
    export_limit: int = _integer()
    password: str = _text(default="", repr=False)
    password_key: str = _text(default="")
    bfd: bool = _boolean(default=False)
    multihop: int = _integer(default=0)
    ttl_security: bool = _boolean(default=False)
    passive: bool = _boolean(default=False)
    hold_time: int = _integer()
    restart_time: int = _integer()
    preference: int = _integer()
    enabled: bool = _boolean(default=True)
    labels: dict[str, str] = _json(default_factory=dict)
    created_at: datetime = _time()
    updated_at: datetime = _time()
    version: int = _integer(default=1)


class PeeringStatusRow(Row, table=True):
    __tablename__ = "peering_status"

    peering_id: str = _text(primary_key=True)
    standing: str = _text()
    since: datetime = _time()


class LearnedRouteRow(Row, table=True):
    __tablename__ = "learned_routes"

    id: int | None = Field(default=None, sa_type=BigInteger, primary_key=True, sa_column_args=[Identity(always=True)])
    network_id: str = _text()
    relay_id: str = _text()
    peering_id: str = _text()
    prefix: Any = Field(sa_type=Prefix)
    as_path: list[int] = Field(sa_type=ARRAY(BigInteger), default_factory=list)
    next_hop: str = _text(default="")
    communities: list[str] = _texts(default_factory=list)
    since: datetime = _time()


class RefusedRouteRow(Row, table=True):
    __tablename__ = "refused_routes"

    id: int | None = Field(default=None, sa_type=BigInteger, primary_key=True, sa_column_args=[Identity(always=True)])
    network_id: str = _text()
    relay_id: str = _text()
    peering_id: str = _text()
    prefix: Any = Field(sa_type=Prefix)
    reason: str = _text()
    as_path: list[int] = Field(sa_type=ARRAY(BigInteger), default_factory=list)
    since: datetime = _time()


class CounterRow(Row, table=True):
    """The one row that numbers the changes."""

    __tablename__ = "change_counter"

    one: bool = Field(default=True, sa_type=Boolean, primary_key=True)
    number: int = _big()


class ChangeRow(Row, table=True):
    __tablename__ = "changes"

    number: int = Field(sa_type=BigInteger, primary_key=True)
    at: datetime = _time()
    actor: str = _text()
    kind: str = _text()
    summary: str = _text()
    event_id: str | None = _text(default=None)
    network_id: str | None = _text(default=None)
    touched: list[str] = _texts(default_factory=list)
    planned_at: datetime | None = _time(default=None)
    mesh: bool = Field(default=False, sa_type=Boolean)
    documents: list[str] = _texts(default_factory=list)
    concerned: int = _integer(default=0)
    completed_at: datetime | None = _time(default=None)
    applied: int | None = _integer(default=None)
    p50: float | None = _float(default=None)
    p99: float | None = _float(default=None)


class RelayStatusRow(Row, table=True):
    __tablename__ = "relay_status"

    relay_id: str = _text(primary_key=True)
    health: str = _text(default="new")
    health_since: datetime = _time()
    last_seen: datetime | None = _time(default=None)
    boot: str = _text(default="")
    note: str = _text(default="")
    mesh_generation: int = _big(default=0)
    mesh_digest: str = _text(default="")
    document_generation: int = _big(default=0)
    document_digest: str = _text(default="")
    failed: list[dict[str, Any]] = _json(default_factory=list)
    failed_count: int = _integer(default=0)
    applied_at: datetime | None = _time(default=None)
    load: float = _float(default=0.0)
    memory_used: float = _float(default=0.0)
    versions: dict[str, Any] = _json(default_factory=dict)
    routing: dict[str, Any] | None = _json(default=None)
    learned_digest: str = _text(default="")
