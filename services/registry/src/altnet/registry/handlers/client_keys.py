"""A client's key gives way to another one: wished, announced, and kept, with both taken in between.

    wish       somebody wants it: an operator, a policy, the client itself; a challenge is made
    announce   the client shows the key that it made, and proves both; relays take it at the other door
    keep       it says that it uses it, or the latest date is there: the key of before is out at once
    drop       nothing comes of it: also at the date, where no handshake was seen by a key that it announced itself

Whose program cannot do this (wg-quick) has it announced by an operator; it changes when its new file is installed, and
the key of before is taken until the date. Leaves out what relays make of it (the planner) and which sessions the client
has. Invariant: the secret of a client replaces no key without both private keys, and at any time one key is the
client's and at most one more is taken for it.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from altnet.common.contracts import client_keys as proofs
from altnet.common.contracts.client import KeyWish
from altnet.common.contracts.mesh_keys import (
    MOST_LATE_NAMED,
    ClientKeyLeft,
    ClientKeysOrder,
    ClientKeysTaken,
    ClientKeysWished,
)
from altnet.common.contracts.registry import ClientChanged, ClientSnapshot
from altnet.common.db.uow import UnitOfWork
from altnet.common.errors import Conflict, Forbidden
from altnet.common.ids import Randomness
from altnet.common.keys import PrivateKey, PublicKey
from altnet.registry.domain.client_keys import Asked, Outcome, UnderWay, at_the_date, next_asked, under_way
from altnet.registry.handlers import snapshots
from altnet.registry.store import changes, clients, named
from altnet.registry.store.conflicts import CONFLICTS
from altnet.registry.tables import ClientRow

NEXT = "client_next"
DUE_AT_ONCE: Final = 100
"""Changes that end in one unit of work."""
_WORDS: Final = {
    Outcome.NO_ANSWER: "no other one was announced by the date",
    Outcome.NO_HANDSHAKE: "it never came by the next one",
}

Presence = Callable[[str, Iterable[str | None]], datetime | None]
"""From when on a client of these relays is there; None while it is away (jobs/client_sessions.py)."""


async def wish(uow: UnitOfWork, row: ClientRow, *, until: float, randomness: Randomness) -> int | None:
    """Ask a locked client for another key, within `until` seconds; None where it is asked already."""
    if row.wish_epoch is not None:
        return None
    before = snapshots.of_client(row)
    _wish(uow, row, uow.now + timedelta(seconds=until), randomness)
    return await _changed(uow, row, before, "asked for another key")


async def order_client_keys(
    uow: UnitOfWork, order: ClientKeysOrder, *, here: Presence, randomness: Randomness, limit: int = 500
) -> ClientKeysTaken:
    """As keyd orders: ask clients with older keys, or nobody any more. Repeating is harmless.

    Those that follow by themselves while they are there, so many at once; the others all, `limit` at each call.
    """
    session = uow.session
    await clients.lock_rotation(uow, order.network)
    if order.drop:
        rows = await clients.keys_to_drop(session, order.network, rotation=order.rotation)
        for row in rows:
            await forget(uow, row)
    elif uow.now < order.until:
        rows = await _to_ask(uow, order, here=here, limit=limit)
        for row in rows:
            _wish(uow, row, order.until, randomness, rotation=order.rotation)
    else:
        rows = []
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
    counts = await clients.count_keys(session, order.network, order.since, rotation=order.rotation)
    found = await _under_way(uow, order, here=here)
    return ClientKeysTaken(
        **counts._asdict(),
        under_way=len(found.timely),
        late=len(found.late),
        late_ones=found.late[:MOST_LATE_NAMED],
    )


async def _to_ask(uow: UnitOfWork, order: ClientKeysOrder, *, here: Presence, limit: int) -> Sequence[ClientRow]:
    found = await _under_way(uow, order, here=here)
    if order.none_late and found.late:
        return []
    waiting = await clients.keys_before(uow.session, order.network, order.since, rotation=order.rotation)
    present = [one.id for one in waiting if here(one.id, (one.relay, one.standby)) is not None]
    chosen = next_asked(present, found.timely, at_once=order.at_once)
    return await clients.lock_to_ask(
        uow.session, order.network, order.since, rotation=order.rotation, ids=chosen, limit=limit
    )


async def _under_way(uow: UnitOfWork, order: ClientKeysOrder, *, here: Presence) -> UnderWay:
    asked = await clients.asked_by(uow.session, order.network, rotation=order.rotation)
    known = [Asked(client=one.id, at=at, here_since=here(one.id, (one.relay, one.standby))) for one, at in asked]
    return under_way(known, patience=order.patience, now=uow.now)


def _wish(uow: UnitOfWork, row: ClientRow, until: datetime, randomness: Randomness, *, rotation: str = "") -> None:
    row.wish_epoch = row.key_epoch + 1
    row.wish_at, row.wish_rotation = uow.now, rotation or row.wish_rotation
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
    return await _take(uow, row, key, proven=True)


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
    return await _take(uow, row, public, proven=False)


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


async def drop(uow: UnitOfWork, row: ClientRow, *, why: str = "keeps its key") -> int | None:
    """A locked client keeps the key that it has; None where nothing else was wished. `why`: words for the change."""
    if row.wish_epoch is None:
        return None
    before = snapshots.of_client(row)
    await forget(uow, row)
    return await _changed(uow, row, before, why)


async def forget(uow: UnitOfWork, row: ClientRow) -> None:
    """As `drop`, as a part of another change."""
    await named.drop_key(uow, owner=row.id, use=NEXT)
    _clear(row)


async def keep_due(uow: UnitOfWork, *, limit: int = DUE_AT_ONCE) -> int:
    """At its latest date each change ends: the announced key takes the place of the present one, or the client is left
    with the key that it has, by an event that says why. How many there were, of at most `limit`."""
    rows = await clients.keys_due(uow.session, uow.now, limit=limit)
    for row in rows:
        outcome = at_the_date(announced=bool(row.next_key), proven=row.next_proven, seen=row.next_seen_at is not None)
        if outcome is Outcome.KEPT:
            await keep(uow, row, row.next_key)
            continue
        rotation, key, epoch = row.wish_rotation, row.next_key, row.wish_epoch
        change = await drop(uow, row, why=f"keeps its key: {_WORDS[outcome]}")
        if change is not None and epoch is not None:
            uow.emit(
                ClientKeyLeft(
                    client=row.id,
                    network=row.network_id,
                    rotation=rotation,
                    epoch=epoch,
                    key=key,
                    why=str(outcome),
                    change=change,
                )
            )
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


async def _take(uow: UnitOfWork, row: ClientRow, key: PublicKey, *, proven: bool) -> int:
    uow.conflicts(CONFLICTS)
    before = snapshots.of_client(row)
    await named.claim_keys(uow, owner=row.id, keys={NEXT: (key.base64, "/key")})
    row.next_key, row.wish_secret, row.next_proven = key.base64, "", proven
    return await _changed(uow, row, before, "announced another key")


def _clear(row: ClientRow) -> None:
    row.next_key, row.wish_epoch, row.wish_secret, row.key_until = "", None, "", None
    row.next_proven, row.next_seen_at, row.wish_at = False, None, None


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
