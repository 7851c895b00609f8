"""Rotations of a network's keys, and the policies that start them: started, listed, watched, steered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from altnet.common.contracts.mesh_keys import KeyKind
from altnet.common.http import sse
from altnet.common.http.auth import RequireAdmin, RequireAuditor
from altnet.common.http.etag import etag_of
from altnet.common.http.paging import Page, Paging, fetch_page
from altnet.common.http.problems import responses
from altnet.common.http.routes import resource
from altnet.common.ids import ROTATION, check_id
from altnet.keyd.api.deps import Keyd, Parts
from altnet.keyd.api.rotation_schemas import (
    PolicyWish,
    Rotation,
    RotationPolicy,
    RotationsStart,
    RotationsStarted,
    RotationStart,
)
from altnet.keyd.handlers import rotations as handlers
from altnet.keyd.store import rotations
from altnet.keyd.tables import RotationPolicyRow, RotationRow
from fastapi import Path, Query, Response
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

router = resource("rotations")

Id = Annotated[str, Path(max_length=64, description="The rotation's identifier.")]
NetworkId = Annotated[str, Path(max_length=64, description="The network's identifier.")]

LOOK_AGAIN = 0.2
"""Seconds between two looks of a stream: reports come to any replica."""


@router.post("/v1/rotations", status_code=201, responses=responses(401, 403, 404, 409, 422, 503))
async def start_rotation(keyd: Keyd, who: RequireAdmin, response: Response, body: RotationStart) -> Rotation:
    """Replace a network's keys of one kind without losing a packet: those of the mesh or those that clients know relays
    by, relay by relay in waves, or those of clients."""
    async with keyd.work(who) as uow:
        row = await handlers.start_rotation(
            uow,
            body.network,
            of=body.kind,
            reason=body.reason,
            plan=body.plan_wanted(),
            randomness=keyd.randomness,
        )
        shown = await _shown(uow.session, row)
    keyd.driver.wake()
    response.headers["Location"] = f"/v1/rotations/{shown.id}"
    return shown


@router.post("/v1/rotations/all", status_code=201, responses=responses(401, 403, 404, 409, 422, 503))
async def start_all_rotations(keyd: Keyd, who: RequireAdmin, body: RotationsStart) -> RotationsStarted:
    """Replace every WireGuard key of a network, without losing a packet: a rotation of the mesh's keys, one of those
    that clients know relays by, and one of clients' own, which then go side by side. All three are opened, or none."""
    async with keyd.work(who) as uow:
        rows = await handlers.start_rotations(
            uow, body.network, reason=body.reason, plan=body.plan_wanted(), randomness=keyd.randomness
        )
        shown = RotationsStarted(rotations=[await _shown(uow.session, row) for row in rows])
    keyd.driver.wake()
    return shown


@router.get("/v1/rotations", responses=responses(401, 403, 422, 503))
async def list_rotations(
    keyd: Keyd,
    _: RequireAuditor,
    paging: Paging,
    network: Annotated[str | None, Query(max_length=64, description="Identifier.")] = None,
) -> Page[Rotation]:
    """List rotations, oldest first."""
    query = select(RotationRow)
    if network is not None:
        query = query.where(col(RotationRow.network) == network)
    async with keyd.db.read() as session:
        rows, cursor = await fetch_page(
            session,
            query,
            order=col(RotationRow.id),  # type: ignore[arg-type]  # SQLModel declares columns as their values
            key=col(RotationRow.id),  # type: ignore[arg-type]
            params=paging,
            name=f"rotations:{network}",
        )
        shown = [await _shown(session, row[0]) for row in rows]
    return Page[Rotation](items=shown, next_cursor=cursor)


@router.get("/v1/rotations/{rotation}", responses=responses(401, 403, 404, 422, 503))
async def get_rotation(keyd: Keyd, _: RequireAuditor, response: Response, rotation: Id) -> Rotation:
    """Show a rotation: its phase and wave, and how far each relay is."""
    shown = await _look(keyd, rotation)
    response.headers["ETag"] = etag_of(shown.version)
    return shown


@router.get(
    "/v1/rotations/{rotation}/watch",
    response_class=sse.EventStreamResponse,
    responses=sse.responses(Rotation) | responses(401, 403, 404, 422, 503),
)
async def watch_rotation(keyd: Keyd, _: RequireAuditor, rotation: Id) -> sse.EventStreamResponse:
    """Follow a rotation: each time that something of it changes, and to its end."""
    await _look(keyd, rotation)
    return sse.event_stream(
        _follow(keyd, rotation), heartbeat=keyd.http.heartbeat, write_timeout=keyd.http.write_timeout
    )


