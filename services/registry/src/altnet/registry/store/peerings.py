"""Peerings: rows, and what they stand for in a relay's document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from altnet.common.contracts.routing import Family, Peering, PrefixRule
from altnet.common.db.uow import UnitOfWork
from altnet.common.errors import NotFound
from altnet.common.net import Prefix
from altnet.registry.tables import PeeringRow, PeeringStatusRow, SitePrefixRow, SiteRelayRow, SiteRow
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

PLAIN = (
    "name",
    "address",
    "interface",
    "source",
    "asn",
    "local_asn",
    "import_limit",
    "export_limit",
    "bfd",
    "multihop",
    "ttl_security",
    "passive",
    "hold_time",
    "restart_time",
    "preference",
    "enabled",
)
"""Columns that are a field of the contract as they are."""


def of_row(row: PeeringRow | Mapping[str, Any]) -> Peering:
    """The contract that a row stands for, with its sealed password. Takes rows of either driver."""
    found: Any = row if isinstance(row, Mapping) else vars(row)
    return Peering(
        id=found["id"],
        families=tuple(Family(one) for one in found["families"]),
        imports=_rules(found["imports"]),
        exports=_rules(found["exports"]),
        password=found["password"],
        **{name: found[name] for name in PLAIN},
    )


def put(row: PeeringRow, peering: Peering) -> None:
    """Take over everything of the contract but its password."""
    for name in PLAIN:
        if getattr(row, name) != getattr(peering, name):
            setattr(row, name, getattr(peering, name))
    row.families = [str(one) for one in peering.families]
    row.imports = list(msgspec.to_builtins(peering.imports))
    row.exports = list(msgspec.to_builtins(peering.exports))


async def find(session: AsyncSession, peering: str, *, lock: bool = False) -> PeeringRow:
    """By identifier. Raises `NotFound` (`no_such_peering`)."""
    query = select(PeeringRow).where(col(PeeringRow.id) == peering)
    row = (await session.execute(query.with_for_update() if lock else query)).scalars().first()
    if row is None:
        raise NotFound("no_such_peering", "there is no such peering.", mend="See GET /v1/peerings.")
    return row


async def of_relay(session: AsyncSession, relay: str, *, lock: bool = False) -> Sequence[PeeringRow]:
    """By identifier."""
    query = select(PeeringRow).where(col(PeeringRow.relay_id) == relay).order_by(col(PeeringRow.id))
    return (await session.execute(query.with_for_update() if lock else query)).scalars().all()


async def of_network(session: AsyncSession, network: str) -> Sequence[PeeringRow]:
    """By identifier."""
    query = select(PeeringRow).where(col(PeeringRow.network_id) == network).order_by(col(PeeringRow.id))
    return (await session.execute(query)).scalars().all()


async def count_of_relay(session: AsyncSession, relay: str) -> int:
    query = select(func.count()).select_from(PeeringRow).where(col(PeeringRow.relay_id) == relay)
    return int((await session.execute(query)).scalar_one())


async def statuses(session: AsyncSession, ids: Sequence[str]) -> dict[str, PeeringStatusRow]:
    """The judged standing of these peerings, as far as there is one."""
    found = await session.execute(select(PeeringStatusRow).where(col(PeeringStatusRow.peering_id).in_(ids)))
    return {row.peering_id: row for row in found.scalars()}


async def foreign_sites(session: AsyncSession, network: str, relay: str) -> dict[str, tuple[Prefix, ...]]:
    """The prefixes of every site of the network that `relay` does not announce, by the site's name."""
    mine = select(col(SiteRelayRow.site_id)).where(col(SiteRelayRow.relay_id) == relay)
    query = (
        select(col(SiteRow.name), col(SitePrefixRow.prefix))
        .join(SitePrefixRow, col(SitePrefixRow.site_id) == col(SiteRow.id))
        .where(col(SiteRow.network_id) == network, col(SiteRow.id).not_in(mine))
        .order_by(col(SiteRow.name), col(SitePrefixRow.prefix))
    )
    found: dict[str, tuple[Prefix, ...]] = {}
    for name, prefix in (await session.execute(query)).all():
        found[name] = (*found.get(name, ()), prefix)
    return found


async def hold_prefixes(uow: UnitOfWork, network: str) -> None:
    """Until the end of the unit of work nobody else changes a site's prefixes or a peering's imports of the network:
    each is checked against the other, and two that are written at once would not see each other."""
    await uow.connection.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended('registry prefixes ' || :network, 0))"),
        {"network": network},
    )


def _rules(stored: Any) -> tuple[PrefixRule, ...]:
    if isinstance(stored, str):  # asyncpg leaves JSON as it is
        return msgspec.json.decode(stored, type=tuple[PrefixRule, ...])
    return msgspec.convert(stored, tuple[PrefixRule, ...])
