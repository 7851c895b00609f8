"""Rows as the snapshots that events carry. No secrets: hashes of tokens stay in their rows."""

from __future__ import annotations

from collections.abc import Sequence

from altnet.common.contracts.peerings import PeeringSnapshot
from altnet.common.contracts.registry import (
    ApiTokenSnapshot,
    ClientSnapshot,
    JoinTokenSnapshot,
    NetworkSnapshot,
    RelaySnapshot,
    ServiceSnapshot,
    SiteSnapshot,
)
from altnet.common.net import AddressPlan
from altnet.registry.store import peerings
from altnet.registry.store.networks import settings_of
from altnet.registry.tables import (
    ApiTokenRow,
    ClientRow,
    JoinTokenRow,
    NetworkRow,
    PeeringRow,
    RelayRow,
    ServiceRow,
    SiteRow,
)


def of_network(row: NetworkRow) -> NetworkSnapshot:
    return NetworkSnapshot(
        id=row.id, name=row.name, prefix=str(row.prefix), settings=settings_of(row), version=row.version
    )


def of_relay(row: RelayRow, plan: AddressPlan) -> RelaySnapshot:
    return RelaySnapshot(
        id=row.id,
        network=row.network_id,
        name=row.name,
        slot=row.slot,
        address=str(plan.relay_address(row.slot)),
        key=row.key,
        access_key=row.access_key,
        identity_key=row.identity_key,
        routing=row.routing,
        nkey=row.nkey,
        endpoints=tuple(row.endpoints),
        mesh_port=row.mesh_port,
        access_port=row.access_port,
        region=row.region,
        labels=dict(row.labels),
        state=row.state,
        weight=row.weight,
        revoked=row.revoked_at is not None,
        version=row.version,
    )


def of_client(row: ClientRow) -> ClientSnapshot:
    return ClientSnapshot(
        id=row.id,
        network=row.network_id,
        name=row.name,
        key=row.key,
        address=str(row.address),
        relay=row.relay_id,
        labels=dict(row.labels),
        expires_at=row.expires_at,
        version=row.version,
        standby=row.standby_id,
        movable=row.movable,
        next_key=row.next_key,
        key_epoch=row.key_epoch,
        key_wished=row.wish_epoch is not None,
    )


def of_service(row: ServiceRow) -> ServiceSnapshot:
    return ServiceSnapshot(
        id=row.id,
        network=row.network_id,
        name=row.name,
        port=row.port,
        protocol=row.protocol,
        health=row.health,
        tags=tuple(row.tags),
        owner_kind=row.owner_kind,
        owner=row.owner_id,
        address=str(row.address),
        version=row.version,
    )


def of_site(row: SiteRow, *, prefixes: Sequence[object], relays: Sequence[str]) -> SiteSnapshot:
    return SiteSnapshot(
        id=row.id,
        network=row.network_id,
        name=row.name,
        prefixes=tuple(sorted(str(prefix) for prefix in prefixes)),
        relays=tuple(sorted(relays)),
        labels=dict(row.labels),
        version=row.version,
    )


def of_peering(row: PeeringRow) -> PeeringSnapshot:
    told = peerings.of_row(row)
    return PeeringSnapshot(
        id=row.id,
        network=row.network_id,
        relay=row.relay_id,
        families=tuple(str(one) for one in told.families),
        imports=told.imports,
        exports=told.exports,
        accept_everything=row.accept_everything,
        announce_everything=row.announce_everything,
        password_set=bool(row.password),
        labels=dict(row.labels),
        version=row.version,
        **{name: getattr(told, name) for name in peerings.PLAIN},
    )


def of_join_token(row: JoinTokenRow) -> JoinTokenSnapshot:
    return JoinTokenSnapshot(
        id=row.id,
        network=row.network_id,
        token_kind=row.kind,
        uses=row.uses,
        uses_left=row.uses_left,
        expires_at=row.expires_at,
        revoked=row.revoked_at is not None,
    )


def of_api_token(row: ApiTokenRow) -> ApiTokenSnapshot:
    return ApiTokenSnapshot(
        id=row.id,
        name=row.name,
        role=row.role,
        scopes=tuple(sorted(row.scopes)),
        expires_at=row.expires_at,
        revoked=row.revoked_at is not None,
    )
