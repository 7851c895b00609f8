"""Sites: networks behind relays, announced by one or several of them.

What relays would leave out is refused here. An endpoint that a host tells later is not looked at: a relay that has
moved must be found, and what agents say (`applied.failed`) names the prefix that it costs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from altnet.common.contracts.registry import SiteChanged, SiteCreated, SiteRemoved, SiteSnapshot
from altnet.common.db.uow import UnitOfWork
from altnet.common.errors import Conflict, Invalid
from altnet.common.ids import SITE, Randomness, new_id
from altnet.registry.domain.names import check_labels, check_name
from altnet.registry.domain.site_prefixes import check_no_endpoint, check_origins, check_prefixes
from altnet.registry.handlers import peerings, snapshots
from altnet.registry.store import changes, networks, relays, sites
from altnet.registry.store.conflicts import CONFLICTS
from altnet.registry.store.peerings import hold_prefixes
from altnet.registry.tables import SiteRow

MOST_RELAYS = 64


async def create_site(
    uow: UnitOfWork,
    *,
    name: str,
    network: str | None,
    prefixes: Sequence[str],
    relay_ids: Sequence[str],
    labels: Mapping[str, str],
    randomness: Randomness,
) -> tuple[SiteSnapshot, SiteRow, int]:
    """Make a site.

    Raises `Invalid`, `Conflict` (`prefix_overlaps`, `prefix_is_imported`, `prefix_covers_endpoint`, `name_taken`),
    `NotFound`.
    """
    uow.conflicts(CONFLICTS)
    check_name(name)
    owner = await (networks.find(uow.session, network) if network else networks.only(uow.session))
    await hold_prefixes(uow, owner.id)
    row = SiteRow(
        id=new_id(SITE, uow.now, randomness),
        network_id=owner.id,
        name=name,
        labels=check_labels(labels),
        created_at=uow.now,
        updated_at=uow.now,
    )
    uow.session.add(row)
    await uow.session.flush()
    parsed, announced = check_prefixes(prefixes), await _relays(uow, relay_ids, owner.id)
    check_no_endpoint(parsed, await relays.endpoints(uow.session, owner.id), field="/prefixes")
    await sites.set_prefixes(uow, row, owner, parsed)
    await sites.set_relays(uow, row.id, announced)
    await peerings.check_site(uow, row, parsed, announced)
    after = await _snapshot(uow, row)
    change = await changes.record(
        uow,
        lambda number: SiteCreated(site=row.id, after=after, change=number),
        touched=[("site", row.id)],
        summary=f"site {name} made",
        network=owner.id,
    )
    return after, row, change


async def change_site(uow: UnitOfWork, row: SiteRow, patch: Mapping[str, object]) -> tuple[SiteSnapshot, int | None]:
    """Apply a checked patch (`name`, `prefixes`, `relays`, `labels`) to a locked row. Raises as `create_site`."""
    uow.conflicts(CONFLICTS)
    await hold_prefixes(uow, row.network_id)
    before = await _snapshot(uow, row)
    if "name" in patch:
        row.name = check_name(str(patch["name"]))
    if "labels" in patch:
        row.labels = check_labels(patch["labels"])  # type: ignore[arg-type]  # the schema has made it a mapping of texts
    await uow.session.flush()
    if "prefixes" in patch:
        network = await networks.find(uow.session, row.network_id)
        await sites.set_prefixes(uow, row, network, check_prefixes(patch["prefixes"]))  # type: ignore[arg-type]  # a list of texts by the schema
    if "relays" in patch:
        await sites.set_relays(uow, row.id, await _relays(uow, patch["relays"], row.network_id))  # type: ignore[arg-type]  # as above
    after = await _snapshot(uow, row)
    if (after.prefixes, after.relays) != (before.prefixes, before.relays):
        prefixes = (await sites.prefixes(uow.session, [row.id]))[row.id]
        await peerings.check_site(uow, row, prefixes, after.relays)
        if set(after.prefixes) - set(before.prefixes) or set(after.relays) - set(before.relays):
            # What was taken before is looked at again when a relay is to announce it; taking away is always allowed.
            field = "/prefixes" if "prefixes" in patch else "/relays"
            check_origins(prefixes, field=field)
            check_no_endpoint(prefixes, await relays.endpoints(uow.session, row.network_id), field=field)
    if after == before:
        return after, None
    row.version += 1
    row.updated_at = uow.now
    after = await _snapshot(uow, row)
    change = await changes.record(
        uow,
        lambda number: SiteChanged(site=row.id, before=before, after=after, change=number),
        touched=[("site", row.id)],
        summary=f"site {row.name} changed",
        network=row.network_id,
    )
    return after, change


async def remove_site(uow: UnitOfWork, row: SiteRow) -> int:
    """Remove a locked site."""
    before = await _snapshot(uow, row)
    await uow.session.delete(row)
    return await changes.record(
        uow,
        lambda number: SiteRemoved(site=row.id, before=before, change=number),
        touched=[("site", row.id)],
        summary=f"site {before.name} removed",
        network=before.network,
    )


async def _snapshot(uow: UnitOfWork, row: SiteRow) -> SiteSnapshot:
    prefixes = await sites.prefixes(uow.session, [row.id])
    announced = await sites.relays(uow.session, [row.id])
    return snapshots.of_site(row, prefixes=prefixes[row.id], relays=announced[row.id])


async def _relays(uow: UnitOfWork, relay_ids: Sequence[str], network: str) -> list[str]:
    if len(relay_ids) > MOST_RELAYS:
        raise Invalid("bad_relays", f"more than {MOST_RELAYS} relays.", field="/relays", mend="Leave some out.")
    for number, relay in enumerate(relay_ids):
        row = await relays.find(uow.session, relay, lock=True, field=f"/relays/{number}")
        if row.revoked_at is not None or row.network_id != network:
            raise Conflict("relay_unusable", "the relay is revoked or in another network.", field=f"/relays/{number}")
    return list(dict.fromkeys(relay_ids))
