"""Changes and their receipts."""

from __future__ import annotations

from typing import Annotated

from altnet.common.http.schema import Model
from altnet.registry.api.schemas.common import Time
from altnet.registry.domain.behind import Reason as DomainReason
from altnet.registry.domain.behind import Why
from altnet.registry.handlers.changes import ChangeReceipt
from pydantic import Field

Seconds = Annotated[float, Field(examples=[0.21])]


class Reason(Model):
    """Why a relay is behind."""

    code: Why
    detail: str

    @classmethod
    def of(cls, reason: DomainReason) -> Reason:
        return cls(code=reason.code, detail=reason.detail)


class BehindRelay(Model):
    """A relay that has not applied a change."""

    relay: str
    name: str
    reasons: list[Reason]


class Change(Model):
    """An accepted change, and how far it has been applied."""

    number: Annotated[int, Field(json_schema_extra={"format": "int64"})]
    at: Time
    """When it was accepted."""
    actor: str
    kind: str
    """The kind of event that tells of it."""
    summary: str
    event: str | None
    network: str | None
    touched: list[str]
    """What it changed: `relay:rly_…`, `client:cli_…`."""
    planned: bool
    """Whether desired state contains it; a matter of milliseconds."""
    concerned: int
    """Relays that have to apply it."""
    applied: int
    """Relays that said, with the right digest, that they have."""
    complete: bool
    completed_at: Time | None
    p50: Seconds | None
    """Half of those who applied it had it within so many seconds of its acceptance."""
    p99: Seconds | None
    behind_count: int
    behind: list[BehindRelay]
    """At most 100 of those who have not; empty in lists."""

    @classmethod
    def of(cls, receipt: ChangeReceipt) -> Change:
        row = receipt.row
        return cls(
            number=row.number,
            at=row.at,
            actor=row.actor,
            kind=row.kind,
            summary=row.summary,
            event=row.event_id,
            network=row.network_id,
            touched=row.touched,
            planned=receipt.planned,
            concerned=receipt.concerned,
            applied=receipt.applied,
            complete=receipt.complete,
            completed_at=receipt.completed_at,
            p50=receipt.p50,
            p99=receipt.p99,
            behind_count=receipt.behind_count,
            behind=[
                BehindRelay(relay=one.relay, name=one.name, reasons=[Reason.of(why) for why in one.reasons])
                for one in receipt.behind
            ],
        )
