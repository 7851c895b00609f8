"""The models of rotations: public parts only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated

import msgspec
from altnet.common.contracts.keyd import OnSilence, RotationPhase
from altnet.common.contracts.mesh_keys import KeyKind
from altnet.common.http.schema import Model
from altnet.keyd.domain.rotations import Plan
from altnet.keyd.tables import RotationPolicyRow, RotationRelayRow, RotationRow
from pydantic import Field

Time = Annotated[datetime, Field(examples=["2026-05-01T12:00:00Z"])]
Seconds = Annotated[float, Field(gt=0, le=86_400)]


class RotationPlan(Model):
    """How to rotate. Times in seconds."""

    canary: Annotated[int, Field(ge=1, le=1000)] = 1
    """Relays, or clients, that change over first, alone."""
    wave: Annotated[int, Field(ge=1, le=1000)] = 8
    """Relays, or clients, that follow at a time. Of clients those count that follow by themselves and are there."""
    prepare_timeout: Seconds = 60.0
    """For each relay to make a key."""
    wave_timeout: Seconds = 30.0
    """For each wave's handshakes; then the rotation is rolled back by itself. Of clients: for each that is there."""
    drain: Annotated[float, Field(ge=0, le=3600)] = 5.0
    """Between the last change-over and the end of the old keys."""
    return_timeout: Seconds = 600.0
    """For each relay to come back from the next keys, when the rotation is rolled back."""
    grace: Annotated[float, Field(ge=1, le=366 * 86_400)] = 14 * 86_400.0
    """Of access keys and of clients' keys: after so long the keys of before are out, also for clients that do not
    follow by themselves and have not been given their new file."""
    silent: OnSilence = OnSilence.LEAVE
    """What to do about a relay that does not answer, or a client that is late: go on without it, or roll back. A canary
    that is late, or more than a quarter of the clients, end it anyway."""

    def to_plan(self) -> Plan:
        return msgspec.convert(self.model_dump(), Plan)


class RotationsStart(Model):
    """Start a rotation of each kind."""

    network: Annotated[str, Field(max_length=64)] | None = None
    """Identifier; null: the only network that there is."""
    reason: Annotated[str, Field(min_length=1, max_length=200)] = "on demand"
    plan: RotationPlan | None = None
    """Null: that of the network's policy for the kind, or the usual one."""

    def plan_wanted(self) -> Plan | None:
        return None if self.plan is None else self.plan.to_plan()


class RotationStart(RotationsStart):
    """Start a rotation."""

    kind: KeyKind = KeyKind.MESH
    """Which keys."""


class RotationRelay(Model):
    """One relay in a rotation."""

    relay: str
    name: str
    wave: int
    stage: str
    """Ordered last: `asked`, `ready`, `open`, `back`; empty: nothing."""
    left: str
    """Why it keeps its key: `identity_not_active`, `no_key_in_time`, `no_report_in_time`, `revoked`; else empty."""
    switched: int
    """Of its links, or of its clients, those that go by the next keys, as it reported last."""
    waiting: list[str]
    """Neighbours with whom it waits for a handshake; of access keys, clients that are to follow by themselves."""
    behind: int
    """Of access keys: clients that have until the latest date."""
    reported_at: Time | None


class Rotation(Model):
    """A rotation of a network's keys of one kind."""

    id: str
    network: str
    epoch: int
    kind: KeyKind
    until: Time | None
    """Of access keys and of clients' keys: the latest date of the keys of before."""
    clients: dict[str, int]
    """Of clients' keys: how many clients are how far: `done`, `announced`, `asked`, `waiting`; of those that follow by
    themselves `following` (not asked yet), `changed`, `under_way`, `late`; and `left`: they keep their keys."""
    reason: str
    phase: RotationPhase
    wave: int
    paused: bool
    ended: str
    """Why it was rolled back: `asked`, `no_handshake`, `silent`, `nobody_prepared`, `order_refused`; else empty."""
    blamed: list[str]
    """Relays, or clients, because of whom it was rolled back; of clients' keys also who is late."""
    problem: str
    """What it waits for beyond relays; empty when nothing."""
    plan: RotationPlan
    deadline: Time
    relays: list[RotationRelay]
    created_by: str
    created_at: Time
    updated_at: Time
    ended_at: Time | None
    version: int

    @classmethod
    def of(cls, row: RotationRow, parts: Sequence[RotationRelayRow], names: Mapping[str, str]) -> Rotation:
        return cls(
            id=row.id,
            network=row.network,
            epoch=row.epoch,
            kind=KeyKind(row.of),
            until=row.until,
            clients=dict(row.progress),
            reason=row.reason,
            phase=RotationPhase(row.phase),
            wave=row.wave,
            paused=row.paused,
            ended=row.ended,
            blamed=list(row.blamed),
            problem=row.problem,
            plan=RotationPlan.model_validate(row.plan),
            deadline=row.deadline,
            relays=[
                RotationRelay(
                    relay=part.relay,
                    name=names.get(part.relay, ""),
                    wave=part.wave,
                    stage=part.stage,
                    left=part.left_why,
                    switched=len(part.switched),
                    waiting=list(part.waiting),
                    behind=len(part.behind),
                    reported_at=part.reported_at,
                )
                for part in parts
            ],
            created_by=row.created_by,
            created_at=row.created_at,
            updated_at=row.updated_at,
            ended_at=row.ended_at,
            version=row.version,
        )


class RotationsStarted(Model):
    """What was opened: a rotation of each kind."""

    rotations: list[Rotation]


class PolicyWish(Model):
    """When and how a network's keys of one kind rotate by themselves."""

    max_age: Annotated[float, Field(ge=60, le=10 * 366 * 86_400)] | None = None
    """Seconds; null: only on demand."""
    jitter: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Share of the age by which it varies, so that nobody can foretell it and networks do not go together."""
    on_new_owner: bool = False
    """Also when a key that was no owner's before signs for the network lock."""
    on_suspicion: bool = True
    """Also when a key of the kind was revoked while a relay had it, and, of mesh keys, when a relay was shown another
    network lock than the one it knows. Off: an event says so, and you decide."""
    plan: RotationPlan = RotationPlan()


class RotationPolicy(PolicyWish):
    """A network's policy."""

    network: str
    kind: KeyKind
    due_at: Time | None
    """When the next rotation starts; null: never, or not computed yet."""
    updated_by: str
    updated_at: Time

    @classmethod
    def of(cls, row: RotationPolicyRow) -> RotationPolicy:
        return cls(
            network=row.network,
            kind=KeyKind(row.of),
            max_age=row.max_age,
            jitter=row.jitter,
            on_new_owner=row.on_new_owner,
            on_suspicion=row.on_suspicion,
            plan=RotationPlan.model_validate(row.plan),
            due_at=row.due_at,
            updated_by=row.updated_by,
            updated_at=row.updated_at,
        )
