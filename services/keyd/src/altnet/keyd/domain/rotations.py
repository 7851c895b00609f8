"""A rotation of a network's mesh keys, or of its relays' access keys, as a state machine. Pure.

    prepare   each relay is asked for a key; once all have given theirs, each is told everybody's
    connect   wave by wave, the first one the canary: a pair may change over when one of its ends is open
    drain     everybody sends by the next keys alone; what is under way arrives
    keep      there is no way back from here, and it is noted before anybody is told
    done      the next keys are the keys
    back      ↳ from prepare, connect and drain: routes return to the present keys, then the next ones are dropped
    rolled_back

`advance` is asked again and again and says which orders to give; they are absolute and may be repeated, so whoever
asks may die between giving and noting them. Nothing is taken for done but what relays themselves have reported of a
mesh that has the last orders in it.

Access keys go the same way, with clients in the place of neighbours. A client that is here and follows by itself is
waited for as a neighbour is; one that cannot, or is away, until the plan's latest date.

Invariant: keys are kept only when every relay that takes part has switched every pair; each relay that does not take
part is named with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec
from altnet.common.contracts.desired import KeyStage
from altnet.common.contracts.keyd import OnSilence, RotationPhase
from altnet.common.contracts.mesh_keys import KeyKind, KeyOrder, Settle

OVER = frozenset({RotationPhase.DONE, RotationPhase.ROLLED_BACK})


class Ended(StrEnum):
    """Why a rotation was rolled back."""

    ASKED = "asked"
    NO_HANDSHAKE = "no_handshake"
    SILENT = "silent"
    NOBODY = "nobody_prepared"
    REFUSED = "order_refused"


class Left(StrEnum):
    """Why a relay is left behind with the key that it has."""

    UNPROVEN = "identity_not_active"
    NO_KEY = "no_key_in_time"
    NO_REPORT = "no_report_in_time"
    REVOKED = "revoked"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How to rotate. Times in seconds."""

    canary: int = 1
    """Relays, or clients, that go first, alone."""
    wave: int = 8
    """Relays, or clients, that follow at a time."""
    prepare_timeout: float = 60.0
    wave_timeout: float = 30.0
    drain: float = 5.0
    """Packets are under way for less than a second; both ends have said that they send by the next keys. A roll-back of
    access keys waits for so long too: clients hear of it within a second or two."""
    return_timeout: float = 600.0
    """Of a roll-back: for so long the next keys' devices stay for a relay that sends by them and does not answer."""
    silent: OnSilence = OnSilence.LEAVE
    grace: float = 14 * 86_400.0
    """Of access keys, and of clients': the latest date, for those that do not follow by themselves."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One relay in it: what it was ordered, and what it reported last."""

    relay: str
    wave: int = 0
    stage: KeyStage | None = None
    left: str = ""
    key: str = ""
    port: int = 0
    generation: int = 0
    ordered: int = 0
    """The change with the last order to it."""
    switched: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    behind: tuple[str, ...] = ()
    """Clients that are waited for until the latest date."""

    @property
    def takes_part(self) -> bool:
        return not self.left


@dataclass(frozen=True, kw_only=True)
class Rotation:
    """`generation`: the change with the last orders. `deadline`: of the present phase or wave."""

    network: str
    epoch: int
    plan: Plan
    phase: RotationPhase = RotationPhase.PREPARE
    wave: int = 0
    deadline: datetime
    of: KeyKind = KeyKind.MESH
    until: datetime | None = None
    """The latest date."""
    generation: int = 0
    paused: bool = False
    stop: bool = False
    """Somebody asked for it to be rolled back."""
    ended: str = ""
    """Why it was rolled back."""
    blamed: tuple[str, ...] = ()
    """The relays because of whom."""
    parts: Mapping[str, Part] = field(default_factory=dict)

    @property
    def over(self) -> bool:
        return self.phase in OVER

    @property
    def least(self) -> int:
        """Relays without which there is nothing to rotate: a mesh key needs another end."""
        return 2 if self.of is KeyKind.MESH else 1

    def stale(self, part: Part) -> bool:
        """Whether a relay has not reported of a document with the last orders in it. The mesh is everybody's, an access
        key is in its relay's own document."""
        return part.generation < (self.generation if self.of is KeyKind.MESH else part.ordered)

    @property
    def taking_part(self) -> list[Part]:
        return [part for _, part in sorted(self.parts.items()) if part.takes_part]

    @property
    def last_wave(self) -> int:
        return max((part.wave for part in self.taking_part), default=0)


