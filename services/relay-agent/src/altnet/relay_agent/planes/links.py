"""The links plane: one point-to-point tunnel for each neighbour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from altnet.common.errors import AltnetError
from altnet.common.kernel.links import Dummy, Link, Links, LinkState
from altnet.relay_agent.diff import Delete, Update
from altnet.relay_agent.pieces import LINKS, Key, Names
from altnet.relay_agent.planes import Failures


class LinksPlane:
    """Tunnels named `<prefix>l<slot>`. An interface of another kind under such a name is somebody else's."""

    name = LINKS

    def __init__(self, links: Links, names: Names) -> None:
        self._links = links
        self._names = names

    async def read(self) -> Mapping[Key, LinkState]:
        found = await self._links.read_links(f"{self._names.prefix}l")
        return {
            name: state
            for name, state in found.items()
            if self._names.is_link(name) and state.form is not None and not isinstance(state.form, Dummy)
        }

    def same(self, have: LinkState, want: Link) -> bool:
        return (
            have.form == want.form
            and have.up == want.up
            and (want.mtu is None or have.mtu == want.mtu)
            and (want.mac is None or have.mac == want.mac)
        )

    async def update(self, operations: Sequence[Update]) -> Failures:
        failures: Failures = {}
        for operation in operations:
            try:
                await self._links.put_link(operation.want)
            except AltnetError as error:
                failures[operation.key] = error
        return failures

    async def delete(self, operations: Sequence[Delete]) -> Failures:
        failures: Failures = {}
        for operation in operations:
            try:
                await self._links.delete_link(str(operation.key))
            except AltnetError as error:
                failures[operation.key] = error
        return failures