@router.post("/v1/rotations/{rotation}/pause", responses=responses(401, 403, 404, 409, 422, 503))
async def pause_rotation(keyd: Keyd, who: RequireAdmin, rotation: Id) -> Rotation:
    """Stop where it is. Every link works on, by whichever key it uses."""
    return await _steer(keyd, who, rotation, paused=True)


@router.post("/v1/rotations/{rotation}/resume", responses=responses(401, 403, 404, 409, 422, 503))
async def resume_rotation(keyd: Keyd, who: RequireAdmin, rotation: Id) -> Rotation:
    """Go on."""
    return await _steer(keyd, who, rotation, paused=False)


@router.post("/v1/rotations/{rotation}/rollback", responses=responses(401, 403, 404, 409, 422, 503))
async def roll_back_rotation(keyd: Keyd, who: RequireAdmin, rotation: Id) -> Rotation:
    """Return to the keys of before, which still work; then the new ones are dropped."""
    return await _steer(keyd, who, rotation, stop=True)


@router.get("/v1/rotation-policies", responses=responses(401, 403, 422, 503))
async def list_rotation_policies(
    keyd: Keyd,
    _: RequireAuditor,
    paging: Paging,
    network: Annotated[str | None, Query(max_length=64, description="Identifier.")] = None,
    kind: Annotated[KeyKind | None, Query(description="Which keys.")] = None,
) -> Page[RotationPolicy]:
    """List when each network's keys rotate by themselves; networks without a policy are left out."""
    query = select(RotationPolicyRow)
    for column, value in ((RotationPolicyRow.network, network), (RotationPolicyRow.of, kind)):
        if value is not None:
            query = query.where(col(column) == str(value))
    async with keyd.db.read() as session:
        rows, cursor = await fetch_page(
            session,
            query,
            order=col(RotationPolicyRow.network),  # type: ignore[arg-type]  # SQLModel declares columns as their values
            key=col(RotationPolicyRow.of),  # type: ignore[arg-type]  # as above
            params=paging,
            name=f"rotation_policies:{network}:{kind}",
        )
    return Page[RotationPolicy](items=[RotationPolicy.of(row[0]) for row in rows], next_cursor=cursor)


@router.put("/v1/rotation-policies/{network}", responses=responses(401, 403, 404, 422, 503))
async def set_rotation_policy(
    keyd: Keyd,
    who: RequireAdmin,
    network: NetworkId,
    body: PolicyWish,
    kind: Annotated[KeyKind, Query(description="Which keys.")] = KeyKind.MESH,
) -> RotationPolicy:
    """Set when and how a network's keys of one kind rotate by themselves."""
    async with keyd.work(who) as uow:
        row = await handlers.set_policy(
            uow,
            network,
            of=kind,
            max_age=body.max_age,
            jitter=body.jitter,
            on_new_owner=body.on_new_owner,
            on_suspicion=body.on_suspicion,
            plan=body.plan.to_plan(),
        )
        shown = RotationPolicy.of(row)
    keyd.driver.wake()
    return shown


async def _steer(
    keyd: Parts, who: RequireAdmin, rotation: str, *, paused: bool | None = None, stop: bool = False
) -> Rotation:
    check_id(ROTATION, rotation, field="/rotation")
    async with keyd.work(who) as uow:
        row = await handlers.steer(uow, rotation, paused=paused, stop=stop)
        shown = await _shown(uow.session, row)
    keyd.driver.wake()
    return shown


async def _look(keyd: Parts, rotation: str) -> Rotation:
    check_id(ROTATION, rotation, field="/rotation")
    async with keyd.db.read() as session:
        return await _shown(session, await rotations.get(session, rotation))


async def _shown(session: AsyncSession, row: RotationRow) -> Rotation:
    parts = await rotations.parts(session, row.id)
    return Rotation.of(row, parts, await rotations.names(session, [part.relay for part in parts]))


async def _follow(keyd: Parts, rotation: str) -> AsyncIterator[sse.SseEvent]:
    last = ""
    while True:
        shown = await _look(keyd, rotation)
        text = shown.model_dump_json()
        if text != last:
            last = text
            yield sse.SseEvent(data=text, event=str(shown.phase), id=str(shown.version))
        if shown.ended_at is not None:
            return
        await asyncio.sleep(LOOK_AGAIN)
