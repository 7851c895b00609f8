"""Desired and applied, side by side."""

from __future__ import annotations

from collections.abc import Sequence

from altnet.common.http.schema import Model
from altnet.registry.api.schemas.changes import Reason
from altnet.registry.api.schemas.common import Time
from altnet.registry.domain.behind import Report, Wanted
from altnet.registry.domain.liveness import Health
from altnet.registry.tables import RelayRow


class DocumentState(Model):
    """One document: its generation (a change's number), and the digest of its content."""

    generation: int
    digest: str


class MeshRebuilt(Model):
    """Documents are put on the bus again."""

    documents: int
    """How many."""


class MeshRelay(Model):
    """What one relay should have applied, and what it says that it has."""

    relay: str
    name: str
    network: str
    health: Health
    health_since: Time
    last_seen: Time | None
    in_sync: bool
    reasons: list[Reason]
    """Why it differs; empty if it does not."""
    desired_mesh: DocumentState
    desired_document: DocumentState
    applied_mesh: DocumentState
    applied_document: DocumentState
    failed_count: int

    @classmethod
    def of(
        cls, relay: RelayRow, report: Report, wanted: Wanted, *, in_sync: bool, reasons: Sequence[Reason]
    ) -> MeshRelay:
        return cls(
            relay=relay.id,
            name=relay.name,
            network=relay.network_id,
            health=report.health,
            health_since=report.health_since,
            last_seen=report.last_seen,
            in_sync=in_sync,
            reasons=list(reasons),
            desired_mesh=DocumentState(generation=wanted.mesh_generation, digest=wanted.mesh_digest),
            desired_document=DocumentState(generation=wanted.document_generation, digest=wanted.document_digest),
            applied_mesh=DocumentState(generation=report.mesh_generation, digest=report.mesh_digest),
            applied_document=DocumentState(generation=report.document_generation, digest=report.document_digest),
            failed_count=report.failed_count,
        )
