"""What was refused for want of a right, counted by who asked and why, and told as security events now and then.

Who asked is as he says for whoever comes without a bearer: the identifier of the token that he shows, the nkey that he
proved. Leaves out what is refused before that is known: bodies that cannot be read, and attempts that come too fast.

Invariant: a flood costs one event per reason and asker in each period, a bounded number of them, and bounded memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from altnet.common.contracts.registry import AttemptRefused
from altnet.common.db.engine import Database
from altnet.common.errors import AltnetError

ACTOR: Final = "registry"
TOLD: Final = frozenset(
    {
        "bad_join_token",
        "token_kind",
        "token_used",
        "token_expired",
        "token_revoked",
        "bad_key_proof",
        "proof_needed",
        "key_revoked",
        "relay_revoked",
    }
)
"""Codes of attempts to get in, or to get a key in, by what does not give the right to."""
MANY: Final = "many"


@dataclass
class _Count:
    since: datetime
    number: int = 0


class Refusals:
    """`note` while serving, `flush` as a job."""

    def __init__(self, db: Database, *, most: int) -> None:
        """`most`: askers with their reasons that are told apart in one period."""
        self._db = db
        self._most = most
        self._counts: dict[tuple[str, str], _Count] = {}

    def note(self, actor: str, error: AltnetError) -> None:
        """Count a refusal, if it is one of `TOLD`."""
        if error.code not in TOLD:
            return
        key = actor, error.code
        if key not in self._counts and len(self._counts) >= self._most:
            key = MANY, error.code
        self._counts.setdefault(key, _Count(since=self._db.clock.now())).number += 1

    async def flush(self) -> None:
        """Tell what was counted; it stays where the database is away."""
        if not self._counts:
            return
        counts, self._counts = self._counts, {}
        try:
            async with self._db.transaction(actor=ACTOR) as uow:
                for (actor, reason), count in sorted(counts.items()):
                    uow.emit(AttemptRefused(actor=actor, reason=reason, count=count.number, since=count.since))
        except AltnetError:
            for key, count in counts.items():
                kept = self._counts.setdefault(key, count)
                if kept is not count:
                    kept.number += count.number
                    kept.since = count.since
