"""Clients: made, changed, moved, removed. A client that moves keeps its address, and a /128 follows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from altnet.common.contracts.registry import ClientChanged, ClientCreated, ClientRemoved, ServiceRemoved
from altnet.common.db.uow import UnitOfWork
from altnet.common.errors import Conflict, Invalid
from altnet.common.ids import CLIENT, Randomness, new_id
from altnet.common.keys import PublicKey
from altnet.common.net import AddressPlan
from altnet.registry.domain.names import check_labels, check_name
from altnet.registry.handlers import admission, client_keys, placement, snapshots
from altnet.registry.store import allocations, changes, clients, named, networks, relays, services
from altnet.registry.store.conflicts import CONFLICTS
from altnet.registry.tables import ClientRow, JoinTokenRow

AUTO = "auto"
NONE = "none"


@dataclass(frozen=True, kw_only=True)
class NewClient:
    name: str
    key: str
    network: str | None = None
    relay: str = AUTO
    """An identifier, or `auto`."""
    movable: bool = False
    """Its program follows to another relay by itself."""
    standby: str | None = None
    """An identifier, `auto` or `none`; None: `auto` where the client is movable."""
    region: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    latencies: Mapping[str, float] = field(default_factory=dict)
    """What it measured, milliseconds by relay."""
    expires_at: datetime | None = None


async def create_client(
    uow: UnitOfWork, command: NewClient, *, randomness: Randomness, token: JoinTokenRow | None = None
) -> tuple[ClientRow, int]:
    """Make a client with an address of its relay's /64, and spend the token that lets it in, if one does.

    Raises `Invalid`, `Conflict`, `NotFound`, `Exhausted`, and `Forbidden` for the token.
    """
    uow.conflicts(CONFLICTS)
    check_name(command.name)
    PublicKey.parse(command.key, field="/key")
    labels = check_labels(command.labels)
    _check_expiry(command.expires_at, uow.now)
    session = uow.session
    network = await (networks.find(session, command.network) if command.network else networks.only(session))
    if command.relay == AUTO:
        chosen = await placement.choose_relay(
            session, network.id, region=command.region, latencies=command.latencies, current=None
        )
    else:
        chosen = command.relay
    slot = await _usable_slot(uow, chosen, network.id)
    standby = await _standby(
        uow,
        command.standby or (AUTO if command.movable else NONE),
        network=network.id,
        primary=chosen,
        movable=command.movable,
        region=command.region,
        latencies=command.latencies,
    )
    client_id = new_id(CLIENT, uow.now, randomness)
    keys = {"client": (command.key, "/key")}
    await named.claim(uow, network=network.id, name=command.name, kind="client", owner=client_id, keys=keys)
    plan = AddressPlan(network.prefix)
    address = await allocations.allocate_address(
        uow, network=network.id, plan=plan, pool="client", inside=plan.client_prefix(slot), owner=client_id
    )
    row = ClientRow(
        id=client_id,
        network_id=network.id,
        relay_id=chosen,
        name=command.name,
        key=command.key,
        address=address,
        standby_id=standby,
        movable=command.movable,
        labels=labels,
        latencies=await _measured(uow, network.id, command.latencies),
        expires_at=command.expires_at,
        created_at=uow.now,
        updated_at=uow.now,
    )
    session.add(row)
    await session.flush()
    if token is not None:
        await admission.spend(uow, token)
    after = snapshots.of_client(row)
    let_in_by = token.id if token is not None else ""
    change = await changes.record(
        uow,
        lambda number: ClientCreated(client=row.id, after=after, token=let_in_by, change=number),
        touched=[("client", row.id)],
        summary=f"client {row.name} {'joined' if token is not None else 'made'}",
        network=network.id,
    )
    return row, change


async def change_client(uow: UnitOfWork, row: ClientRow, patch: Mapping[str, object]) -> int | None:
    """Apply a checked patch (`name`, `key`, `relay`, `standby`, `movable`, `labels`, `expires_at`) to a locked row.

    None where nothing changes that has to be planned or told. Raises `Invalid`, `Conflict`, `NotFound`, `Exhausted`.
    """
    uow.conflicts(CONFLICTS)
    before = snapshots.of_client(row)
    if "name" in patch and patch["name"] != row.name:
        name = check_name(str(patch["name"]))
        await named.change_name(uow, network=row.network_id, name=name, owner=row.id)
        row.name = name
    if "key" in patch and patch["key"] != row.key:
        key = PublicKey.parse(str(patch["key"]), field="/key").base64
        await named.claim_keys(uow, owner=row.id, keys={"client": (key, "/key")})
        row.key, row.key_changed_at = key, uow.now
        await client_keys.forget(uow, row)
    if "labels" in patch:
        row.labels = check_labels(patch["labels"])  # type: ignore[arg-type]  # the schema has made it a mapping of texts
    if "expires_at" in patch:
        row.expires_at = patch["expires_at"]  # type: ignore[assignment]  # the schema has made it a time or None
        _check_expiry(row.expires_at, uow.now)
    if "relay" in patch:
        wanted = str(patch["relay"])
        if wanted == AUTO:
            wanted = await placement.choose_relay(
                uow.session, row.network_id, region="", latencies=row.latencies, current=row.relay_id
            )
        if wanted != row.relay_id:
            await _usable_slot(uow, wanted, row.network_id)
            row.relay_id = wanted
    if "movable" in patch:
        row.movable = bool(patch["movable"])
    # Never left as Postgres would refuse it: any query from here on writes the row.
    had, row.standby_id = row.standby_id, None
    row.standby_id = await _next_standby(uow, row, patch, had)
    after = snapshots.of_client(row)
    if after == before:
        return None
    row.version += 1
    row.updated_at = uow.now
    after = snapshots.of_client(row)
    return await changes.record(
        uow,
        lambda number: ClientChanged(client=row.id, before=before, after=after, change=number),
        touched=[("client", row.id)],
        summary=f"client {row.name} changed" if before.relay == after.relay else f"client {row.name} moved",
        network=row.network_id,
    )


async def move_client(uow: UnitOfWork, row: ClientRow, relay: str, *, reason: str) -> int:
    """Move a locked client because the registry wants it. Raises `Conflict`, `NotFound`."""
    before = snapshots.of_client(row)
    await _usable_slot(uow, relay, row.network_id)
    had, row.standby_id = row.standby_id, None  # never left as Postgres would refuse it
    row.relay_id = relay
    row.standby_id = await _next_standby(uow, row, {}, had)
    row.version += 1
    row.updated_at = uow.now
    after = snapshots.of_client(row)
    return await changes.record(
        uow,
        lambda number: ClientChanged(client=row.id, before=before, after=after, reason=reason, change=number),
        touched=[("client", row.id)],
        summary=f"client {row.name} moved: {reason}",
        network=row.network_id,
    )


async def report_latencies(uow: UnitOfWork, row: ClientRow, measured: Mapping[str, float]) -> None:
    """Keep what a client measured (milliseconds by relay); relays that are gone are left out. Not a change."""
    row.latencies = await _measured(uow, row.network_id, measured)


async def remove_client(uow: UnitOfWork, row: ClientRow, *, expired: bool = False) -> int:
    """Remove a locked client with its services; its addresses rest."""
    before = snapshots.of_client(row)
    gone = await services.of_owner(uow.session, row.id)
    told = [snapshots.of_service(service) for service in gone]
    for service in gone:
        await named.release_name(uow, service.id)
        await allocations.release(uow, service.id)
        await uow.session.delete(service)
    await named.release_name(uow, row.id)
    await named.release_keys(uow, row.id)
    await allocations.release(uow, row.id)
    await uow.session.delete(row)
    return await changes.record(
        uow,
        lambda number: ClientRemoved(client=row.id, before=before, expired=expired, change=number),
        also=lambda number: [ServiceRemoved(service=one.id, before=one, change=number) for one in told],
        touched=[("client", row.id), *(("service", one.id) for one in told)],
        summary=f"client {before.name} {'expired' if expired else 'removed'}",
        network=before.network,
    )


async def remove_expired(uow: UnitOfWork, *, limit: int = 100) -> int:
    """Remove clients whose time is over; answers how many."""
    rows = await clients.expired(uow.session, uow.now, limit=limit)
    for row in rows:
        await remove_client(uow, row, expired=True)
    return len(rows)


async def _measured(uow: UnitOfWork, network: str, latencies: Mapping[str, float]) -> dict[str, float]:
    if not latencies:
        return {}
    known = {relay.id for relay in await relays.usable(uow.session, network)}
    return {relay: round(value, 3) for relay, value in latencies.items() if relay in known}


async def _usable_slot(uow: UnitOfWork, relay: str, network: str, *, field: str = "/relay") -> int:
    row = await relays.find(uow.session, relay, lock=True, field=field)
    if row.revoked_at is not None or row.network_id != network:
        raise Conflict(
            "relay_unusable",
            "the relay is revoked." if row.revoked_at is not None else "the relay is in another network.",
            field=field,
            mend="Choose another, or `auto`.",
        )
    return row.slot


async def _next_standby(uow: UnitOfWork, row: ClientRow, patch: Mapping[str, object], had: str | None) -> str | None:
    """The standby relay that the patch asks for, or the one that goes with the client's relay and movability."""
    if "standby" in patch:
        wanted = str(patch["standby"]) if patch["standby"] is not None else NONE
    elif not row.movable or row.relay_id is None:
        wanted = NONE
    elif had is not None and had != row.relay_id:
        return had
    elif had is not None or "movable" in patch:
        wanted = AUTO
    else:
        return None
    return await _standby(
        uow,
        wanted,
        network=row.network_id,
        primary=row.relay_id,
        movable=row.movable,
        latencies=row.latencies,
    )


async def _standby(
    uow: UnitOfWork,
    wanted: str,
    *,
    network: str,
    primary: str | None,
    movable: bool,
    region: str = "",
    latencies: Mapping[str, float] | None = None,
) -> str | None:
    """The standby relay that is meant by an identifier, `auto` or `none`. Raises `Invalid`, `Conflict`, `NotFound`."""
    if wanted == NONE:
        return None
    if not movable:
        raise Invalid(
            "client_not_movable",
            "a client that cannot move by itself has no use for a standby relay.",
            field="/standby",
            mend="Run altnetd on it and set movable, or leave out standby.",
        )
    if wanted == AUTO:
        if primary is None:
            return None
        return await placement.choose_standby(uow.session, network, primary=primary, region=region, latencies=latencies)
    if wanted == primary:
        raise Invalid(
            "standby_is_primary",
            "the standby relay is the client's own.",
            field="/standby",
            mend="Choose another, or `auto`.",
        )
    await _usable_slot(uow, wanted, network, field="/standby")
    return wanted


def _check_expiry(expires_at: datetime | None, now: datetime) -> None:
    if expires_at is not None and expires_at <= now:
        raise Invalid("bad_expiry", "it would have expired already.", field="/expires_at", mend="Give a later time.")
