"""How far relays are from each other: what heartbeats measured, kept steady, and an estimate for everybody else.

`LatencyBook` takes in round-trip times as they come and says which pairs have changed for good. It keeps the lowest
of two windows, since what queues add says nothing of the distance (as BBR's min_rtt does): a path that became longer
shows after a whole window, a shorter one at once, and a spike never. Small changes are not even told, so jitter
neither writes a row nor moves a link.

`Latencies` and `Distances` answer for any pair: the measured value; else one from network coordinates (Vivaldi, Dabek
et al. 2004: two dimensions and a height, which stands for the access line); else the region's word. All of it is a
function of the measured pairs alone: no clock, no randomness. Milliseconds everywhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import cos, pi, sin, sqrt
from typing import Final

SAME_REGION: Final = 20.0
NEAR_REGION: Final = 60.0
OTHER_REGION: Final = 150.0

Pair = tuple[str, str]
"""Two relays, the lower identifier first."""

_ROUNDS: Final = 40
_TUNING: Final = 0.25
"""Vivaldi's c_c and c_e, as in the paper."""
_SHORTEST: Final = 0.1
_LONGEST: Final = 60_000.0


def pair_of(one: str, other: str) -> Pair:
    return (one, other) if one < other else (other, one)


def by_region(one: str, other: str) -> float:
    """What regions say of a distance: the same, of one family (`eu-west`, `eu-north`), or another."""
    if one == other:
        return SAME_REGION
    if one and other and one.split("-")[0] == other.split("-")[0]:
        return NEAR_REGION
    return OTHER_REGION


@dataclass(frozen=True, kw_only=True)
class LatencyRule:
    """When a measurement counts. `window` is in seconds, `least` in milliseconds."""

    window: float = 150.0
    share: float = 0.2
    least: float = 5.0

    def differs(self, known: float, now: float) -> bool:
        """Whether a change from `known` to `now` is large enough to be told."""
        return abs(now - known) > max(self.least, self.share * known)


@dataclass(slots=True)
class _Windows:
    """One end's view of a pair: the lowest round trip of this window and of the one before it."""

    since: float
    last: float
    now: float
    before: float | None = None

    def lowest(self) -> float:
        return self.now if self.before is None else min(self.now, self.before)


class LatencyBook:
    """The latencies of pairs as they are known, and the windows from which they follow."""

    def __init__(self, rule: LatencyRule, known: Mapping[Pair, float] | None = None) -> None:
        self._rule = rule
        self._windows: dict[Pair, dict[str, _Windows]] = {}
        self.known: dict[Pair, float] = dict(known or {})
        """What the choice of links goes by, and what the table holds."""

    def observe(self, observer: str, other: str, milliseconds: float, *, at: float) -> None:
        """A round trip as one end saw it; `at` is in monotonic seconds. What cannot be a round trip is left out."""
        if observer == other or not 0 <= milliseconds <= _LONGEST:
            return
        value = max(_SHORTEST, milliseconds)
        ends = self._windows.setdefault(pair_of(observer, other), {})
        windows = ends.get(observer)
        if windows is None or at - windows.last >= 2 * self._rule.window:
            ends[observer] = _Windows(at, at, value)  # after a long silence the older windows say nothing of now
        elif at - windows.since >= self._rule.window:
            ends[observer] = _Windows(at, at, value, windows.now)
        else:
            windows.last = at
            windows.now = min(windows.now, value)

    def changed(self) -> dict[Pair, float]:
        """The pairs whose latency is new, or differs by enough, and for long enough, to be told.

        Of the two ends the higher one counts: a relay that claims to be near cannot draw links to itself.
        """
        found = {}
        latest = max((one.last for ends in self._windows.values() for one in ends.values()), default=0.0)
        for pair, ends in list(self._windows.items()):
            newest = max(windows.last for windows in ends.values())
            if latest - newest >= 4 * self._rule.window:  # the link is gone; what is known of it stays
                del self._windows[pair]
                continue
            heard = [windows for windows in ends.values() if newest - windows.last < self._rule.window]
            now = round(max(windows.lowest() for windows in heard), 2)
            known = self.known.get(pair)
            if known is not None and (
                not self._rule.differs(known, now) or (now > known and any(one.before is None for one in heard))
            ):
                continue  # longer for less than a window is not lasting yet
            found[pair] = now
        return found

    def told(self, written: Mapping[Pair, float]) -> None:
        """These are written now."""
        self.known.update(written)

    def drop(self, pairs: Iterable[Pair]) -> None:
        """Nothing is known of these any more."""
        for pair in pairs:
            self._windows.pop(pair, None)
            self.known.pop(pair, None)

    def forget(self, relay: str) -> None:
        """The relay is gone."""
        self.drop([pair for pair in {*self._windows, *self.known} if relay in pair])


