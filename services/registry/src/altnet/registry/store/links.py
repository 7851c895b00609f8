"""Chosen links and measured latencies, written in bulk by the leader."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from altnet.common.db.engine import Database
from altnet.common.db.uow import UnitOfWork
from altnet.registry.domain.latency import Pair
from altnet.registry.domain.linkindex import link_id
from altnet.registry.domain.links import LinkKind
from altnet.registry.tables import LatencyRow, LinkRow, RelayRow
from sqlalchemy import Select, and_, func, literal, not_, or_, select, text, union_all
from sqlmodel import col


async def write_links(uow: UnitOfWork, *, network: str, removed: Iterable[Pair], put: Mapping[Pair, LinkKind]) -> None:
    """Remove some links and put others, new or of another kind."""
    await uow.connection.execute(
        text("DELETE FROM registry.links WHERE id = ANY(:ids)"), {"ids": [link_id(pair) for pair in removed]}
    )
    await uow.connection.execute(
        text(
            "INSERT INTO registry.links (id, network_id, one, other, kind, chosen_at)"
            " SELECT told.id, :network, told.one, told.other, told.kind, :now"
            " FROM unnest(CAST(:ids AS text[]), CAST(:ones AS text[]), CAST(:others AS text[]), CAST(:kinds AS text[]))"
            " AS told (id, one, other, kind)"
            " ON CONFLICT (id) DO UPDATE SET kind = excluded.kind, chosen_at = excluded.chosen_at"
        ),
        {
            "network": network,
            "now": uow.now,
            "ids": [link_id(pair) for pair in put],
            "ones": [one for one, _ in put],
            "others": [other for _, other in put],
            "kinds": [str(kind) for kind in put.values()],
        },
    )


async def load_latencies(db: Database) -> dict[Pair, float]:
    """Milliseconds by pair, of relays that are not revoked."""
    async with db.raw() as connection:
        rows = await connection.fetch(
            "SELECT latencies.one, latencies.other, milliseconds FROM registry.latencies"
            " JOIN registry.relays AS first ON first.id = latencies.one AND first.revoked_at IS NULL"
            " JOIN registry.relays AS second ON second.id = latencies.other AND second.revoked_at IS NULL"
        )
    return {(row["one"], row["other"]): row["milliseconds"] for row in rows}


async def write_latencies(db: Database, latencies: Mapping[Pair, float], *, at: datetime) -> None:
    """One statement for all; pairs with a relay that we do not know are left out."""
    async with db.raw() as connection:
        await connection.execute(
            "INSERT INTO registry.latencies (one, other, milliseconds, measured_at)"
            " SELECT told.one, told.other, told.milliseconds, $4"
            " FROM unnest($1::text[], $2::text[], $3::float8[]) AS told (one, other, milliseconds)"
            " WHERE EXISTS (SELECT FROM registry.relays WHERE id = told.one)"
            " AND EXISTS (SELECT FROM registry.relays WHERE id = told.other)"
            " ON CONFLICT (one, other) DO UPDATE"
            " SET milliseconds = excluded.milliseconds, measured_at = excluded.measured_at",
            [one for one, _ in latencies],
            [other for _, other in latencies],
            list(latencies.values()),
            at,
        )


async def forget_latencies(db: Database, *, before: datetime) -> list[Pair]:
    """Drop the latencies of relays that were revoked, and those from before then of pairs that have no link now.

    Answers the pairs. In a full mesh every pair has a link.
    """
    async with db.raw() as connection:
        rows = await connection.fetch(
            "DELETE FROM registry.latencies USING registry.relays AS first, registry.relays AS second"
            " WHERE first.id = latencies.one AND second.id = latencies.other"
            " AND (first.revoked_at IS NOT NULL OR second.revoked_at IS NOT NULL OR (measured_at < $1"
            "   AND EXISTS (SELECT FROM registry.links WHERE links.network_id = first.network_id)"
            "   AND NOT EXISTS (SELECT FROM registry.links WHERE links.id = latencies.one || '.' || latencies.other)))"
            " RETURNING latencies.one, latencies.other",
            before,
        )
    return [(row["one"], row["other"]) for row in rows]


def existing_links(
    *, full_mesh_up_to: int, network: str | None = None, relay: str | None = None, kind: LinkKind | None = None
) -> Select[Any]:
    """The links that exist: the chosen ones, and where none are chosen every pair of a full mesh.

    Columns: id, network_id, one, other, kind, chosen_at (null in a full mesh), milliseconds, measured_at (null where
    nobody measured).
    """
    members = select(RelayRow).where(col(RelayRow.revoked_at).is_(None)).subquery("members")
    first, second = members.alias("first"), members.alias("second")
    chosen_in = select(col(LinkRow.network_id)).distinct()
    small = select(members.c.network_id).group_by(members.c.network_id).having(func.count() <= literal(full_mesh_up_to))
    meshed = select(
        (first.c.id + "." + second.c.id).label("id"),
        first.c.network_id,
        first.c.id.label("one"),
        second.c.id.label("other"),
        literal(LinkKind.MESH.value).label("kind"),
        literal(None, type_=LinkRow.__table__.c.chosen_at.type).label("chosen_at"),  # type: ignore[attr-defined]
    ).where(
        first.c.network_id == second.c.network_id,
        first.c.id < second.c.id,
        first.c.network_id.in_(small),
        not_(first.c.network_id.in_(chosen_in)),
    )
    chosen = select(
        col(LinkRow.id),
        col(LinkRow.network_id),
        col(LinkRow.one),
        col(LinkRow.other),
        col(LinkRow.kind),
        col(LinkRow.chosen_at),
    ).where(col(LinkRow.one).in_(select(members.c.id)), col(LinkRow.other).in_(select(members.c.id)))
    every = union_all(chosen, meshed).subquery("every")
    query = select(
        every.c.id,
        every.c.network_id,
        every.c.one,
        every.c.other,
        every.c.kind,
        every.c.chosen_at,
        col(LatencyRow.milliseconds),
        col(LatencyRow.measured_at),
    ).outerjoin(LatencyRow, and_(col(LatencyRow.one) == every.c.one, col(LatencyRow.other) == every.c.other))
    if network is not None:
        query = query.where(every.c.network_id == network)
    if relay is not None:
        query = query.where(or_(every.c.one == relay, every.c.other == relay))
    if kind is not None:
        query = query.where(every.c.kind == kind.value)
    return query
