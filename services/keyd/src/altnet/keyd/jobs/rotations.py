"""Drives rotations: asks the state machine what is next, orders it of the registry, and only then notes it.

Orders are absolute, so a replica that dies in between is followed by one that gives the same orders again. The
leader's work; reports come to any replica and are rows by the time the leader looks.

Relays are judged by the time that they had, so theirs begins anew when a keyd takes the lead, or when the database, the
bus or the registry is back: meanwhile nobody could tell them anything, or hear them.

Invariants: a phase is noted only when the registry has taken the orders that lead there; no deadline is judged by that
ran out while something else than a relay was away.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import msgspec
from altnet.common import log
from altnet.common.bus import nkey, rights, rpc
from altnet.common.bus.connect import Bus
from altnet.common.contracts.keyd import (
    RotationAdvanced,
    RotationCompleted,
    RotationPhase,
    RotationRelayLeft,
    RotationRolledBack,
    SecurityEvent,
)
from altnet.common.contracts.mesh_keys import (
    MESH_KEYS,
    MOST_RELAYS,
    PURPOSE,
    KeyKind,
    KeyOrder,
    MeshKeysOrder,
    MeshKeysTaken,
    SignedOrder,
)
from altnet.common.contracts.rotation_asked import RotationWaits
from altnet.common.db.advisory import leader
from altnet.common.db.engine import Database
from altnet.common.db.uow import UnitOfWork
from altnet.common.errors import AltnetError, Conflict, Invalid, Unavailable
from altnet.common.ids import Randomness
from altnet.keyd.domain import rotations as rules
from altnet.keyd.domain.policies import due
from altnet.keyd.handlers.revoked_keys import pay, settle
from altnet.keyd.handlers.rotation_wishes import grant
from altnet.keyd.handlers.rotations import start_rotation
from altnet.keyd.jobs import client_rotations
from altnet.keyd.settings import RotationSettings
from altnet.keyd.store import rotations
from altnet.keyd.store.events import EMITTER, next_numbers
from altnet.keyd.tables import RotationPolicyRow, RotationRow

_LOG: Final = log.get(__name__)
DRIVER: Final = "keyd"
MAX_AGE: Final = "maximum age"
REST: Final = 3
"""Times as long as a look at all rotations took. A thousand reports are a thousand wakes, and each look is at all of a
thousand relays: without a rest there would be no processor left to take the reports in."""


@dataclass(frozen=True, kw_only=True)
class Over:
    """What is counted of a rotation that is over."""

    kind: str
    outcome: str
    why: str = ""
    """Why it was rolled back."""
    left: tuple[str, ...] = ()
    """Why relays were left behind, one for each."""


class Driver:
    """`run` is a job; `wake` when there may be something to do. `seed` is keyd's nkey: None where it has none."""

    def __init__(
        self,
        db: Database,
        bus: Bus,
        *,
        seed: bytes | None,
        settings: RotationSettings,
        random: Callable[[], float],
        randomness: Randomness,
        ended: Callable[[Over], None] = lambda _over: None,
        waits: Callable[[str], None] = lambda _code: None,
    ) -> None:
        """`ended` counts rotations that are over, `waits` what they wait for, when that is committed."""
        self._db = db
        self._bus = bus
        self._seed = seed
        self._settings = settings
        self._random = random
        self._randomness = randomness
        self._ended = ended
        self._waits = waits
        self._told: dict[str, set[str]] = {}
        """By rotation, codes of what it waits for that were told; here alone, so another leader tells them again."""
        self._wake = asyncio.Event()
        self._away = True
        """Something was away since relays were last given time: at first, a keyd that led."""
        self.open = 0

    def wake(self) -> None:
        self._wake.set()

    async def run(self) -> None:
        await leader(self._db, "rotations", self._lead)

    async def _lead(self) -> None:
        self._away = True
        while True:
            self._wake.clear()
            began = asyncio.get_running_loop().time()
            try:
                await self.round()
            except AltnetError as error:
                self._away = True
                _LOG.warning("rotations_wait", reason=str(error))
            took = asyncio.get_running_loop().time() - began
            await asyncio.sleep(min(self._settings.tick, REST * took))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._settings.tick if self.open else self._settings.idle):
                    await self._wake.wait()

    async def round(self) -> None:
        """Look at every policy and every open rotation once. Raises what the database does."""
        async with self._db.read() as session:
            policies = await rotations.policies(session)
        for policy in policies:
            await self._policy(policy)
        async with self._db.transaction(actor=DRIVER) as uow:
            await pay(uow, randomness=self._randomness, again=self._settings.owed_again)
            await grant(
                uow,
                randomness=self._randomness,
                again=self._settings.owed_again,
                rest=self._settings.suspicion_rest,
            )
        async with self._db.read() as session:
            ids = await rotations.open_ids(session)
        self.open = len(ids)
        self._told = {id: told for id, told in self._told.items() if id in ids}
        self._away = self._away or not self._bus.connected
        if self._away and not await self._all_back(ids):
            return
        for id in ids:
            try:
                while await self._step(id):
                    pass
            except AltnetError as error:
                await self._problem(id, error)
            else:
                self._told.pop(id, None)

    async def _all_back(self, ids: Sequence[str]) -> bool:
        """Give every open rotation its time again, once the registry answers; False while it does not."""
        self._away = False
        for id in ids:
            try:
                await self._give_time(id)
            except AltnetError as error:
                self._away = True
                await self._problem(id, error)
        return not self._away

    async def _give_time(self, id: str) -> None:
        """Raises what the registry says: what cannot be ordered cannot be heard of either."""
        async with self._db.transaction(actor=DRIVER) as uow:
            row = await rotations.get(uow.session, id, lock=True)
            if row.ended_at is not None or row.of == KeyKind.CLIENT:
                return  # of clients the registry knows who was there, and for how long
            await self._order_some(row, ())
            before = rotations.state_of(row, ())
            after = rules.with_time(before, uow.now)
            if (row.deadline, row.problem) != (after.deadline, ""):
                row.deadline, row.problem, row.version = after.deadline, "", row.version + 1

    async def _step(self, id: str) -> bool:
        """One step of a rotation; True if there may be another at once. Raises what the registry says."""
        async with self._db.read() as session:
            of = (await rotations.get(session, id)).of
        if of == KeyKind.CLIENT:
            await self._step_of_clients(id)
            return False
        async with self._db.transaction(actor=DRIVER) as uow:
            row = await rotations.get(uow.session, id, lock=True)
            told = await rotations.parts(uow.session, id)
            states = await rotations.states(uow.session, [one.relay for one in told])
            before = _without_revoked(rotations.state_of(row, told), states)
            step = rules.advance(before, uow.now)
            if step.rotation == rotations.state_of(row, told):
                return False
            row.problem = ""
            try:
                after = await self._done(row, step)
            except (Conflict, Invalid) as error:
                _LOG.error("orders_refused", rotation=id, reason=str(error))
                row.problem = str(error)[:500]
                step = rules.refused(before, uow.now)
                with contextlib.suppress(Conflict, Invalid):
                    await self._done(row, step)
                after = step.rotation
            previous = rotations.state_of(row, told)
            rotations.keep(uow, row, told, after)
            if after.over:
                await settle(uow, row, after)
            await _tell(uow, row, previous, after)
        if after.over:
            left = tuple(part.left for part in after.parts.values() if part.left)
            self._ended(Over(kind=str(after.of), outcome=str(after.phase), why=after.ended, left=left))
            _LOG.info("rotation_over", rotation=id, phase=str(after.phase), why=after.ended)
        return not after.over

    async def _step_of_clients(self, id: str) -> None:
        async with self._db.transaction(actor=DRIVER) as uow:
            row = await rotations.get(uow.session, id, lock=True)
            timeout = self._settings.order_timeout
            await client_rotations.step(uow, row, bus=self._bus, seed=self._seed, timeout=timeout)
            over = Over(kind=row.of, outcome=row.phase, why=row.ended) if row.ended_at is not None else None
        if over is not None:
            self._ended(over)

    async def _done(self, row: RotationRow, step: rules.Step) -> rules.Rotation:
        """The rotation once the step's orders are taken."""
        if not step.orders:
            return step.rotation
        change = await self._order(row, step.orders)
        ordered = {
            one.relay: replace(step.rotation.parts[one.relay], ordered=change) for one in step.orders if one.stage
        }
        newest = max(step.rotation.generation, change)
        return replace(step.rotation, generation=newest, parts={**step.rotation.parts, **ordered})

    async def _order(self, row: RotationRow, orders: Sequence[KeyOrder]) -> int:
        some = [orders[start : start + MOST_RELAYS] for start in range(0, len(orders), MOST_RELAYS)]
        return max([await self._order_some(row, one) for one in some])

    async def _order_some(self, row: RotationRow, orders: Sequence[KeyOrder]) -> int:
        """None at all is a question whether the registry is there."""
        if self._seed is None:
            raise Unavailable("no_bus_identity", "this keyd cannot sign orders.")
        order = MeshKeysOrder(
            network=row.network, rotation=row.id, relays=tuple(orders), of=KeyKind(row.of), until=row.until
        )
        text = msgspec.json.encode(order).decode()
        signature = base64.b64encode(nkey.sign(self._seed, PURPOSE + text.encode())).decode()
        signed = SignedOrder(order=text, signature=signature)
        try:
            taken = await rpc.call(
                self._bus, rights.REGISTRY, MESH_KEYS, signed, MeshKeysTaken, timeout=self._settings.order_timeout
            )
        except Unavailable:
            self._away = True
            raise
        return taken.change

    async def _problem(self, id: str, error: AltnetError) -> None:
        """Note what it waits for. Where even that is not possible, the next look tries again."""
        text, told = str(error), self._told.setdefault(id, set())
        _LOG.warning("rotation_waits", rotation=id, reason=text)
        with contextlib.suppress(AltnetError):
            async with self._db.transaction(actor=DRIVER) as uow:
                row = await rotations.get(uow.session, id, lock=True)
                if row.problem != text[:500]:
                    row.problem, row.version = text[:500], row.version + 1
                if error.code not in told:
                    about: dict[str, Any] = {"rotation": id, "network": row.network, "epoch": row.epoch}
                    uow.emit(RotationWaits(why=error.code, detail=text[:500], **about))
            if error.code not in told:
                told.add(error.code)
                self._waits(error.code)

    async def _policy(self, policy: RotationPolicyRow) -> None:
        """Start what is due. The jitter is drawn once, when the date is set, so it does not move with each look."""
        if policy.max_age is None:
            return
        async with self._db.transaction(actor=DRIVER) as uow:
            of = KeyKind(policy.of)
            row = await rotations.policy(uow.session, policy.network, of)
            if row is None or row.max_age is None:
                return
            if row.due_at is None:
                row.due_at = due(uow.now, max_age=row.max_age, jitter=row.jitter, draw=self._random())
            elif row.due_at <= uow.now and await rotations.open_of(uow.session, row.network, of) is None:
                row.due_at = None
                with contextlib.suppress(Conflict):  # too few relays: it is due again an age later
                    await start_rotation(
                        uow, row.network, of=of, reason=MAX_AGE, plan=None, randomness=self._randomness
                    )


