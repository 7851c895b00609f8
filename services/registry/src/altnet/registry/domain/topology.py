"""Which relays have a link to each other.

Up to a bound everybody has a link to everybody. Beyond it the links form a ring in the order of slots, which keeps
the mesh connected when any one relay dies, plus a hypercube over slot numbers (slot `s` and slot `s ^ 2**k`), which
keeps paths short: slots are given out from the lowest, so with n relays almost every such partner exists and the
longest path is about log2(n) links.

Both rules look at slots alone. A relay that joins or leaves therefore changes the links of at most 14 others, and
nobody else's document. Latency has no say here.

Invariants: links are symmetric; nobody has more than `DEGREE_BOUND`; without any one relay the rest stays connected.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from typing import Final

from altnet.common.net import LAST_SLOT

SLOT_BITS: Final = LAST_SLOT.bit_length()
DEGREE_BOUND: Final = 2 + SLOT_BITS


class Slots:
    """The slots in use in one network, in order, each with its relay."""

    def __init__(self, taken: Iterable[tuple[int, str]] = ()) -> None:
        self._relay_of: dict[int, str] = dict(taken)
        self._ordered = sorted(self._relay_of)

    def __len__(self) -> int:
        return len(self._ordered)

    def __iter__(self) -> Iterator[int]:
        return iter(self._ordered)

    def relay(self, slot: int) -> str:
        return self._relay_of[slot]

    def relays(self) -> Iterable[str]:
        return self._relay_of.values()

    def add(self, slot: int, relay: str) -> None:
        if slot not in self._relay_of:
            insort(self._ordered, slot)
        self._relay_of[slot] = relay

    def discard(self, slot: int, relay: str) -> None:
        """Free the slot, unless it belongs to another relay by now."""
        if self._relay_of.get(slot) == relay:
            del self._relay_of[slot]
            del self._ordered[bisect_left(self._ordered, slot)]

    def sparse_neighbours(self, slot: int) -> set[int]:
        """The slots that `slot` has links to under the ring-and-hypercube rule; `slot` itself need not be taken."""
        found = {slot ^ (1 << bit) for bit in range(SLOT_BITS)} & self._relay_of.keys()
        if self._ordered:
            at = bisect_left(self._ordered, slot)
            after = at + 1 if at < len(self._ordered) and self._ordered[at] == slot else at
            found.add(self._ordered[at - 1])
            found.add(self._ordered[after % len(self._ordered)])
        found.discard(slot)
        return found


def links(slots: Slots, slot: int, *, full_mesh_up_to: int) -> tuple[str, ...] | None:
    """The relays that the relay in `slot` has links to, sorted by id; None means all (`RelayDocument.links`)."""
    if len(slots) <= full_mesh_up_to:
        return None
    return tuple(sorted(slots.relay(other) for other in slots.sparse_neighbours(slot)))
