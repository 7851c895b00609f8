"""What the agent changed on the host that carries no mark of its own, so that `down` can undo it.

Interfaces have our names, routes our protocol number, the firewall our table. An address on `lo` and a kernel
setting have nothing; they are written down here, durably, *before* they are changed.

Invariant: what is not in the journal was there before us, and is left alone.
"""

from __future__ import annotations

import msgspec
from altnet.relay_agent.state import Owned, State


class Journal:
    """The journal over a `State`."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._owned = state.owned()

    @property
    def owned(self) -> Owned:
        return self._owned

    async def add_address(self, address: str) -> None:
        """`address` with its length is about to be put on `lo`."""
        if address not in self._owned.addresses:
            await self._save(addresses=tuple(sorted((*self._owned.addresses, address))))

    async def drop_address(self, address: str) -> None:
        """`address` has been taken off `lo`."""
        if address in self._owned.addresses:
            await self._save(addresses=tuple(known for known in self._owned.addresses if known != address))

    async def add_sysctl(self, name: str, before: str) -> None:
        """The setting is about to be changed; the first value seen counts."""
        if name not in self._owned.sysctls:
            await self._save(sysctls={**self._owned.sysctls, name: before})

    async def drop_sysctl(self, name: str) -> None:
        """The setting has been put back."""
        if name in self._owned.sysctls:
            await self._save(sysctls={known: value for known, value in self._owned.sysctls.items() if known != name})

    async def _save(self, **changes: object) -> None:
        owned = msgspec.structs.replace(self._owned, **changes)
        await self._state.save_owned(owned)
        self._owned = owned


__all__ = ["Journal", "Owned"]
