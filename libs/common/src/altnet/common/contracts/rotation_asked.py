"""What people ask of a rotation beyond starting, pausing and resuming it, and what it waits for beyond relays. How it
goes on is in `keyd.py`."""

from __future__ import annotations

from typing import ClassVar

from altnet.common.contracts.envelope import event
from altnet.common.contracts.keyd import RotationEvent, RotationPhase


@event
class RotationRollbackAsked(RotationEvent, frozen=True, kw_only=True):
    """Somebody wants the keys of before; that it went back is an event of its own."""

    kind: ClassVar[str] = "keyd.rotation.rollback_asked"
    phase: RotationPhase
    """In which it was by then."""


@event
class RotationWaits(RotationEvent, frozen=True, kw_only=True):
    """It cannot go on, and not because of a relay: told once for each reason until it goes on."""

    kind: ClassVar[str] = "keyd.rotation.waits"
    why: str
    """The error's code: `bus_down`, `bus_no_responders`, `bus_timeout`, `database_unavailable`, `no_bus_identity`, …"""
    detail: str
