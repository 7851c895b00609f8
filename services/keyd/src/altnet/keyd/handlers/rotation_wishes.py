"""What makes a network's keys rotate besides age and people, where a policy wants that: a new owner's key, suspicion.

Suspicion is a relay that was shown another network lock than the one it knows: somebody has the bus, or keyd. A
revoked key is suspicion as well, but owed to its relay until that has another (revoked_keys.py). A wish is a row, so it
outlives a rotation that is open, and a keyd that dies; `grant` starts it.

Invariant: whatever relays say, a network rotates for suspicion once in `rest` at most.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from altnet.common.contracts.mesh_keys import KeyKind
from altnet.common.contracts.rotation_policies import RotationWithheld
from altnet.common.db.uow import UnitOfWork
from altnet.common.errors import Conflict, NotFound
from altnet.common.ids import Randomness
from altnet.keyd.handlers.rotations import start_rotation
from altnet.keyd.store import rotations

NEW_OWNER: Final = "a new owner key"
SUSPICION: Final = "suspicion: "
"""Before what it is."""
SIGNS: Final = frozenset({"lock_forked", "lock_unsigned", "lock_other_than_pinned"})
"""Alarms of the network lock that nothing but a hostile bus or keyd explains. A log that is only older, or that cannot
be read, may be a backup, a delay, or another version."""


async def wish_for_new_owner(uow: UnitOfWork, network: str) -> None:
    """An owner's key that was not there before signs for the network: keys of the kinds whose policy says so rotate."""
    for policy in await rotations.policies(uow.session):
        if policy.network == network and policy.on_new_owner:
            await rotations.wish(uow, network, KeyKind(policy.of), reason=NEW_OWNER)


async def wish_on_suspicion(uow: UnitOfWork, network: str, *, relay: str, why: str) -> None:
    """A relay has seen one of `SIGNS`: mesh keys rotate, or an event says that they do not.

    A network that has no policy is left alone, for nobody has said that it may rotate by itself.
    """
    policy = await rotations.policy(uow.session, network, KeyKind.MESH)
    if policy is None or why not in SIGNS:
        return
    if policy.on_suspicion:
        await rotations.wish(uow, network, KeyKind.MESH, reason=SUSPICION + why)
    else:
        uow.emit(RotationWithheld(network=network, of=KeyKind.MESH, reason=SUSPICION + why, relay=relay))


async def grant(uow: UnitOfWork, *, randomness: Randomness, again: float, rest: float) -> None:
    """Start what is wished for, where no rotation of the kind is open. Seconds: `again` until another try, `rest`
    between two for suspicion."""
    for wish in await rotations.wishes_due(uow):
        of = KeyKind(wish.of)
        if await rotations.open_of(uow.session, wish.network, of) is not None:
            continue
        begun = await rotations.last_for(uow.session, wish.network, of)
        if begun is not None and begun > wish.wished_at:  # somebody was faster
            await uow.session.delete(wish)
            continue
        if wish.reason.startswith(SUSPICION):
            last = await rotations.last_for(uow.session, wish.network, of, reason=SUSPICION)
            if last is not None and last + timedelta(seconds=rest) > uow.now:
                wish.due_at = last + timedelta(seconds=rest)
                continue
        try:
            await start_rotation(uow, wish.network, of=of, reason=wish.reason, plan=None, randomness=randomness)
        except (Conflict, NotFound):  # too few relays are proven
            wish.due_at = uow.now + timedelta(seconds=again)
        else:
            await uow.session.delete(wish)
