"""What relays have applied, written in bulk, and how far changes are, read back.

A receipt is one row for all changes that a relay has caught up with at once, until `forget_receipts`; a change's own
row keeps the summary for good.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec
from altnet.common.contracts.agent import Applied
from altnet.common.db.engine import Database
from altnet.registry.domain.receipts import Completion, Receipt

READ_AT_ONCE = 5_000
"""Receipts."""


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


@dataclass(slots=True)
class _Reached:
    """Generations of a document that a relay has reached, rising, and when."""

    generations: list[int] = field(default_factory=list)
    times: list[datetime] = field(default_factory=list)

    def add(self, generation: int, at: datetime) -> None:
        if not self.generations or generation > self.generations[-1]:
            self.generations.append(generation)
            self.times.append(at)

    def when(self, generation: int) -> datetime | None:
        place = bisect_left(self.generations, generation)
        return self.times[place] if place < len(self.times) else None


class ReceiptLog:
    """Who has reached what, and when."""

    def __init__(self) -> None:
        self._reached: dict[str, tuple[_Reached, _Reached]] = {}
        self._newest = 0

    def add(self, receipt: Receipt) -> None:
        """The next receipt, in order of time a relay."""
        mesh, document = self._reached.setdefault(receipt.relay, (_Reached(), _Reached()))
        mesh.add(receipt.mesh, receipt.at)
        document.add(receipt.document, receipt.at)
        self._newest = max(self._newest, receipt.mesh, receipt.document)

    def applied(self, change: int, concerned: Mapping[str, tuple[bool, bool]]) -> dict[str, datetime]:
        """Who of `concerned` (mesh, private document: which of the two it takes) has applied the change, and when."""
        if change > self._newest:
            return {}
        found: dict[str, datetime] = {}
        for relay, takes in concerned.items():
            reached = self._reached.get(relay)
            if reached is None:
                continue
            times = [one.when(change) for one, taken in zip(reached, takes, strict=True) if taken]
            said = [at for at in times if at is not None]
            if said and len(said) == len(times):
                found[relay] = max(said)
        return found


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
                "INSERT INTO registry.acknowledgements (relay_id, mesh, document, at)"
                " SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::timestamptz[])"
                " ON CONFLICT DO NOTHING",
                [receipt.relay for receipt in receipts],
                [receipt.mesh for receipt in receipts],
                [receipt.document for receipt in receipts],
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
    """The newest planned changes that are not complete, oldest first."""
    async with db.raw() as connection:
        rows = await connection.fetch(
            "SELECT number, at, network_id, mesh, documents FROM registry.changes"
            " WHERE planned_at IS NOT NULL AND completed_at IS NULL ORDER BY number DESC LIMIT $1",
            limit,
        )
    return [
        OpenChange(row["number"], row["at"], row["network_id"], row["mesh"], tuple(row["documents"]))
        for row in reversed(rows)
    ]


async def receipts_since(db: Database, change: int | None) -> ReceiptLog:
    """All receipts for this change or a newer one; none at all for None. Read in pieces: there may be many."""
    log = ReceiptLog()
    if change is None:
        return log
    async with db.raw() as connection, connection.transaction(readonly=True):
        async for row in connection.cursor(
            "SELECT relay_id, at, mesh, document FROM registry.acknowledgements"
            " WHERE mesh >= $1 OR document >= $1 ORDER BY at",
            change,
            prefetch=READ_AT_ONCE,
        ):
            log.add(Receipt(row["relay_id"], row["at"], row["mesh"], row["document"]))
    return log


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


async def forget_receipts(db: Database, *, before: datetime) -> int:
    """Drop what was said before then and concerns no open change. Answers how many."""
    async with db.raw() as connection:
        said = await connection.execute(
            "DELETE FROM registry.acknowledgements WHERE at < $1 AND GREATEST(mesh, document) <"
            " COALESCE((SELECT min(number) FROM registry.changes"
            "   WHERE planned_at IS NOT NULL AND completed_at IS NULL),"
            "   9223372036854775807)",
            before,
        )
    return int(said.rpartition(" ")[2])
