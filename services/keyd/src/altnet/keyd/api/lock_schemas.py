"""The models of the network lock: signed texts as they are, and what they say."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

from altnet.common.http.schema import Model
from altnet.common.lock.certificates import WgUse
from altnet.common.lock.encoding import LARGEST_TEXT, Signature
from altnet.common.lock.log import MOST_KEYS, MOST_SIGNATURES, LockChange, Log, SignedEntry
from altnet.common.lock.statements import SignedStatement
from altnet.keyd.api.schemas import Key
from altnet.keyd.handlers.lock import MOST_STATEMENTS, refusals
from altnet.keyd.store import lock
from altnet.keyd.tables import IdentityRow, LockEntryRow, LockHostRow, LockStatementRow
from pydantic import Field

SignedText = Annotated[str, Field(max_length=LARGEST_TEXT)]
SignatureText = Annotated[str, Field(min_length=88, max_length=88)]
KeyText = Annotated[str, Field(min_length=44, max_length=44, examples=["xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="])]
Network = Annotated[str | None, Field(max_length=64, description="Identifier; not needed where there is one.")]


class LockSignature(Model):
    """An Ed25519 signature and whose it is, base64."""

    key: KeyText
    signature: SignatureText


class LockEntryNew(Model):
    """The next entry of a log."""

    network: Network = None
    entry: SignedText
    """Canonical JSON, as it was signed."""
    signatures: Annotated[list[LockSignature], Field(max_length=MOST_SIGNATURES)]
    force: bool = False
    """Turn the lock on although that cuts off relays that lack a statement or a certificate."""

    def signed(self) -> SignedEntry:
        made = tuple(Signature(key=one.key, signature=one.signature) for one in self.signatures)
        return SignedEntry(entry=self.entry, signatures=made)


class LockEntrySigned(Model):
    """An entry of the log, as it was signed."""

    number: int
    entry: str
    hash: str
    signatures: list[LockSignature]
    created_by: str
    created_at: datetime

    @classmethod
    def of(cls, row: LockEntryRow) -> LockEntrySigned:
        return cls(
            number=row.number,
            entry=row.entry,
            hash=row.hash,
            signatures=[LockSignature(key=one["key"], signature=one["signature"]) for one in row.signatures],
            created_by=row.created_by,
            created_at=row.created_at,
        )


class LockState(Model):
    """A network's lock."""

    network: str
    enabled: bool
    length: int
    """Entries in the log; 0: there is no lock."""
    head: str
    """SHA-256 of the last entry."""
    fingerprint: str
    """Of the first entry: what a host may be given at its enrolment."""
    change: LockChange | None
    """What the last entry did."""
    owners: Annotated[list[Key], Field(max_length=MOST_KEYS)]
    threshold: int
    """How many owners sign an entry."""
    authorities: Annotated[list[Key], Field(max_length=MOST_KEYS)]
    hosts: int
    """Relays that have reported."""
    behind: int
    """Relays whose log is not this one."""
    refusing: int
    """Relays that refuse something."""
    alarmed: int
    """Relays that were shown another log, or know one."""

    @classmethod
    def of(cls, log: Log, hosts: Mapping[str, LockHostRow]) -> LockState:
        last, told = log.last, [row for row in hosts.values() if row.reported_at is not None]
        return cls(
            network=log.network,
            enabled=log.enabled,
            length=log.length,
            head=log.head,
            fingerprint=log.fingerprint,
            change=last.change if last else None,
            owners=list(last.owners) if last else [],
            threshold=last.threshold if last else 0,
            authorities=list(last.authorities) if last else [],
            hosts=len(told),
            behind=sum(row.head != log.head for row in told),
            refusing=sum(row.refused_count > 0 for row in told),
            alarmed=sum(bool(row.alarm) for row in told),
        )


class LockStatement(Model):
    """What an authority signed, base64."""

    statement: SignedText
    """Canonical JSON, as it was signed."""
    authority: KeyText
    signature: SignatureText

    def signed(self) -> SignedStatement:
        return SignedStatement(statement=self.statement, authority=self.authority, signature=self.signature)


class LockStatementSigned(LockStatement):
    """The newest statement about a relay or client."""

    subject: str
    kind: str
    """`relay` or `client`."""
    serial: int
    created_by: str
    created_at: datetime

    @classmethod
    def of(cls, row: LockStatementRow) -> LockStatementSigned:
        return cls(
            statement=row.statement,
            authority=row.authority,
            signature=row.signature,
            subject=row.subject,
            kind=row.kind,
            serial=row.serial,
            created_by=row.created_by,
            created_at=row.created_at,
        )


class LockStatementsNew(Model):
    """Statements to be taken, all or none."""

    network: Network = None
    statements: Annotated[list[LockStatement], Field(min_length=1, max_length=MOST_STATEMENTS)]


class LockTaken(Model):
    """How many were new."""

    taken: int


class LockKey(Model):
    """A WireGuard key that a host's identity key has signed."""

    use: WgUse
    epoch: int
    key: Key


class LockRefusal(Model):
    """Something that a relay was told and nobody has signed for."""

    object: str
    what: str
    reason: str


class LockHost(Model):
    """A relay, as far as the lock is concerned."""

    relay: str
    name: str
    identity: str
    """Its Ed25519 key, base64; empty before its first contact."""
    keys: list[LockKey]
    length: int
    """Entries of the log that it knows."""
    head: str
    refused: list[LockRefusal]
    refused_count: int
    alarm: str
    alarm_text: str
    reported_at: datetime | None

    @classmethod
    def of(cls, identity: IdentityRow, row: LockHostRow | None) -> LockHost:
        certified = lock.certificates_of(row)
        return cls(
            relay=identity.id,
            name=identity.name,
            identity=identity.signing_key,
            keys=[LockKey(use=one.use, epoch=one.epoch, key=one.key) for one in certified],
            length=row.length if row else 0,
            head=row.head if row else "",
            refused=[LockRefusal(object=it.object, what=it.what, reason=it.reason) for it in refusals(row)]
            if row
            else [],
            refused_count=row.refused_count if row else 0,
            alarm=row.alarm if row else "",
            alarm_text=row.alarm_text if row else "",
            reported_at=row.reported_at if row else None,
        )
