"""The network lock: entries and statements taken in, and what relays say of it.

keyd verifies what it takes, so that no junk is kept; but nobody has to believe it, and it signs nothing here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from altnet.common.contracts.keyd import IdentityState, SecurityEvent
from altnet.common.contracts.lock import LockReport, Refusal
from altnet.common.contracts.lock_events import LockAlarmed, LockChanged, LockRefused, LockSigned
from altnet.common.db.uow import UnitOfWork
from altnet.common.errors import Conflict, Invalid, NotFound, Unauthenticated
from altnet.common.lock.book import Book
from altnet.common.lock.certificates import Certificate, WgUse, is_certified, merged
from altnet.common.lock.log import Log, SignedEntry
from altnet.common.lock.statements import ClientStatement, SignedStatement, Statement
from altnet.keyd.handlers.rotation_wishes import wish_for_new_owner, wish_on_suspicion
from altnet.keyd.store import lock
from altnet.keyd.store.events import EMITTER, next_numbers
from altnet.keyd.tables import IdentityRow, LockEntryRow, LockHostRow, LockStatementRow

MOST_STATEMENTS: Final = 128
"""In one upload."""
MOST_NAMED: Final = 10


async def add_entry(uow: UnitOfWork, network: str, item: SignedEntry, *, force: bool) -> Log:
    """Take the next entry of a network's log; the same as the last one again changes nothing.

    Raises what is wrong with it, `NotFound` (`no_such_network`), `Conflict` (`lock_relays_unsigned`, where turning
    the lock on would cut relays off and nobody insists).
    """
    members = await lock.members(uow.session, network)
    if not members:
        raise NotFound("no_such_network", "keyd knows no relay of this network.", field="/network")
    version = await lock.next_version(uow, network)
    log = await lock.log_of(uow.session, network)
    if log.length and log.head == item.hash:
        return log
    after = log.extended([item])
    assert after.last is not None
    if after.enabled and not log.enabled and not force:
        await _check_all_signed(uow, after, members)
    uow.session.add(
        LockEntryRow(
            network=network,
            number=after.length,
            entry=item.entry,
            hash=item.hash,
            signatures=msgspec.to_builtins(item.signatures),
            created_by=uow.actor,
            created_at=uow.now,
        )
    )
    await uow.session.flush()
    signers = item.signers() & {*after.last.owners, *(log.last.owners if log.last is not None else ())}
    await _tell(
        uow,
        [
            LockChanged(
                emitter=EMITTER,
                number=1,
                network=network,
                change=after.last.change,
                length=after.length,
                head=after.head,
                enabled=after.enabled,
                signers=tuple(sorted(signers)),
            )
        ],
    )
    if set(after.last.owners) - set(log.last.owners if log.last is not None else ()):
        await wish_for_new_owner(uow, network)
    assert version  # the row is ours to the commit: no other entry came between
    return after


async def add_statements(uow: UnitOfWork, network: str, items: Sequence[SignedStatement]) -> int:
    """Take statements; how many were new. All or none.

    Before there is a log, any signer may be an authority to come. Raises what is wrong with one, `Unauthenticated`
    (`lock_no_authority`), `Conflict` (`lock_serial`).
    """
    opened = [(item, item.opened()) for item in items]
    first = await lock.next_version(uow, network, max(1, len(items)))
    log = await lock.log_of(uow.session, network)
    known = await lock.statements_of(uow.session, network, [it.subject for _, it in opened])
    new: list[tuple[str, str]] = []
    for place, (item, statement) in enumerate(opened):
        field = f"/statements/{place}"
        if statement.network != network:
            reason = f"the statement about {statement.subject} is of network {statement.network}."
            raise Invalid("lock_other_network", reason, field=field)
        if log.length and item.authority not in log.authorities:
            raise Unauthenticated(
                "lock_no_authority",
                f"{item.authority} is no authority of this network.",
                field=field,
                mend="`altnet lock status` shows who is; owners change them by `altnet lock rotate`.",
            )
        row = known.get(statement.subject)
        if row is not None and (row.statement, row.authority) == (item.statement, item.authority):
            continue
        counts = row is not None and (not log.length or row.authority in log.authorities)
        if row is not None and counts and row.serial >= statement.serial:
            raise Conflict(
                "lock_serial",
                f"a statement about {statement.subject} of serial {row.serial} is known.",
                field=field,
                mend=f"Sign one of serial {row.serial + 1} or more.",
            )
        columns = _columns(item, statement)
        columns |= {"version": first + place, "created_by": uow.actor, "created_at": uow.now}
        if row is None:
            row = LockStatementRow(network=network, subject=statement.subject, **columns)
            known[statement.subject] = row
            uow.session.add(row)
        for name, value in columns.items():
            setattr(row, name, value)
        new.append((statement.subject, item.authority))
    await uow.session.flush()
    if new:
        subjects, authorities = (tuple(sorted({pair[at] for pair in new})) for at in (0, 1))
        told = LockSigned(emitter=EMITTER, number=1, network=network, subjects=subjects, authorities=authorities)
        await _tell(uow, [told])
    return len(new)


def _columns(item: SignedStatement, statement: Statement) -> dict[str, Any]:
    return {
        "kind": "client" if isinstance(statement, ClientStatement) else "relay",
        "serial": statement.serial,
        "statement": item.statement,
        "authority": item.authority,
        "signature": item.signature,
    }


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What was new in a relay's report."""

    certified: bool = False
    """Relays have to be told."""
    refused: tuple[str, ...] = ()
    """What kind of thing, for each."""
    alarm: str = ""


