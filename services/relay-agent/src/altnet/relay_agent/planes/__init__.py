"""One plane for each kind of thing on the host: it reads what is there, makes what is wanted, takes away the rest.

Updating is idempotent, deleting what is missing succeeds, and pruning is the reconciler's decision alone. A plane
answers for each piece by itself: what failed is in the result with its reason, everything else is done.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from altnet.common.errors import AltnetError
from altnet.relay_agent.diff import Delete, Update
from altnet.relay_agent.pieces import Key

Failures = dict[Key, AltnetError]
"""What could not be done, and why."""


class Plane(Protocol):
    """What the reconciler asks of a plane. Pieces and what was read are of the plane's own types."""

    name: str

    async def read(self) -> Mapping[Key, Any]:
        """What the host has that is ours, by key. Raises `AltnetError` where it cannot be read."""
        ...

    def same(self, have: Any, want: Any) -> bool:
        """Whether what was read is as wanted."""
        ...

    async def update(self, operations: Sequence[Update]) -> Failures:
        """Make the pieces so."""
        ...

    async def delete(self, operations: Sequence[Delete]) -> Failures:
        """Take the pieces away."""
        ...
