"""Drives rotations of clients' keys: has the registry ask clients, and looks how many are left.

keyd knows no clients; the registry does the work, for orders that keyd signs. Leaves out when to look (rotations.py).
Invariant: a phase is noted only when the registry has answered for it.
"""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any, Final

import msgspec
from altnet.common.bus import nkey, rights, rpc
from altnet.common.bus.connect import Bus
from altnet.common.contracts.keyd import RotationAdvanced, RotationCompleted, RotationPhase, RotationRolledBack
from altnet.common.contracts.mesh_keys import (
    CLIENT_KEYS,
    CLIENTS_PURPOSE,
    ClientKeysOrder,
    ClientKeysTaken,
    SignedOrder,
)
from altnet.common.db.uow import UnitOfWork
from altnet.common.errors import Unavailable
from altnet.keyd.domain import client_rotations as rules
from altnet.keyd.domain.rotations import OVER, Plan
from altnet.keyd.store.events import EMITTER, next_numbers
from altnet.keyd.tables import RotationRow

LOOK_AGAIN: Final = 1.0
"""Seconds between two questions to the registry: clients take as long, and longer."""


async def step(uow: UnitOfWork, row: RotationRow, *, bus: Bus, seed: bytes | None, timeout: float) -> None:
    """One look at a locked rotation. Raises what the registry says."""
    if (row.paused and not row.stop) or row.until is None or (uow.now < row.deadline and not row.stop):
        return
    campaign = rules.Campaign(
        phase=RotationPhase(row.phase),
        plan=msgspec.convert(row.plan, Plan),
        until=row.until,
        stop=row.stop,
        ended=row.ended,
        blamed=tuple(row.blamed),
    )
    order = ClientKeysOrder(
        network=row.network,
        rotation=row.id,
        since=row.created_at,
        until=row.until,
        drop=rules.drops(campaign),
        at_once=rules.at_once(campaign),
        patience=campaign.plan.wave_timeout,
        none_late=rules.none_late(campaign),
    )
    told = await _order(bus, order, seed=seed, timeout=timeout)
    after = rules.after(campaign, told, uow.now)
    progress = {name: value for name, value in msgspec.to_builtins(told).items() if isinstance(value, int)}
    row.deadline = uow.now if after.phase is not campaign.phase else uow.now + timedelta(seconds=LOOK_AGAIN)
    row.problem = ""
    if after == campaign and row.progress == progress:
        return
    row.phase, row.progress, row.updated_at = str(after.phase), progress, uow.now
    row.wave = 0 if after.phase is RotationPhase.PREPARE else max(row.wave, 1)
    row.ended, row.blamed = after.ended, list(after.blamed)
    row.version += 1
    if after.phase in OVER:
        row.ended_at = uow.now
    if after.phase is not campaign.phase:
        await _tell(uow, row, told)


async def _order(bus: Bus, order: ClientKeysOrder, *, seed: bytes | None, timeout: float) -> ClientKeysTaken:
    if seed is None:
        raise Unavailable("no_bus_identity", "this keyd cannot sign orders.")
    text = msgspec.json.encode(order).decode()
    signature = base64.b64encode(nkey.sign(seed, CLIENTS_PURPOSE + text.encode())).decode()
    signed = SignedOrder(order=text, signature=signature)
    return await rpc.call(bus, rights.REGISTRY, CLIENT_KEYS, signed, ClientKeysTaken, timeout=timeout)


async def _tell(uow: UnitOfWork, row: RotationRow, told: ClientKeysTaken) -> None:
    number = await next_numbers(uow)
    about: dict[str, Any] = {"emitter": EMITTER, "rotation": row.id, "network": row.network, "epoch": row.epoch}
    phase = RotationPhase(row.phase)
    if phase is RotationPhase.DONE:
        left = told.announced + told.asked + told.waiting + told.left
        uow.emit(RotationCompleted(number=number, relays=told.done, left=left, **about))
    elif phase is RotationPhase.ROLLED_BACK:
        blamed = tuple(row.blamed)
        uow.emit(RotationRolledBack(number=number, why=row.ended, relays=(), clients=blamed, **about))
    else:
        uow.emit(RotationAdvanced(number=number, phase=phase, wave=row.wave, paused=row.paused, **about))
