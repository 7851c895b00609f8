"""Which relay to use: who answers, who does not, when to leave, when to go back. Pure.

A relay is *silent* when nothing was heard of it for some probes and twice its round-trip time. Leaving the relay in use
takes silence there and an answer elsewhere. Going back to a preferred one takes a row of answers, and a time on the
present one that doubles with each failure of the preferred one: a relay that comes and goes keeps no clients waiting.

Only silence that we could hear counts: while our own process or host stood still, nobody is judged. Leaves out packets
(echo.py) and tunnels (tunnel.py). Invariant: no relay is left for one that does not answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from altnet.client.settings import Timers

_SMOOTHING: Final = 0.2
"""Weight of a new round-trip time in the mean."""


@dataclass(slots=True)
class Health:
    """What is known of the path to one relay. Times monotonic, in seconds."""

    priority: int
    heard: float
    """When it last answered; at first, when we began to ask."""
    echoed: float = 0.0
    """When it last answered an echo request; `heard` counts other signs of life too."""
    answered: bool = False
    """Since it was last silent, or since the start."""
    silent: bool = False
    row: int = 0
    """Answers since it was last silent."""
    rtt: float | None = None


class Paths:
    """The relays of one client. `decide` says where to go; `moved` that one is there."""

    def __init__(self, timers: Timers) -> None:
        self._timers = timers
        self._relays: dict[str, Health] = {}
        self._current: str | None = None
        self._since = 0.0
        self._judged: float | None = None
        self._failures = 0
        """Of preferred relays, lately."""

    @property
    def current(self) -> str | None:
        """The relay in use."""
        return self._current

    @property
    def since(self) -> float:
        """When the relay in use was moved to, monotonic."""
        return self._since

    @property
    def relays(self) -> dict[str, Health]:
        return self._relays

    def set_relays(self, priorities: dict[str, int], *, now: float) -> None:
        """These relays and no others; those that were there keep what is known of them."""
        self._relays = {
            relay: self._relays.get(relay) or Health(priority, now) for relay, priority in priorities.items()
        }
        for relay, priority in priorities.items():
            self._relays[relay].priority = priority
        if self._current not in self._relays:
            self._current = None

    def moved(self, relay: str, *, now: float) -> None:
        """The client uses this relay now."""
        before = self._relays.get(self._current or "")
        if before is not None and before.silent and before.priority < self._relays[relay].priority:
            self._failures += 1
        self._current, self._since = relay, now

    def heard(self, relay: str, *, rtt: float, now: float) -> None:
        """It answered an echo request after `rtt` seconds."""
        health = self._relays.get(relay)
        if health is None:
            return
        health.heard = health.echoed = max(health.heard, now)
        health.silent = False
        health.answered = True
        health.row += 1
        health.rtt = rtt if health.rtt is None else health.rtt + _SMOOTHING * (rtt - health.rtt)

    def spare(self, relay: str, *, now: float) -> None:
        """It is alive by other signs: packets came through its tunnel. That counts for a while only, since packets may
        come where ours do not go."""
        health = self._relays.get(relay)
        if health is not None and health.answered and now - health.echoed < self._timers.busy:
            health.heard = now

    def limit(self, relay: str) -> float:
        """Seconds of silence that make it silent."""
        health, timers = self._relays[relay], self._timers
        if not health.answered:
            return timers.first_answer
        every = timers.probe if relay == self._current else timers.standby_probe
        return timers.misses * every + 2 * (health.rtt or 0.0)

    def suspect(self, *, now: float) -> str | None:
        """The relay in use if it is half-way to being silent: the time to look for other signs of life."""
        health = self._relays.get(self._current or "")
        if health is None or not health.answered or self._current is None:
            return None
        return self._current if now - health.heard > self.limit(self._current) / 2 else None

    def decide(self, *, now: float) -> str | None:
        """Where to go now; None: stay. To be asked once every `probe` seconds."""
        self._forgive(now)
        for relay, health in self._relays.items():
            if not health.silent and now - health.heard > self.limit(relay):
                health.silent, health.answered, health.row = True, False, 0
        current = self._relays.get(self._current or "")
        if current is None:
            return _first(self._relays.items()) if self._relays else None
        if current.silent or not current.answered:
            alive = [(relay, health) for relay, health in self._relays.items() if health.answered]
            return _first(alive) if current.silent and alive else None
        if current.priority == min(health.priority for health in self._relays.values()):
            if self._failures and now - self._since > self._timers.settle_most:
                self._failures = 0
            return None
        if now - self._since < self.stay:
            return None
        better = [
            (relay, health)
            for relay, health in self._relays.items()
            if health.priority < current.priority and health.row >= self._timers.good_probes
        ]
        return _first(better) if better else None

    @property
    def stay(self) -> float:
        """Seconds to stay on a relay before a preferred one is gone back to."""
        doubled = self._timers.settle * 2.0 ** max(0, min(self._failures - 1, 30))
        return min(self._timers.settle_most, doubled)

    def _forgive(self, now: float) -> None:
        """Take out of the account the time in which we did not listen."""
        if self._judged is not None:
            lost = now - self._judged - self._timers.probe
            if lost > self._timers.probe:
                for health in self._relays.values():
                    health.heard = min(now, health.heard + lost)
                    health.echoed = min(now, health.echoed + lost)
        self._judged = now


def _first(relays: Iterable[tuple[str, Health]]) -> str:
    return min(relays, key=lambda one: (one[1].priority, one[0]))[0]
