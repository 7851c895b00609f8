"""What was refused, counted by who asked and why, and told as security events now and then.

A service says which codes are worth telling and which event tells of one. Leaves out what is done about them.
Invariant: a flood costs one event per asker and reason in each period, a bounded number of them, and bounded memory.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from altnet.common.contracts.security import SecurityEvent
from altnet.common.db.engine import Database
from altnet.common.errors import AltnetError

MANY: Final = "many"
"""In the place of askers beyond those that are told apart."""

Event = Callable[[str, str, int, datetime], SecurityEvent]
"""Of an asker, a reason, how often, and since when."""


@dataclass
class _Count:
    since: datetime
    number: int = 0


class Refusals:
    """`note` while serving, `flush` as a job."""

    def __init__(
        self,
        db: Database,
        *,
        told: Collection[str],
        event: Event,
        actor: str,
        most: int,
        counted: Callable[[str], None] = lambda _code: None,
    ) -> None:
        """`told`: the codes that become events; `event`: which; `actor`: in whose name. `most`: askers with their
        reasons that are told apart in one period. `counted` hears the code of each refusal, told or not."""
        self._db = db
        self._told = told
        self._event = event
        self._actor = actor
        self._most = most
        self._counted = counted
        self._counts: dict[tuple[str, str], _Count] = {}

    def note(self, asker: str, error: AltnetError) -> None:
        """Count a refusal; it is told too, if its code is one of those."""
        if error.code in self._told:
            self.count(asker, error.code)
        else:
            self._counted(error.code)

    def count(self, asker: str, code: str) -> None:
        """Count one, to be told."""
        self._counted(code)
        key = asker, code
        if key not in self._counts and len(self._counts) >= self._most:
            key = MANY, code
        self._counts.setdefault(key, _Count(since=self._db.clock.now())).number += 1

    async def flush(self) -> None:
        """Tell what was counted; it stays where the database is away."""
        if not self._counts:
            return
        counts, self._counts = self._counts, {}
        try:
            async with self._db.transaction(actor=self._actor) as uow:
                for (asker, code), count in sorted(counts.items()):
                    uow.emit(self._event(asker, code, count.number, count.since))
        except AltnetError:
            for key, count in counts.items():
                kept = self._counts.setdefault(key, count)
                if kept is not count:
                    kept.number += count.number
                    kept.since = count.since
