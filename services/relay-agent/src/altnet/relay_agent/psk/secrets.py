"""Which pre-shared key the devices are to have for a neighbour. Pure.

Invariant: where a key is required and none is agreed, the devices get one that nobody else can know, so the pair is
closed; it is drawn at each start and never kept.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field

from altnet.common.kernel.wireguard import PresharedKey


@dataclass(frozen=True, eq=False)
class Secrets:
    """By relay. Equal only to itself: it is replaced whenever anything in it changes."""

    agreed: Mapping[str, PresharedKey] = field(default_factory=dict, repr=False)
    seed: bytes = field(default=b"", repr=False)
    """Random; empty where nobody negotiates."""

    def of(self, relay: str, *, required: bool) -> PresharedKey | None:
        """None: no pre-shared key."""
        known = self.agreed.get(relay)
        if known is not None or not required:
            return known
        return PresharedKey(hmac.digest(self.seed, relay.encode(), "sha256"))

    def different(self, other: Secrets) -> set[str]:
        """The relays whose agreed keys are not the same."""
        if self.agreed is other.agreed:
            return set()
        relays = self.agreed.keys() | other.agreed.keys()
        return {relay for relay in relays if self.agreed.get(relay) != other.agreed.get(relay)}


NO_SECRETS = Secrets()
