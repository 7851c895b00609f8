"""Join tokens and API tokens. A secret is in the answer that makes it, and nowhere else."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from altnet.common.http.auth import Role
from altnet.common.http.schema import Model
from altnet.registry.api.schemas.common import Id, Labels, Time, TimeIn
from altnet.registry.domain.tokens import TokenKind
from altnet.registry.tables import ApiTokenRow, JoinTokenRow
from pydantic import Field

WEEK = 7 * 86_400


class OperatorRole(StrEnum):
    """Roles that an API token may have."""

    OWNER = "owner"
    ADMIN = "admin"
    AUDITOR = "auditor"

    @property
    def role(self) -> Role:
        return Role(self.value)


class JoinTokenNew(Model):
    """A join token to make."""

    kind: TokenKind = TokenKind.RELAY
    """What it lets in."""
    network: Id | None = None
    """Identifier or name; without it, the first network."""
    uses: Annotated[int, Field(ge=1, le=100_000)] = 1
    """How many hosts it lets in."""
    lifetime: Annotated[int, Field(ge=10, le=366 * 86_400)] = WEEK
    """Seconds until it expires."""
    labels: Labels = Field(default_factory=dict)
    """Bound to whatever it lets in."""
    note: Annotated[str, Field(max_length=200)] = ""


class JoinToken(Model):
    """A join token, without its secret."""

    id: str
    network: str
    kind: TokenKind
    note: str
    labels: dict[str, str]
    uses: int
    uses_left: int
    expires_at: Time
    revoked_at: Time | None
    created_by: str
    created_at: Time

    @classmethod
    def of(cls, row: JoinTokenRow) -> JoinToken:
        return cls(**_join_fields(row))


class JoinTokenMade(JoinToken):
    """A fresh join token; `secret` is shown here only."""

    secret: str

    @classmethod
    def with_secret(cls, row: JoinTokenRow, secret: str) -> JoinTokenMade:
        return cls(**_join_fields(row), secret=secret)


class ApiTokenNew(Model):
    """An API token to make."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    role: OperatorRole
    scopes: Annotated[list[Annotated[str, Field(max_length=128)]], Field(min_length=1, max_length=64)]
    """`relays:read`, `clients:write` …, or `*`."""
    expires_at: TimeIn


class ApiToken(Model):
    """An API token, without its secret."""

    id: str
    name: str
    role: OperatorRole
    scopes: list[str]
    expires_at: Time
    revoked_at: Time | None
    created_by: str
    created_at: Time

    @classmethod
    def of(cls, row: ApiTokenRow) -> ApiToken:
        return cls(**_api_fields(row))


class ApiTokenMade(ApiToken):
    """A fresh API token; `secret` is shown here only."""

    secret: str

    @classmethod
    def with_secret(cls, row: ApiTokenRow, secret: str) -> ApiTokenMade:
        return cls(**_api_fields(row), secret=secret)


class AccessToken(Model):
    """A short-lived token for every service of the installation."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_at: Time


def _join_fields(row: JoinTokenRow) -> dict[str, object]:
    return {
        "id": row.id,
        "network": row.network_id,
        "kind": TokenKind(row.kind),
        "note": row.note,
        "labels": row.labels,
        "uses": row.uses,
        "uses_left": row.uses_left,
        "expires_at": row.expires_at,
        "revoked_at": row.revoked_at,
        "created_by": row.created_by,
        "created_at": row.created_at,
    }


def _api_fields(row: ApiTokenRow) -> dict[str, object]:
    return {
        "id": row.id,
        "name": row.name,
        "role": OperatorRole(row.role),
        "scopes": row.scopes,
        "expires_at": row.expires_at,
        "revoked_at": row.revoked_at,
        "created_by": row.created_by,
        "created_at": row.created_at,
    }