def _without_revoked(rotation: rules.Rotation, states: dict[str, str]) -> rules.Rotation:
    """A relay that was put out meanwhile is no longer waited for; the registry has dropped it from the mesh."""
    gone = [part for part in rotation.taking_part if states.get(part.relay) == "revoked"]
    if not gone:
        return rotation
    parts = {**rotation.parts, **{part.relay: replace(part, left=str(rules.Left.REVOKED), stage=None) for part in gone}}
    return replace(rotation, parts=parts)


async def _tell(uow: UnitOfWork, row: RotationRow, before: rules.Rotation, after: rules.Rotation) -> None:
    made: list[Callable[[int], SecurityEvent]] = []
    about: dict[str, Any] = {"emitter": EMITTER, "rotation": row.id, "network": row.network, "epoch": row.epoch}
    for relay, part in after.parts.items():
        if part.left and not before.parts[relay].left:
            made.append(partial(_left, relay=relay, why=part.left, about=about))
    taking = len(after.taking_part)
    if after.phase is RotationPhase.DONE:
        made.append(lambda n: RotationCompleted(number=n, relays=taking, left=len(after.parts) - taking, **about))
    elif after.phase is RotationPhase.ROLLED_BACK:
        made.append(lambda n: RotationRolledBack(number=n, why=after.ended, relays=after.blamed, **about))
    elif (before.phase, before.wave) != (after.phase, after.wave):
        where: dict[str, Any] = {"phase": after.phase, "wave": after.wave, "paused": after.paused}
        made.append(lambda n: RotationAdvanced(number=n, **where, **about))
    if made:
        first = await next_numbers(uow, len(made))
        for offset, make in enumerate(made):
            uow.emit(make(first + offset))


def _left(number: int, *, relay: str, why: str, about: dict[str, Any]) -> RotationRelayLeft:
    return RotationRelayLeft(number=number, relay=relay, why=why, **about)
