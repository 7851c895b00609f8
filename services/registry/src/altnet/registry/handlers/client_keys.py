"""A client's key gives way to another one: wished, announced, and kept, with both taken in between.

    wish       somebody wants it: an operator, a policy, the client itself; a challenge is made
    announce   the client shows the key that it made, and proves both; relays take it at the other door
    keep       it says that it uses it, or the latest date is there: the key of before is out at once
    drop       nothing comes of it

Whose program cannot do this (wg-quick) has it announced by an operator; it changes when its new file is installed, and
the key of before is taken until the date. Leaves out what relays make of it (the planner) and which sessions the client
has. Invariant: the secret of a client replaces no key without both private keys, and at any time one key is the
client's and at most one more is taken for it.
"""

from __future__ import annotations

import base64
from datetime import datetime, timedelta

from altnet.common.contracts import client_keys as proofs
from altnet.common.contracts.client import KeyWish
from altnet.common.contracts.mesh_keys import ClientKeysOrder, ClientKeysTaken, ClientKeysWished
from altnet.common.contracts.registry import ClientChanged, ClientSnapshot
from altnet.common.db.uow import UnitOfWork
from altnet.common.errors import Conflict, Forbidden
from altnet.common.ids import Randomness
from altnet.common.keys import PrivateKey, PublicKey
from altnet.registry.handlers import snapshots
from altnet.registry.store import changes, clients, named
from altnet.registry.store.conflicts import CONFLICTS
from altnet.registry.tables import ClientRow

NEXT = "client_next"


async def wish(uow: UnitOfWork, row: ClientRow, *, until: float, randomness: Randomness) -> int | None:
    """Ask a locked client for another key, within `until` seconds; None where it is asked already."""
    if row.wish_epoch is not None:
        return None
    before = snapshots.of_client(row)
    _wish(row, uow.now + timedelta(seconds=until), randomness)
    return await _changed(uow, row, before, "asked for another key")


async def order_client_keys(
    uow: UnitOfWork, order: ClientKeysOrder, *, randomness: Randomness, limit: int = 500
) -> ClientKeysTaken:
    """As keyd orders: ask clients with older keys, some at each call, or ask nobody any more. Repeating is harmless."""
    session = uow.session
    if order.drop:
        rows = await clients.keys_asked(session, order.network)
        for row in rows:
            await forget(uow, row)
    else:
        rows = await clients.keys_before(session, order.network, order.since, limit=limit)
        for row in rows:
            _wish(row, order.until, randomness)
    for row in rows:
        row.version += 1
        row.updated_at = uow.now
    await session.flush()
    if rows:
        await changes.record(
            uow,
            lambda number: ClientKeysWished(
                network=order.network,
                rotation=order.rotation,
                clients=tuple(row.id for row in rows),
                dropped=order.drop,
                change=number,
            ),
            touched=[("client", row.id) for row in rows],
            summary=f"{len(rows)} clients {'keep their keys' if order.drop else 'asked for other keys'}",
            network=order.network,
        )
    done, announced, asked, waiting = await clients.count_keys(session, order.network, order.since)
    return ClientKeysTaken(done=done, announced=announced, asked=asked, waiting=waiting)


def _wish(row: ClientRow, until: datetime, randomness: Randomness) -> None:
    row.wish_epoch = row.key_epoch + 1
    row.wish_secret = base64.b64encode(PrivateKey.generate(randomness).reveal()).decode()
    row.key_until = until


async def announce(uow: UnitOfWork, row: ClientRow, said: proofs.Announced) -> int | None:
    """Take the key that a locked client made beside its present one; None where it is known already.

    Raises `Conflict` (`no_key_wished`, `next_key_announced`, `key_taken`), `Forbidden` (`bad_key_proof`), `Invalid`.
    """
    key = PublicKey.parse(said.key, field="/key")
    if row.next_key == key.base64 or row.key == key.base64:
        return None
    if row.wish_epoch is None or row.wish_epoch != said.epoch:
        raise Conflict("no_key_wished", "nobody asked for this key.", field="/epoch", mend="Ask for the configuration.")
    if not row.wish_secret:
        raise Conflict("next_key_announced", "another key was announced already.", field="/key", mend="Drop it first.")
    proofs.check(
        said.proof,
        client=row.id,
        epoch=said.epoch,
        challenge=PrivateKey.parse(row.wish_secret),
        present=PublicKey.parse(row.key),
        following=key,
    )
    return await _take(uow, row, key)


