"""When a network's keys are old. Pure.

Invariant: the date lies within the jitter's share of the age around it, and moves with nothing but the draw.
"""

from __future__ import annotations

from datetime import datetime, timedelta


def due(now: datetime, *, max_age: float, jitter: float, draw: float) -> datetime:
    """The date of the next rotation. `max_age` in seconds, `jitter` 0 … 1, `draw` 0 … 1."""
    return now + timedelta(seconds=max_age * (1 + jitter * (2 * draw - 1)))
