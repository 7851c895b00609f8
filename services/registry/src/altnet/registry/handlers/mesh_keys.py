"""keyd orders mesh keys, or access keys: taken over for all relays that are named, as one numbered change.

The private halves never come here; each stays on the host that made it.
"""

from __future__ import annotations

from altnet.common.contracts.desired import KeyStage, NextKey
from altnet.common.contracts.mesh_keys import KeyKind, KeyOrder, MeshKeysChanged, MeshKeysOrder
from altnet.common.db.uow import UnitOfWork
from altnet.registry.domain.mesh_keys import MeshKeys, ordered
from altnet.registry.handlers.access_keys import order_access_key
from altnet.registry.store import changes, named, relays
from altnet.registry.store.conflicts import CONFLICTS
from altnet.registry.tables import RelayRow

NEXT = "mesh_next"


async def order_mesh_keys(uow: UnitOfWork, order: MeshKeysOrder) -> int:
    """Do as ordered; the number of the newest change of such keys among these relays. Repeating changes nothing.

    A relay that is gone, revoked or of another network is left out. Raises `Invalid`, `Conflict` (`key_taken`,
    `stale_epoch`, `no_next_key`): then nothing is done.
    """
    uow.conflicts(CONFLICTS)
    wanted = {one.relay: one for one in order.relays}
    done: list[tuple[RelayRow, KeyOrder]] = []
    newest = 0
    for row in await relays.locked(uow, sorted(wanted)):
        newest = max(newest, row.access_change if order.of is KeyKind.ACCESS else row.keys_change)
        if row.revoked_at is not None or row.network_id != order.network:
            continue
        one = wanted[row.id]
        access = order.of is KeyKind.ACCESS
        if await (order_access_key(uow, row, one, until=order.until) if access else _order(uow, row, one)):
            done.append((row, one))
    if not done:
        return newest
    number = await changes.record(
        uow,
        lambda change: MeshKeysChanged(
            network=order.network,
            rotation=order.rotation,
            relays=tuple(one for _, one in done),
            change=change,
            of=order.of,
        ),
        touched=[("relay", row.id) for row, _ in done],
        summary=f"{order.of} keys of {len(done)} relays, rotation {order.rotation}",
        network=order.network,
    )
    for row, _ in done:
        if order.of is KeyKind.ACCESS:
            row.access_change = number
        else:
            row.keys_change = number
    return number


async def _order(uow: UnitOfWork, row: RelayRow, order: KeyOrder) -> bool:
    """True if something changed."""
    before = keys_of(row)
    after = ordered(before, order)
    if after == before:
        return False
    if after.key != before.key:
        await named.drop_key(uow, owner=row.id, use=NEXT)
        await named.claim_keys(uow, owner=row.id, keys={"mesh": (after.key, "/key")})
    elif after.next is None or not after.next.key:
        await named.drop_key(uow, owner=row.id, use=NEXT)
    elif before.next is None or after.next.key != before.next.key:
        await named.claim_keys(uow, owner=row.id, keys={NEXT: (after.next.key, "/key")})
    row.key, row.key_epoch, row.key_port = after.key, after.epoch, after.port
    following = after.next
    row.next_epoch = following.epoch if following else None
    row.next_stage = str(following.stage) if following else None
    row.next_key, row.next_port = (following.key, following.port) if following else ("", 0)
    row.version += 1
    row.updated_at = uow.now
    return True


def keys_of(row: RelayRow) -> MeshKeys:
    """A relay's mesh keys out of its row."""
    following = None
    if row.next_epoch is not None and row.next_stage is not None:
        stage = KeyStage(row.next_stage)
        following = NextKey(epoch=row.next_epoch, stage=stage, key=row.next_key, port=row.next_port)
    return MeshKeys(key=row.key, epoch=row.key_epoch, port=row.key_port, next=following)
