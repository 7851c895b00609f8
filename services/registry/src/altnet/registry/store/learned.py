"""Routes of neighbours outside: what was learned and what was refused, with the events of each difference."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import asyncpg
from altnet.common.contracts.envelope import Event
from altnet.common.contracts.peerings import LARGEST_BATCH, RouteLearned, RouteRefused, RouteWithdrawn
from altnet.common.contracts.routing import LearnedRoute, LearnedTable, RefusedRoute
from altnet.common.db.engine import Database
from altnet.common.db.uow import UnitOfWork
from altnet.registry.domain.learned import Difference, Recorded, batches, compare, severity, summary
from altnet.registry.tables import LearnedRouteRow, PeeringRow
from sqlalchemy import select
from sqlmodel import col

ACTOR = "registry"


async def digests(db: Database) -> dict[str, str]:
    """The digest of the table that is recorded of each relay that is not revoked."""
    async with db.raw() as connection:
        rows = await connection.fetch(
            "SELECT relay_id, learned_digest FROM registry.relay_status"
            " JOIN registry.relays ON relays.id = relay_id WHERE revoked_at IS NULL"
        )
    return {row["relay_id"]: row["learned_digest"] for row in rows}


async def counts(db: Database) -> tuple[int, int]:
    """How many learned and refused routes are recorded."""
    async with db.raw() as connection:
        learned = await connection.fetchval("SELECT count(*) FROM registry.learned_routes")
        refused = await connection.fetchval("SELECT count(*) FROM registry.refused_routes")
    return int(learned), int(refused)


async def record(db: Database, relay: str, table: LearnedTable) -> Difference:
    """Take over a relay's whole table: rows, events and its digest, in one transaction.

    Peerings that are being removed meanwhile are left out; their removal withdraws their routes.
    """
    async with db.transaction(actor=ACTOR) as uow:
        sql = await uow.driver()
        # Locked, so that no peering goes between here and the commit.
        rows = await sql.fetch(
            "SELECT id, network_id, name, address, asn, import_limit, families FROM registry.peerings"
            " WHERE relay_id = $1 ORDER BY id FOR KEY SHARE",
            relay,
        )
        of = {row["id"]: row for row in rows}
        limits = {row["id"]: row["import_limit"] * len(row["families"]) for row in rows}
        found = compare(await _recorded(sql, relay), table, limits)
        await _write(sql, relay, of, found, uow.now)
        for event in _events(relay, of, found):
            uow.emit(event)
        await sql.execute(
            "UPDATE registry.relay_status SET learned_digest = $2 WHERE relay_id = $1",
            relay,
            table.digest.replace("\0", ""),
        )
    return found


async def withdrawals(uow: UnitOfWork, rows: Sequence[PeeringRow]) -> list[Event]:
    """What to tell when these peerings go: their routes are gone with them."""
    events: list[Event] = []
    for row in rows:
        query = select(col(LearnedRouteRow.prefix)).where(col(LearnedRouteRow.peering_id) == row.id)
        prefixes = [str(one) for one in (await uow.session.execute(query)).scalars()]
        head: dict[str, Any] = {
            "peering": row.id,
            "name": row.name,
            "relay": row.relay_id,
            "address": row.address,
            "asn": row.asn,
        }
        events += [RouteWithdrawn(**head, prefixes=some) for some in batches(prefixes, LARGEST_BATCH)]
    return events


async def _recorded(sql: asyncpg.Connection, relay: str) -> Recorded:
    recorded = Recorded()
    for row in await sql.fetch(
        "SELECT peering_id, text(prefix) AS prefix, as_path, next_hop, communities FROM registry.learned_routes"
        " WHERE relay_id = $1",
        relay,
    ):
        recorded.learned[row["peering_id"], row["prefix"]] = LearnedRoute(
            peering=row["peering_id"],
            prefix=row["prefix"],
            as_path=tuple(row["as_path"]),
            next_hop=row["next_hop"],
            communities=tuple(row["communities"]),
        )
    for row in await sql.fetch(
        "SELECT peering_id, text(prefix) AS prefix, reason, as_path FROM registry.refused_routes WHERE relay_id = $1",
        relay,
    ):
        recorded.refused[row["peering_id"], row["prefix"], row["reason"]] = RefusedRoute(
            peering=row["peering_id"], prefix=row["prefix"], reason=row["reason"], as_path=tuple(row["as_path"])
        )
    return recorded


async def _write(sql: asyncpg.Connection, relay: str, of: dict[str, Any], found: Difference, now: Any) -> None:
    if found.withdrawn:
        await sql.execute(
            "DELETE FROM registry.learned_routes USING unnest($1::text[], $2::text[]) AS gone (peering, prefix)"
            " WHERE peering_id = gone.peering AND learned_routes.prefix = gone.prefix::cidr",
            *_columns(found.withdrawn),
        )
    if found.forgiven:
        await sql.execute(
            "DELETE FROM registry.refused_routes"
            " USING unnest($1::text[], $2::text[], $3::text[]) AS gone (peering, prefix, reason)"
            " WHERE peering_id = gone.peering AND refused_routes.prefix = gone.prefix::cidr"
            " AND refused_routes.reason = gone.reason",
            *_columns(found.forgiven),
        )
    # Paths and communities differ in length, which unnest would flatten: hence row by row, in one round trip.
    await sql.executemany(
        "INSERT INTO registry.learned_routes"
        " (network_id, relay_id, peering_id, prefix, as_path, next_hop, communities, since)"
        " VALUES ($1, $2, $3, $4::text::cidr, $5, $6, $7, $8)"
        " ON CONFLICT (peering_id, prefix) DO UPDATE SET as_path = excluded.as_path, next_hop = excluded.next_hop,"
        " communities = excluded.communities, since = excluded.since",
        [
            (
                *(of[route.peering]["network_id"], relay, route.peering, route.prefix, list(route.as_path)),
                *(route.next_hop, list(route.communities), now),
            )
            for route in found.learned
        ],
    )
    await sql.executemany(
        "INSERT INTO registry.refused_routes (network_id, relay_id, peering_id, prefix, reason, as_path, since)"
        " VALUES ($1, $2, $3, $4::text::cidr, $5, $6, $7) ON CONFLICT DO NOTHING",
        [
            (of[one.peering]["network_id"], relay, one.peering, one.prefix, one.reason, list(one.as_path), now)
            for one in found.refused
        ],
    )


def _events(relay: str, of: dict[str, Any], found: Difference) -> Iterable[Event]:
    def head(peering: str) -> dict[str, Any]:
        row = of[peering]
        return {"peering": peering, "name": row["name"], "relay": relay, "address": row["address"], "asn": row["asn"]}

    learned: defaultdict[str, list[LearnedRoute]] = defaultdict(list)
    for route in found.learned:
        learned[route.peering].append(route)
    withdrawn: defaultdict[str, list[str]] = defaultdict(list)
    for peering, prefix in found.withdrawn:
        withdrawn[peering].append(prefix)
    refused: defaultdict[tuple[str, str], list[RefusedRoute]] = defaultdict(list)
    for one in found.refused:
        refused[one.peering, one.reason].append(one)
    for peering, prefixes in withdrawn.items():
        if peering in of:
            for some in batches(prefixes, LARGEST_BATCH):
                yield RouteWithdrawn(**head(peering), prefixes=some)
    for peering, routes in learned.items():
        for batch in batches(routes, LARGEST_BATCH):
            yield RouteLearned(**head(peering), routes=batch)
    for (peering, reason), ones in refused.items():
        for those in batches(ones, LARGEST_BATCH):
            yield RouteRefused(
                **head(peering), reason=reason, severity=severity(reason), summary=summary(reason), routes=those
            )


def _columns(rows: Sequence[tuple[str, ...]]) -> list[list[str]]:
    return [list(column) for column in zip(*rows, strict=True)]
