"""The routes plane: batches of routes under the agent's own protocol number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from altnet.common.errors import Invalid
from altnet.common.kernel.links import MAIN_TABLE, Links, Route, RouteFailure
from altnet.relay_agent.diff import Delete, Update
from altnet.relay_agent.pieces import ROUTES, Key, route_key
from altnet.relay_agent.planes import Failures


class RoutesPlane:
    """Routes in the main table and in that of what this relay originates. Routes of other protocols are neither seen
    nor touched."""

    name = ROUTES

    def __init__(self, links: Links, *, origin_table: int) -> None:
        self._links = links
        self._tables = (MAIN_TABLE, origin_table)

    async def read(self) -> Mapping[Key, Route]:
        return {
            route_key(route): route for table in self._tables for route in await self._links.read_routes(table=table)
        }

    def same(self, have: Route, want: Route) -> bool:
        return have == want

    async def update(self, operations: Sequence[Update]) -> Failures:
        return _failures(await self._links.put_routes([operation.want for operation in operations]))

    async def delete(self, operations: Sequence[Delete]) -> Failures:
        return _failures(await self._links.delete_routes([operation.have for operation in operations]))


def _failures(refused: Sequence[RouteFailure]) -> Failures:
    return {
        route_key(failure.route): Invalid("route_refused", f"route {failure.route.prefix}: {failure.reason}.")
        for failure in refused
    }
