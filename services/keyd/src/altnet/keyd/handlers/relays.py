"""What the registry tells of relays."""

from __future__ import annotations

from altnet.common.contracts.registry import RelayEvent, RelayRevoked, RelaySnapshot
from altnet.common.db.uow import UnitOfWork
from altnet.keyd.domain import identities as rules
from altnet.keyd.store import identities


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
        return
    after = rules.told(row.snapshot(), name=said.name, static_key=said.identity_key)
    row.nkey = said.nkey
    await identities.save(uow, row, rules.revoked(after) if out else after)


async def _expect(uow: UnitOfWork, said: RelaySnapshot) -> None:
    known = await identities.name_known(uow, network=said.network, name=said.name, beside=said.id)
    identity = rules.expected(
        id=said.id, network=said.network, name=said.name, static_key=said.identity_key, name_known=known
    )
    await identities.add(uow, identity, nkey=said.nkey)
