"""When a network's keys rotate without anybody asking: what was set, and what it left undone. Security events."""

from __future__ import annotations

from typing import ClassVar

import msgspec
from altnet.common.contracts.envelope import event
from altnet.common.contracts.mesh_keys import KeyKind
from altnet.common.contracts.security import SecurityEvent


class PolicySnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """One policy. Times in seconds."""

    max_age: float | None
    """None: age starts nothing."""
    jitter: float
    """Share of the age by which it varies."""
    on_new_owner: bool
    on_suspicion: bool
    plan: dict[str, int | float | str]


class PolicyEvent(SecurityEvent, frozen=True, kw_only=True):
    network: str
    of: KeyKind

    @property
    def subject_id(self) -> str:
        return self.network


@event
class RotationPolicyChanged(PolicyEvent, frozen=True, kw_only=True):
    """When and how a network's keys of a kind rotate by themselves was set anew."""

    kind: ClassVar[str] = "keyd.rotation_policy.changed"
    before: PolicySnapshot | None
    """None: there was none."""
    after: PolicySnapshot


@event
class RotationWithheld(PolicyEvent, frozen=True, kw_only=True):
    """There was suspicion, and the policy leaves what follows from it to people: nobody rotates the keys."""

    kind: ClassVar[str] = "keyd.rotation.withheld"
    reason: str
    relay: str = ""
    """Whose key was revoked, or who saw it."""
