"""Whether a relay is alive, judged by its heartbeats with hysteresis: up, late, down.

Two missed heartbeats make it late, four (and at least a set time) make it down, and two good ones in a row bring it
back, so that a single lost or delayed message changes nothing. Only transitions are told.

A judge that was itself away calls `pardon`: silence that nobody listened to proves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Health(StrEnum):
    """How a relay stands."""

    NEW = "new"
    """Enrolled, not heard yet."""
    UP = "up"
    LATE = "late"
    DOWN = "down"


@dataclass(frozen=True, kw_only=True)
class LivenessRule:
    """The bounds. `interval` and `down_at_least` are in seconds, the others count heartbeats."""

    interval: float = 5.0
    late_after: int = 2
    down_after: int = 4
    down_at_least: float = 15.0
    up_after: int = 2

    @property
    def late_age(self) -> float:
        """Half an interval of slack: the heartbeat that is due now is not missed yet."""
        return (self.late_after + 0.5) * self.interval

    @property
    def down_age(self) -> float:
        return max(self.down_at_least, (self.down_after + 0.5) * self.interval)


@dataclass(frozen=True)
class Transition:
    before: Health
    after: Health
    silence: float
    """Seconds since the last heartbeat when it was decided."""


@dataclass
class Liveness:
    """One relay's standing. Times are monotonic seconds."""

    health: Health
    last: float
    good: int = 0

    def heard(self, now: float, rule: LivenessRule) -> Transition | None:
        """A heartbeat arrived."""
        silence = now - self.last
        self.good = self.good + 1 if silence < rule.late_age else 1
        self.last = now
        if self.health is Health.NEW or (self.health is not Health.UP and self.good >= rule.up_after):
            return self._become(Health.UP, silence)
        return None

    def check(self, now: float, rule: LivenessRule) -> Transition | None:
        """Time passed."""
        silence = now - self.last
        if self.health is Health.UP and silence >= rule.late_age:
            self.good = 0
            return self._become(Health.LATE, silence)
        if self.health is Health.LATE and silence >= rule.down_age:
            self.good = 0
            return self._become(Health.DOWN, silence)
        return None

    def pardon(self, now: float) -> None:
        """Start counting silence from now on."""
        self.last = max(self.last, now)

    def _become(self, health: Health, silence: float) -> Transition:
        before, self.health = self.health, health
        return Transition(before, health, silence)
