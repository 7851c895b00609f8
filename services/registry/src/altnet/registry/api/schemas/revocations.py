"""Revocations: public parts only; a token is named by its identifier."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from altnet.common.http.schema import Model
from altnet.registry.api.schemas.common import Id, Key, Time
from altnet.registry.tables import RevocationRow
from pydantic import Field, model_validator


class RevocationKind(StrEnum):
    """What was put out."""

    RELAY = "relay"
    CLIENT = "client"
    KEY = "key"
    JOIN_TOKEN = "join_token"
    API_TOKEN = "api_token"


class RevocationNew(Model):
    """What is to be put out: exactly one of `relay`, `client`, `key`, `join_token`, `api_token`."""

    relay: Id | None = None
    """A relay's identifier: it is cut off, and none of its keys can be used again."""
    client: Id | None = None
    """A client's identifier: it is removed, and its key can not be used again."""
    key: Key | None = None
    """A public key, whoever has it: a client goes with it; a relay has to let go of it."""
    join_token: Id | None = None
    api_token: Id | None = None
    reason: Annotated[str, Field(max_length=200, examples=["laptop stolen"])] = ""
    """For the record."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(value is not None for value in self.wanted.values()) != 1:
            raise ValueError("name exactly one of relay, client, key, join_token and api_token")
        return self

    @property
    def wanted(self) -> dict[RevocationKind, str | None]:
        return {kind: getattr(self, kind.value) for kind in RevocationKind}


class Revocation(Model):
    """Something that was put out for good."""

    id: str
    kind: RevocationKind
    subject: str
    """The identifier of the relay, client or token; of a key's holder; empty where nobody had the key."""
    network: str | None
    name: str
    """The subject's name then."""
    key: str
    """The public key, where it is about one; a relay's mesh key and a client's key for these."""
    use: str
    """What the holder had the key for: `mesh`, `mesh_next`, `access`, `identity`, `client`."""
    still_in_use: bool
    """A relay has the key yet: it has to get another one, or to be put out."""
    reason: str
    revoked_by: str
    revoked_at: Time
    change: int | None
    """The change by which relays hear of it."""

    @classmethod
    def of(cls, row: RevocationRow, *, still: bool = False) -> Revocation:
        return cls(
            id=row.id,
            kind=RevocationKind(row.kind),
            subject=row.subject,
            network=row.network_id,
            name=row.name,
            key=row.key,
            use=row.use,
            still_in_use=still,
            reason=row.reason,
            revoked_by=row.revoked_by,
            revoked_at=row.revoked_at,
            change=row.change,
        )
