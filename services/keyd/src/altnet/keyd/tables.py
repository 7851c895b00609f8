"""keyd's tables, as classes. The truth about constraints is the migration.

Rows never leave `store`; elsewhere an identity is an `IdentitySnapshot`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from altnet.common.contracts.keyd import IdentitySnapshot, IdentityState
from altnet.common.contracts.rotation_policies import PolicySnapshot
from sqlalchemy import ARRAY, BigInteger, Boolean, DateTime, Float, Identity, Integer, LargeBinary, MetaData, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

SCHEMA = "keyd"
_METADATA = MetaData(schema=SCHEMA)


class Row(SQLModel):
    """Base of every table here, with a registry of its own beside other services' in the same process."""

    metadata: ClassVar[MetaData] = _METADATA


def _text(**more: Any) -> Any:
    return Field(sa_type=Text, **more)


def _time(**more: Any) -> Any:
    return Field(sa_type=DateTime(timezone=True), **more)


def _number() -> Any:
    return Field(default=None, sa_type=BigInteger, primary_key=True, sa_column_args=[Identity(always=False)])


class ServiceKeyRow(Row, table=True):
    __tablename__ = "service_keys"

    number: int | None = _number()
    use: str = _text()
    key: str = _text()
    sealed: bytes = Field(sa_type=LargeBinary, repr=False)
    kek: str = _text()
    endorsed_by: str = _text(default="")
    endorsement: str = _text(default="")
    created_at: datetime = _time()
    replaced_at: datetime | None = _time(default=None)
    answers_until: datetime | None = _time(default=None)


class IdentityRow(Row, table=True):
    __tablename__ = "identities"

    id: str = _text(primary_key=True)
    network: str = _text()
    name: str = _text()
    nkey: str = _text()
    state: str = _text()
    reason: str = _text(default="")
    static_key: str = _text(default="")
    signing_key: str = _text(default="")
    confirmed_by: str = _text(default="")
    contact_at: datetime | None = _time(default=None)
    created_at: datetime = _time()
    updated_at: datetime = _time()
    version: int = Field(default=1, sa_type=Integer)

    def snapshot(self) -> IdentitySnapshot:
        return IdentitySnapshot(
            id=self.id,
            network=self.network,
            name=self.name,
            state=IdentityState(self.state),
            reason=self.reason,
            static_key=self.static_key,
            signing_key=self.signing_key,
            confirmed_by=self.confirmed_by,
            version=self.version,
        )


class IdentityKeyRow(Row, table=True):
    """Every key that an identity ever had."""

    __tablename__ = "identity_keys"

    number: int | None = _number()
    identity_id: str = _text()
    use: str = _text()
    key: str = _text()
    added_at: datetime = _time()
    removed_at: datetime | None = _time(default=None)
    why: str = _text()


class RotationRow(Row, table=True):
    __tablename__ = "rotations"

    id: str = _text(primary_key=True)
    network: str = _text()
    epoch: int = Field(sa_type=Integer)
    of: str = _text(default="mesh")
    until: datetime | None = _time(default=None)
    progress: dict[str, int] = Field(default_factory=dict, sa_type=JSONB)
    plan: dict[str, Any] = Field(sa_type=JSONB)
    reason: str = _text()
    phase: str = _text()
    wave: int = Field(default=0, sa_type=Integer)
    deadline: datetime = _time()
    generation: int = Field(default=0, sa_type=BigInteger)
    paused: bool = Field(default=False, sa_type=Boolean)
    stop: bool = Field(default=False, sa_type=Boolean)
    ended: str = _text(default="")
    blamed: list[str] = Field(default_factory=list, sa_type=ARRAY(Text))
    problem: str = _text(default="")
    created_by: str = _text()
    created_at: datetime = _time()
    updated_at: datetime = _time()
    ended_at: datetime | None = _time(default=None)
    version: int = Field(default=1, sa_type=Integer)


class RotationRelayRow(Row, table=True):
    __tablename__ = "rotation_relays"

    rotation: str = _text(primary_key=True)
    relay: str = _text(primary_key=True)
    wave: int = Field(default=0, sa_type=Integer)
    stage: str = _text(default="")
    left_why: str = _text(default="")
    key: str = _text(default="")
    port: int = Field(default=0, sa_type=Integer)
    generation: int = Field(default=0, sa_type=BigInteger)
    switched: list[str] = Field(default_factory=list, sa_type=ARRAY(Text))
    waiting: list[str] = Field(default_factory=list, sa_type=ARRAY(Text))
    behind: list[str] = Field(default_factory=list, sa_type=ARRAY(Text))
    ordered: int = Field(default=0, sa_type=BigInteger)
    reported_at: datetime | None = _time(default=None)


