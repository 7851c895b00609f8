"""Rotations of a network's keys: started, heard of, steered. What follows is the driver's (jobs/rotations.py)."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import msgspec
from altnet.common.contracts.keyd import (
    IdentityState,
    KeyReport,
    RotationAdvanced,
    RotationPhase,
    RotationStarted,
)
from altnet.common.contracts.mesh_keys import KeyKind
from altnet.common.contracts.rotation_asked import RotationRollbackAsked
from altnet.common.contracts.rotation_policies import PolicySnapshot, RotationPolicyChanged
from altnet.common.db.uow import UnitOfWork
from altnet.common.errors import Conflict, Forbidden, Invalid, NotFound
from altnet.common.ids import ROTATION, Randomness, new_id
from altnet.common.keys import PublicKey
from altnet.keyd.domain import rotations as rules
from altnet.keyd.store import lock, rotations
from altnet.keyd.store.events import EMITTER, next_numbers
from altnet.keyd.tables import IdentityRow, RotationPolicyRow, RotationRelayRow, RotationRow
from sqlalchemy.ext.asyncio import AsyncSession

AT_LEAST: Final = 2
"""Relays: one alone has no pair."""


async def start_rotation(
    uow: UnitOfWork,
    network: str | None,
    *,
    reason: str,
    plan: rules.Plan | None,
    randomness: Randomness,
    of: KeyKind = KeyKind.MESH,
) -> RotationRow:
    """Open a rotation of a network's keys of a kind, by the given plan or else that of its policy.

    Raises `NotFound` (`no_such_network`), `Invalid` (`network_needed`), `Conflict` (`rotation_open`,
    `nobody_to_rotate`).
    """
    network = network or await only_network(uow.session)
    hosts = await rotations.identities_of(uow.session, network)
    if not hosts:
        raise NotFound("no_such_network", "keyd knows no relay of this network.", field="/network")
    await rotations.take_turns(uow, network)
    if await rotations.open_of(uow.session, network, of) is not None:
        raise rotations.conflict(of)
    if plan is None:
        plan = await plan_of(uow, network, of)
    active = [host.id for host in hosts if host.state == IdentityState.ACTIVE]
    least = AT_LEAST if of is KeyKind.MESH else 1
    if len(active) < least:
        raise Conflict(
            "nobody_to_rotate",
            f"{len(active)} relays of this network have a proven identity; a rotation of {of} keys needs {least}.",
            mend="See GET /v1/identities for what they wait for.",
        )
    wave = rules.waves(active, plan)
    row = RotationRow(
        id=new_id(ROTATION, uow.now, randomness),
        network=network,
        epoch=await rotations.newest_epoch(uow.session, network) + 1,
        of=str(of),
        until=uow.now + timedelta(seconds=plan.grace) if of is not KeyKind.MESH else None,
        plan=msgspec.to_builtins(plan),
        reason=reason,
        phase=str(RotationPhase.PREPARE),
        deadline=uow.now + timedelta(seconds=plan.prepare_timeout if of is not KeyKind.CLIENT else 0),
        created_by=uow.actor,
        created_at=uow.now,
        updated_at=uow.now,
    )
    uow.session.add(row)
    await uow.session.flush()
    uow.session.add_all(
        RotationRelayRow(
            rotation=row.id,
            relay=host.id,
            wave=wave.get(host.id, 0),
            left_why="" if host.id in wave else str(rules.Left.UNPROVEN),
        )
        for host in (hosts if of is not KeyKind.CLIENT else ())
    )
    await uow.session.flush()
    uow.emit(
        RotationStarted(
            rotation=row.id,
            network=network,
            epoch=row.epoch,
            reason=reason,
            relays=len(active),
            of=of,
        )
    )
    return row


async def start_rotations(
    uow: UnitOfWork, network: str | None, *, reason: str, plan: rules.Plan | None, randomness: Randomness
) -> list[RotationRow]:
    """Open a rotation of every kind, in the order of `KeyKind`, each by the given plan or else that of its policy: all
    of them or, where this raises, none. Raises what `start_rotation` does, for the first kind that cannot be."""
    network = network or await only_network(uow.session)
    return [
        await start_rotation(uow, network, of=of, reason=reason, plan=plan, randomness=randomness) for of in KeyKind
    ]


async def plan_of(uow: UnitOfWork, network: str, of: KeyKind) -> rules.Plan:
    """How a network's keys of a kind rotate where nobody says otherwise."""
    policy = await rotations.policy(uow.session, network, of)
    return msgspec.convert(policy.plan, rules.Plan) if policy is not None else rules.Plan()


