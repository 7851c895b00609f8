"""What happened to a network lock. Each is a security event, numbered like keyd's others."""

from __future__ import annotations

from typing import ClassVar

from altnet.common.contracts.envelope import event
from altnet.common.contracts.keyd import SecurityEvent
from altnet.common.lock.log import LockChange


class LockEvent(SecurityEvent, frozen=True, kw_only=True):
    network: str

    @property
    def subject_id(self) -> str:
        return self.network


@event
class LockChanged(LockEvent, frozen=True, kw_only=True):
    """Owners added an entry to the log."""

    kind: ClassVar[str] = "keyd.lock.changed"
    change: LockChange
    length: int
    head: str
    enabled: bool
    signers: tuple[str, ...]


@event
class LockSigned(LockEvent, frozen=True, kw_only=True):
    """An authority vouched for relays or clients, or said that they are out."""

    kind: ClassVar[str] = "keyd.lock.signed"
    subjects: tuple[str, ...]
    authorities: tuple[str, ...]


@event
class LockRefused(LockEvent, frozen=True, kw_only=True):
    """A relay was told something that nobody has signed for, and left it out: told once, until it is gone."""

    kind: ClassVar[str] = "keyd.lock.refused"
    relay: str
    """Who refused it."""
    object: str
    what: str
    reason: str


@event
class LockAlarmed(LockEvent, frozen=True, kw_only=True):
    """The log that a relay knows, or was shown, is not the one known here."""

    kind: ClassVar[str] = "keyd.lock.alarmed"
    relay: str
    why: str
    """`lock_forked`, `lock_stale`, `lock_unsigned`, `lock_behind` (keyd's own log is shorter), …"""
    detail: str
