"""Rotations: the rows, and the pure state that they hold.

A relay's report touches its own row alone, the driver everything else; so neither waits for the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
from altnet.common.contracts.desired import KeyStage
from altnet.common.contracts.keyd import KeyReport, RotationPhase
from altnet.common.contracts.mesh_keys import KeyKind
from altnet.common.db.uow import UnitOfWork
from altnet.common.errors import Conflict, NotFound
from altnet.keyd.domain.rotations import OVER, Part, Plan, Rotation
from altnet.keyd.tables import IdentityRow, RotationPolicyRow, RotationRelayRow, RotationRow, RotationWishRow
from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col


def conflict(of: KeyKind) -> Conflict:
    """What a second open rotation of a kind is answered."""
    return Conflict(
        "rotation_open",
        f"a rotation of this network's {of} keys is under way.",
        mend="Follow it (`altnet rotations watch`), or roll it back.",
    )


async def take_turns(uow: UnitOfWork, network: str) -> None:
    """Until the end of the unit of work nobody else starts a rotation in this network, so each sees the epochs and the
    open ones of those before. Numbers of events are taken after this, at the commit: no two wait for each other."""
    key = f"rotations of {network}"
    await uow.connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))"), {"key": key})


async def get(session: AsyncSession, id: str, *, lock: bool = False) -> RotationRow:
    """Raises `NotFound` (`no_such_rotation`)."""
    query = select(RotationRow).where(col(RotationRow.id) == id)
    row = (await session.execute(query.with_for_update() if lock else query)).scalars().first()
    if row is None:
        raise NotFound("no_such_rotation", "there is no such rotation.", mend="See GET /v1/rotations.")
    return row


async def open_of(session: AsyncSession, network: str, of: KeyKind = KeyKind.MESH) -> RotationRow | None:
    query = select(RotationRow).where(col(RotationRow.network) == network, col(RotationRow.ended_at).is_(None))
    return (await session.execute(query.where(col(RotationRow.of) == str(of)))).scalars().first()


async def open_ids(session: AsyncSession) -> Sequence[str]:
    query = select(col(RotationRow.id)).where(col(RotationRow.ended_at).is_(None))
    return (await session.execute(query.order_by(col(RotationRow.id)))).scalars().all()


async def parts(session: AsyncSession, id: str) -> Sequence[RotationRelayRow]:
    query = select(RotationRelayRow).where(col(RotationRelayRow.rotation) == id)
    return (await session.execute(query.order_by(col(RotationRelayRow.relay)))).scalars().all()


async def names(session: AsyncSession, relays: Sequence[str]) -> dict[str, str]:
    found = await session.execute(
        select(col(IdentityRow.id), col(IdentityRow.name)).where(col(IdentityRow.id).in_(relays))
    )
    return {row[0]: row[1] for row in found.all()}


async def states(session: AsyncSession, relays: Sequence[str]) -> dict[str, str]:
    """How these relays' identities stand."""
    found = await session.execute(
        select(col(IdentityRow.id), col(IdentityRow.state)).where(col(IdentityRow.id).in_(relays))
    )
    return {row[0]: row[1] for row in found.all()}


async def identities_of(session: AsyncSession, network: str) -> Sequence[IdentityRow]:
    """Those of a network that are not revoked, in the order of their names."""
    query = select(IdentityRow).where(col(IdentityRow.network) == network, col(IdentityRow.state) != "revoked")
    return (await session.execute(query.order_by(col(IdentityRow.name), col(IdentityRow.id)))).scalars().all()


async def networks(session: AsyncSession) -> Sequence[str]:
    found = await session.execute(
        select(col(IdentityRow.network)).distinct().where(col(IdentityRow.state) != "revoked")
    )
    return sorted(found.scalars().all())


async def newest_epoch(session: AsyncSession, network: str) -> int:
    found = await session.execute(select(func.max(RotationRow.epoch)).where(col(RotationRow.network) == network))
    return int(found.scalar() or 0)


async def policy(
    session: AsyncSession, network: str, of: KeyKind = KeyKind.MESH, *, lock: bool = False
) -> RotationPolicyRow | None:
    return await session.get(RotationPolicyRow, (network, str(of)), with_for_update=lock or None)


