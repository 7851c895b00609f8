"""Clients."""

from __future__ import annotations

from typing import Annotated, ClassVar

from altnet.common.http.schema import Model
from altnet.registry.api.schemas.common import Id, Key, Labels, Name, Patch, Region, Time, TimeIn
from altnet.registry.domain.selection import Ranked
from altnet.registry.tables import ClientRow
from pydantic import Field, model_validator

MeasuredLatencies = Annotated[dict[str, Annotated[float, Field(ge=0, le=60_000)]], Field(max_length=64)]
"""Milliseconds by relay."""
RelayChoice = Annotated[str, Field(min_length=1, max_length=64, examples=["auto"])]


class ClientNew(Model):
    """A client to make. Its owner makes the key pair and keeps the private key, unless `generate_key` is set."""

    name: Name
    key: Key | None = None
    """The client's public key."""
    generate_key: bool = False
    """Make the key pair here, and show the private key in this one answer."""
    network: Id | None = None
    relay: RelayChoice = "auto"
    """A relay, or `auto`."""
    movable: bool = False
    """It runs altnetd, which follows to another relay by itself."""
    standby: RelayChoice | None = None
    """The relay that it goes to when its own is away: a relay, `auto` or `none`. Left out: `auto` if it is movable."""
    region: Region = ""
    """Where the client is, for `auto`."""
    labels: Labels = Field(default_factory=dict)
    expires_at: TimeIn | None = None

    @model_validator(mode="after")
    def _one_key(self) -> ClientNew:
        if (self.key is None) != self.generate_key:
            raise ValueError("give either a key or generate_key")
        return self


class ClientPatch(Patch):
    """What of a client is to change."""

    nullable: ClassVar[frozenset[str]] = frozenset({"expires_at", "standby"})

    name: Name | None = None
    key: Key | None = None
    relay: RelayChoice | None = None
    """Moves the client, `auto` to the best relay. It keeps its address."""
    movable: bool | None = None
    standby: RelayChoice | None = None
    """A relay or `auto`. Null: none."""
    labels: Labels | None = None
    """Replaces all labels."""
    expires_at: TimeIn | None = None
    """Null: never."""


class NetworkClient(Model):
    """A client."""

    id: str
    network: str
    name: str
    key: str
    address: str
    relay: str | None
    """Null when its relay was revoked and it has no other yet."""
    standby: str | None
    """The relay that it goes to when its own is away."""
    labels: dict[str, str]
    movable: bool
    """Whether the registry may move it to another relay when load or failures ask for it."""
    next_key: str
    """Public key that was announced and is taken beside `key`; empty: none."""
    key_epoch: int
    """How often its key was changed so."""
    key_wished: bool
    """It is to have another key."""
    key_until: Time | None
    """The latest date of `key`, while it is to change."""
    expires_at: Time | None
    version: int
    created_at: Time
    updated_at: Time
    change: int | None = None
    """Number of the change that this request was."""

    @classmethod
    def of(cls, row: ClientRow, *, change: int | None = None) -> NetworkClient:
        return cls(**_fields(row), change=change)


class ClientMade(NetworkClient):
    """A fresh client. With `generate_key` it is shown here only, with its private key, and never again."""

    private_key: str | None = None
    config: str | None = None
    """The wg-quick file with the private key in it."""
    config_svg: str | None = None
    """The same as a QR code, for a phone."""
    config_svg_missing: str | None = None
    """Why the file is there and the code is not: it is too large for one."""

    @classmethod
    def with_key(
        cls,
        row: ClientRow,
        *,
        change: int,
        private_key: str | None,
        config: str | None,
        config_svg: str | None,
        config_svg_missing: str | None,
    ) -> ClientMade:
        return cls(
            **_fields(row),
            change=change,
            private_key=private_key,
            config=config,
            config_svg=config_svg,
            config_svg_missing=config_svg_missing,
        )


class NextPoint(Model):
    """A relay's other access device."""

    key: str
    endpoints: list[str]


class AccessPoint(Model):
    """A relay, as its client sees it."""

    relay: str
    name: str
    key: str
    """Public key of its access interface."""
    endpoints: list[str]
    """Where its access interface is reached, preferred first."""
    address: str
    """Its address inside the tunnel for probes and for attaching."""
    priority: int
    """0 is the client's own relay; the next one stands by."""
    next: NextPoint | None = None
    """Where its session is to move to without a break: a key is being replaced."""


class Latencies(Model):
    """What a client measured to relays."""

    latencies: MeasuredLatencies
    """Milliseconds by relay."""


class RankedRelay(Model):
    """A relay as a choice for a client."""

    relay: str
    name: str
    usable: bool
    score: float
    """Lower is better; comparable within one answer."""
    parts: dict[str, float]
    """What the score is the product of."""
    reasons: list[str]

    @classmethod
    def of(cls, ranked: Ranked) -> RankedRelay:
        return cls(
            relay=ranked.relay,
            name=ranked.name,
            usable=ranked.usable,
            score=ranked.score,
            parts=dict(ranked.parts),
            reasons=list(ranked.reasons),
        )


class RelayRanking(Model):
    """Relays for a client, best first."""

    client: str
    current: str | None
    standby: str | None
    """The relay that would stand by for the first: usable, and of another failure domain if possible."""
    relays: list[RankedRelay]


def _fields(row: ClientRow) -> dict[str, object]:
    return {
        "id": row.id,
        "network": row.network_id,
        "name": row.name,
        "key": row.key,
        "address": str(row.address),
        "relay": row.relay_id,
        "standby": row.standby_id,
        "movable": row.movable,
        "next_key": row.next_key,
        "key_epoch": row.key_epoch,
        "key_wished": row.wish_epoch is not None,
        "key_until": row.key_until,
        "labels": row.labels,
        "expires_at": row.expires_at,
        "version": row.version,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }
