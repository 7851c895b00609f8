"""Peerings with routers outside: made, changed, removed.

A password is sealed for the relay the moment it comes in, so that neither the database nor the bus ever has it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec
from altnet.common.contracts.envelope import Event
from altnet.common.contracts.peerings import PeeringChanged, PeeringCreated, PeeringRemoved
from altnet.common.contracts.routing import Family, Peering, PrefixRule
from altnet.common.db.uow import UnitOfWork
from altnet.common.errors import Broken, Conflict, Exhausted, Invalid
from altnet.common.ids import PEERING, Randomness, new_id
from altnet.common.keys import PublicKey
from altnet.common.net import Prefix
from altnet.common.seal import seal
from altnet.common.settings import Secret
from altnet.registry.domain.names import check_labels
from altnet.registry.domain.peerings import Surroundings, check_imports, check_password, checked, password_context
from altnet.registry.handlers import snapshots
from altnet.registry.store import changes, learned, networks, peerings, relays
from altnet.registry.store.conflicts import CONFLICTS
from altnet.registry.tables import NetworkRow, PeeringRow, RelayRow, SiteRow

MOST_PEERINGS: Final = 256
"""Of one relay; each is a process's worth of work for BIRD, and a line in every heartbeat."""

_FLAGS: Final = ("accept_everything", "announce_everything")


@dataclass(frozen=True, kw_only=True)
class NewPeering:
    """`wish` carries no id and no password."""

    relay: str
    wish: Peering
    password: Secret | None = None
    accept_everything: bool = False
    announce_everything: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)


async def create_peering(uow: UnitOfWork, command: NewPeering, *, randomness: Randomness) -> tuple[PeeringRow, int]:
    """Make a peering. Raises `Invalid`, `Conflict`, `NotFound`, `Exhausted` (`too_many_peerings`)."""
    uow.conflicts(CONFLICTS)
    relay = await relays.find(uow.session, command.relay, field="/relay")
    network = await networks.find(uow.session, relay.network_id)
    await peerings.hold_prefixes(uow, network.id)
    relay = await relays.find(uow.session, command.relay, lock=True, field="/relay")
    await uow.session.refresh(relay)
    if relay.revoked_at is not None:
        raise Conflict(
            "relay_unusable", "the relay is revoked.", field="/relay", mend="Name one that is in the network."
        )
    if await peerings.count_of_relay(uow.session, relay.id) >= MOST_PEERINGS:
        raise Exhausted(
            "too_many_peerings",
            f"a relay has at most {MOST_PEERINGS} peerings.",
            field="/relay",
            mend="Use another relay.",
        )
    peering_id = new_id(PEERING, uow.now, randomness)
    wish = checked(
        msgspec.structs.replace(command.wish, id=peering_id),
        await _surroundings(uow, network, relay),
        accept_everything=command.accept_everything,
        announce_everything=command.announce_everything,
    )
    row = PeeringRow(
        id=peering_id,
        network_id=network.id,
        relay_id=relay.id,
        families=[],
        accept_everything=command.accept_everything,
        announce_everything=command.announce_everything,
        labels=check_labels(command.labels),
        created_at=uow.now,
        updated_at=uow.now,
        **{name: getattr(wish, name) for name in peerings.PLAIN},
    )
    peerings.put(row, wish)
    if command.password is not None:
        _set_password(row, relay, command.password, randomness)
    uow.session.add(row)
    await uow.session.flush()
    after = snapshots.of_peering(row)
    change = await changes.record(
        uow,
        lambda number: PeeringCreated(peering=row.id, after=after, change=number),
        touched=[("peering", row.id)],
        summary=f"peering {row.name} made{_aloud(row)}",
        network=network.id,
    )
    return row, change


async def hold(uow: UnitOfWork, peering: str) -> PeeringRow:
    """A peering to change or remove. Locks in the order that everybody keeps: prefixes, the relay, the peering.

    Raises `NotFound` (`no_such_peering`).
    """
    row = await peerings.find(uow.session, peering)
    await peerings.hold_prefixes(uow, row.network_id)
    await relays.find(uow.session, row.relay_id, lock=True)
    row = await peerings.find(uow.session, peering, lock=True)
    await uow.session.refresh(row)
    return row


async def change_peering(
    uow: UnitOfWork, row: PeeringRow, patch: Mapping[str, object], *, randomness: Randomness
) -> int | None:
    """Apply a checked patch to a held row; a `password` in it is a `Secret`, or None to remove it.

    None where it changes nothing. Raises as `create_peering`.
    """
    uow.conflicts(CONFLICTS)
    relay = await relays.find(uow.session, row.relay_id)
    network = await networks.find(uow.session, row.network_id)
    before = snapshots.of_peering(row)
    flags = {name: bool(patch.get(name, getattr(row, name))) for name in _FLAGS}
    fields = {name: value for name, value in patch.items() if name in peerings.PLAIN}
    if "families" in patch:
        fields["families"] = tuple(Family(one) for one in patch["families"])  # type: ignore[attr-defined]  # a list by the schema
    for name in ("imports", "exports"):
        if name in patch:
            rules: Sequence[PrefixRule] = patch[name]  # type: ignore[assignment]  # rules by the endpoint
            fields[name] = tuple(rules)
    wish = checked(
        msgspec.structs.replace(peerings.of_row(row), **fields), await _surroundings(uow, network, relay), **flags
    )
    peerings.put(row, wish)
    for name, value in flags.items():
        setattr(row, name, value)
    if "labels" in patch:
        row.labels = check_labels(patch["labels"])  # type: ignore[arg-type]  # the schema has made it a mapping of texts
    password = "password" in patch
    if password:
        _set_password(row, relay, patch["password"], randomness)  # type: ignore[arg-type]  # a secret or None by the endpoint
    if not password and snapshots.of_peering(row) == before:
        return None
    row.version += 1
    row.updated_at = uow.now
    await uow.session.flush()
    after = snapshots.of_peering(row)
    return await changes.record(
        uow,
        lambda number: PeeringChanged(
            peering=row.id, before=before, after=after, change=number, password_changed=password
        ),
        touched=[("peering", row.id)],
        summary=f"peering {row.name} changed{_aloud(row)}",
        network=network.id,
    )


async def remove_peering(uow: UnitOfWork, row: PeeringRow) -> int:
    """Remove a held peering; what its neighbour told is withdrawn with it."""
    before = snapshots.of_peering(row)
    withdrawn = await learned.withdrawals(uow, [row])
    await uow.session.delete(row)
    return await changes.record(
        uow,
        lambda number: PeeringRemoved(peering=before.id, before=before, change=number),
        also=lambda _: withdrawn,
        touched=[("peering", before.id)],
        summary=f"peering {before.name} removed",
        network=before.network,
    )


async def remove_with_relay(uow: UnitOfWork, relay: str) -> tuple[list[str], list[PeeringRow], list[Event]]:
    """Remove every peering of a relay that goes: their ids, the rows as they were, and events of their routes."""
    rows = list(await peerings.of_relay(uow.session, relay, lock=True))
    withdrawn = await learned.withdrawals(uow, rows)
    for row in rows:
        await uow.session.delete(row)
    return [row.id for row in rows], rows, withdrawn


async def check_site(uow: UnitOfWork, site: SiteRow, prefixes: Sequence[Prefix], announced: Sequence[str]) -> None:
    """Refuse a site that a peering of a relay outside it could bring in as well.

    Raises `Conflict` (`prefix_is_imported`). Call `peerings.hold_prefixes` first.
    """
    network = await networks.find(uow.session, site.network_id)
    for row in await peerings.of_network(uow.session, site.network_id):
        if row.relay_id in announced:
            continue
        around = Surroundings(network=network.prefix, slot=1, foreign_sites={site.name: tuple(prefixes)})
        try:
            check_imports(peerings.of_row(row).imports, around)
        except Conflict as error:
            raise Conflict(
                "prefix_is_imported",
                f"the peering {row.name} of another relay may import a prefix of this site.",
                field="/prefixes",
                mend="Narrow that peering's imports, or let its relay announce the site too.",
            ) from error


def _set_password(row: PeeringRow, relay: RelayRow, password: Secret | None, randomness: Randomness) -> None:
    if password is None:
        row.password = row.password_key = ""
        return
    text = check_password(password.reveal())
    if not relay.identity_key:
        raise Conflict(
            "no_identity_key",
            "the relay has no identity key yet, so that nothing can be sealed for it.",
            field="/password",
            mend="Upgrade its agent; it tells its key when it renews its credentials, or at once by enrolling again.",
        )
    key = PublicKey.parse(relay.identity_key)
    context = password_context(relay=relay.id, peering=row.id)
    try:
        row.password = seal(text.encode(), to=key, context=context, randomness=randomness)
    except Broken as error:  # a point of small order, which no honest agent has
        raise Invalid(
            "bad_identity_key", "nothing can be sealed for the relay's identity key.", field="/password"
        ) from error
    row.password_key = relay.identity_key


async def _surroundings(uow: UnitOfWork, network: NetworkRow, relay: RelayRow) -> Surroundings:
    sites = await peerings.foreign_sites(uow.session, network.id, relay.id)
    return Surroundings(network=network.prefix, slot=relay.slot, foreign_sites=sites)


def _aloud(row: PeeringRow) -> str:
    said = [flag.replace("_", " ") for flag in _FLAGS if getattr(row, flag)]
    return f" (may {' and '.join(said)})" if said else ""