async def announce_for(uow: UnitOfWork, row: ClientRow, key: str, *, until: float) -> int | None:
    """An operator announces the key of a locked client whose program cannot; None where it is known already.

    Raises `Conflict` (`next_key_announced`, `key_taken`), `Invalid` (`bad_public_key`).
    """
    public = PublicKey.parse(key, field="/key")
    if row.next_key == public.base64:
        return None
    if row.key == public.base64:
        raise Conflict("key_taken", "this is the client's present key.", field="/key", mend="Make another one.")
    if row.next_key:
        raise Conflict("next_key_announced", "another key was announced already.", field="/key", mend="Drop it first.")
    row.wish_epoch = row.key_epoch + 1
    row.key_until = uow.now + timedelta(seconds=until)
    return await _take(uow, row, public)


async def keep(uow: UnitOfWork, row: ClientRow, key: str) -> int | None:
    """The announced key of a locked client is its key from now on; None where it is already.

    Raises `Conflict` (`not_the_next_key`).
    """
    if row.key == key and not row.next_key:
        return None
    if not row.next_key or row.next_key != key or row.wish_epoch is None:
        raise Conflict("not_the_next_key", "this key was not announced.", field="/key", mend="Announce it first.")
    uow.conflicts(CONFLICTS)
    before = snapshots.of_client(row)
    await named.drop_key(uow, owner=row.id, use=NEXT)
    await named.claim_keys(uow, owner=row.id, keys={"client": (key, "/key")})
    row.key, row.door, row.key_epoch, row.key_changed_at = key, 1 - row.door, row.wish_epoch, uow.now
    _clear(row)
    return await _changed(uow, row, before, "has another key")


async def drop(uow: UnitOfWork, row: ClientRow) -> int | None:
    """A locked client keeps the key that it has; None where nothing else was wished."""
    if row.wish_epoch is None:
        return None
    before = snapshots.of_client(row)
    await forget(uow, row)
    return await _changed(uow, row, before, "keeps its key")


async def forget(uow: UnitOfWork, row: ClientRow) -> None:
    """As `drop`, as a part of another change."""
    await named.drop_key(uow, owner=row.id, use=NEXT)
    _clear(row)


async def keep_due(uow: UnitOfWork, *, limit: int = 100) -> int:
    """At its latest date an announced key takes the place of the present one, and a wish without one ends."""
    rows = await clients.keys_due(uow.session, uow.now, limit=limit)
    for row in rows:
        await (keep(uow, row, row.next_key) if row.next_key else drop(uow, row))
    return len(rows)


def wish_of(row: ClientRow) -> KeyWish | None:
    """What the client is to do; None once it has announced its key."""
    if row.wish_epoch is None or not row.wish_secret:
        return None
    return KeyWish(epoch=row.wish_epoch, challenge=PrivateKey.parse(row.wish_secret).public().base64)


def only_operators(key: str | None, *, own: bool) -> None:
    """Raises `Forbidden` (`proof_needed`) where a client would announce a key by its secret alone."""
    if own and key is not None:
        raise Forbidden(
            "proof_needed", "a client announces a key by proving it.", field="/key", mend="PUT it as the next key."
        )


async def _take(uow: UnitOfWork, row: ClientRow, key: PublicKey) -> int:
    uow.conflicts(CONFLICTS)
    before = snapshots.of_client(row)
    await named.claim_keys(uow, owner=row.id, keys={NEXT: (key.base64, "/key")})
    row.next_key, row.wish_secret = key.base64, ""
    return await _changed(uow, row, before, "announced another key")


def _clear(row: ClientRow) -> None:
    row.next_key, row.wish_epoch, row.wish_secret, row.key_until = "", None, "", None


async def _changed(uow: UnitOfWork, row: ClientRow, before: ClientSnapshot, what: str) -> int:
    row.version += 1
    row.updated_at = uow.now
    await uow.session.flush()
    after = snapshots.of_client(row)
    return await changes.record(
        uow,
        lambda number: ClientChanged(client=row.id, before=before, after=after, reason=what, change=number),
        touched=[("client", row.id)],
        summary=f"client {row.name} {what}",
        network=row.network_id,
    )
