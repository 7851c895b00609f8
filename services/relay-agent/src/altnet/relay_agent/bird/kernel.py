"""BIRD's routes in the kernel: whether there are any, taking them away, and having others stand in for them.

BIRD 2 changes an IPv6 route by deleting it and adding the new one. After a restart it does so with every route whose
next hop it learns anew, and what arrives in between is refused. So before it is started over routes that it left, each
gets a copy with a worse metric, which carries the packets of that moment and goes once BIRD has settled.

Invariant: only routes with BIRD's protocol number and our metric, and copies with our number for them, are touched; an
operator's own BIRD uses another metric.
"""

from __future__ import annotations

from typing import Final

import msgspec
from altnet.common.kernel.links import MAIN_TABLE, Route
from altnet.common.kernel.rt_routes import RtRoutes
from altnet.relay_agent.bird.pieces import ROUTE_METRIC, ROUTE_PROTOCOL

STAND_IN_PROTOCOL: Final = 213
"""Routing protocol number (rtm_protocol) of copies; nobody else's in iproute2's rt_protos."""
STAND_IN_METRIC: Final = 1536
"""Worse than BIRD's routes and than the agent's own."""


class BirdRoutes:
    """The main table's routes of our BIRD. Opened at first use in the network namespace of the calling thread."""

    def __init__(self, *, deadline: float) -> None:
        self._routes = RtRoutes(protocol=ROUTE_PROTOCOL, deadline=deadline)
        self._copies = RtRoutes(protocol=STAND_IN_PROTOCOL, deadline=deadline)

    async def there(self) -> bool:
        """Whether there is at least one. Raises `Unavailable`."""
        return bool(await self._read())

    async def flush(self) -> int:
        """Take them away, and what stands in for them; how many there were. Raises `Unavailable`."""
        found = await self._read()
        await self._routes.delete([route for route, _ in found])
        return len(found) + await self.retire()

    async def stand_in(self) -> int:
        """Copy them. How many; a route without a device of its own is left out. Raises `Unavailable`."""
        found = [(route, index) for route, index in await self._read() if index]
        copies = [msgspec.structs.replace(route, metric=STAND_IN_METRIC) for route, _ in found]
        failed = await self._copies.put(copies, {str(index): index for _, index in found}) if copies else []
        return len(copies) - len(failed)

    async def retire(self) -> int:
        """Take the copies away; how many there were. Raises `Unavailable`."""
        found = [route for route, _ in await self._copies.read(MAIN_TABLE)]
        if found:
            await self._copies.delete(found)
        return len(found)

    def close(self) -> None:
        self._routes.close()
        self._copies.close()

    async def _read(self) -> list[tuple[Route, int]]:
        return [one for one in await self._routes.read(MAIN_TABLE) if one[0].metric == ROUTE_METRIC]


class NoRoutes:
    """Of a host without a kernel of its own."""

    async def there(self) -> bool:
        return False

    async def flush(self) -> int:
        return 0

    async def stand_in(self) -> int:
        return 0

    async def retire(self) -> int:
        return 0

    def close(self) -> None:
        pass
