"""How relays are, written in bulk: heartbeats every few seconds, transitions when they happen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
from altnet.common.contracts.agent import Heartbeat
from altnet.common.db.engine import Database
from altnet.common.db.uow import UnitOfWork
from altnet.registry.domain.liveness import Health
from sqlalchemy import text


@dataclass(frozen=True, slots=True)
class Beat:
    """A relay's last heartbeat and when it was heard."""

    relay: str
    at: datetime
    heartbeat: Heartbeat


@dataclass(frozen=True, slots=True)
class Standing:
    """A relay's stored health."""

    relay: str
    health: Health
    last_seen: datetime | None


async def write_beats(db: Database, beats: Sequence[Beat]) -> None:
    """One statement for all; relays that are gone are left out."""
    async with db.raw() as connection:
        await connection.execute(
            "UPDATE registry.relay_status SET last_seen = told.at, boot = told.boot, note = told.note,"
            " load = told.load, memory_used = told.memory_used, versions = told.versions"
            " FROM unnest($1::text[], $2::timestamptz[], $3::text[], $4::text[], $5::float8[], $6::float8[],"
            "   $7::jsonb[]) AS told (relay_id, at, boot, note, load, memory_used, versions)"
            " WHERE relay_status.relay_id = told.relay_id",
            [beat.relay for beat in beats],
            [beat.at for beat in beats],
            [beat.heartbeat.boot for beat in beats],
            ["" if beat.heartbeat.health == "ok" else beat.heartbeat.health for beat in beats],
            [beat.heartbeat.host.load for beat in beats],
            [beat.heartbeat.host.memory_used for beat in beats],
            [msgspec.json.encode(beat.heartbeat.versions).decode() for beat in beats],
        )


async def write_health(uow: UnitOfWork, relays: Sequence[tuple[str, Health]]) -> None:
    """New health of some relays, since now."""
    await uow.connection.execute(
        text(
            "UPDATE registry.relay_status SET health = told.health, health_since = :now"
            " FROM unnest(CAST(:relays AS text[]), CAST(:healths AS text[])) AS told (relay_id, health)"
            " WHERE relay_status.relay_id = told.relay_id"
        ),
        {"now": uow.now, "relays": [relay for relay, _ in relays], "healths": [str(health) for _, health in relays]},
    )


async def standings(db: Database) -> list[Standing]:
    """The stored health of every relay that is not revoked."""
    async with db.raw() as connection:
        rows = await connection.fetch(
            "SELECT relay_id, health, last_seen FROM registry.relay_status"
            " JOIN registry.relays ON relays.id = relay_id WHERE revoked_at IS NULL"
        )
    return [Standing(row["relay_id"], Health(row["health"]), row["last_seen"]) for row in rows]
