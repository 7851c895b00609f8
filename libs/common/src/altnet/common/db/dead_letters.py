"""What was set aside because it can never be worked on: kept whole, counted, and said until somebody has resolved it.

The rows are the truth, so a restart forgets nothing and another replica's are counted too. Leaves out resolving them,
which takes a person (docs/operations.md). Invariant: what is written here is in the count at once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from altnet.common import log
from altnet.common.bus.consume import Delivery, OnBroken
from altnet.common.db.engine import Database
from altnet.common.jobs import Job, every
from altnet.common.metrics import Metrics

LOOK_EVERY: Final = 60.0
"""Seconds between two looks at the rows: how long one that was resolved, or is another replica's, is miscounted."""

_LOG: Final = log.get(__name__)


class DeadLetters:
    """Those of one schema. The gauge `dead_letters` and `remarks` tell how many wait for somebody."""

    def __init__(self, db: Database, metrics: Metrics) -> None:
        self._db = db
        self._count = f"SELECT count(*) FROM {db.schema}.dead_letter WHERE resolved_at IS NULL"  # noqa: S608 - the schema is a checked name
        self.waiting = 0
        """Messages that nobody has resolved, as last counted."""
        metrics.gauge("dead_letters", "Messages that were set aside and that nobody has resolved.").set_function(
            lambda: self.waiting
        )

    def of(self, consumer: str) -> OnBroken:
        """For `PullConsumer.on_broken`: keep the message with the reason. Raises `Unavailable`."""

        async def store(delivery: Delivery, reason: str) -> None:
            async with self._db.raw() as connection:
                await connection.execute(
                    f"""
                    INSERT INTO {self._db.schema}.dead_letter AS old
                        (consumer, message_id, subject, headers, payload, reason, delivered, first_at, last_at)
                    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)
                    ON CONFLICT (consumer, message_id) DO UPDATE SET
                        reason = excluded.reason, last_at = excluded.last_at, resolved_at = NULL,
                        delivered = old.delivered + excluded.delivered
                    """,  # noqa: S608 - as above
                    consumer,
                    delivery.message_id,
                    delivery.subject,
                    json.dumps(dict(delivery.headers)),
                    delivery.payload,
                    reason.replace("\0", "")[:2000],
                    delivery.delivered,
                    self._db.clock.now(),
                )
                self.waiting = await connection.fetchval(self._count)
            _LOG.error("a message was set aside", consumer=consumer, subject=delivery.subject, reason=reason)

        return store

    async def look(self) -> None:
        """Count again. Raises `Unavailable`."""
        async with self._db.raw() as connection:
            self.waiting = await connection.fetchval(self._count)

    def remarks(self) -> Mapping[str, str]:
        """For `/readyz`: requests succeed all the same, so it makes nobody unready."""
        if not self.waiting:
            return {}
        where = f"see {self._db.schema}.dead_letter, and docs/operations.md"
        return {f"{self._db.schema} dead letters": f"{self.waiting} set aside: {where}."}

    def job(self) -> Job:
        """The job that counts."""
        return Job("dead letters", every(LOOK_EVERY, self.look))
