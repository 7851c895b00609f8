"""Requests that wait for a handler, and what becomes of those that waited too long.

A caller says how long it waits for an answer (`Alt-Patience`). When more is asked than can be done, a line that serves
everything in turn soon answers only callers that have gone, who ask again and make it longer: all of the work is in
vain (congestion collapse). So a request nobody waits for any more is dropped, and one that has used up half of its
caller's patience in line is told to come back later, which costs next to nothing: what is handled can still be heard.

Leaves out who handles, and the bus. Invariant: the line is bounded in requests, in bytes and in requests of one relay,
and each request that joined leaves it once.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Generic, NamedTuple, TypeVar

M = TypeVar("M")

HEADER_PATIENCE: Final = "Alt-Patience"
"""Seconds that the caller waits for the answer, as a decimal number."""
LONGEST_PATIENCE: Final = 30.0
"""Seconds; who says more, or nothing, is taken to wait this long."""
MOST_WAITING: Final = 2048
MOST_BYTES: Final = 16 * 2**20
MOST_OF_ONE: Final = 32
"""Of one relay, which asks a few things at a time: whatever it sends, it keeps nobody else out."""


class Verdict(Enum):
    """What to do with a request that has come to the head of the line."""

    HANDLE = "handle"
    REFUSE = "refuse"
    """There is little time left; the caller is told to come back."""
    DROP = "drop"
    """The caller has gone."""


class Place(NamedTuple, Generic[M]):
    """A request in line. Times are monotonic seconds."""

    message: M
    size: int
    arrived: float
    patience: float
    who: str | None


@dataclass
class Line(Generic[M]):
    """First come, first served, while it is worth it. `refused` and `dropped` count."""

    most: int = MOST_WAITING
    most_bytes: int = MOST_BYTES
    most_of_one: int = MOST_OF_ONE
    refused: int = 0
    dropped: int = 0
    _waiting: deque[Place[M]] = field(default_factory=deque, repr=False)
    _bytes: int = field(default=0, repr=False)
    _of: Counter[str] = field(default_factory=Counter, repr=False)

    def __len__(self) -> int:
        return len(self._waiting)

    def join(self, message: M, *, size: int, patience: float, now: float, who: str | None = None) -> bool:
        """Wait in line; False where it is full, and the request has to be refused.

        `who` asks, where the bound on one asker is to hold; None: one of our services.
        """
        full = len(self._waiting) >= self.most or (self._waiting and self._bytes + size > self.most_bytes)
        if full or (who is not None and self._of[who] >= self.most_of_one):
            self.refused += 1
            return False
        self._waiting.append(Place(message, size, now, patience, who))
        if who is not None:
            self._of[who] += 1
        self._bytes += size
        return True

    def leave(self, *, now: float) -> tuple[M, Verdict] | None:
        """The next request, and what to do with it; None where nobody waits."""
        if not self._waiting:
            return None
        place = self._waiting.popleft()
        self._bytes -= place.size
        if place.who is not None:
            self._of[place.who] -= 1
            if not self._of[place.who]:
                del self._of[place.who]
        waited = now - place.arrived
        if waited >= place.patience:
            self.dropped += 1
            return place.message, Verdict.DROP
        if waited > place.patience / 2:
            self.refused += 1
            return place.message, Verdict.REFUSE
        return place.message, Verdict.HANDLE


def patience_of(text: str | None) -> float:
    """Seconds out of the header; what is no number of seconds counts as the longest."""
    try:
        said = float(text or "")
    except ValueError:
        return LONGEST_PATIENCE
    return said if 0 < said < LONGEST_PATIENCE else LONGEST_PATIENCE
