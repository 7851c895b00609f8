"""Services: registered, changed, their health reported, removed. Each has its own address, unless it names one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address

from altnet.common import ids
from altnet.common.contracts.registry import (
    ServiceChanged,
    ServiceHealthChanged,
    ServiceRegistered,
    ServiceRemoved,
)
from altnet.common.db.uow import UnitOfWork
from altnet.common.errors import Conflict, Invalid
from altnet.common.ids import SERVICE, Randomness, new_id
from altnet.common.net import AddressPlan
from altnet.registry.domain.names import check_name
from altnet.registry.handlers import snapshots
from altnet.registry.store import allocations, changes, clients, named, networks, relays
from altnet.registry.store.conflicts import CONFLICTS
from altnet.registry.tables import NetworkRow, ServiceRow

MOST_TAGS = 32


@dataclass(frozen=True, kw_only=True)
class NewService:
    """`owner` is a relay or client; without one, `address` says where the service is."""

    name: str
    port: int
    protocol: str
    network: str | None = None
    tags: Sequence[str] = ()
    owner: str | None = None
    address: str | None = None


async def register_service(uow: UnitOfWork, command: NewService, *, randomness: Randomness) -> tuple[ServiceRow, int]:
    """Register a service. Raises `Invalid`, `Conflict`, `NotFound`."""
    uow.conflicts(CONFLICTS)
    check_name(command.name)
    tags = check_tags(command.tags)
    session = uow.session
    network = await (networks.find(session, command.network) if command.network else networks.only(session))
    plan = AddressPlan(network.prefix)
    service_id = new_id(SERVICE, uow.now, randomness)
    kind = await _owner_kind(uow, command, network)
    await named.claim(uow, network=network.id, name=command.name, kind="service", owner=service_id)
    if kind == "address":
        address = _given_address(command.address, plan)
    else:
        address = await allocations.allocate_address(
            uow, network=network.id, plan=plan, pool="service", inside=plan.services, owner=service_id
        )
    row = ServiceRow(
        id=service_id,
        network_id=network.id,
        name=command.name,
        port=command.port,
        protocol=command.protocol,
        tags=tags,
        owner_kind=kind,
        owner_id=command.owner,
        address=address,
        created_at=uow.now,
        updated_at=uow.now,
    )
    session.add(row)
    await session.flush()
    after = snapshots.of_service(row)
    change = await changes.record(
        uow,
        lambda number: ServiceRegistered(service=row.id, after=after, change=number),
        touched=[("service", row.id)],
        summary=f"service {row.name} registered",
        network=network.id,
    )
    return row, change


async def change_service(uow: UnitOfWork, row: ServiceRow, patch: Mapping[str, object]) -> None:
    """Apply a checked patch (`name`, `port`, `protocol`, `tags`) to a locked row. None of it is in a relay's plan."""
    uow.conflicts(CONFLICTS)
    before = snapshots.of_service(row)
    if "name" in patch and patch["name"] != row.name:
        name = check_name(str(patch["name"]))
        await named.change_name(uow, network=row.network_id, name=name, owner=row.id)
        row.name = name
    for name in ("port", "protocol"):
        if name in patch:
            setattr(row, name, patch[name])
    if "tags" in patch:
        row.tags = check_tags(patch["tags"])  # type: ignore[arg-type]  # the schema has made it a list of texts
    if snapshots.of_service(row) == before:
        return
    row.version += 1
    row.updated_at = uow.now
    uow.emit(ServiceChanged(service=row.id, before=before, after=snapshots.of_service(row)))


async def report_health(uow: UnitOfWork, row: ServiceRow, *, health: str, note: str) -> None:
    """Somebody who checks says how the service is. Saying the same again is no event; the time is kept always."""
    before = snapshots.of_service(row)
    row.health_at = uow.now
    if (health, note) == (row.health, row.health_note):
        return
    row.health_note = note
    row.health = health
    uow.emit(ServiceHealthChanged(service=row.id, before=before, after=snapshots.of_service(row), note=note))


async def remove_service(uow: UnitOfWork, row: ServiceRow) -> int:
    """Remove a locked service; its address rests."""
    before = snapshots.of_service(row)
    await named.release_name(uow, row.id)
    await allocations.release(uow, row.id)
    await uow.session.delete(row)
    return await changes.record(
        uow,
        lambda number: ServiceRemoved(service=row.id, before=before, change=number),
        touched=[("service", row.id)],
        summary=f"service {before.name} removed",
        network=before.network,
    )


def check_tags(tags: Sequence[str]) -> list[str]:
    """Sorted, each once. Raises `Invalid` (`bad_tag`)."""
    if len(tags) > MOST_TAGS:
        raise Invalid("bad_tag", f"more than {MOST_TAGS} tags.", field="/tags", mend="Leave some out.")
    for number, tag in enumerate(tags):
        try:
            check_name(tag)
        except Invalid as error:
            raise Invalid("bad_tag", "a tag is written like a name.", field=f"/tags/{number}") from error
    return sorted(set(tags))


async def _owner_kind(uow: UnitOfWork, command: NewService, network: NetworkRow) -> str:
    if (command.owner is None) == (command.address is None):
        raise Invalid(
            "bad_owner",
            "a service has either an owner or an address of its own.",
            field="/owner",
            mend="Name a relay or client as owner, or an address, not both.",
        )
    if command.owner is None:
        return "address"
    if command.owner.startswith(f"{ids.RELAY}_"):
        relay = await relays.find(uow.session, command.owner, lock=True, field="/owner")
        if relay.revoked_at is not None or relay.network_id != network.id:
            raise Conflict("bad_owner", "the relay is revoked or in another network.", field="/owner")
        return "relay"
    client = await clients.find(uow.session, command.owner, lock=True, field="/owner")
    if client.network_id != network.id:
        raise Conflict("bad_owner", "the client is in another network.", field="/owner")
    return "client"


def _given_address(text: str | None, plan: AddressPlan) -> IPv6Address:
    try:
        address = IPv6Address(text or "")
    except ValueError as error:
        raise Invalid("bad_address", f"not an IPv6 address: {error}.", field="/address") from None
    if address.scope_id or address.is_multicast or address.is_unspecified or address.is_loopback:
        raise Invalid("bad_address", "not an address that others can reach.", field="/address")
    if address in plan.services or address in plan.locators:
        raise Invalid(
            "bad_address",
            "the address lies in a pool that the registry gives out itself.",
            field="/address",
            mend="Name an owner instead; the service then gets an address.",
        )
    return address
