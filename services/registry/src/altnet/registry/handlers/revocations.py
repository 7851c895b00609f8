"""Putting out a key, whoever has it. Relays, clients and tokens are put out by their own handlers.

A key that is revoked is barred for good. A client goes with its key, since it is nothing else. A relay keeps its place
and has to let go of the key: keyd hears of it and orders new mesh keys, or holds the identity until its host shows new
keys that an owner approves. Until then the revocation says that the key is still in use.

Invariant: from the commit on nobody can claim the key, whoever lets go of it and whenever.
"""

from __future__ import annotations

from altnet.common.contracts.registry import KeyRevoked
from altnet.common.db.uow import UnitOfWork
from altnet.common.errors import Unavailable
from altnet.common.ids import CLIENT, RELAY
from altnet.common.keys import PublicKey
from altnet.registry.handlers.clients import remove_client
from altnet.registry.store import clients, relays, revocations
from altnet.registry.tables import RevocationRow


async def revoke_key(uow: UnitOfWork, text: str, *, reason: str = "") -> RevocationRow:
    """Revoke a public key. One that was revoked by itself before is answered as it was.

    Raises `Invalid` (`bad_key`), `Unavailable` (`key_moved`).
    """
    key = PublicKey.parse(text, field="/key").base64
    found = await revocations.holder(uow.session, key)
    owner, use = (found.owner, found.use) if found is not None else ("", "")
    # The holder first, as everybody does who gives it another key: two that wait for each other wait for ever.
    client = await clients.find(uow.session, owner, lock=True) if owner.startswith(CLIENT) else None
    relay = await relays.find(uow.session, owner, lock=True) if owner.startswith(RELAY) else None
    barred = await revocations.bar(uow, key)
    if not barred and (known := await revocations.of_key(uow.session, key)) is not None:
        return known
    now = await revocations.holder(uow.session, key)
    if (now.owner if now is not None else "") != owner:
        raise Unavailable("key_moved", "the key went from hand to hand at this moment.", mend="Try again.")
    change = None
    if client is not None:
        change = await remove_client(uow, client)
    holder = client or relay
    row = await revocations.note(
        uow,
        "key",
        subject=owner,
        network=holder.network_id if holder is not None else None,
        name=holder.name if holder is not None else "",
        key=key,
        use=use,
        reason=reason,
        change=change,
    )
    uow.emit(
        KeyRevoked(
            revocation=row.id,
            key=key,
            use=use,
            owner=owner,
            network=row.network_id or "",
            reason=reason,
            change=change,
        )
    )
    return row


async def revoke_client(uow: UnitOfWork, id: str, *, reason: str = "") -> RevocationRow:
    """Put a client out: unlike one that is only removed, it cannot come back with its key. Raises `NotFound`."""
    row = await clients.find(uow.session, id, lock=True)
    await revocations.bar_all(uow, row.id)
    network, name, key = row.network_id, row.name, row.key
    change = await remove_client(uow, row)
    noted = await revocations.note(
        uow, "client", subject=id, network=network, name=name, key=key, use="client", reason=reason, change=change
    )
    uow.emit(
        KeyRevoked(revocation=noted.id, key=key, use="client", owner=id, network=network, reason=reason, change=change)
    )
    return noted
