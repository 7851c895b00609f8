"""BIRD's routes in the kernel: whether there are any, and taking them away when BIRD is not wanted any more.

Invariant: only routes with BIRD's protocol number and our metric are touched; an operator's own BIRD uses another one.
"""

from __future__ import annotations

from altnet.common.kernel.links import MAIN_TABLE, Route
from altnet.common.kernel.rt_routes import RtRoutes
from altnet.relay_agent.bird.pieces import ROUTE_METRIC, ROUTE_PROTOCOL


class BirdRoutes:
    """The main table's routes of our BIRD. Opened at first use in the network namespace of the calling thread."""

    def __init__(self, *, deadline: float) -> None:
        self._routes = RtRoutes(protocol=ROUTE_PROTOCOL, deadline=deadline)

    async def there(self) -> bool:
        """Whether there is at least one. Raises `Unavailable`."""
        return bool(await self._read())

    async def flush(self) -> int:
        """Take them away; how many there were. Raises `Unavailable`."""
        found = await self._read()
        await self._routes.delete(found)
        return len(found)

    def close(self) -> None:
        self._routes.close()

    async def _read(self) -> list[Route]:
        return [route for route, _ in await self._routes.read(MAIN_TABLE) if route.metric == ROUTE_METRIC]


class NoRoutes:
    """Of a host without a kernel of its own."""

    async def there(self) -> bool:
        return False

    async def flush(self) -> int:
        return 0

    def close(self) -> None:
        pass
