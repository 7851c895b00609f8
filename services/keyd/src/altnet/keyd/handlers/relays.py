"""What the registry tells of relays."""

from __future__ import annotations

from typing import Final

from altnet.common.contracts.keyd import HostKeyUse, IdentityState
from altnet.common.contracts.registry import RelayEvent, RelayRevoked, RelaySnapshot
from altnet.common.db.uow import UnitOfWork
from altnet.keyd.domain import identities as rules
from altnet.keyd.store import identities

ENROLLED: Final = "enrolled"
TOLD: Final = "told by its host"


async def heard_of_relay(uow: UnitOfWork, event: RelayEvent) -> None:
    """Keep up with a relay that was registered, changed or revoked; the same again changes nothing."""
    said = event.after or event.before
    if said is None:
        return
    row = await identities.find(uow.session, event.relay, lock=True)
    out = isinstance(event, RelayRevoked) or said.revoked
    if row is None:
        if not out:
            await _expect(uow, said)
            await _note(uow, said, why=ENROLLED)
        return
    after = rules.told(row.snapshot(), name=said.name, static_key=said.identity_key)
    row.nkey = said.nkey
    await identities.save(uow, row, rules.revoked(after) if out else after)
    if not out and row.state != IdentityState.REVOKED:
        await _note(uow, said, why=TOLD)


async def _note(uow: UnitOfWork, said: RelaySnapshot, *, why: str) -> None:
    for use, key in ((HostKeyUse.MESH, said.key), (HostKeyUse.ACCESS, said.access_key)):
        await identities.note_key(uow, said.id, use, key, why=why)


async def _expect(uow: UnitOfWork, said: RelaySnapshot) -> None:
    known = await identities.name_known(uow, network=said.network, name=said.name, beside=said.id)
    identity = rules.expected(
        id=said.id, network=said.network, name=said.name, static_key=said.identity_key, name_known=known
    )
    await identities.add(uow, identity, nkey=said.nkey)