class RotationPolicyRow(Row, table=True):
    """When a network's keys of one kind are rotated by themselves, and how."""

    __tablename__ = "rotation_policies"

    network: str = _text(primary_key=True)
    of: str = _text(primary_key=True, default="mesh")
    max_age: float | None = Field(default=None, sa_type=Float)
    jitter: float = Field(default=0.1, sa_type=Float)
    on_new_owner: bool = Field(default=False, sa_type=Boolean)
    on_suspicion: bool = Field(default=True, sa_type=Boolean)
    plan: dict[str, Any] = Field(sa_type=JSONB)
    due_at: datetime | None = _time(default=None)
    updated_by: str = _text()
    updated_at: datetime = _time()

    def snapshot(self) -> PolicySnapshot:
        return PolicySnapshot(
            max_age=self.max_age,
            jitter=self.jitter,
            on_new_owner=self.on_new_owner,
            on_suspicion=self.on_suspicion,
            plan=dict(self.plan),
        )


class RotationWishRow(Row, table=True):
    """A rotation that something other than age asks for; it waits for one that is open."""

    __tablename__ = "rotation_wishes"

    network: str = _text(primary_key=True)
    of: str = _text(primary_key=True)
    reason: str = _text()
    wished_at: datetime = _time()
    due_at: datetime = _time()


class LockNetworkRow(Row, table=True):
    """Counts what changes of a network's lock; `published` is what the bus has."""

    __tablename__ = "lock_networks"

    network: str = _text(primary_key=True)
    version: int = Field(default=0, sa_type=BigInteger)
    published: int = Field(default=0, sa_type=BigInteger)


class LockEntryRow(Row, table=True):
    """The log; rows are added only."""

    __tablename__ = "lock_entries"

    network: str = _text(primary_key=True)
    number: int = Field(sa_type=Integer, primary_key=True)
    entry: str = _text()
    hash: str = _text()
    signatures: list[dict[str, str]] = Field(sa_type=JSONB)
    created_by: str = _text()
    created_at: datetime = _time()


class LockStatementRow(Row, table=True):
    """The newest statement about each relay and client."""

    __tablename__ = "lock_statements"

    network: str = _text(primary_key=True)
    subject: str = _text(primary_key=True)
    kind: str = _text()
    serial: int = Field(sa_type=BigInteger)
    statement: str = _text()
    authority: str = _text()
    signature: str = _text()
    version: int = Field(sa_type=BigInteger)
    created_by: str = _text()
    created_at: datetime = _time()


class LockHostRow(Row, table=True):
    """What a relay has certified, and what it said last of the lock."""

    __tablename__ = "lock_hosts"

    relay: str = _text(primary_key=True)
    network: str = _text()
    certificates: list[dict[str, Any]] = Field(default_factory=list, sa_type=JSONB)
    version: int = Field(default=0, sa_type=BigInteger)
    length: int = Field(default=0, sa_type=Integer)
    head: str = _text(default="")
    refused: list[dict[str, str]] = Field(default_factory=list, sa_type=JSONB)
    refused_count: int = Field(default=0, sa_type=Integer)
    alarm: str = _text(default="")
    alarm_text: str = _text(default="")
    reported_at: datetime | None = _time(default=None)


class KeyDebtRow(Row, table=True):
    """A key that was revoked while a relay had it: a rotation is owed, until the relay has taken part in one."""

    __tablename__ = "key_debts"

    key: str = _text(primary_key=True)
    relay: str = _text()
    network: str = _text()
    of: str = _text(default="mesh")
    reason: str = _text(default="")
    owed_at: datetime = _time()
    due_at: datetime = _time()


class EmitterRow(Row, table=True):
    """The number of the last security event of an emitter."""

    __tablename__ = "emitters"

    emitter: str = _text(primary_key=True)
    number: int = Field(sa_type=BigInteger)


class KnownGapRow(Row, table=True):
    """Numbers of security events that are missing, and why that is right."""

    __tablename__ = "known_gaps"

    emitter: str = _text(primary_key=True)
    first: int = Field(sa_type=BigInteger, primary_key=True)
    last: int = Field(sa_type=BigInteger)
    why: str = _text()
    known_at: datetime = _time()
