"""Sites: named prefixes behind relays. Prefixes and relays of a site are replaced as a whole."""

from __future__ import annotations

from collections.abc import Sequence

from altnet.common.db.uow import UnitOfWork
from altnet.common.errors import NotFound
from altnet.common.net import Prefix
from altnet.registry.tables import NetworkRow, SitePrefixRow, SiteRelayRow, SiteRow
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col


async def find(session: AsyncSession, site: str, *, lock: bool = False) -> SiteRow:
    """By identifier. Raises `NotFound` (`no_such_site`)."""
    query = select(SiteRow).where(col(SiteRow.id) == site)
    row = (await session.execute(query.with_for_update() if lock else query)).scalars().first()
    if row is None:
        raise NotFound("no_such_site", "there is no such site.", mend="See GET /v1/sites.")
    return row


async def prefixes(session: AsyncSession, sites: Sequence[str]) -> dict[str, list[Prefix]]:
    """The prefixes of each site, in order."""
    query = select(SitePrefixRow).where(col(SitePrefixRow.site_id).in_(sites)).order_by(col(SitePrefixRow.prefix))
    found: dict[str, list[Prefix]] = {site: [] for site in sites}
    for row in (await session.execute(query)).scalars():
        found[row.site_id].append(row.prefix)
    return found


async def relays(session: AsyncSession, sites: Sequence[str]) -> dict[str, list[str]]:
    """The relays of each site, in order."""
    query = select(SiteRelayRow).where(col(SiteRelayRow.site_id).in_(sites)).order_by(col(SiteRelayRow.relay_id))
    found: dict[str, list[str]] = {site: [] for site in sites}
    for row in (await session.execute(query)).scalars():
        found[row.site_id].append(row.relay_id)
    return found


async def of_relay(session: AsyncSession, relay: str) -> Sequence[SiteRow]:
    """Locked, by identifier."""
    mine = select(col(SiteRelayRow.site_id)).where(col(SiteRelayRow.relay_id) == relay)
    query = select(SiteRow).where(col(SiteRow.id).in_(mine)).order_by(col(SiteRow.id)).with_for_update()
    return (await session.execute(query)).scalars().all()


async def of_network(session: AsyncSession, network: str) -> list[Prefix]:
    """Every prefix of every site that a relay announces."""
    announced = select(col(SiteRelayRow.site_id))
    query = select(col(SitePrefixRow.prefix)).where(
        col(SitePrefixRow.network_id) == network, col(SitePrefixRow.site_id).in_(announced)
    )
    return list((await session.execute(query)).scalars())


async def set_prefixes(uow: UnitOfWork, site: SiteRow, network: NetworkRow, wanted: Sequence[Prefix]) -> None:
    await uow.session.execute(delete(SitePrefixRow).where(col(SitePrefixRow.site_id) == site.id))
    uow.session.add_all(
        SitePrefixRow(site_id=site.id, prefix=prefix, network_id=network.id, network_prefix=network.prefix)
        for prefix in wanted
    )
    await uow.session.flush()


async def set_relays(uow: UnitOfWork, site: str, wanted: Sequence[str]) -> None:
    await uow.session.execute(delete(SiteRelayRow).where(col(SiteRelayRow.site_id) == site))
    uow.session.add_all(SiteRelayRow(site_id=site, relay_id=relay) for relay in wanted)
    await uow.session.flush()


async def withdraw_relay(uow: UnitOfWork, relay: str) -> None:
    """The relay announces no site any more."""
    await uow.session.execute(delete(SiteRelayRow).where(col(SiteRelayRow.relay_id) == relay))