async def policies(session: AsyncSession) -> Sequence[RotationPolicyRow]:
    return (
        (
            await session.execute(
                select(RotationPolicyRow).order_by(col(RotationPolicyRow.network), col(RotationPolicyRow.of))
            )
        )
        .scalars()
        .all()
    )


async def wish(uow: UnitOfWork, network: str, of: KeyKind, *, reason: str) -> None:
    """Ask for a rotation. One that is asked for already keeps its reason."""
    row = {"network": network, "of": str(of), "reason": reason, "wished_at": uow.now, "due_at": uow.now}
    await uow.session.execute(insert(RotationWishRow).values(row).on_conflict_do_nothing())


async def wishes_due(uow: UnitOfWork) -> Sequence[RotationWishRow]:
    query = select(RotationWishRow).where(col(RotationWishRow.due_at) <= uow.now)
    return (await uow.session.execute(query.order_by(col(RotationWishRow.wished_at)))).scalars().all()


async def last_for(session: AsyncSession, network: str, of: KeyKind, *, reason: str = "") -> datetime | None:
    """When the last rotation whose reason begins so was started."""
    query = select(func.max(RotationRow.created_at)).where(
        col(RotationRow.network) == network,
        col(RotationRow.of) == str(of),
        col(RotationRow.reason).startswith(reason, autoescape=True),
    )
    found: datetime | None = (await session.execute(query)).scalar()
    return found


def state_of(row: RotationRow, told: Sequence[RotationRelayRow]) -> Rotation:
    return Rotation(
        network=row.network,
        epoch=row.epoch,
        plan=msgspec.convert(row.plan, Plan),
        phase=RotationPhase(row.phase),
        wave=row.wave,
        deadline=row.deadline,
        of=KeyKind(row.of),
        until=row.until,
        generation=row.generation,
        paused=row.paused,
        stop=row.stop,
        ended=row.ended,
        blamed=tuple(row.blamed),
        parts={
            one.relay: Part(
                relay=one.relay,
                wave=one.wave,
                stage=KeyStage(one.stage) if one.stage else None,
                left=one.left_why,
                key=one.key,
                port=one.port,
                generation=one.generation,
                ordered=one.ordered,
                switched=tuple(one.switched),
                waiting=tuple(one.waiting),
                behind=tuple(one.behind),
            )
            for one in told
        },
    )


def keep(uow: UnitOfWork, row: RotationRow, told: Sequence[RotationRelayRow], after: Rotation) -> None:
    """Write the driver's part of the state into the rows; what relays reported is not touched."""
    row.phase, row.wave, row.deadline, row.generation = after.phase, after.wave, after.deadline, after.generation
    row.paused, row.ended, row.blamed = after.paused, after.ended, list(after.blamed)
    if after.phase in OVER:
        row.ended_at = uow.now
    row.updated_at = uow.now
    row.version += 1
    for one in told:
        part = after.parts[one.relay]
        one.stage, one.left_why, one.ordered = str(part.stage or ""), part.left, part.ordered


async def report(uow: UnitOfWork, relay: str, network: str, said: KeyReport) -> bool:
    """Note a relay's report on the open rotation; False where there is none that it is of."""
    row = await open_of(uow.session, network, said.of)
    if row is None or row.epoch != said.epoch:
        return False
    part = await uow.session.get(RotationRelayRow, (row.id, relay), with_for_update=True)
    if part is None or part.left_why:
        return False
    if part.generation > said.generation and part.key == said.key:
        return False  # overtaken by a later one
    if part.key and part.key != said.key and part.stage not in ("", "asked"):
        raise Conflict(
            "next_key_taken",
            "this relay told another next key before, which its neighbours have.",
            mend="Was its state brought back from a backup? The rotation leaves it behind, or is rolled back.",
        )
    part.key, part.port, part.generation = said.key, said.port, said.generation
    part.switched, part.waiting, part.behind = list(said.switched), list(said.waiting), list(said.behind)
    part.reported_at = uow.now
    return True