async def heard_of_lock(uow: UnitOfWork, identity: IdentityRow, said: LockReport) -> Heard:
    """A relay tells its certificates and how it stands: what is new of that is told, once.

    Raises `Invalid` (`bad_certificate`).
    """
    told = said.certificates
    if identity.state != IdentityState.ACTIVE:  # its keys wait for an owner; what it says of the lock does not
        told = tuple(one for one in told if _is_own(identity, one))
    certified = await certify(uow, identity, told)
    row = await _host(uow, identity)
    end = await lock.last(uow.session, identity.network)
    alarm, text = await _alarm(uow, identity.network, said, end)
    before = {(one["object"], one["what"]) for one in row.refused}
    new = [one for one in said.refused if (one.object, one.what) not in before]
    events: list[SecurityEvent] = [
        LockRefused(
            emitter=EMITTER,
            number=1,
            network=identity.network,
            relay=identity.id,
            object=one.object,
            what=one.what,
            reason=one.reason,
        )
        for one in new
    ]
    alarmed = bool(alarm) and (alarm, text) != (row.alarm, row.alarm_text)
    if alarmed:
        events.append(
            LockAlarmed(emitter=EMITTER, number=1, network=identity.network, relay=identity.id, why=alarm, detail=text)
        )
    row.length, row.head = said.length, said.head
    row.refused, row.refused_count = msgspec.to_builtins(said.refused), said.refused_count
    row.alarm, row.alarm_text = alarm, text
    row.reported_at = uow.now
    await uow.session.flush()
    await _tell(uow, events)
    if alarmed and identity.state == IdentityState.ACTIVE:  # who is not proven starts nothing
        await wish_on_suspicion(uow, identity.network, relay=identity.id, why=alarm)
    return Heard(certified=certified, refused=tuple(one.what for one in new), alarm=alarm if alarmed else "")


async def certify(uow: UnitOfWork, identity: IdentityRow, told: Sequence[Certificate]) -> bool:
    """Keep what a host's identity key has signed; True if that is news. Raises `Invalid` (`bad_certificate`)."""
    for one in told:
        if not _is_own(identity, one):
            raise Invalid("bad_certificate", "the identity key has not signed this for this relay.")
    known = lock.certificates_of(await lock.host(uow.session, identity.id))
    if set(told) <= set(known):
        return False
    version = await lock.next_version(uow, identity.network)
    row = await _host(uow, identity)
    row.certificates = msgspec.to_builtins(merged(lock.certificates_of(row), told))
    row.version = version
    await uow.session.flush()
    return True


def _is_own(identity: IdentityRow, one: Certificate) -> bool:
    return is_certified(one, network=identity.network, relay=identity.id, identity=identity.signing_key)


async def _host(uow: UnitOfWork, identity: IdentityRow) -> LockHostRow:
    row = await lock.host(uow.session, identity.id, lock=True)
    if row is None:
        row = LockHostRow(relay=identity.id, network=identity.network)
        uow.session.add(row)
        await uow.session.flush()
    return row


async def _alarm(uow: UnitOfWork, network: str, said: LockReport, end: LockEntryRow | None) -> tuple[str, str]:
    """What the relay was alarmed by; else what its log is beside ours."""
    if said.alarm:
        return said.alarm, said.alarm_text
    length = end.number if end is not None else 0
    if said.length > length:
        return "lock_behind", f"the relay knows entry {said.length}; the last one known to keyd is {length}."
    if said.length:
        row = await uow.session.get(LockEntryRow, (network, said.length))
        if row is None or row.hash != said.head:
            return "lock_forked", f"the relay knows another entry {said.length} than keyd."
    return "", ""


async def _check_all_signed(uow: UnitOfWork, after: Log, members: Sequence[IdentityRow]) -> None:
    book = Book(after.network)
    book.take_log(after)
    known = await lock.statements_of(uow.session, after.network, [one.id for one in members])
    hosts = await lock.hosts_of(uow.session, after.network)
    lacking = []
    for one in members:
        if one.state != IdentityState.ACTIVE and not one.signing_key:
            continue  # it has never made contact, so nothing of it is in use that could be cut off by this
        row = known.get(one.id)
        if row is not None:
            book.put(lock.signed_statement(row))
        certified = any(item.use is WgUse.MESH for item in lock.certificates_of(hosts.get(one.id)))
        if book.relay(one.id) is None or not certified:
            lacking.append(f"{one.name} ({'a statement' if book.relay(one.id) is None else 'its own certificate'})")
    if lacking:
        named = ", ".join(lacking[:MOST_NAMED]) + (
            f" and {len(lacking) - MOST_NAMED} more" * (len(lacking) > MOST_NAMED)
        )
        raise Conflict(
            "lock_relays_unsigned",
            f"turning the lock on would cut off relays that lack something: {named}.",
            mend="Sign them first (`altnet lock sign`), let old agents be upgraded, or insist with `force`.",
        )


async def _tell(uow: UnitOfWork, events: Sequence[Any]) -> None:
    if not events:
        return
    number = await next_numbers(uow, len(events))
    for offset, one in enumerate(events):
        uow.emit(msgspec.structs.replace(one, number=number + offset))


def refusals(row: LockHostRow) -> tuple[Refusal, ...]:
    return msgspec.convert(row.refused, tuple[Refusal, ...])