@dataclass(frozen=True, slots=True)
class Place:
    """A point in Vivaldi's space."""

    x: float
    y: float
    height: float


class Latencies:
    """The measured latencies, and where in Vivaldi's space that puts each measured relay. Made once, used often."""

    def __init__(self, measured: Mapping[Pair, float], regions: Mapping[str, str]) -> None:
        """`regions` by relay; who is not in there counts for nothing."""
        self.measured = {pair: value for pair, value in sorted(measured.items()) if regions.keys() >= set(pair)}
        self.places = _settle(self.measured, regions)


class Distances:
    """The distance of any two of these relays (identifier and region of each, by number)."""

    def __init__(self, relays: Sequence[tuple[str, str]], known: Latencies) -> None:
        self._regions = [region for _, region in relays]
        number = {relay: at for at, (relay, _) in enumerate(relays)}
        self._measured: list[dict[int, float]] = [{} for _ in relays]
        for (one, other), value in known.measured.items():
            if one in number and other in number:
                first, second = number[one], number[other]
                self._measured[first][second] = self._measured[second][first] = value
        homes: dict[str, list[Place]] = {}
        for relay, region in relays:
            if relay in known.places:
                homes.setdefault(region, []).append(known.places[relay])
        homes.pop("", None)
        centres = {region: _centre(places) for region, places in homes.items()}
        self._by_region = {
            region: {other: by_region(region, other) for other in {*self._regions}} for region in {*self._regions}
        }
        self._places = [known.places.get(relay, centres.get(region)) for relay, region in relays]

    def measured(self, one: int, other: int) -> float | None:
        return self._measured[one].get(other)

    def between(self, one: int, other: int) -> float:
        return self.row(one, (other,))[0]

    def row(self, one: int, others: Sequence[int]) -> list[float]:
        """From one relay to each of these."""
        known, here = self._measured[one], self._places[one]
        told, regions = self._by_region[self._regions[one]], self._regions
        if not known and here is None:
            return [told[regions[other]] for other in others]
        found = []
        for other in others:
            value = known.get(other)
            if value is None:
                there = self._places[other]
                if here is None or there is None:
                    value = told[regions[other]]
                else:
                    across, up = here.x - there.x, here.y - there.y
                    value = max(_SHORTEST, sqrt(across * across + up * up) + (here.height + there.height))
            found.append(value)
        return found


def _settle(measured: Mapping[Pair, float], regions: Mapping[str, str]) -> dict[str, Place]:
    """Vivaldi over the measured pairs, forwards and backwards in turn, so often that it hardly moves any more."""
    relays = sorted({relay for pair in measured for relay in pair})
    number = {relay: at for at, relay in enumerate(relays)}
    wanted = [(number[one], number[other], value) for (one, other), value in measured.items()]
    starts = [_start(regions[relay], relay) for relay in relays]
    xs, ys = [x for x, _ in starts], [y for _, y in starts]
    heights, errors = [1.0] * len(relays), [1.0] * len(relays)
    for turn in range(_ROUNDS):
        for one, other, told in wanted if turn % 2 == 0 else reversed(wanted):
            across, up = xs[one] - xs[other], ys[one] - ys[other]
            flat = sqrt(across * across + up * up)
            lift = heights[one] + heights[other]
            guess = flat + lift
            both = errors[one] + errors[other]
            share = errors[one] / both if both > 0 else 0.5
            wrong = abs(guess - told) / told
            for end, weight, sign in ((one, share, 1.0), (other, 1.0 - share, -1.0)):
                errors[end] += _TUNING * weight * (wrong - errors[end])
                pull = _TUNING * weight * (told - guess)
                if flat > 0:
                    xs[end] += sign * pull * across / guess
                    ys[end] += sign * pull * up / guess
                heights[end] = max(_SHORTEST, heights[end] + pull * lift / guess)
    return {relay: Place(xs[at], ys[at], heights[at]) for relay, at in number.items()}


def _centre(places: Sequence[Place]) -> Place:
    count = len(places)
    return Place(
        sum(place.x for place in places) / count,
        sum(place.y for place in places) / count,
        sum(place.height for place in places) / count,
    )


def _start(region: str, relay: str) -> tuple[float, float]:
    """Relays of one region begin beside each other; nobody begins at the same point."""
    far, near = _angle(region), _angle(relay)
    return 60 * cos(far) + 5 * cos(near), 60 * sin(far) + 5 * sin(near)


def _angle(text: str) -> float:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest()) / 2**32 * 2 * pi
