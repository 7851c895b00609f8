"""How far a change has come: from the leader's memory where it is open there, else from Postgres."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from altnet.common.errors import NotFound
from altnet.registry.domain.behind import Reason, Why, reasons
from altnet.registry.domain.receipts import Progress, percentile
from altnet.registry.jobs.convergence import Convergence
from altnet.registry.store import changes, relays, sync
from altnet.registry.tables import ChangeRow
from sqlalchemy.ext.asyncio import AsyncSession

ARRIVING = Reason(Why.ON_ITS_WAY, "has just said so")

MOST_NAMED = 100
"""Relays that a receipt names as behind; the count is of all."""


@dataclass(frozen=True, kw_only=True)
class Straggler:
    relay: str
    name: str
    reasons: Sequence[Reason]


@dataclass(frozen=True, kw_only=True)
class ChangeReceipt:
    """A change and who has applied it. `planned` is false in the moment between the two."""

    row: ChangeRow
    planned: bool
    concerned: int
    applied: int
    complete: bool
    completed_at: datetime | None
    p50: float | None
    p99: float | None
    behind_count: int
    behind: Sequence[Straggler]


async def receipt_of(
    session: AsyncSession, convergence: Convergence, number: int, *, name_behind: bool = True
) -> ChangeReceipt:
    """As `receipt`. Raises `NotFound` (`no_such_change`)."""
    row = await changes.find(session, number)
    if row is None:
        raise NotFound("no_such_change", "there is no change of this number.", field="/number")
    return await receipt(session, convergence, row, name_behind=name_behind)


async def receipt(
    session: AsyncSession, convergence: Convergence, row: ChangeRow, *, name_behind: bool = True
) -> ChangeReceipt:
    """The receipt of a change. Without `name_behind` only counts, as lists show."""
    if row.completed_at is not None:
        return _summary(row)
    progress = convergence.progress(row.number)
    if progress is None and row.planned_at is not None:
        progress = await _stored(session, row)
    if progress is None:
        return ChangeReceipt(
            row=row, planned=False, concerned=0, applied=0, complete=False, completed_at=None, p50=None, p99=None,
            behind_count=0, behind=(),
        )  # fmt: skip
    behind = await stragglers(session, progress.behind[:MOST_NAMED]) if name_behind else ()
    return ChangeReceipt(
        row=row,
        planned=True,
        concerned=progress.concerned,
        applied=progress.applied,
        complete=progress.complete,
        completed_at=None,
        p50=progress.p50,
        p99=progress.p99,
        behind_count=len(progress.behind),
        behind=behind,
    )


async def stragglers(session: AsyncSession, ids: Sequence[str]) -> list[Straggler]:
    """These relays, with the reasons why they are behind."""
    status = await relays.status(session, ids)
    planned = await sync.wanted(session, ids)
    rows = {row.id: row for row in await relays.many(session, ids)}
    return [
        Straggler(
            relay=relay,
            name=rows[relay].name,
            reasons=reasons(sync.report_of(status[relay]), planned[relay]) or [ARRIVING],
        )
        for relay in ids
        if relay in rows and relay in status
    ]


async def _stored(session: AsyncSession, row: ChangeRow) -> Progress:
    behind, applied = await sync.standing(session, row)
    delays = sorted(max(0.0, (at - row.at).total_seconds()) for _, at in applied)
    return Progress(
        change=row.number,
        concerned=len(behind) + len(applied),
        applied=len(applied),
        complete=not behind,
        p50=percentile(delays, 0.5) if delays else None,
        p99=percentile(delays, 0.99) if delays else None,
        behind=tuple(behind),
    )


def _summary(row: ChangeRow) -> ChangeReceipt:
    return ChangeReceipt(
        row=row,
        planned=True,
        concerned=row.concerned,
        applied=row.applied or 0,
        complete=True,
        completed_at=row.completed_at,
        p50=row.p50,
        p99=row.p99,
        behind_count=0,
        behind=(),
    )