async def heard_of_keys(uow: UnitOfWork, identity: IdentityRow, said: KeyReport) -> bool:
    """A relay says in its channel how far it is; True if a rotation waits for that.

    Raises `Forbidden` (`identity_not_active`), `Invalid` (`bad_key`, `key_not_certified`), `Conflict`
    (`next_key_taken`).
    """
    if identity.state != IdentityState.ACTIVE:
        raise Forbidden(
            "identity_not_active", "no key is taken from a host that nothing proves.", mend="Approve it first."
        )
    PublicKey.parse(said.key, field="/key")
    shown = said.certificate
    fits = shown is not None and (str(shown.use), shown.epoch, shown.key) == (str(said.of), said.epoch, said.key)
    if not fits and await lock.is_on(uow.session, identity.network):
        raise Invalid(
            "key_not_certified",
            "the network lock is on, and the host's identity key has not signed this key: neighbours would refuse it.",
            field="/certificate",
            mend="Is the agent of this version or later?",
        )
    return await rotations.report(uow, identity.id, identity.network, said)


async def steer(uow: UnitOfWork, id: str, *, paused: bool | None = None, stop: bool = False) -> RotationRow:
    """Pause, resume or roll back; the same again changes nothing.

    Raises `NotFound` (`no_such_rotation`), `Conflict` (`rotation_over`).
    """
    row = await rotations.get(uow.session, id, lock=True)
    if row.ended_at is not None:
        raise Conflict("rotation_over", f"the rotation is over: {row.phase}.", mend="Start another one.")
    if row.phase == RotationPhase.KEEP:
        raise Conflict("rotation_over", "the new keys are being kept; there is no way back.", mend="Start another one.")
    if row.phase == RotationPhase.BACK:
        return row
    if paused is not None and paused != row.paused:
        row.paused = paused
        plan = msgspec.convert(row.plan, rules.Plan)
        seconds = plan.prepare_timeout if row.phase == RotationPhase.PREPARE else plan.wave_timeout
        if row.of == KeyKind.CLIENT:
            seconds = 0.0  # the deadline is when to look again
        row.deadline = uow.now + timedelta(seconds=seconds)  # the pause is not held against anybody
        row.updated_at, row.version = uow.now, row.version + 1
        number = await next_numbers(uow)
        uow.emit(
            RotationAdvanced(
                emitter=EMITTER,
                number=number,
                rotation=row.id,
                network=row.network,
                epoch=row.epoch,
                phase=RotationPhase(row.phase),
                wave=row.wave,
                paused=paused,
            )
        )
    if stop and not row.stop:
        row.stop, row.updated_at, row.version = True, uow.now, row.version + 1
        number = await next_numbers(uow)
        uow.emit(
            RotationRollbackAsked(
                emitter=EMITTER,
                number=number,
                rotation=row.id,
                network=row.network,
                epoch=row.epoch,
                phase=RotationPhase(row.phase),
            )
        )
    return row


async def set_policy(
    uow: UnitOfWork,
    network: str,
    *,
    max_age: float | None,
    jitter: float,
    plan: rules.Plan,
    on_new_owner: bool = False,
    on_suspicion: bool = True,
    of: KeyKind = KeyKind.MESH,
) -> RotationPolicyRow:
    """When and how a network's keys of a kind rotate by themselves. The same again changes nothing, so the date that
    was drawn stays. `max_age` in seconds. Raises `NotFound` (`no_such_network`)."""
    if not await rotations.identities_of(uow.session, network):
        raise NotFound("no_such_network", "keyd knows no relay of this network.", field="/network")
    row = await rotations.policy(uow.session, network, of, lock=True)
    after = PolicySnapshot(
        max_age=max_age,
        jitter=jitter,
        on_new_owner=on_new_owner,
        on_suspicion=on_suspicion,
        plan=msgspec.to_builtins(plan),
    )
    before = row.snapshot() if row is not None else None
    if row is not None and before == after:
        return row
    if row is None:
        row = RotationPolicyRow(network=network, of=str(of), plan={}, updated_by=uow.actor, updated_at=uow.now)
        uow.session.add(row)
    if before is None or (before.max_age, before.jitter) != (max_age, jitter):
        row.due_at = None  # the driver computes it anew
    row.max_age, row.jitter, row.plan = max_age, jitter, dict(after.plan)
    row.on_new_owner, row.on_suspicion = on_new_owner, on_suspicion
    row.updated_by, row.updated_at = uow.actor, uow.now
    await uow.session.flush()
    uow.emit(RotationPolicyChanged(network=network, of=of, before=before, after=after))
    return row


async def only_network(session: AsyncSession) -> str:
    """The one that there is. Raises `Invalid` (`network_needed`)."""
    known = await rotations.networks(session)
    if len(known) != 1:
        raise Invalid(
            "network_needed",
            f"keyd knows {len(known)} networks.",
            field="/network",
            mend="Name the one that is meant.",
        )
    return known[0]
