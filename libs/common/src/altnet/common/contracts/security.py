"""Security events: what somebody who guards the network wants to know, numbered so that a missing one shows.

Each emitter (a service with all its replicas, or one relay's agent) counts its own events from 1, without a gap, in the
order in which they happened to it. Services number at the commit (`altnet.common.db.numbers`), agents on their disk
(`altnet.relay_agent.security`), and whoever reads counts along (`Reader`).

Leaves out where events are kept. Invariant: one number of an emitter names one event, for ever.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, NamedTuple

import msgspec
from altnet.common.contracts.envelope import Event


class SecurityEvent(Event, frozen=True, kw_only=True):
    """Base: who emits, and the how-manieth it is. Both are filled in when it is committed; 0: not numbered yet."""

    emitter: str = ""
    number: Annotated[int, msgspec.Meta(ge=0)] = 0


class Counted(StrEnum):
    """What a number says to whoever counts along."""

    NEXT = "next"
    REPEATED = "repeated"
    """Heard before: the bus delivers at least once."""
    GAP = "gap"
    """One or more before it are missing."""


class Gap(NamedTuple):
    """Numbers that are missing, both ends included: a restore leaves out a million at once."""

    first: int
    last: int

    def without(self, others: Iterable[Gap]) -> tuple[Gap, ...]:
        """What is left of it beside those that are accounted for, in order."""
        left = [self]
        for other in others:
            left = [part for one in left for part in one._beside(other)]
        return tuple(left)

    def _beside(self, other: Gap) -> tuple[Gap, ...]:
        before = Gap(self.first, min(self.last, other.first - 1))
        after = Gap(max(self.first, other.last + 1), self.last)
        return tuple(part for part in dict.fromkeys((before, after)) if part.first <= part.last)


@dataclass
class Reader:
    """Counts along, emitter by emitter. The first number heard of an emitter is where its count begins here.

    Numbers that come later than their followers close their gap, so what is missing at the end of a stream is missing.
    `begin` says which number was the last of each emitter, where that is known: then a missing start shows too.
    """

    last: dict[str, int] = field(default_factory=dict)
    _gaps: dict[str, list[Gap]] = field(default_factory=dict)

    @classmethod
    def begin(cls, last: Mapping[str, int]) -> Reader:
        return cls(last=dict(last))

    def take(self, emitter: str, number: int) -> Counted:
        """Count one. Raises `ValueError` for a number that cannot be."""
        if number < 1:
            raise ValueError(f"not the number of a security event: {number}")
        last = self.last.get(emitter)
        if last is None or number == last + 1:
            self.last[emitter] = number
            return Counted.NEXT
        if number <= last:
            return Counted.NEXT if self._close(emitter, number) else Counted.REPEATED
        self._gaps.setdefault(emitter, []).append(Gap(last + 1, number - 1))
        self.last[emitter] = number
        return Counted.GAP

    def _close(self, emitter: str, number: int) -> bool:
        """Take a number out of its gap; False where it is in none."""
        gaps = self._gaps.get(emitter, [])
        place = next((place for place, gap in enumerate(gaps) if gap.first <= number <= gap.last), None)
        if place is None:
            return False
        gap = gaps[place]
        left = (Gap(gap.first, number - 1), Gap(number + 1, gap.last))
        gaps[place : place + 1] = [part for part in left if part.first <= part.last]
        return True

    @property
    def gaps(self) -> Mapping[str, tuple[Gap, ...]]:
        """By emitter: the stretches of numbers that have not come, in order."""
        return {emitter: tuple(gaps) for emitter, gaps in self._gaps.items() if gaps}

    @property
    def missing(self) -> Mapping[str, tuple[int, ...]]:
        """By emitter: the numbers that have not come, one by one."""
        return {
            emitter: tuple(number for gap in gaps for number in range(gap.first, gap.last + 1))
            for emitter, gaps in self.gaps.items()
        }
