"""What was refused, counted per relay and reason, and told as security events now and then.

Invariant: a flood costs one event per relay and reason in each period, and bounded memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from altnet.common.contracts.keyd import ChannelRefused
from altnet.common.db.engine import Database
from altnet.common.errors import AltnetError
from altnet.common.noise import failures
from altnet.keyd.keyring import ACTOR
from altnet.keyd.store.events import EMITTER, next_numbers
from prometheus_client import Counter

TOLD: Final = frozenset(
    {
        failures.REFUSED,
        failures.REPLAYED,
        failures.BAD_FRAME,
        failures.TOO_MANY,
        failures.FULL,
        "identity_revoked",
        "bad_signature",
        "key_taken",
        "first_contact_forged",
        "next_key_taken",
        "key_not_certified",
        "bad_certificate",
    }
)
"""Codes that honest hosts do not cause. A session that is unknown or over is everyday: somebody restarted."""
NOBODY: Final = "many"


@dataclass
class _Count:
    since: datetime
    number: int = 0


class Refusals:
    """`note` while serving, `flush` as a job."""

    def __init__(self, db: Database, *, most: int, counter: Counter) -> None:
        """`counter` has the label `reason`: codes of our own errors, so they are few."""
        self._db = db
        self._most = most
        self._counter = counter
        self._counts: dict[tuple[str, str], _Count] = {}

    def note(self, relay: str, error: AltnetError) -> None:
        """Count a refusal; it is told too, if it is one of `TOLD`."""
        if error.code in TOLD:
            self.count(relay, error.code)
        else:
            self._counter.labels(error.code).inc()

    def count(self, relay: str, code: str) -> None:
        """Count one, to be told."""
        self._counter.labels(code).inc()
        key = relay, code
        if key not in self._counts and len(self._counts) >= self._most:
            key = NOBODY, code
        count = self._counts.setdefault(key, _Count(since=self._db.clock.now()))
        count.number += 1

    async def flush(self) -> None:
        """Write what was counted; it stays where the database is away."""
        if not self._counts:
            return
        counts, self._counts = self._counts, {}
        try:
            async with self._db.transaction(actor=ACTOR) as uow:
                number = await next_numbers(uow, len(counts))
                for offset, ((relay, code), count) in enumerate(sorted(counts.items())):
                    uow.emit(
                        ChannelRefused(
                            emitter=EMITTER,
                            number=number + offset,
                            relay=relay,
                            reason=code,
                            count=count.number,
                            since=count.since,
                        )
                    )
        except AltnetError:
            for key, count in counts.items():
                kept = self._counts.setdefault(key, count)
                if kept is not count:
                    kept.number += count.number
                    kept.since = count.since
