"""A link's cost from its round-trip time and loss. Pure.

The cost is in microseconds, quantised in steps of a quarter, so that links of the same length cost the same and load
can be shared over them. A time that wanders around a step changes nothing: it has to be a whole step off, for a while.
Only when a link is new does a shorter time count at once: its first ones are too long, for handshakes and hosts that
start, never too short. Loss adds a steep penalty at once and takes it back slowly: a lossy link is worse than a long
way round.

Invariant: as long as loss is in one class and the smoothed time stays within a step of the present one, the cost does
not change.
"""

from __future__ import annotations

import math
from typing import Final

import msgspec

STEP: Final = 1.25
FIRST: Final = 1000
"""Microseconds; links below it are all equal: a rack's worth of differences is not worth a detour."""
LAST_STEP: Final = 50
"""About 70 s: beyond it nothing is told apart."""
_STEPS: Final = range(LAST_STEP + 1)
HOP: Final = 500
"""Microseconds that a relay adds by decrypting and encrypting; it makes the shorter of two equal ways win."""
HOLD: Final = 10.0
"""Seconds for which a time has to be off before it counts."""
MEND: Final = 30.0
"""Seconds without the loss before its penalty goes."""
LOSS_CLASSES: Final = ((0.10, 100_000), (0.25, 1_000_000), (0.50, 10_000_000))
"""Loss from which, and microseconds that it adds. Two of the last twenty probes are chance; more is a bad path."""
EASING: Final = 0.5
"""A class is left when the loss is below this share of where it begins."""


class LinkCost(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a link's cost. `step` None: not measured yet."""

    step: int | None = None
    loss_class: int = 0
    new_until: float | None = None
    """Until when a shorter time counts at once, monotonic seconds."""
    off_since: float | None = None
    """When the time began to be a step off, monotonic seconds."""
    good_since: float | None = None
    """When the loss began to be below its class."""

    @property
    def cost(self) -> int:
        """Microseconds."""
        step = _step(UNKNOWN_RTT) if self.step is None else self.step
        penalty = LOSS_CLASSES[self.loss_class - 1][1] if self.loss_class else 0
        return HOP + round(FIRST * STEP**step) + penalty


UNKNOWN_RTT: Final = 0.01
"""Seconds that a link is taken to have before it is measured."""


def _step(rtt: float) -> int:
    if not rtt * 1e6 > FIRST:
        return 0
    return min(LAST_STEP, math.ceil(math.log(rtt * 1e6 / FIRST, STEP) - 1e-9))


UNKNOWN_COST: Final = LinkCost().cost


def remembered(cost: int | None) -> LinkCost:
    """What gave a cost before this process began, so that a restart of the agent moves no traffic."""
    every = (LinkCost(step=step, loss_class=number) for number in range(len(LOSS_CLASSES) + 1) for step in _STEPS)
    return next((known for known in every if known.cost == cost), LinkCost())


def observe(known: LinkCost, *, rtt: float | None, loss: float | None, now: float) -> LinkCost:
    """The cost after a look at the link. `rtt` in seconds, smoothed; `loss` 0 … 1; None: not measured.

    `now` is monotonic seconds.
    """
    if loss is not None:
        known = _with_loss(known, loss, now)
    if rtt is None or loss is None or not math.isfinite(rtt) or rtt < 0:
        return known
    return _with_time(known, rtt, now)


def _with_time(known: LinkCost, rtt: float, now: float) -> LinkCost:
    found = _step(rtt)
    if known.step is None:
        return msgspec.structs.replace(known, step=found, new_until=now + HOLD)
    if abs(found - known.step) <= 1:
        return known if known.off_since is None else msgspec.structs.replace(known, off_since=None)
    if found < known.step and known.new_until is not None and now < known.new_until:
        return msgspec.structs.replace(known, step=found, off_since=None)
    if known.off_since is None:
        return msgspec.structs.replace(known, off_since=now)
    if now - known.off_since < HOLD:
        return known
    return msgspec.structs.replace(known, step=found, off_since=None)


def _with_loss(known: LinkCost, loss: float, now: float) -> LinkCost:
    found = sum(loss >= begin for begin, _ in LOSS_CLASSES)
    if found > known.loss_class:
        return msgspec.structs.replace(known, loss_class=found, good_since=None)
    if known.loss_class == 0:
        return known
    if loss >= LOSS_CLASSES[known.loss_class - 1][0] * EASING:
        return known if known.good_since is None else msgspec.structs.replace(known, good_since=None)
    if known.good_since is None:
        return msgspec.structs.replace(known, good_since=now)
    if now - known.good_since < MEND:
        return known
    return msgspec.structs.replace(known, loss_class=found, good_since=None)
