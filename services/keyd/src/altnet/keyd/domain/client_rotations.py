"""A rotation of clients' keys, as a state machine. Pure.

    prepare   the registry asks every client with an older key for another one, some at a time
    connect   clients make keys, announce them and change over, each for itself
    done      nobody is left, or the latest date is there: announced keys are kept then, and who has none keeps its own
    back      ↳ from prepare and connect: nobody is asked any more; who has announced a key goes on

Invariant: the registry is told the same thing however often it is asked, so a keyd that dies in between costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from altnet.common.contracts.keyd import RotationPhase
from altnet.common.contracts.mesh_keys import ClientKeysTaken


@dataclass(frozen=True, kw_only=True)
class Campaign:
    """Where a rotation of clients' keys is."""

    phase: RotationPhase
    until: datetime
    stop: bool = False


def drops(campaign: Campaign) -> bool:
    """Whether nobody is to be asked any more."""
    return campaign.stop or campaign.phase is RotationPhase.BACK


def after(campaign: Campaign, told: ClientKeysTaken, now: datetime) -> RotationPhase:
    """The phase once the registry has answered."""
    if drops(campaign):
        return RotationPhase.ROLLED_BACK
    if told.waiting:
        return RotationPhase.DONE if now >= campaign.until else RotationPhase.PREPARE
    if told.asked or told.announced:
        return RotationPhase.DONE if now >= campaign.until else RotationPhase.CONNECT
    return RotationPhase.DONE
