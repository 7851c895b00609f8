"""Networks: made, changed. Their prefix never changes, and they are not removed while they have relays."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv6Network
from typing import Any

import msgspec
from altnet.common.contracts.desired import MeshSettings
from altnet.common.contracts.registry import NetworkChanged, NetworkCreated
from altnet.common.db.uow import UnitOfWork
from altnet.common.errors import Invalid
from altnet.common.ids import NETWORK, Randomness, new_id
from altnet.common.net import check_network_prefix, random_prefix
from altnet.registry.domain.names import check_name
from altnet.registry.handlers import snapshots
from altnet.registry.store import changes, networks
from altnet.registry.store.conflicts import CONFLICTS
from altnet.registry.tables import NetworkRow
from sqlalchemy import text


async def make_first_network(uow: UnitOfWork, *, name: str, prefix: str, randomness: Randomness) -> NetworkRow | None:
    """Make the network of a fresh installation; None if there is one already. Replicas may call it at once."""
    await uow.connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('registry first network', 0))"))
    if await networks.every(uow.session):
        return None
    chosen = None if prefix == "random" else prefix
    row, _ = await create_network(uow, name=name, prefix=chosen, settings={}, randomness=randomness)
    return row


async def create_network(
    uow: UnitOfWork, *, name: str, prefix: str | None, settings: Mapping[str, Any], randomness: Randomness
) -> tuple[NetworkRow, int]:
    """Make a network; without `prefix` it gets a random one (RFC 4193). Raises `Invalid`, `Conflict`."""
    uow.conflicts(CONFLICTS)
    check_name(name)
    row = NetworkRow(
        id=new_id(NETWORK, uow.now, randomness),
        name=name,
        prefix=random_prefix(randomness) if prefix is None else _parse(prefix),
        settings=msgspec.to_builtins(_settings(settings)),
        created_at=uow.now,
        updated_at=uow.now,
    )
    uow.session.add(row)
    await uow.session.flush()
    after = snapshots.of_network(row)
    change = await changes.record(
        uow,
        lambda number: NetworkCreated(network=row.id, after=after, change=number),
        touched=[("network", row.id)],
        summary=f"network {name} made",
        network=row.id,
    )
    return row, change


async def change_network(uow: UnitOfWork, row: NetworkRow, *, settings: Mapping[str, Any]) -> int | None:
    """Merge `settings` into those of a locked row. None if that changes nothing. Raises `Invalid`."""
    before = snapshots.of_network(row)
    merged = msgspec.to_builtins(_settings({**row.settings, **settings}))
    if merged == row.settings:
        return None
    row.settings = merged
    row.version += 1
    row.updated_at = uow.now
    after = snapshots.of_network(row)
    return await changes.record(
        uow,
        lambda number: NetworkChanged(network=row.id, before=before, after=after, change=number),
        touched=[("network", row.id)],
        summary=f"settings of network {row.name} changed",
        network=row.id,
    )


def _settings(values: Mapping[str, Any]) -> MeshSettings:
    try:
        return msgspec.convert(dict(values), MeshSettings)
    except msgspec.ValidationError as error:
        said, _, place = str(error).partition(" - at `$")
        raise Invalid(
            "bad_network_settings", f"{said}.", field="/settings" + place.rstrip("`").replace(".", "/")
        ) from None


def _parse(prefix: str) -> IPv6Network:
    try:
        parsed = IPv6Network(prefix)
    except ValueError as error:
        raise Invalid("bad_network_prefix", f"not a prefix: {error}.", field="/prefix") from None
    return check_network_prefix(parsed, field="/prefix")
