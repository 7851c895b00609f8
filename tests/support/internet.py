"""A made-up internet: where relays are, and how far from each other, with what real ones have and spaces have not.

Regions are cities on a globe; a round trip takes 1.5 times what light in fibre needs, plus both access lines, times a
factor of its own for every pair (routes that detour), so that triangles are often violated. Deterministic.
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from math import acos, cos, exp, pi, sin
from typing import Final

from altnet.registry.domain.latency import Pair, pair_of

_RADIUS_KM: Final = 6371.0
_KM_PER_MS: Final = 200.0 / 1.5 / 2
"""Of a round trip: light in fibre does 200 km in a millisecond, one way, and cables are not straight."""


@dataclass
class Internet:
    """`region` by relay; `latency` gives the round trip of two relays in milliseconds."""

    region: dict[str, str]
    _place: dict[str, tuple[float, float]]
    _access: dict[str, float]
    _seed: int
    detour: float

    def latency(self, one: str, other: str) -> float:
        first, second = pair_of(one, other)
        factor = exp(self.detour * self._chance(first, second))
        across = _kilometres(self._place[first], self._place[second]) / _KM_PER_MS
        return round(across * factor + self._access[first] + self._access[second], 2)

    def _chance(self, one: str, other: str) -> float:
        """As good as normally distributed, and the pair's own."""
        drawn = hashlib.blake2b(f"{self._seed} {one} {other}".encode(), digest_size=12).digest()
        return (sum(drawn) - 12 * 127.5) / 256  # twelve uniform ones of width 1: variance 1

    def matrix(self) -> dict[Pair, float]:
        """Every pair."""
        relays = sorted(self.region)
        return {(one, other): self.latency(one, other) for at, one in enumerate(relays) for other in relays[at + 1 :]}


def make_internet(relays: int, *, regions: int, seed: int = 1, detour: float = 0.15, spread: float = 4.0) -> Internet:
    """So many relays in so many regions; `spread` is how far from its city a relay is, in degrees."""
    chance = random.Random(seed)
    cities = [(chance.uniform(-50, 65), chance.uniform(-180, 180)) for _ in range(regions)]
    region, place, access = {}, {}, {}
    for number in range(relays):
        city = number % regions
        name = f"r{number:04d}"
        region[name] = f"c{city:02d}"
        place[name] = (cities[city][0] + chance.gauss(0, spread), cities[city][1] + chance.gauss(0, spread))
        access[name] = chance.expovariate(1 / 1.5) + 0.2
    return Internet(region, place, access, seed, detour)


def _kilometres(one: tuple[float, float], other: tuple[float, float]) -> float:
    (a, b), (c, d) = ((pi * lat / 180, pi * lon / 180) for lat, lon in (one, other))
    straight = sin(a) * sin(c) + cos(a) * cos(c) * cos(b - d)
    return _RADIUS_KM * acos(max(-1.0, min(1.0, straight)))
