"""Sites."""

from __future__ import annotations

from typing import Annotated

from altnet.common.contracts.registry import SiteSnapshot
from altnet.common.http.schema import Model
from altnet.registry.api.schemas.common import Id, Labels, Name, Patch, Time
from altnet.registry.tables import SiteRow
from pydantic import Field

Prefixes = Annotated[
    list[Annotated[str, Field(max_length=64)]],
    Field(min_length=1, max_length=256, examples=[["10.1.0.0/16", "2001:db8:1::/48"]]),
]
Relays = Annotated[list[Id], Field(max_length=64)]


class SiteNew(Model):
    """A site to make."""

    name: Name
    prefixes: Prefixes
    """IPv4 and IPv6, outside the network's own prefix and of no other site."""
    relays: Relays = Field(default_factory=list)
    """Who announces them."""
    network: Id | None = None
    labels: Labels = Field(default_factory=dict)


class SitePatch(Patch):
    """What of a site is to change."""

    name: Name | None = None
    prefixes: Prefixes | None = None
    """Replaces all prefixes."""
    relays: Relays | None = None
    """Replaces all relays."""
    labels: Labels | None = None
    """Replaces all labels."""


class Site(Model):
    """A site: prefixes behind relays."""

    id: str
    network: str
    name: str
    prefixes: list[str]
    relays: list[str]
    labels: dict[str, str]
    version: int
    created_at: Time
    updated_at: Time
    change: int | None = None
    """Number of the change that this request was."""

    @classmethod
    def of(cls, row: SiteRow, shown: SiteSnapshot, *, change: int | None = None) -> Site:
        return cls(
            id=row.id,
            network=row.network_id,
            name=row.name,
            prefixes=list(shown.prefixes),
            relays=list(shown.relays),
            labels=row.labels,
            version=row.version,
            created_at=row.created_at,
            updated_at=row.updated_at,
            change=change,
        )
