"""The registry's events about routing with the outside: peerings, their sessions, and what was learned or refused.

As in `contracts.registry`, `before` and `after` are snapshots without secrets, and who did it is in the envelope.
Routes come in batches of at most `LARGEST_BATCH`, so that a neighbour with a large table makes few events.

Invariant: a password is in none of them, sealed or not; only whether there is one.
"""

from __future__ import annotations

from typing import ClassVar, Final

import msgspec
from altnet.common.contracts.envelope import Event, event
from altnet.common.contracts.routing import LearnedRoute, PrefixRule, RefusedRoute
from altnet.common.contracts.security import SecurityEvent

LARGEST_BATCH: Final = 200
"""Routes in one event: some 30 KiB."""


class PeeringSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    network: str
    relay: str
    name: str
    address: str
    asn: int
    interface: str
    source: str
    local_asn: int | None
    families: tuple[str, ...]
    imports: tuple[PrefixRule, ...]
    exports: tuple[PrefixRule, ...]
    accept_everything: bool
    """Somebody said that a rule of `imports` may let (nearly) everything in."""
    announce_everything: bool
    """The same of `exports`."""
    import_limit: int
    export_limit: int
    password_set: bool
    bfd: bool
    multihop: int
    ttl_security: bool
    passive: bool
    hold_time: int
    restart_time: int
    preference: int
    enabled: bool
    labels: dict[str, str]
    version: int


class PeeringEvent(SecurityEvent, frozen=True, kw_only=True):
    peering: str
    before: PeeringSnapshot | None = None
    after: PeeringSnapshot | None = None
    change: int | None = None

    @property
    def subject_id(self) -> str:
        return self.peering


@event
class PeeringCreated(PeeringEvent, frozen=True, kw_only=True):
    """A peering with a router outside was made."""

    kind: ClassVar[str] = "registry.peering.created"


@event
class PeeringChanged(PeeringEvent, frozen=True, kw_only=True):
    """A peering changed."""

    kind: ClassVar[str] = "registry.peering.changed"
    password_changed: bool = False


@event
class PeeringRemoved(PeeringEvent, frozen=True, kw_only=True):
    """A peering was removed, by itself or with its relay."""

    kind: ClassVar[str] = "registry.peering.removed"


class PeeringSessionEvent(Event, frozen=True, kw_only=True):
    peering: str
    name: str
    relay: str
    address: str
    asn: int
    state: str
    """What the routing engine called it when this was decided."""
    problem: str = ""

    @property
    def subject_id(self) -> str:
        return self.peering


@event
class PeeringUp(PeeringSessionEvent, frozen=True, kw_only=True):
    """A peering's BGP session is established, and stayed so."""

    kind: ClassVar[str] = "registry.peering.up"


@event
class PeeringDown(PeeringSessionEvent, frozen=True, kw_only=True):
    """A peering's BGP session is not established any more, or never was."""

    kind: ClassVar[str] = "registry.peering.down"


class RouteEvent(Event, frozen=True, kw_only=True):
    peering: str
    name: str
    relay: str
    address: str
    """The neighbour's."""
    asn: int
    """The neighbour's."""

    @property
    def subject_id(self) -> str:
        return self.peering


@event
class RouteLearned(RouteEvent, frozen=True, kw_only=True):
    """A neighbour outside told routes that were accepted, or told them with another path."""

    kind: ClassVar[str] = "registry.route.learned"
    routes: tuple[LearnedRoute, ...]


@event
class RouteWithdrawn(RouteEvent, frozen=True, kw_only=True):
    """Routes of a neighbour outside are gone."""

    kind: ClassVar[str] = "registry.route.withdrawn"
    prefixes: tuple[str, ...]


@event
class RouteRefused(SecurityEvent, frozen=True, kw_only=True):
    """A neighbour outside told routes that a filter refused. Once a prefix and reason, until it is gone."""

    kind: ClassVar[str] = "registry.route.refused"
    peering: str
    name: str
    relay: str
    address: str
    asn: int
    reason: str
    """`own_prefix`, `default_route`, `site_prefix`, `not_in_rules`, `path_loop`, …"""
    severity: str
    """`high`, `medium` or `low`."""
    summary: str
    routes: tuple[RefusedRoute, ...]

    @property
    def subject_id(self) -> str:
        return self.peering
