"""What people ask of rotations beyond starting, pausing and resuming them: policies, and ways back.

How a rotation itself goes on is in `keyd.py`. Each is a security event, numbered like keyd's others.
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec
from altnet.common.contracts.envelope import event
from altnet.common.contracts.keyd import RotationEvent, RotationPhase
from altnet.common.contracts.mesh_keys import KeyKind
from altnet.common.contracts.security import SecurityEvent


class RotationPolicySnapshot(msgspec.Struct, frozen=True, kw_only=True):
    network: str
    of: KeyKind
    max_age: float | None
    """Seconds; None: never by itself."""
    jitter: float
    plan: dict[str, Any]


@event
class RotationPolicyChanged(SecurityEvent, frozen=True, kw_only=True):
    """Somebody set when and how a network's keys of a kind rotate by themselves; `before` is None for a first one."""

    kind: ClassVar[str] = "keyd.rotation_policy.changed"
    network: str
    before: RotationPolicySnapshot | None = None
    after: RotationPolicySnapshot | None = None

    @property
    def subject_id(self) -> str:
        return self.network


@event
class RotationRollbackAsked(RotationEvent, frozen=True, kw_only=True):
    """Somebody wants the keys of before; that it went back is an event of its own."""

    kind: ClassVar[str] = "keyd.rotation.rollback_asked"
    phase: RotationPhase
    """In which it was by then."""
