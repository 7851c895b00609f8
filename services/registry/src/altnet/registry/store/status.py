"""How relays are, written in bulk: heartbeats every few seconds, transitions when they happen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from altnet.common.contracts.agent import Heartbeat
from altnet.common.contracts.routing import RoutingStatus
from altnet.common.db.engine import Database
from altnet.common.db.uow import UnitOfWork
from altnet.registry.domain.liveness import Health
from altnet.registry.domain.sessions import Standing as SessionStanding
from altnet.registry.tables import RelayStatusRow
from sqlalchemy import text


@dataclass(frozen=True, slots=True)
class Beat:
    """A relay's last heartbeat and when it was heard."""

    relay: str
    at: datetime
    heartbeat: Heartbeat


@dataclass(frozen=True, slots=True)
class RoutingSaid:
    """What a relay said of its routing, and when."""

    at: datetime
    said: RoutingStatus


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
            [_plain(beat.heartbeat.boot) for beat in beats],
            ["" if beat.heartbeat.health == "ok" else _plain(beat.heartbeat.health) for beat in beats],
            [beat.heartbeat.host.load for beat in beats],
            [beat.heartbeat.host.memory_used for beat in beats],
            [_json(beat.heartbeat.versions) for beat in beats],
        )


async def write_routing(db: Database, beats: Sequence[Beat]) -> None:
    """What these relays said of their routing, in one statement; for those whose word has changed."""
    async with db.raw() as connection:
        await connection.execute(
            "UPDATE registry.relay_status SET routing = told.routing"
            " FROM unnest($1::text[], $2::jsonb[]) AS told (relay_id, routing)"
            " WHERE relay_status.relay_id = told.relay_id",
            [beat.relay for beat in beats],
            [_json({"at": beat.at, "said": beat.heartbeat.routing}) for beat in beats],
        )


def routing_of(stored: RelayStatusRow | None, last: Beat | None) -> RoutingSaid | None:
    """What a relay last said of its routing: from the last heartbeat that this replica heard, else what is stored."""
    if last is not None and last.heartbeat.routing is not None:
        return RoutingSaid(last.at, last.heartbeat.routing)
    if stored is None or stored.routing is None:
        return None
    return msgspec.convert(stored.routing, _StoredRouting).as_said()


class _StoredRouting(msgspec.Struct):
    at: datetime
    said: RoutingStatus

    def as_said(self) -> RoutingSaid:
        return RoutingSaid(self.at, self.said)


async def session_standings(db: Database) -> dict[str, SessionStanding]:
    """The judged standing of every peering's session that has one."""
    async with db.raw() as connection:
        rows = await connection.fetch("SELECT peering_id, standing FROM registry.peering_status")
    return {row["peering_id"]: SessionStanding(row["standing"]) for row in rows}


async def write_session_standings(uow: UnitOfWork, standings: Sequence[tuple[str, SessionStanding]]) -> None:
    """New standing of some peerings' sessions, since now; peerings that are gone are left out."""
    await uow.connection.execute(
        text(
            "INSERT INTO registry.peering_status (peering_id, standing, since)"
            " SELECT peerings.id, told.standing, :now"
            " FROM unnest(CAST(:peerings AS text[]), CAST(:standings AS text[])) AS told (peering_id, standing)"
            " JOIN registry.peerings ON peerings.id = told.peering_id ORDER BY peerings.id"
            " ON CONFLICT (peering_id) DO UPDATE SET standing = excluded.standing, since = excluded.since"
        ),
        {
            "now": uow.now,
            "peerings": [peering for peering, _ in standings],
            "standings": [str(standing) for _, standing in standings],
        },
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


def _plain(text: str) -> str:
    """Postgres takes no NUL, and what a relay says must not stop what others said from being written."""
    return text.replace("\0", "")


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode().replace("\\u0000", "")
