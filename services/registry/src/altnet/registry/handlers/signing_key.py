"""The key that signs operators' access tokens was replaced: told once, whoever did it, and also if nothing ran then.

The key is a file of the host (`altnet admin replace-signing-key`), so the registry compares what it signs with to what
it signed with before. Leaves out taking the key up, which the host does. Invariant: one replacement, one event.
"""

from __future__ import annotations

from altnet.common.contracts.registry import SigningKeyReplaced
from altnet.common.db.uow import UnitOfWork
from altnet.registry.tables import SigningKeyRow


async def note_signing_key(uow: UnitOfWork, key: str) -> None:
    """`key`: the thumbprint of the key in use. The first one that is ever seen replaces none."""
    row = await uow.session.get(SigningKeyRow, True, with_for_update=True)
    if row is None:
        uow.session.add(SigningKeyRow(one=True, key=key, seen_at=uow.now))
    elif row.key != key:
        uow.emit(SigningKeyReplaced(key=key, before=row.key))
        row.key, row.seen_at = key, uow.now
