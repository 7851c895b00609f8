"""A public key was revoked: the identity that has it is proven by it no more, and a WireGuard key is rotated away.

A rotation takes every relay of the network along, so there is one way in which keys change. One of the key's kind is
owed until the relay whose key was revoked has taken part in one that began later; a relay that is left behind (its
identity is not proven, or its agent is silent) is tried again, and put out by an operator if that cannot wait. Where
the policy says that suspicion starts nothing, it is owed all the same, and the next rotation pays it, whoever starts
that. Of an access key, clients that do not follow by themselves have an hour at most, not the days of an ordinary
rotation.

Invariant: a debt goes only with a new key, or with the relay.
"""

from __future__ import annotations

import contextlib
from datetime import timedelta
from typing import Final

import msgspec
from altnet.common.contracts.keyd import HostKeyUse, IdentityState, RotationPhase
from altnet.common.contracts.mesh_keys import KeyKind
from altnet.common.contracts.registry import KeyRevoked
from altnet.common.contracts.rotation_policies import RotationWithheld
from altnet.common.db.uow import UnitOfWork
from altnet.common.errors import Conflict, NotFound
from altnet.common.ids import RELAY, Randomness
from altnet.keyd.domain import identities as rules
from altnet.keyd.domain.rotations import Rotation
from altnet.keyd.handlers.rotations import plan_of, start_rotation
from altnet.keyd.store import identities, rotations
from altnet.keyd.tables import KeyDebtRow, RotationRow
from sqlalchemy import delete, select
from sqlmodel import col

KINDS: Final = {
    "mesh": KeyKind.MESH,
    "mesh_next": KeyKind.MESH,
    "access": KeyKind.ACCESS,
    "access_next": KeyKind.ACCESS,
}
"""By what the registry says that the key was for."""
USES: Final = {KeyKind.MESH: HostKeyUse.MESH, KeyKind.ACCESS: HostKeyUse.ACCESS}
GRACE: Final = 3600.0
"""Seconds for clients of a relay whose access key was revoked."""
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
    elif event.use in KINDS and await uow.session.get(KeyDebtRow, event.key) is None:
        of = KINDS[event.use]
        if await _left_to_people(uow, row.network, of):
            uow.emit(RotationWithheld(network=row.network, of=of, reason=REASON, relay=row.id))
        uow.session.add(
            KeyDebtRow(
                key=event.key,
                relay=row.id,
                network=row.network,
                of=str(of),
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
    tried: set[tuple[str, KeyKind]] = set()
    for debt in debts:
        of = KeyKind(debt.of)
        if states.get(debt.relay) == IdentityState.REVOKED:
            await uow.session.delete(debt)
        elif await _left_to_people(uow, debt.network, of):
            continue
        elif (debt.network, of) not in tried and await rotations.open_of(uow.session, debt.network, of) is None:
            tried.add((debt.network, of))
            plan = await plan_of(uow, debt.network, of)
            if of is KeyKind.ACCESS:
                plan = msgspec.structs.replace(plan, grace=min(plan.grace, GRACE))
            with contextlib.suppress(Conflict, NotFound):  # too few relays are proven
                await start_rotation(uow, debt.network, reason=REASON, plan=plan, of=of, randomness=randomness)
            debt.due_at = uow.now + timedelta(seconds=again)


async def _left_to_people(uow: UnitOfWork, network: str, of: KeyKind) -> bool:
    policy = await rotations.policy(uow.session, network, of)
    return policy is not None and not policy.on_suspicion


async def settle(uow: UnitOfWork, row: RotationRow, ended: Rotation) -> None:
    """A rotation is over: its relays' new keys are written down, and what they owed before it began is paid."""
    use = USES.get(KeyKind(row.of))
    if ended.phase is not RotationPhase.DONE or use is None:
        return
    for part in ended.taking_part:
        await identities.note_key(uow, part.relay, use, part.key, why=f"rotation {row.id}")
    paid = [part.relay for part in ended.taking_part]
    await uow.session.execute(
        delete(KeyDebtRow).where(
            col(KeyDebtRow.relay).in_(paid),
            col(KeyDebtRow.of) == row.of,
            col(KeyDebtRow.owed_at) <= row.created_at,
        )
    )
