"""Access keys of relays: what keyd orders of one, and what a client is told of it.

The present and the next key have a device each at the relay, with ports that follow from its first one, so a client may
use either for as long as both are there. Leaves out clients' own keys (client_keys.py).
Invariant: whatever a client is told was ordered for that relay, and each endpoint goes with the key that answers there.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from altnet.common.contracts.desired import KeyStage, NextKey, access_device
from altnet.common.contracts.mesh_keys import KeyOrder
from altnet.common.db.uow import UnitOfWork
from altnet.registry.domain.mesh_keys import MeshKeys, ordered
from altnet.registry.domain.wgquick import access_endpoints
from altnet.registry.store import named
from altnet.registry.tables import ClientRow, RelayRow

NEXT = "access_next"


@dataclass(frozen=True, kw_only=True)
class Point:
    """A key of a relay, and where it answers a client."""

    key: str
    endpoints: tuple[str, ...]


async def order_access_key(uow: UnitOfWork, row: RelayRow, order: KeyOrder, *, until: datetime | None) -> bool:
    """Do as ordered to one locked relay; True if something changed. Raises as `ordered`, `Conflict` (`key_taken`)."""
    before = keys_of(row)
    after = ordered(before, order)
    if after == before:
        return False
    if after.key != before.key:
        await named.drop_key(uow, owner=row.id, use=NEXT)
        await named.claim_keys(uow, owner=row.id, keys={"access": (after.key, "/key")})
        row.access_device = 1 - row.access_device
    elif after.next is None or not after.next.key:
        await named.drop_key(uow, owner=row.id, use=NEXT)
    elif before.next is None or after.next.key != before.next.key:
        await named.claim_keys(uow, owner=row.id, keys={NEXT: (after.next.key, "/key")})
    row.access_key, row.access_epoch = after.key, after.epoch
    following = after.next
    row.access_next_epoch = following.epoch if following else None
    row.access_next_stage = str(following.stage) if following else None
    row.access_next_key = following.key if following else ""
    row.access_until = until if following else None
    row.version += 1
    row.updated_at = uow.now
    return True


def keys_of(row: RelayRow) -> MeshKeys:
    """A relay's access keys out of its row."""
    following = None
    if row.access_next_epoch is not None and row.access_next_stage is not None:
        stage, key = KeyStage(row.access_next_stage), row.access_next_key
        following = NextKey(epoch=row.access_next_epoch, stage=stage, key=key, port=row.access_port if key else 0)
    return MeshKeys(key=row.access_key, epoch=row.access_epoch, port=row.access_port, next=following)


def present_point(relay: RelayRow, client: ClientRow) -> Point:
    """Where a client's present session is."""
    return _point(relay, relay.access_key, relay.access_device, client.door)


def next_point(relay: RelayRow, client: ClientRow) -> Point:
    """Where a client should be: the present point, unless the relay or the client has a next key that is in use."""
    key, device = relay.access_key, relay.access_device
    if relay.access_next_stage == KeyStage.OPEN:
        key, device = relay.access_next_key, 1 - device
    return _point(relay, key, device, 1 - client.door if client.next_key else client.door)


def _point(relay: RelayRow, key: str, device: int, door: int) -> Point:
    port = relay.access_port + access_device(device, door)
    return Point(key=key, endpoints=access_endpoints(relay.endpoints, port))
