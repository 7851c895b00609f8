"""Where something of a network is: the relay behind a name, an identifier or an address."""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address

from altnet.common.errors import NotFound
from altnet.common.net import AddressPlan
from altnet.registry.tables import (
    ClientRow,
    NameRow,
    NetworkRow,
    RelayRow,
    ServiceRow,
    SitePrefixRow,
    SiteRelayRow,
    SiteRow,
)
from sqlalchemy import func, literal, select
from sqlalchemy.dialects.postgresql import INET
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, kw_only=True)
class Place:
    """Something that packets come from or go to."""

    kind: str
    """`relay`, `client`, `service`, `site`, `nobody` (ours, and nobody has it) or `outside`."""
    id: str
    name: str
    address: Address
    relay: str | None
    """Where it is attached; None: nowhere, or not known here."""


async def by_name(session: AsyncSession, text: str, network: str) -> Place:
    """By identifier, or by name within the network. Raises `NotFound` (`no_such_place`)."""
    identifier = text
    if "_" not in text:
        named = await session.get(NameRow, (network, text))
        if named is None:
            raise _nothing(text)
        identifier = named.owner
    relay = await session.get(RelayRow, identifier)
    if relay is not None and relay.revoked_at is None:
        return await _relay(session, relay)
    client = await session.get(ClientRow, identifier)
    if client is not None:
        return await _client(session, client)
    service = await session.get(ServiceRow, identifier)
    if service is not None:
        return await _service(session, service)
    raise _nothing(text)


async def by_address(session: AsyncSession, address: Address, network: str) -> Place:
    """Who has this address: a relay, client or service, a site whose prefix holds it, nobody, or somebody outside."""
    if isinstance(address, IPv6Address):
        found = await _inside(session, address)
        if found is not None:
            return found
    query = (
        select(SiteRow, col(SitePrefixRow.prefix))
        .join(SitePrefixRow, col(SitePrefixRow.site_id) == col(SiteRow.id))
        .where(
            col(SiteRow.network_id) == network,
            col(SitePrefixRow.prefix).op(">>=")(literal(str(address)).cast(INET)),
        )
        .order_by(func.masklen(col(SitePrefixRow.prefix)).desc())
        .limit(1)
    )
    held = (await session.execute(query)).first()
    if held is None:
        return Place(kind="outside", id="", name="", address=address, relay=None)
    site = held[0]
    announced = (
        select(col(SiteRelayRow.relay_id))
        .where(col(SiteRelayRow.site_id) == site.id)
        .order_by(col(SiteRelayRow.relay_id))
        .limit(1)
    )
    relay = (await session.execute(announced)).scalars().first()
    return Place(kind="site", id=site.id, name=site.name, address=address, relay=relay)


async def _inside(session: AsyncSession, address: IPv6Address) -> Place | None:
    inside = literal(str(address)).cast(INET)
    ours = False
    for row in (await session.execute(select(NetworkRow))).scalars():
        if address not in row.prefix:
            continue
        ours = True
        plan = AddressPlan(row.prefix)
        slot = _slot(plan, address)
        if slot:
            query = select(RelayRow).where(
                col(RelayRow.network_id) == row.id, col(RelayRow.slot) == slot, col(RelayRow.revoked_at).is_(None)
            )
            relay = (await session.execute(query)).scalars().first()
            if relay is not None:
                return Place(kind="relay", id=relay.id, name=relay.name, address=address, relay=relay.id)
        client = (await session.execute(select(ClientRow).where(col(ClientRow.address) == inside))).scalars().first()
        client = client or await _guest(session, plan, row, address)
        if client is not None:
            return replace(await _client(session, client), address=address)
    service = (await session.execute(select(ServiceRow).where(col(ServiceRow.address) == inside))).scalars().first()
    if service is not None:
        return await _service(session, service)
    return Place(kind="nobody", id="", name="", address=address, relay=None) if ours else None


async def _guest(
    session: AsyncSession, plan: AddressPlan, network: NetworkRow, address: IPv6Address
) -> ClientRow | None:
    """The client that has this address at its standby relay."""
    slot = plan.slot_of_client(address) if address in plan.clients else 0
    if not slot:
        return None
    query = (
        select(ClientRow)
        .join(RelayRow, col(RelayRow.id) == col(ClientRow.standby_id))
        .where(col(RelayRow.network_id) == network.id, col(RelayRow.slot) == slot)
    )
    rows = (await session.execute(query)).scalars()
    return next((row for row in rows if plan.guest_address(slot, row.address) == address), None)


def _slot(plan: AddressPlan, address: IPv6Address) -> int:
    """The slot of the relay that has this very address, for the mesh or for its clients; 0: none."""
    if address in plan.relays:
        number = int(address) & (2**64 - 1)
        return number if 0 < number < 4096 else 0
    if address in plan.clients:
        slot = plan.slot_of_client(address)
        return slot if slot and address in (plan.access_address(slot), plan.attach_address(slot)) else 0
    return 0


async def _relay(session: AsyncSession, row: RelayRow) -> Place:
    network = await session.get(NetworkRow, row.network_id)
    assert network is not None
    address = AddressPlan(network.prefix).relay_address(row.slot)
    return Place(kind="relay", id=row.id, name=row.name, address=address, relay=row.id)


async def _client(session: AsyncSession, row: ClientRow) -> Place:
    return Place(kind="client", id=row.id, name=row.name, address=row.address, relay=row.relay_id)


async def _service(session: AsyncSession, row: ServiceRow) -> Place:
    relay = row.owner_id if row.owner_kind == "relay" else None
    if row.owner_kind == "client" and row.owner_id is not None:
        owner = await session.get(ClientRow, row.owner_id)
        relay = owner.relay_id if owner is not None else None
    elif row.owner_kind == "address":
        relay = await _behind(session, row)
    return Place(kind="service", id=row.id, name=row.name, address=row.address, relay=relay)


async def _behind(session: AsyncSession, row: ServiceRow) -> str | None:
    """Of a service under an address of its own: the relay whose site, client or self has that address."""
    query = (
        select(col(SiteRelayRow.relay_id))
        .join(SitePrefixRow, col(SitePrefixRow.site_id) == col(SiteRelayRow.site_id))
        .where(
            col(SitePrefixRow.network_id) == row.network_id,
            col(SitePrefixRow.prefix).op(">>=")(literal(str(row.address)).cast(INET)),
        )
        .order_by(func.masklen(col(SitePrefixRow.prefix)).desc(), col(SiteRelayRow.relay_id))
        .limit(1)
    )
    return (await session.execute(query)).scalars().first()


def _nothing(text: str) -> NotFound:
    return NotFound(
        "no_such_place",
        f"there is no relay, client or service {text}.",
        mend="Give a name, an identifier, or an address.",
    )
