"""What people ask of a rotation beyond starting, pausing and resuming it. How it goes on is in `keyd.py`."""

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
