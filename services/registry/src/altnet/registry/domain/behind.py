"""Why a relay has not applied something, in words and in codes that programs may match on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from altnet.registry.domain.liveness import Health


class Why(StrEnum):
    """The reasons, from outside to inside."""

    NEVER_HEARD = "never_heard"
    DOWN = "down"
    LATE = "late"
    NOTHING_APPLIED = "nothing_applied"
    OLDER_GENERATION = "older_generation"
    DIGEST_DIFFERS = "digest_differs"
    OBJECTS_FAILED = "objects_failed"
    ON_ITS_WAY = "on_its_way"


@dataclass(frozen=True)
class Reason:
    code: Why
    detail: str


@dataclass(frozen=True, kw_only=True)
class Report:
    """What is known of a relay: its health, and what it said it has applied."""

    health: Health
    health_since: datetime
    last_seen: datetime | None
    note: str = ""
    mesh_generation: int = 0
    mesh_digest: str = ""
    document_generation: int = 0
    document_digest: str = ""
    failed_count: int = 0
    failed: Sequence[tuple[str, str]] = ()
    """Object and reason."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What it should have applied."""

    mesh_generation: int = 0
    mesh_digest: str = ""
    document_generation: int = 0
    document_digest: str = ""


def in_sync(report: Report, wanted: Wanted) -> bool:
    """Whether the relay has applied exactly what is planned."""
    return (report.mesh_generation, report.mesh_digest, report.document_generation, report.document_digest) == (
        wanted.mesh_generation,
        wanted.mesh_digest,
        wanted.document_generation,
        wanted.document_digest,
    )


def reasons(report: Report, wanted: Wanted) -> list[Reason]:
    """Why the relay is not in sync; empty if it is."""
    if in_sync(report, wanted):
        return []
    found: list[Reason] = []
    seen = f"last heard {report.last_seen:%Y-%m-%dT%H:%M:%SZ}" if report.last_seen else "never heard"
    if report.health is Health.NEW:
        found.append(Reason(Why.NEVER_HEARD, "no heartbeat yet"))
    elif report.health is Health.DOWN:
        found.append(Reason(Why.DOWN, f"down since {report.health_since:%Y-%m-%dT%H:%M:%SZ}, {seen}"))
    elif report.health is Health.LATE:
        found.append(Reason(Why.LATE, f"heartbeats missing, {seen}"))
    if report.note:
        found.append(Reason(Why.OBJECTS_FAILED, f"it says: {report.note}"))
    if not report.mesh_generation and not report.document_generation:
        found.append(Reason(Why.NOTHING_APPLIED, "has not said that it applied anything"))
    else:
        for what, has, digest, needs, planned in (
            ("mesh", report.mesh_generation, report.mesh_digest, wanted.mesh_generation, wanted.mesh_digest),
            (
                "its document",
                report.document_generation,
                report.document_digest,
                wanted.document_generation,
                wanted.document_digest,
            ),
        ):
            if has < needs:
                found.append(Reason(Why.OLDER_GENERATION, f"has {what} at generation {has}, {needs} is planned"))
            elif has == needs and digest != planned:
                found.append(Reason(Why.DIGEST_DIFFERS, f"holds something else for {what} at generation {has}"))
    if report.failed_count:
        named = "; ".join(f"{name}: {why}" for name, why in report.failed[:5])
        found.append(Reason(Why.OBJECTS_FAILED, f"{report.failed_count} objects failed: {named}"))
    return found or [Reason(Why.ON_ITS_WAY, "nothing is known to be wrong")]
