"""Where relays begin that have no chosen links yet, in a network that is too large for a full mesh.

The leader chooses links (`choosing`) and writes them down a moment after a relay has joined. Until then the relay has
links to the two carriers next to its slot, below and above: a carrier is active and has an endpoint. This looks at
slots alone, so a relay that comes or goes changes few others, and a network of which nothing is chosen yet is a ring
of carriers, with everybody else hanging on two of them.

Invariants: links are symmetric; without any one carrier the others stay connected.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator


class Slots:
    """Slots in use in one network, in order, each with its relay."""

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

    def around(self, slot: int) -> tuple[int, ...]:
        """The slots next to this one below and above, in a ring; `slot` itself need not be taken and does not count."""
        if not self._ordered or self._ordered == [slot]:
            return ()
        below = self._ordered[bisect_left(self._ordered, slot) - 1]
        above = self._ordered[bisect_right(self._ordered, slot) % len(self._ordered)]
        return (below,) if below == above else (below, above)

    def between(self, first: int, last: int) -> list[int]:
        """The slots from `first` up to `last`, both included, in a ring."""
        begin, end = bisect_left(self._ordered, first), bisect_right(self._ordered, last)
        return self._ordered[begin:end] if first <= last else self._ordered[begin:] + self._ordered[:end]


def begins_with(slot: int, carriers: Slots) -> list[str]:
    """The relays that the relay in `slot` has links to while none are chosen for it."""
    return [carriers.relay(one) for one in carriers.around(slot)]


def beginners_of(slot: int, carriers: Slots, unchosen: Slots) -> list[str]:
    """The relays without chosen links that have one to the carrier in `slot`."""
    around = carriers.around(slot)
    if len(around) < 2:  # at most two carriers: everybody is next to both
        found = list(unchosen)
    else:
        below, above = around
        found = unchosen.between(below, slot) + unchosen.between(slot, above)
    return [unchosen.relay(one) for one in found if one != slot]
