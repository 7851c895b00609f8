"""A token bucket per source, with a bounded number of sources.

When there are more sources than it may remember, the least recently seen is forgotten, so an attacker with many
addresses costs memory that is known beforehand.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class RateRule:
    """`burst` attempts at once, `per_second` more as time passes, `sources` remembered."""

    burst: float = 20.0
    per_second: float = 1.0
    sources: int = 4096


class RateLimit:
    """Times are monotonic seconds, given by the caller."""

    def __init__(self, rule: RateRule) -> None:
        self._rule = rule
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, source: str, now: float) -> float:
        """Take one attempt. 0 if it is allowed, else the seconds after which one is."""
        rule = self._rule
        left, seen = self._buckets.pop(source, (rule.burst, now))
        left = min(rule.burst, left + (now - seen) * rule.per_second)
        wait = 0.0
        if left >= 1:
            left -= 1
        else:
            wait = (1 - left) / rule.per_second
        self._buckets[source] = (left, now)
        if len(self._buckets) > rule.sources:
            self._buckets.popitem(last=False)
        return wait
