"""Tells the registry which identities are proven, so that relays know each other by them.

The leader's work. At its start and now and then it says all, else what has changed since; orders are absolute, so
saying one again costs nothing. A host whose identity is not proven any more has none in the mesh.

Leaves out who proves an identity. Invariant: nothing is told of an identity but what is proven, public parts only.
"""

from __future__ import annotations

import asyncio
import base64
from datetime import datetime, timedelta
from typing import Final

import msgspec
from altnet.common import log
from altnet.common.bus import nkey, rights, rpc
from altnet.common.bus.connect import Bus
from altnet.common.contracts.identity_keys import (
    IDENTITY_KEYS,
    IDENTITY_PURPOSE,
    MOST_IDENTITIES,
    IdentitiesOrder,
    IdentityKeysTaken,
    IdentityOrder,
)
from altnet.common.contracts.keyd import IdentityState
from altnet.common.contracts.mesh_keys import SignedOrder
from altnet.common.db.advisory import leader
from altnet.common.db.engine import Database
from altnet.common.errors import AltnetError
from altnet.keyd.settings import IdentitySettings
from altnet.keyd.store import identities
from altnet.keyd.tables import IdentityRow

_LOG: Final = log.get(__name__)
_OVERLAP: Final = timedelta(seconds=10)
"""Rows are stamped when their transaction begins and seen when it ends: so far back it is looked again."""


class Proven:
    """`run` is a job. `seed` is keyd's nkey: without one nothing can be told."""

    def __init__(self, db: Database, bus: Bus, *, seed: bytes | None, settings: IdentitySettings) -> None:
        self._db = db
        self._bus = bus
        self._seed = seed
        self._settings = settings
        self._told: dict[str, IdentityOrder] = {}

    async def run(self) -> None:
        await leader(self._db, "proven identities", self._lead)

    async def _lead(self) -> None:
        while True:
            since: datetime | None = None
            self._told.clear()
            for _ in range(int(self._settings.tell_all / self._settings.tell_every)):
                try:
                    since = await self.tell(since)
                except AltnetError as error:
                    _LOG.warning("identities_not_told", reason=str(error))
                await asyncio.sleep(self._settings.tell_every)

    async def tell(self, since: datetime | None) -> datetime | None:
        """Tell what has changed since then, None for all; until when it is told. Raises what the registry says."""
        if self._seed is None:
            return since
        async with self._db.read() as session:
            rows = await identities.changed_since(session, None if since is None else since - _OVERLAP)
        orders = [order for row in rows if self._told.get(row.id) != (order := order_of(row))]
        for start in range(0, len(orders), MOST_IDENTITIES):
            some = orders[start : start + MOST_IDENTITIES]
            await self._order(self._seed, some)
            self._told.update({order.relay: order for order in some})
        return max((row.updated_at for row in rows), default=since)

    async def _order(self, seed: bytes, orders: list[IdentityOrder]) -> None:
        text = msgspec.json.encode(IdentitiesOrder(relays=tuple(orders))).decode()
        signature = base64.b64encode(nkey.sign(seed, IDENTITY_PURPOSE + text.encode())).decode()
        await rpc.call(
            self._bus,
            rights.REGISTRY,
            IDENTITY_KEYS,
            SignedOrder(order=text, signature=signature),
            IdentityKeysTaken,
            timeout=self._settings.tell_timeout,
        )


def order_of(row: IdentityRow) -> IdentityOrder:
    """What the mesh may know of an identity."""
    if row.state != IdentityState.ACTIVE:
        return IdentityOrder(relay=row.id)
    return IdentityOrder(relay=row.id, static=row.static_key, signing=row.signing_key)
