"""A client's own configuration, as a file for wg-quick and as fields for altnetd, from what is known of it and its
relays."""

from __future__ import annotations

from altnet.common.contracts.client import AccessPoint, ClientConfig, NextPoint
from altnet.common.errors import Conflict
from altnet.common.keys import PublicKey
from altnet.common.net import AddressPlan
from altnet.registry.domain.wgquick import Tunnel, routes_of
from altnet.registry.handlers.access_keys import next_point, present_point
from altnet.registry.handlers.client_keys import wish_of
from altnet.registry.store import networks, peerings, relays, services, sites
from altnet.registry.store.networks import settings_of
from altnet.registry.tables import ClientRow, NetworkRow, RelayRow
from sqlalchemy.ext.asyncio import AsyncSession


async def tunnel_of(session: AsyncSession, row: ClientRow, *, domain: str) -> Tunnel:
    """All that the file says. Raises `Conflict` where the client has no relay, or the relay no endpoint."""
    if row.relay_id is None:
        raise Conflict("client_without_relay", "the client has no relay now.", mend="Move it to one with PATCH.")
    relay = await relays.find(session, row.relay_id)
    network = await networks.find(session, row.network_id)
    point = next_point(relay, row)
    if not point.endpoints:
        raise Conflict(
            "relay_unreachable",
            "the client's relay has no endpoint that clients could reach.",
            mend="Give the relay an endpoint, or move the client.",
        )
    settings = settings_of(network)
    own = sorted(service.address for service in await services.owned(session, row.id))
    return Tunnel(
        name=row.name,
        addresses=[row.address, *own],
        relay_name=relay.name,
        relay_key=PublicKey.parse(point.key),
        endpoint=point.endpoints[0],
        dns=AddressPlan(network.prefix).access_address(relay.slot),
        search=domain,
        mtu=settings.access_mtu,
        keepalive=settings.keepalive,
        routes=await _routes(session, network),
        renew_by=min((it for it in (relay.access_until, row.key_until) if it is not None), default=None),
    )


async def config_of(session: AsyncSession, row: ClientRow) -> ClientConfig:
    """What altnetd follows: its own relay, then its standby. A relay without endpoint is left out."""
    network = await networks.find(session, row.network_id)
    settings, plan = settings_of(network), AddressPlan(network.prefix)
    known = {relay.id: relay for relay in await relays.many(session, [it for it in _relays(row) if it is not None])}
    own = sorted(service.address for service in await services.owned(session, row.id))
    return ClientConfig(
        client=row.id,
        name=row.name,
        network=network.name,
        prefix=str(network.prefix),
        addresses=tuple(f"{address}/128" for address in (row.address, *own)),
        routes=await _routes(session, network),
        mtu=settings.access_mtu,
        keepalive=settings.keepalive,
        relays=tuple(
            _access_point(relay, row, address=str(plan.attach_address(relay.slot)), priority=priority)
            for priority, identifier in enumerate(_relays(row))
            if (relay := known.get(identifier or "")) is not None and relay.endpoints
        ),
        key=row.key,
        next_key=row.next_key,
        wish=wish_of(row),
        movable=row.movable,
    )


def _access_point(relay: RelayRow, row: ClientRow, *, address: str, priority: int) -> AccessPoint:
    here, there = present_point(relay, row), next_point(relay, row)
    return AccessPoint(
        relay=relay.id,
        name=relay.name,
        key=here.key,
        endpoints=here.endpoints,
        address=address,
        priority=priority,
        next=NextPoint(key=there.key, endpoints=there.endpoints) if there != here else None,
    )


async def _routes(session: AsyncSession, network: NetworkRow) -> tuple[str, ...]:
    announced = [str(prefix) for prefix in await sites.of_network(session, network.id)]
    enabled = [peerings.of_row(row) for row in await peerings.of_network(session, network.id) if row.enabled]
    return routes_of(network.prefix, announced, [rule for one in enabled for rule in one.imports])


def _relays(row: ClientRow) -> tuple[str | None, str | None]:
    return row.relay_id, row.standby_id
