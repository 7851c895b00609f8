"""Tells relays what is new of their network's lock, and answers what they missed.

The leader puts the newest page into the bucket `mesh`, from where it is republished; `published` is noted after that,
so a crash tells a page twice at most. From time to time it looks whether the page is still there: a bus that was wiped
gets it back. Answers come from any replica.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from altnet.common import log
from altnet.common.bus import desired, rpc, subjects
from altnet.common.bus.connect import Bus
from altnet.common.bus.rpc import RpcContext
from altnet.common.contracts.keyd import SERVICE
from altnet.common.contracts.lock import LOCK, LockPage, LockQuery, pack, unpack
from altnet.common.db.advisory import leader
from altnet.common.db.engine import Database
from altnet.common.errors import AltnetError, Broken, NotFound
from altnet.common.noise.failures import too_many
from altnet.common.noise.rates import Buckets
from altnet.keyd.settings import LockSettings
from altnet.keyd.store import identities, lock
from altnet.keyd.tables import LockNetworkRow

_LOG: Final = log.get(__name__)
MOST_RELAYS: Final = 65_536
"""Relays whose questions are counted."""


class LockTeller:
    """`run` is a job; `wake` when something changed."""

    def __init__(self, db: Database, bus: Bus, *, settings: LockSettings) -> None:
        self._db = db
        self._bus = bus
        self._settings = settings
        self._asks = Buckets(settings.asks, most=MOST_RELAYS)
        self._wake = asyncio.Event()

    def wake(self) -> None:
        self._wake.set()

    async def run(self) -> None:
        heard = await rpc.serve(self._bus, SERVICE, LOCK, LockQuery, self._answer, callers="relays")
        try:
            await leader(self._db, "lock", self._lead)
        finally:
            await heard.stop()

    async def _lead(self) -> None:
        looked = float("-inf")
        while True:
            self._wake.clear()
            now = asyncio.get_running_loop().time()
            try:
                await self.publish()
                if now - looked >= self._settings.look:
                    await self.look()
                    looked = now
            except AltnetError as error:
                _LOG.warning("lock_not_published", reason=str(error))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._settings.tick):
                    await self._wake.wait()

    async def publish(self) -> None:
        """Put what is new. Raises what the database and the bus do."""
        async with self._db.read() as session:
            waiting = [(row.network, row.version, row.published) for row in await lock.unpublished(session)]
        for network, version, published in waiting:
            await self._put(network, since=published)
            async with self._db.transaction(actor=SERVICE) as uow:
                row = await uow.session.get(LockNetworkRow, network, with_for_update=True)
                if row is not None:
                    row.published = max(row.published, version)

    async def look(self) -> None:
        """Put again what the bus has lost. Raises as `publish`."""
        async with self._db.read() as session:
            known = [(row.network, row.version) for row in await lock.networks(session)]
            lengths = {network: await lock.last(session, network) for network, _ in known}
        for network, version in known:
            end = lengths[network]
            if end is None:
                continue
            key = subjects.lock_key(network)
            data = await desired.fetch(self._bus, subjects.MESH_BUCKET, key, timeout=self._settings.put_timeout)
            try:
                there = unpack(data) if data is not None else None
            except Broken:
                there = None
            if there is None or there.head != end.hash or there.version > version:
                _LOG.warning("lock_differs_on_the_bus", network=network)
                await self._put(network, since=version)

    async def _put(self, network: str, *, since: int) -> None:
        async with self._db.read() as session:
            end = await lock.last(session, network)
            length = end.number if end is not None else 0
            # The last entry is told with every page: who has the one before needs no question.
            query = LockQuery(since=since, length=max(0, length - 1))
            page = await lock.page(session, network, query, clients=True)
        if page.length:
            key = subjects.lock_key(network)
            timeout = self._settings.put_timeout
            await desired.put(self._bus, subjects.MESH_BUCKET, key, pack(page), timeout=timeout)

    async def _answer(self, query: LockQuery, context: RpcContext) -> LockPage:
        assert context.relay is not None  # served to relays only
        if wait := self._asks.take(context.relay, self._db.clock.monotonic()):
            raise too_many(wait)
        async with self._db.read() as session:
            row = await identities.find(session, context.relay)
            if row is None:
                raise NotFound(
                    "identity_unknown", "keyd has not heard of this relay yet.", mend="Try again in a moment."
                )
            return await lock.page(session, row.network, query)