@dataclass(frozen=True, kw_only=True)
class Step:
    """What to order, and the rotation once that is done."""

    rotation: Rotation
    orders: tuple[KeyOrder, ...] = ()


def waves(relays: list[str], plan: Plan) -> dict[str, int]:
    """Relay → wave: the canary is 0, then as many at a time as the plan says."""
    return {
        relay: 0 if place < plan.canary else 1 + (place - plan.canary) // plan.wave
        for place, relay in enumerate(relays)
    }


def advance(rotation: Rotation, now: datetime) -> Step:
    """The next step, which may be none. The same again, with nothing new, gives none."""
    if rotation.over:
        return Step(rotation=rotation)
    if rotation.phase is RotationPhase.KEEP:
        return _keep(rotation)
    if rotation.stop and rotation.phase is not RotationPhase.BACK:
        return _back(rotation, Ended.ASKED, (), now)
    if rotation.paused:
        return Step(rotation=rotation)
    match rotation.phase:
        case RotationPhase.PREPARE:
            return _prepare(rotation, now)
        case RotationPhase.CONNECT:
            return _connect(rotation, now)
        case RotationPhase.DRAIN:
            return _drain(rotation, now)
    return _return(rotation, now)


def refused(rotation: Rotation, now: datetime) -> Step:
    """What to do when the registry refuses orders: go back, from a roll-back to its end."""
    if rotation.phase is RotationPhase.BACK:
        return Step(rotation=replace(rotation, phase=RotationPhase.ROLLED_BACK))
    return _back(rotation, Ended.REFUSED, (), now)


def with_time(rotation: Rotation, now: datetime) -> Rotation:
    """The same, with all its time from now on: what was away, or came back, is not held against relays."""
    plan = rotation.plan
    seconds = {
        RotationPhase.PREPARE: plan.prepare_timeout,
        RotationPhase.CONNECT: plan.wave_timeout,
        RotationPhase.BACK: plan.return_timeout,
    }.get(rotation.phase)
    if seconds is None:
        return rotation
    return replace(rotation, deadline=max(rotation.deadline, _in(now, seconds)))


def _prepare(rotation: Rotation, now: datetime) -> Step:
    """Keys are told all at once: each telling is a new mesh, which every relay has to apply and to report."""
    parts = rotation.taking_part
    asked = {part.relay: KeyStage.ASKED for part in parts if part.stage is None}
    if asked:
        return _order(rotation, asked)
    late = now >= rotation.deadline
    silent = [part.relay for part in parts if not part.key]
    if silent:
        if not late:
            return Step(rotation=rotation)
        if rotation.plan.silent is OnSilence.ROLL_BACK:
            return _back(rotation, Ended.SILENT, tuple(silent), now)
        return _leave(rotation, silent, Left.NO_KEY, now)
    if len(parts) < min(rotation.least, len(rotation.parts)):
        return _back(rotation, Ended.NOBODY, (), now)
    told = {part.relay: KeyStage.READY for part in parts if part.stage is KeyStage.ASKED}
    if told:
        return _order(replace(rotation, deadline=max(rotation.deadline, _in(now, rotation.plan.wave_timeout))), told)
    if not late and any(rotation.stale(part) for part in parts):
        return Step(rotation=rotation)  # responders first: everybody knows everybody's key before anybody speaks
    begun = replace(rotation, phase=RotationPhase.CONNECT, wave=0, deadline=_in(now, rotation.plan.wave_timeout))
    return _connect(begun, now)


def _connect(rotation: Rotation, now: datetime) -> Step:
    orders = {
        part.relay: KeyStage.OPEN
        for part in rotation.taking_part
        if part.wave <= rotation.wave and part.stage is not KeyStage.OPEN
    }
    if orders:
        return _order(replace(rotation, deadline=_in(now, rotation.plan.wave_timeout)), orders)
    stale, waiting = _unfinished(rotation)
    if not stale and not waiting:
        if rotation.wave < rotation.last_wave:
            after = min(part.wave for part in rotation.taking_part if part.wave > rotation.wave)
            return _connect(replace(rotation, wave=after), now)
        return Step(rotation=replace(rotation, phase=RotationPhase.DRAIN, deadline=_in(now, rotation.plan.drain)))
    if now < rotation.deadline:
        return Step(rotation=rotation)
    if set(waiting) - set(stale):
        return _back(rotation, Ended.NO_HANDSHAKE, tuple(sorted(waiting)), now)
    if rotation.plan.silent is OnSilence.ROLL_BACK:
        return _back(rotation, Ended.SILENT, tuple(stale), now)
    return _leave(rotation, stale, Left.NO_REPORT, now)


