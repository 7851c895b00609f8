"""Security events of hosts, as their agents numbered them: passed on once each, and a jump of the count is told.

Invariant: a number of a host is passed on at most once, and never after a higher one.
"""

from __future__ import annotations

from altnet.common.contracts.keyd import HostGap, HostTold, IdentityState, Tell
from altnet.common.contracts.security import Counted, Reader
from altnet.common.db.uow import UnitOfWork
from altnet.common.errors import Forbidden
from altnet.keyd.tables import EmitterRow, IdentityRow


async def hear_host(uow: UnitOfWork, identity: IdentityRow, told: Tell) -> None:
    """Pass on what is new. Raises `Forbidden` (`identity_not_active`): then the host keeps what it has to tell."""
    if identity.state != IdentityState.ACTIVE:
        raise Forbidden("identity_not_active", "nothing proves this host.", mend="Approve it first.")
    relay = identity.id
    row = await uow.session.get(EmitterRow, relay, with_for_update=True)
    if row is None:
        row = EmitterRow(emitter=relay, number=0)
        uow.session.add(row)
    reader = Reader.begin({relay: row.number})
    for one in sorted(told.events, key=lambda one: one.number):
        before = reader.last[relay]
        counted = reader.take(relay, one.number)
        if counted is Counted.REPEATED:
            continue
        if counted is Counted.GAP:
            uow.emit(HostGap(relay=relay, first=before + 1, last=one.number - 1))
        uow.emit(HostTold(emitter=relay, number=one.number, at=one.at, code=one.code, text=one.text))
    row.number = reader.last[relay]
