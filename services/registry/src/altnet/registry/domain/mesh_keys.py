"""What an order about mesh keys makes of a relay's keys. Pure.

Invariant: a key that was once replaced never comes back, and an order of before changes nothing of after.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from altnet.common.contracts.desired import KeyStage, NextKey
from altnet.common.contracts.mesh_keys import KeyOrder, Settle
from altnet.common.errors import Conflict, Invalid
from altnet.common.keys import PublicKey


@dataclass(frozen=True, kw_only=True)
class MeshKeys:
    """A relay's mesh keys: present, and on the way."""

    key: str
    epoch: int = 0
    port: int = 0
    next: NextKey | None = None


def ordered(keys: MeshKeys, order: KeyOrder) -> MeshKeys:
    """The keys after the order; the same again changes nothing.

    Raises `Invalid` (`bad_key_order`, `bad_key`), `Conflict` (`stale_epoch`, `no_next_key`).
    """
    field = f"/relays/{order.relay}"
    if (order.stage is None) == (order.settle is None):
        raise Invalid("bad_key_order", "an order gives either a stage or an end.", field=field)
    if order.settle is not None:
        return _settled(keys, order, field)
    assert order.stage is not None
    if order.epoch <= keys.epoch or (keys.next is not None and keys.next.epoch > order.epoch):
        raise Conflict("stale_epoch", f"{order.relay} is beyond epoch {order.epoch}.", field=field)
    known = keys.next if keys.next is not None and keys.next.epoch == order.epoch else None
    key, port = order.key or (known.key if known else ""), order.port or (known.port if known else 0)
    if key:
        PublicKey.parse(key, field=f"{field}/key")
    if not (key and port) and order.stage in (KeyStage.READY, KeyStage.OPEN):
        raise Invalid("bad_key_order", "a key that is used has to be told, and its port.", field=field)
    return replace(keys, next=NextKey(epoch=order.epoch, stage=order.stage, key=key, port=port))


def _settled(keys: MeshKeys, order: KeyOrder, field: str) -> MeshKeys:
    mine = keys.next is not None and keys.next.epoch == order.epoch
    if order.settle is Settle.DROP:
        if keys.epoch == order.epoch:
            raise Conflict("stale_epoch", f"{order.relay} has the key of epoch {order.epoch} already.", field=field)
        return replace(keys, next=None) if mine else keys
    if keys.epoch == order.epoch:
        return keys
    if not mine or keys.next is None or not keys.next.key:
        raise Conflict("no_next_key", f"{order.relay} has no key of epoch {order.epoch} to keep.", field=field)
    return MeshKeys(key=keys.next.key, epoch=order.epoch, port=keys.next.port)
