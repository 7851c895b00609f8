"""Token buckets, one a peer, with a bounded number of peers remembered.

The bus vouches for who sends, so a bucket is a peer's own and nobody else can empty it; that is why no cookie is asked
for before the costly part of a handshake. When more peers come than are remembered, the one that was silent longest is
forgotten, which gives it a full bucket, not an empty one.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Annotated

import msgspec


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """`burst` at once, `per_second` more as time passes."""

    burst: Annotated[float, msgspec.Meta(ge=1)]
    per_second: Annotated[float, msgspec.Meta(gt=0)]


class Buckets:
    """Times are monotonic seconds."""

    def __init__(self, rate: Rate, *, most: int) -> None:
        self._rate = rate
        self._most = most
        self._left: OrderedDict[str, list[float]] = OrderedDict()
        """What a peer has left, and when that was so."""

    def __len__(self) -> int:
        return len(self._left)

    def take(self, peer: str, now: float) -> float:
        """Take one. 0 where it is there, else the seconds until it is."""
        rate, bucket = self._rate, self._left.get(peer)
        if bucket is None:
            bucket = self._left[peer] = [rate.burst, now]
            if len(self._left) > self._most:
                self._left.popitem(last=False)
        else:
            self._left.move_to_end(peer)
        bucket[0] = min(rate.burst, bucket[0] + (now - bucket[1]) * rate.per_second)
        bucket[1] = now
        if bucket[0] < 1:
            return (1 - bucket[0]) / rate.per_second
        bucket[0] -= 1
        return 0.0
