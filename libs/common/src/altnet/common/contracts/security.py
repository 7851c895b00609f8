"""Security events: what somebody who guards the network wants to know, numbered so that a missing one shows.

Each emitter (a service with all its replicas, or one relay's agent) counts its own events from 1, without a gap, in the
order in which they happened to it. Services number at the commit (`altnet.common.db.numbers`), agents on their disk
(`altnet.relay_agent.security`), and whoever reads counts along (`Reader`).

Leaves out where events are kept. Invariant: one number of an emitter names one event, for ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated

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


@dataclass
class Reader:
    """Counts along, emitter by emitter. The first number heard of an emitter is where its count begins here.

    Numbers that come later than their followers close their gap, so what is missing at the end of a stream is missing.
    `begin` says which number was the last of each emitter, where that is known: then a missing start shows too.
    """

    last: dict[str, int] = field(default_factory=dict)
    _missing: dict[str, set[int]] = field(default_factory=dict)

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
            missing = self._missing.get(emitter, set())
            if number in missing:
                missing.discard(number)
                return Counted.NEXT
            return Counted.REPEATED
        self._missing.setdefault(emitter, set()).update(range(last + 1, number))
        self.last[emitter] = number
        return Counted.GAP

    @property
    def missing(self) -> Mapping[str, tuple[int, ...]]:
        """By emitter: the numbers that have not come."""
        return {emitter: tuple(sorted(numbers)) for emitter, numbers in self._missing.items() if numbers}
