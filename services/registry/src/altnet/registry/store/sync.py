"""Desired and applied side by side, as Postgres has them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from altnet.registry.domain.behind import Report, Wanted
from altnet.registry.domain.liveness import Health
from altnet.registry.tables import SCHEMA, ChangeRow, RelayRow, RelayStatusRow
from sqlalchemy import ColumnElement, column, exists, select, table, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

_DOCUMENTS = table("documents", column("kind"), column("owner"), column("generation"), column("digest"), schema=SCHEMA)


def report_of(row: RelayStatusRow) -> Report:
    return Report(
        health=Health(row.health),
        health_since=row.health_since,
        last_seen=row.last_seen,
        note=row.note,
        mesh_generation=row.mesh_generation,
        mesh_digest=row.mesh_digest,
        document_generation=row.document_generation,
        document_digest=row.document_digest,
        failed_count=row.failed_count,
        failed=[(str(one.get("object", "")), str(one.get("reason", ""))) for one in row.failed],
    )


async def wanted(session: AsyncSession, relays: Sequence[str]) -> dict[str, Wanted]:
    """What is planned for each of these relays."""
    rows = await session.execute(
        text(
            "SELECT relays.id, mesh.generation AS mesh_generation, mesh.digest AS mesh_digest,"
            " private.generation AS document_generation, private.digest AS document_digest"
            " FROM registry.relays"
            " LEFT JOIN registry.documents AS mesh ON mesh.kind = 'mesh' AND mesh.owner = relays.network_id"
            " LEFT JOIN registry.documents AS private ON private.kind = 'relay' AND private.owner = relays.id"
            " WHERE relays.id = ANY(:relays)"
        ),
        {"relays": list(relays)},
    )
    return {
        row.id: Wanted(
            mesh_generation=row.mesh_generation or 0,
            mesh_digest=row.mesh_digest or "",
            document_generation=row.document_generation or 0,
            document_digest=row.document_digest or "",
        )
        for row in rows
    }


async def standing(session: AsyncSession, change: ChangeRow) -> tuple[list[str], list[tuple[str, datetime]]]:
    """Of a planned change's relays: who is behind, and who has applied it, with the time.

    Without a receipt (it is forgotten, or not written yet) what a relay said last decides.
    """
    rows = await session.execute(
        text(
            "SELECT relays.id,"
            " CASE WHEN (:mesh AND shared.at IS NULL) OR (relays.id = ANY(:documents) AND private.at IS NULL) THEN NULL"
            " ELSE GREATEST(CASE WHEN :mesh THEN shared.at END,"
            "   CASE WHEN relays.id = ANY(:documents) THEN private.at END) END AS receipt,"
            " (NOT :mesh OR mesh_generation >= :number)"
            " AND (NOT relays.id = ANY(:documents) OR document_generation >= :number) AS said, status.applied_at"
            " FROM registry.relays"
            " JOIN registry.relay_status AS status ON status.relay_id = relays.id"
            " LEFT JOIN LATERAL (SELECT at FROM registry.acknowledgements AS said WHERE said.relay_id = relays.id"
            "   AND mesh >= :number ORDER BY mesh, document LIMIT 1) AS shared ON true"
            " LEFT JOIN LATERAL (SELECT at FROM registry.acknowledgements AS said WHERE said.relay_id = relays.id"
            "   AND document >= :number ORDER BY document, mesh LIMIT 1) AS private ON true"
            " WHERE revoked_at IS NULL AND (relays.id = ANY(:documents)"
            "   OR (:mesh AND network_id = :network AND relays.created_at <= :planned))"
            " ORDER BY relays.id"
        ),
        {
            "number": change.number,
            "mesh": change.mesh,
            "documents": list(change.documents),
            "network": change.network_id,
            "planned": change.planned_at,
        },
    )
    behind: list[str] = []
    applied: list[tuple[str, datetime]] = []
    for row in rows:
        at = row.receipt or (row.applied_at if row.said else None)
        if at is None:
            behind.append(row.id)
        else:
            applied.append((row.id, at))
    return behind, applied


def is_in_sync() -> ColumnElement[bool]:
    """A condition on `RelayRow` joined with `RelayStatusRow`: what was applied last is what is planned."""
    mesh, private = _DOCUMENTS.alias("mesh"), _DOCUMENTS.alias("private")
    return exists(
        select(1)
        .select_from(mesh, private)
        .where(
            mesh.c.kind == "mesh",
            mesh.c.owner == col(RelayRow.network_id),
            mesh.c.generation == col(RelayStatusRow.mesh_generation),
            mesh.c.digest == col(RelayStatusRow.mesh_digest),
            private.c.kind == "relay",
            private.c.owner == col(RelayRow.id),
            private.c.generation == col(RelayStatusRow.document_generation),
            private.c.digest == col(RelayStatusRow.document_digest),
        )
        .correlate(RelayRow, RelayStatusRow)
    )
