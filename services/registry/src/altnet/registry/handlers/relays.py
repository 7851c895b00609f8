"""Relays: changed by an operator, drained, put out. They come in by `enrol`."""

from __future__ import annotations

from collections.abc import Mapping

from altnet.common.contracts.desired import RelayState
from altnet.common.contracts.peerings import PeeringRemoved
from altnet.common.contracts.registry import (
    ClientChanged,
    RelayChanged,
    RelayRevoked,
    ServiceRemoved,
)
from altnet.common.db.uow import UnitOfWork
from altnet.common.errors import Conflict
from altnet.common.net import AddressPlan
from altnet.registry.domain.endpoints import check_endpoints
from altnet.registry.domain.names import check_labels, check_name, check_region
from altnet.registry.domain.site_prefixes import check_endpoints_outside
from altnet.registry.handlers import peerings, snapshots
from altnet.registry.store import allocations, changes, clients, named, networks, revocations, services, sites
from altnet.registry.store.conflicts import CONFLICTS
from altnet.registry.tables import RelayRow


async def change_relay(uow: UnitOfWork, row: RelayRow, patch: Mapping[str, object]) -> int | None:
    """Apply a checked patch (`name`, `region`, `labels`, `state`, `weight`, `endpoints`) to a locked row.

    None where it changes nothing. Raises `Invalid`, `Conflict` (`relay_revoked`, `name_taken`, `endpoint_in_site`).
    """
    uow.conflicts(CONFLICTS)
    _refuse_revoked(row)
    network = await networks.find(uow.session, row.network_id)
    plan = AddressPlan(network.prefix)
    before = snapshots.of_relay(row, plan)
    if "name" in patch and patch["name"] != row.name:
        name = check_name(str(patch["name"]))
        await named.change_name(uow, network=row.network_id, name=name, owner=row.id)
        row.name = name
    if "region" in patch:
        row.region = check_region(str(patch["region"]))
    if "labels" in patch:
        row.labels = check_labels(patch["labels"])  # type: ignore[arg-type]  # the schema has made it a mapping of texts
    if "state" in patch:
        row.state = RelayState(str(patch["state"])).value
    if "weight" in patch:
        row.weight = float(patch["weight"])  # type: ignore[arg-type]  # the schema has made it a number
    if "endpoints" in patch:
        wanted = check_endpoints(patch["endpoints"])  # type: ignore[arg-type]  # the schema has made it a list of texts
        # Two at once that do not see each other are no harm: agents leave the prefix out, and say so.
        check_endpoints_outside(wanted, await sites.of_network(uow.session, row.network_id), known=row.endpoints)
        row.endpoints = list(wanted)
    if snapshots.of_relay(row, plan) == before:
        return None
    row.version += 1
    row.updated_at = uow.now
    after = snapshots.of_relay(row, plan)
    return await changes.record(
        uow,
        lambda number: RelayChanged(relay=row.id, before=before, after=after, change=number),
        touched=[("relay", row.id)],
        summary=f"relay {row.name} changed",
        network=row.network_id,
    )


async def revoke_relay(uow: UnitOfWork, row: RelayRow, *, reason: str = "") -> int:
    """Put a locked relay out for good, and bar its keys.

    Its clients go to their standby relay, or stay without one until somebody moves them; its services and peerings go,
    it announces no site, its name is free, its slot rests. The bus is told by the leader, after the relay's last
    document. Raises `Conflict`.
    """
    _refuse_revoked(row)
    network = await networks.find(uow.session, row.network_id)
    plan = AddressPlan(network.prefix)
    before = snapshots.of_relay(row, plan)
    moved = []
    for client in await clients.of_relay(uow.session, row.id):
        was = snapshots.of_client(client)
        client.relay_id, client.standby_id = client.standby_id, None
        client.version += 1
        client.updated_at = uow.now
        moved.append((was, snapshots.of_client(client)))
    for client in await clients.standing_by(uow.session, row.id):
        was = snapshots.of_client(client)
        client.standby_id = None
        client.version += 1
        client.updated_at = uow.now
        moved.append((was, snapshots.of_client(client)))
    gone = []
    for service in await services.of_owner(uow.session, row.id):
        gone.append(snapshots.of_service(service))
        await named.release_name(uow, service.id)
        await allocations.release(uow, service.id)
        await uow.session.delete(service)
    ended, sessions, withdrawn = await peerings.remove_with_relay(uow, row.id)
    told = [snapshots.of_peering(session) for session in sessions]
    announced = [site.id for site in await sites.of_relay(uow.session, row.id)]
    await sites.withdraw_relay(uow, row.id)
    await named.release_name(uow, row.id)
    await revocations.bar_all(uow, row.id)
    await named.release_keys(uow, row.id)
    await allocations.release(uow, row.id)
    row.revoked_at = uow.now
    row.updated_at = uow.now
    row.version += 1
    after = snapshots.of_relay(row, plan)
    noted = await revocations.note(
        uow, "relay", subject=row.id, network=row.network_id, name=row.name, key=row.key, use="mesh", reason=reason
    )
    noted.change = await changes.record(
        uow,
        lambda number: RelayRevoked(relay=row.id, before=before, after=after, change=number),
        also=lambda number: [
            *(ClientChanged(client=was.id, before=was, after=now, change=number) for was, now in moved),
            *(ServiceRemoved(service=one.id, before=one, change=number) for one in gone),
            *withdrawn,
            *(PeeringRemoved(peering=one.id, before=one, change=number) for one in told),
        ],
        touched=[
            ("relay", row.id),
            *(("client", now.id) for _, now in moved),
            *(("service", one.id) for one in gone),
            *(("site", site) for site in announced),
            *(("peering", peering) for peering in ended),
        ],
        summary=f"relay {row.name} revoked",
        network=row.network_id,
    )
    return noted.change


def _refuse_revoked(row: RelayRow) -> None:
    if row.revoked_at is not None:
        raise Conflict("relay_revoked", "the relay has been revoked.", mend="Let the host enrol again with new keys.")
