"""A public key was revoked: the identity that has it is proven by it no more, and a mesh key has to be rotated away.

A rotation takes every relay of the network along, so there is one way in which keys change. It is owed until the relay
whose key was revoked has taken part in one that began later; a relay that is left behind (its identity is not proven,
or its agent is silent) is tried again, and put out by an operator if that cannot wait.

Invariant: a debt goes only with a new key, or with the relay.
"""

from __future__ import annotations

import contextlib
from datetime import timedelta
from typing import Final

from altnet.common.contracts.keyd import HostKeyUse, IdentityState, RotationPhase
from altnet.common.contracts.registry import KeyRevoked
from altnet.common.db.uow import UnitOfWork
from altnet.common.errors import Conflict, NotFound
from altnet.common.ids import RELAY, Randomness
from altnet.keyd.domain import identities as rules
from altnet.keyd.domain.rotations import Rotation
from altnet.keyd.handlers.rotations import start_rotation
from altnet.keyd.store import identities, rotations
from altnet.keyd.tables import KeyDebtRow, RotationRow
from sqlalchemy import delete, select
from sqlmodel import col

MESH: Final = frozenset({"mesh", "mesh_next"})
REASON: Final = "a key was revoked"


async def heard_of_revoked_key(uow: UnitOfWork, event: KeyRevoked) -> None:
    """Draw the consequences; the same again changes nothing."""
    if not event.owner.startswith(RELAY):
        return
    row = await identities.find(uow.session, event.owner, lock=True)
    if row is None or row.state == IdentityState.REVOKED:
        return
    if event.use == "identity" and row.static_key == event.key:
        await identities.save(uow, row, rules.key_revoked(row.snapshot()))
    elif event.use in MESH and await uow.session.get(KeyDebtRow, event.key) is None:
        uow.session.add(
            KeyDebtRow(
                key=event.key,
                relay=row.id,
                network=row.network,
                reason=event.reason,
                owed_at=uow.now,
                due_at=uow.now,
            )
        )


async def pay(uow: UnitOfWork, *, randomness: Randomness, again: float) -> None:
    """Start what is owed and due, where no rotation is open. `again`: seconds until another try."""
    query = select(KeyDebtRow).where(col(KeyDebtRow.due_at) <= uow.now).order_by(col(KeyDebtRow.owed_at))
    debts = (await uow.session.execute(query)).scalars().all()
    states = await rotations.states(uow.session, [debt.relay for debt in debts])
    tried: set[str] = set()
    for debt in debts:
        if states.get(debt.relay) == IdentityState.REVOKED:
            await uow.session.delete(debt)
        elif debt.network not in tried and await rotations.open_of(uow.session, debt.network) is None:
            tried.add(debt.network)
            with contextlib.suppress(Conflict, NotFound):  # too few relays are proven
                await start_rotation(uow, debt.network, reason=REASON, plan=None, randomness=randomness)
            debt.due_at = uow.now + timedelta(seconds=again)


async def settle(uow: UnitOfWork, row: RotationRow, ended: Rotation) -> None:
    """A rotation is over: its relays' new keys are written down, and what they owed before it began is paid."""
    if ended.phase is not RotationPhase.DONE:
        return
    for part in ended.taking_part:
        await identities.note_key(uow, part.relay, HostKeyUse.MESH, part.key, why=f"rotation {row.id}")
    paid = [part.relay for part in ended.taking_part]
    await uow.session.execute(
        delete(KeyDebtRow).where(col(KeyDebtRow.relay).in_(paid), col(KeyDebtRow.owed_at) <= row.created_at)
    )
