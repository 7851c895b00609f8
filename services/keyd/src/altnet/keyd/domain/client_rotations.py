"""A rotation of clients' keys, as a state machine. Pure.

    prepare   the canary: as many clients as the plan says are asked for another key, and have to have changed over
    connect   the others, at most a wave at a time are under way
    done      nobody is left, or the latest date is there: the registry ends each change then, and names who is left
    back      ↳ from prepare and connect: the registry drops what nobody goes by yet
    rolled_back

Only clients that follow by themselves, while they are there, are a canary or in a wave. One that is away is asked when
it is there; a wg-quick file is asked for at once, and goes by its date. A client that has changed over keeps its new
key also in a roll-back: its handshake was seen, and the key of before is forgotten at both ends.

Leaves out who is there and who is late (the registry tells). Invariants: beyond the canary nobody that follows by
himself is asked before a canary has changed over; the registry is told the same thing however often it is asked, so a
keyd that dies in between costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from altnet.common.contracts.keyd import OnSilence, RotationPhase
from altnet.common.contracts.mesh_keys import ClientKeysTaken
from altnet.keyd.domain.rotations import OVER, Ended, Plan

MOST_LATE: Final = 0.25
"""Of those that have had their time, the share that may be late where the plan leaves silent ones behind: so many may
be closed at the wrong moment, and more are no accident."""


@dataclass(frozen=True, kw_only=True)
class Campaign:
    """Where a rotation of clients' keys is."""

    phase: RotationPhase
    plan: Plan
    until: datetime
    stop: bool = False
    ended: str = ""
    """Why it is rolled back."""
    blamed: tuple[str, ...] = ()
    """The clients because of whom; while it goes on, and when it is done, those that are late."""


def drops(campaign: Campaign) -> bool:
    """Whether nobody is to be asked any more."""
    return campaign.stop or campaign.phase is RotationPhase.BACK


def at_once(campaign: Campaign) -> int:
    """How many clients may be under way."""
    return campaign.plan.canary if campaign.phase is RotationPhase.PREPARE else campaign.plan.wave


def none_late(campaign: Campaign) -> bool:
    """Whether a single client that is late ends it."""
    return campaign.phase is RotationPhase.PREPARE or campaign.plan.silent is OnSilence.ROLL_BACK


def after(campaign: Campaign, told: ClientKeysTaken, now: datetime) -> Campaign:
    """The rotation once the registry has answered the order that it gives."""
    if campaign.phase in OVER:
        return campaign
    if drops(campaign):
        blamed = campaign.blamed if campaign.ended else ()
        return replace(
            campaign, phase=RotationPhase.ROLLED_BACK, ended=campaign.ended or str(Ended.ASKED), blamed=blamed
        )
    if now >= campaign.until or not (told.waiting or told.asked or told.announced):
        # At the date the registry may have ended their changes before it answers: then the last look knows them.
        return replace(campaign, phase=RotationPhase.DONE, blamed=told.late_ones or campaign.blamed)
    if _failed(campaign, told):
        return replace(campaign, phase=RotationPhase.BACK, ended=str(Ended.NO_HANDSHAKE), blamed=told.late_ones)
    going = replace(campaign, blamed=told.late_ones)
    if going.phase is RotationPhase.PREPARE and _tried(going, told):
        return replace(going, phase=RotationPhase.CONNECT)
    return going


def _tried(campaign: Campaign, told: ClientKeysTaken) -> bool:
    """Whether the canary has changed over; true as well where nobody follows by himself."""
    if told.under_way:
        return told.changed >= campaign.plan.canary
    return told.changed > 0 or not told.following


def _failed(campaign: Campaign, told: ClientKeysTaken) -> bool:
    if none_late(campaign):
        return told.late > 0
    tried = told.changed + told.late
    # A few are no measure, unless there are no more.
    enough = tried >= campaign.plan.wave or not (told.under_way or told.following)
    return enough and told.late > MOST_LATE * tried
