"""The addresses plane, and that of permanent neighbour entries.

On the agent's own interfaces every address that looks like one of ours is ours. On `lo` only those in the journal
are, so an operator's address there survives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv6Address, ip_interface
from typing import Final

from altnet.common.errors import AltnetError, NotFound
from altnet.common.kernel.links import Interface, Links, Neighbour
from altnet.common.net import LAST_SLOT
from altnet.relay_agent.diff import Delete, Update
from altnet.relay_agent.journal import Journal
from altnet.relay_agent.pieces import ADDRESSES, LOOPBACK, NEIGHBOURS, Key, Names, OnDevice, address_key, neighbour_key
from altnet.relay_agent.planes import Failures

_LINK_LOCAL: Final = 0xFE80 << 112


class AddressesPlane:
    """Addresses on `lo` and on the agent's interfaces."""

    name = ADDRESSES

    def __init__(self, links: Links, names: Names, journal: Journal) -> None:
        self._links = links
        self._names = names
        self._journal = journal
        self._foreign: set[Interface] = set()
        """Wanted on `lo`, and there before us: used, never removed."""

    async def read(self) -> Mapping[Key, OnDevice]:
        owned = {ip_interface(text) for text in self._journal.owned.addresses}
        here: list[OnDevice] = []
        for device, addresses in (await self._links.read_all_addresses()).items():
            if device == LOOPBACK:
                ours = [address for address in addresses if address in owned or address in self._foreign]
            elif self._names.is_ours(device):
                ours = [address for address in addresses if not _made_by_kernel(address)]
            else:
                continue
            here += [OnDevice(device=device, address=address) for address in ours]
        return {address_key(piece): piece for piece in here}

    def same(self, have: OnDevice, want: OnDevice) -> bool:
        return have == want

    async def update(self, operations: Sequence[Update]) -> Failures:
        failures: Failures = {}
        present = None
        for operation in operations:
            want: OnDevice = operation.want
            try:
                if want.device == LOOPBACK:
                    present = present if present is not None else await self._links.read_addresses(LOOPBACK)
                    if not await self._claim(want.address, present):
                        continue
                await self._links.put_address(want.device, want.address)
            except AltnetError as error:
                failures[operation.key] = error
        return failures

    async def delete(self, operations: Sequence[Delete]) -> Failures:
        failures: Failures = {}
        for operation in operations:
            have: OnDevice = operation.have
            if have.device == LOOPBACK and have.address in self._foreign:
                self._foreign.discard(have.address)
                continue
            try:
                await self._links.delete_address(have.device, have.address)
                if have.device == LOOPBACK:
                    await self._journal.drop_address(str(have.address))
            except NotFound:
                continue  # it went with its interface
            except AltnetError as error:
                failures[operation.key] = error
        return failures

    async def _claim(self, address: Interface, present: frozenset[Interface]) -> bool:
        """Write down that the address is ours; False if somebody else has put it there."""
        if address in present and str(address) not in self._journal.owned.addresses:
            self._foreign.add(address)
            return False
        self._foreign.discard(address)
        await self._journal.add_address(str(address))
        return True


class NeighboursPlane:
    """Permanent neighbour entries on the links, so that nothing has to be asked over a tunnel."""

    name = NEIGHBOURS

    def __init__(self, links: Links, names: Names) -> None:
        self._links = links
        self._names = names

    async def read(self) -> Mapping[Key, Neighbour]:
        entries = await self._links.read_all_neighbours(self._names.prefix)
        return {neighbour_key(entry): entry for entry in entries if self._names.is_link(entry.device)}

    def same(self, have: Neighbour, want: Neighbour) -> bool:
        return have == want

    async def update(self, operations: Sequence[Update]) -> Failures:
        failures: Failures = {}
        for operation in operations:
            try:
                await self._links.put_neighbour(operation.want)
            except AltnetError as error:
                failures[operation.key] = error
        return failures

    async def delete(self, operations: Sequence[Delete]) -> Failures:
        failures: Failures = {}
        for operation in operations:
            have: Neighbour = operation.have
            try:
                await self._links.delete_neighbour(have.device, have.address)
            except NotFound:
                continue
            except AltnetError as error:
                failures[operation.key] = error
        return failures


def _made_by_kernel(address: Interface) -> bool:
    """Whether the kernel gives its interfaces such addresses by itself: link-local ones outside the slots' range."""
    if not isinstance(address.ip, IPv6Address) or not address.ip.is_link_local:
        return False
    return not 0 < int(address.ip) - _LINK_LOCAL <= LAST_SLOT
