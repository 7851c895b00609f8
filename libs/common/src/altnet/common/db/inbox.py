"""The inbox: each event is worked on once per consumer, however often it is delivered.

A row (consumer, message id) is written in the handler's own transaction: both or neither. What can never be worked on
goes to the dead letters (`dead_letters.py`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
from altnet.common.bus.consume import Delivery, Process
from altnet.common.contracts.envelope import Envelope
from altnet.common.db.engine import Database
from altnet.common.db.uow import UnitOfWork
from altnet.common.jobs import Job, every

Handler = Callable[[Envelope, UnitOfWork], Awaitable[None]]


class InboxSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How long what was received is remembered."""

    keep_days: int = 30
    """Longer than the stream keeps events (14 days) and any outbox (7), so that a replay is recognised."""
    sweep: float = 3600.0
    """Seconds between two sweeps."""


def once(db: Database, consumer: str, handler: Handler, *, actor: str | None = None) -> Process:
    """For `PullConsumer.process`: run `handler` in a unit of work, unless `consumer` has worked on this message.

    `actor` is who the handler's own events name; unset it is `service:<schema>`. The trace goes on. Raises what the
    handler raises (nothing is kept then), `Broken` for an event that cannot be read, `Unavailable`.
    """
    known = f"INSERT INTO {db.schema}.inbox (consumer, message_id) VALUES ($1, $2) ON CONFLICT DO NOTHING"  # noqa: S608 - the schema is a checked name

    async def process(delivery: Delivery) -> None:
        envelope = delivery.envelope
        async with db.transaction(actor=actor or f"service:{db.schema}", trace=envelope.trace) as uow:
            # A second delivery at the same time waits here for the first one's commit.
            inserted = await uow.connection.exec_driver_sql(known, (consumer, delivery.message_id))
            if inserted.rowcount:
                await handler(envelope, uow)

    return process


def sweep_job(db: Database, *, settings: InboxSettings | None = None) -> Job:
    """The job that forgets what is older than any repetition can be."""
    limits = settings or InboxSettings()

    async def sweep() -> None:
        async with db.raw() as connection:
            await connection.execute(
                f"DELETE FROM {db.schema}.inbox WHERE received_at < now() - make_interval(days => $1)",  # noqa: S608 - as above
                limits.keep_days,
            )

    return Job("inbox sweep", every(limits.sweep, sweep))
