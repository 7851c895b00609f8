"""The leader moves clients that can follow: off relays that are not usable, and to where there is room.

A few at a time: a budget that grows by the set rate and is never more than one minute's worth. Each move is a change
of its own, with its reason; a client that changed meanwhile is left for the next look.
"""

from __future__ import annotations

import asyncio

import structlog
from altnet.common.clock import Clock
from altnet.common.db.engine import Database
from altnet.common.errors import Conflict, NotFound
from altnet.registry.domain.balancing import Move, moves
from altnet.registry.handlers import placement
from altnet.registry.handlers.clients import move_client
from altnet.registry.settings import BalancingSettings
from altnet.registry.store import clients, networks

_log = structlog.get_logger("altnet.registry.balancing")

ACTOR = "registry"


class Balancing:
    """The moves of this replica while it leads."""

    def __init__(self, db: Database, clock: Clock, *, settings: BalancingSettings) -> None:
        self._db = db
        self._clock = clock
        self._settings = settings
        self._from = 0.0
        self._at = 0.0
        self._budgets: dict[str, float] = {}

    def begin(self) -> None:
        """This replica leads from now on, and moves nobody before it has heard everybody."""
        self._at = self._clock.monotonic()
        self._from = self._at + self._settings.patience
        self._budgets.clear()

    async def step(self) -> int:
        """Move whom the budget allows; answers how many."""
        now = self._clock.monotonic()
        grown, self._at = (now - self._at) * self._settings.clients_per_minute / 60, now
        if now < self._from:
            return 0
        async with self._db.read() as session:
            known = [row.id for row in await networks.every(session)]
        count = 0
        for network in known:
            budget = min(self._settings.clients_per_minute, self._budgets.get(network, 0.0) + grown)
            moved = await self._balance(network, limit=int(budget))
            self._budgets[network] = budget - moved
            count += moved
        return count

    async def _balance(self, network: str, *, limit: int) -> int:
        if limit < 1:
            return 0
        async with self._db.read() as session:
            guests = await clients.movable(session, network)
            if not guests:
                return 0
            candidates = await placement.candidates(session, network)
        moved = 0
        for move in await asyncio.to_thread(moves, candidates, guests, limit=limit):  # 100,000 clients take a while
            moved += await self._move(move)
        if moved:
            _log.info("clients_moved", network=network, count=moved)
        return moved

    async def _move(self, move: Move) -> bool:
        try:
            async with self._db.transaction(actor=ACTOR) as uow:
                row = await clients.find(uow.session, move.client, lock=True)
                if not row.movable or row.relay_id != move.before:
                    return False
                await move_client(uow, row, move.after, reason=move.reason)
        except (Conflict, NotFound) as error:  # the client, or the relay, went meanwhile
            _log.info("client_not_moved", client=move.client, reason=error.detail)
            return False
        return True
