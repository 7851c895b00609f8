"""What relays have applied, written in bulk, and how far changes are, read back.

A receipt is one row a change and relay until `forget_receipts`; the change's own row keeps the summary for good.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
from altnet.common.contracts.agent import Applied
from altnet.common.db.engine import Database
from altnet.registry.domain.receipts import Completion, Receipt


@dataclass(frozen=True, slots=True)
class AppliedReport:
    """What a relay said last, and when we heard it."""

    relay: str
    at: datetime
    applied: Applied


@dataclass(frozen=True, slots=True)
class OpenChange:
    """A planned change that somebody concerned has not applied."""

    number: int
    at: datetime
    network: str | None
    mesh: bool
    documents: tuple[str, ...]
    receipts: dict[str, datetime]


async def write(
    db: Database,
    *,
    receipts: Sequence[Receipt],
    completions: Sequence[Completion],
    reports: Sequence[AppliedReport],
) -> None:
    """All of it in one transaction; a receipt or report of a relay that is gone is left out."""
    async with db.raw() as connection, connection.transaction():
        if receipts:
            await connection.execute(
                "INSERT INTO registry.receipts (change, relay_id, applied_at)"
                " SELECT * FROM unnest($1::bigint[], $2::text[], $3::timestamptz[]) ON CONFLICT DO NOTHING",
                [receipt.change for receipt in receipts],
                [receipt.relay for receipt in receipts],
                [receipt.at for receipt in receipts],
            )
        if completions:
            await connection.execute(
                "UPDATE registry.changes SET completed_at = told.at, applied = told.applied, concerned = told.applied,"
                " p50 = told.p50, p99 = told.p99"
                " FROM unnest($1::bigint[], $2::timestamptz[], $3::integer[], $4::float8[], $5::float8[])"
                " AS told (number, at, applied, p50, p99) WHERE changes.number = told.number",
                [completion.change for completion in completions],
                [completion.at for completion in completions],
                [completion.applied for completion in completions],
                [completion.p50 for completion in completions],
                [completion.p99 for completion in completions],
            )
        if reports:
            await connection.execute(
                "UPDATE registry.relay_status SET applied_at = told.at,"
                " mesh_generation = told.mesh_generation, mesh_digest = told.mesh_digest,"
                " document_generation = told.document_generation, document_digest = told.document_digest,"
                " failed = told.failed, failed_count = told.failed_count"
                " FROM unnest($1::text[], $2::timestamptz[], $3::bigint[], $4::text[], $5::bigint[], $6::text[],"
                "   $7::jsonb[], $8::integer[]) AS told (relay_id, at, mesh_generation, mesh_digest,"
                "   document_generation, document_digest, failed, failed_count)"
                " WHERE relay_status.relay_id = told.relay_id",
                [report.relay for report in reports],
                [report.at for report in reports],
                [report.applied.mesh_generation for report in reports],
                [report.applied.mesh_digest for report in reports],
                [report.applied.document_generation for report in reports],
                [report.applied.document_digest for report in reports],
                [msgspec.json.encode(report.applied.failed).decode() for report in reports],
                [report.applied.failed_count for report in reports],
            )


async def open_changes(db: Database, *, limit: int) -> list[OpenChange]:
    """The newest planned changes that are not complete, oldest first, with the receipts that they have."""
    async with db.raw() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        rows = await connection.fetch(
            "SELECT number, at, network_id, mesh, documents FROM registry.changes"
            " WHERE planned_at IS NOT NULL AND completed_at IS NULL ORDER BY number DESC LIMIT $1",
            limit,
        )
        found = {
            row["number"]: OpenChange(
                row["number"], row["at"], row["network_id"], row["mesh"], tuple(row["documents"]), {}
            )
            for row in reversed(rows)
        }
        receipts = await connection.fetch(
            "SELECT change, relay_id, applied_at FROM registry.receipts WHERE change = ANY($1)", list(found)
        )
    for row in receipts:
        found[row["change"]].receipts[row["relay_id"]] = row["applied_at"]
    return list(found.values())


async def last_reports(db: Database) -> list[AppliedReport]:
    """What every relay said last, as far as it was written."""
    async with db.raw() as connection:
        rows = await connection.fetch(
            "SELECT relay_id, applied_at, mesh_generation, mesh_digest, document_generation, document_digest"
            " FROM registry.relay_status WHERE applied_at IS NOT NULL"
        )
    return [
        AppliedReport(
            row["relay_id"],
            row["applied_at"],
            Applied(
                mesh_generation=row["mesh_generation"],
                mesh_digest=row["mesh_digest"],
                document_generation=row["document_generation"],
                document_digest=row["document_digest"],
            ),
        )
        for row in rows
    ]


async def receipts_of(db: Database, change: int) -> dict[str, datetime]:
    """Who has applied the change, and when."""
    async with db.raw() as connection:
        rows = await connection.fetch("SELECT relay_id, applied_at FROM registry.receipts WHERE change = $1", change)
    return {row["relay_id"]: row["applied_at"] for row in rows}


async def forget_receipts(db: Database, *, before: datetime) -> int:
    """Drop the receipts of changes that completed before then; their summaries stay. Answers how many."""
    async with db.raw() as connection:
        said = await connection.execute(
            "DELETE FROM registry.receipts USING registry.changes"
            " WHERE changes.number = receipts.change AND changes.completed_at < $1",
            before,
        )
    return int(said.rpartition(" ")[2])
