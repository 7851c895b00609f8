"""Whether a peering's BGP session is up, judged from heartbeats with hysteresis, like a relay's health.

A session that its relay reports as established twice in a row is up, one that it reports otherwise twice in a row is
down; the first word about a new one counts at once if it is good. A session that was restarted between two reports
(its age says so) starts its count anew. Leaves out silence of the relay itself: that is the relay's health.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from altnet.common.contracts.routing import SessionStatus

ESTABLISHED: Final = "established"


class Standing(StrEnum):
    """How a session stands."""

    NEW = "new"
    """Nothing is known yet, or it is switched off."""
    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, kw_only=True)
class SessionRule:
    """Reports in a row that it takes."""

    up_after: int = 2
    down_after: int = 2


@dataclass(frozen=True)
class Turn:
    before: Standing
    after: Standing
    state: str
    problem: str


@dataclass
class Watched:
    """One session's standing."""

    standing: Standing = Standing.NEW
    good: int = 0
    bad: int = 0
    age: float | None = None
    """Seconds that it had been established, by the last report."""

    def heard(self, said: SessionStatus | None, rule: SessionRule) -> Turn | None:
        """A report of its relay; None where the relay does not mention it."""
        state = "unknown" if said is None else said.state
        problem = "" if said is None else said.problem
        if state != ESTABLISHED:
            self.good, self.age = 0, None
            self.bad += 1
            if self.standing is not Standing.DOWN and self.bad >= rule.down_after:
                return self._become(Standing.DOWN, state, problem)
            return None
        age = said.since if said is not None else None
        restarted = self.age is not None and age is not None and age < self.age
        self.good = 1 if restarted else self.good + 1
        self.bad, self.age = 0, age
        if self.standing is Standing.NEW or (self.standing is Standing.DOWN and self.good >= rule.up_after):
            return self._become(Standing.UP, state, problem)
        return None

    def switched_off(self) -> bool:
        """Its owner wants no session; nothing to tell. True if that is new."""
        changed = self.standing is not Standing.NEW
        self.standing, self.good, self.bad, self.age = Standing.NEW, 0, 0, None
        return changed

    def _become(self, standing: Standing, state: str, problem: str) -> Turn:
        before, self.standing = self.standing, standing
        return Turn(before, standing, state, problem)