def _drain(rotation: Rotation, now: datetime) -> Step:
    stale, waiting = _unfinished(rotation)
    if stale or waiting:  # a relay was restarted meanwhile: nothing is kept before it has its sessions again
        return Step(
            rotation=replace(rotation, phase=RotationPhase.CONNECT, deadline=_in(now, rotation.plan.wave_timeout))
        )
    if now < rotation.deadline or _awaited(rotation, now):
        return Step(rotation=rotation)
    return Step(rotation=replace(rotation, phase=RotationPhase.KEEP))


def _awaited(rotation: Rotation, now: datetime) -> bool:
    """Whether there are clients that have until the latest date."""
    late = rotation.until is not None and now >= rotation.until
    return not late and any(part.behind for part in rotation.taking_part)


def _keep(rotation: Rotation) -> Step:
    orders = tuple(
        KeyOrder(relay=part.relay, epoch=rotation.epoch, settle=Settle.KEEP) for part in rotation.taking_part
    )
    return Step(rotation=replace(rotation, phase=RotationPhase.DONE), orders=orders)


def _return(rotation: Rotation, now: datetime) -> Step:
    back = [part for part in rotation.parts.values() if part.stage is KeyStage.BACK and part.takes_part]
    gone = not any(rotation.stale(part) or part.switched for part in back)
    if not gone and now < rotation.deadline:
        return Step(rotation=rotation)
    if back and rotation.of is KeyKind.ACCESS and now < _since(rotation) + timedelta(seconds=rotation.plan.drain):
        # A client that was told of the next key changes over by itself until it has heard that it goes back.
        return Step(rotation=rotation)
    # Of all of them: one may have been asked by a keyd that died before it noted that.
    orders = tuple(
        KeyOrder(relay=part.relay, epoch=rotation.epoch, settle=Settle.DROP) for part in rotation.taking_part
    )
    return Step(rotation=replace(rotation, phase=RotationPhase.ROLLED_BACK), orders=orders)


def _since(rotation: Rotation) -> datetime:
    """When it began to go back, or could be told so again."""
    return rotation.deadline - timedelta(seconds=rotation.plan.return_timeout)


def _unfinished(rotation: Rotation) -> tuple[list[str], list[str]]:
    """Relays that have not reported of a mesh with the last orders, and relays that a handshake is missing with.

    Of a pair one end waits or both; the one that is waited for is as much to blame.
    """
    taking = {part.relay for part in rotation.taking_part}
    stale = [part.relay for part in rotation.taking_part if rotation.stale(part)]
    waiting: set[str] = set()
    for part in rotation.taking_part:
        if part.relay not in stale:
            # Of clients the relay is named: whoever reads that knows where to look.
            waiting |= (
                set(part.waiting) & taking if rotation.of is KeyKind.MESH else {part.relay} if part.waiting else set()
            )
    return stale, sorted(waiting)


def _order(rotation: Rotation, stages: Mapping[str, KeyStage]) -> Step:
    parts = dict(rotation.parts)
    orders = []
    for relay, stage in stages.items():
        part = parts[relay]
        parts[relay] = replace(part, stage=stage)
        orders.append(KeyOrder(relay=relay, epoch=rotation.epoch, stage=stage, key=part.key, port=part.port))
    return Step(rotation=replace(rotation, parts=parts), orders=tuple(orders))


def _leave(rotation: Rotation, relays: list[str], why: Left, now: datetime) -> Step:
    parts = dict(rotation.parts)
    for relay in relays:
        parts[relay] = replace(parts[relay], left=str(why), stage=None)
    orders = tuple(KeyOrder(relay=relay, epoch=rotation.epoch, settle=Settle.DROP) for relay in relays)
    deadline = _in(now, rotation.plan.wave_timeout)
    left = replace(rotation, parts=parts, deadline=deadline)
    if len(left.taking_part) < min(rotation.least, len(parts)):
        return _back(rotation, Ended.NOBODY, tuple(relays), now)
    return Step(rotation=left, orders=orders)


def _back(rotation: Rotation, why: Ended, blamed: tuple[str, ...], now: datetime) -> Step:
    """Back from wherever it is. Relays that were told nothing need no word."""
    timeout = rotation.plan.return_timeout
    going = replace(
        rotation, phase=RotationPhase.BACK, ended=str(why), blamed=blamed, paused=False, deadline=_in(now, timeout)
    )
    stages = {
        part.relay: KeyStage.BACK for part in rotation.taking_part if part.stage in (KeyStage.READY, KeyStage.OPEN)
    }
    return _order(going, stages)


def _in(now: datetime, seconds: float) -> datetime:
    return now + timedelta(seconds=seconds)
