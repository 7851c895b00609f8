"""What keyd hears: the registry's events about relays and revoked keys, in order, each worked on once."""

from __future__ import annotations

import time

from altnet.common.bus.connect import Bus
from altnet.common.bus.consume import PullConsumer
from altnet.common.bus.subjects import event_filter
from altnet.common.contracts.envelope import Envelope
from altnet.common.contracts.registry import KeyRevoked, RelayEvent
from altnet.common.db.advisory import leader
from altnet.common.db.dead_letters import DeadLetters
from altnet.common.db.engine import Database
from altnet.common.db.inbox import once
from altnet.common.db.uow import UnitOfWork
from altnet.keyd.handlers.relays import heard_of_relay
from altnet.keyd.handlers.revoked_keys import heard_of_revoked_key

DURABLE = "keyd"
FILTERS = (
    *(event_filter("registry", "relay", happened) for happened in ("registered", "changed", "revoked")),
    event_filter("registry", "key", "revoked"),
)


class RelayEvents:
    """`run` is a job; any number of replicas may run it, one of them works."""

    def __init__(self, db: Database, bus: Bus, dead_letters: DeadLetters) -> None:
        self._db = db
        self._consumer = PullConsumer(
            bus,
            durable=DURABLE,
            filters=FILTERS,
            process=once(db, DURABLE, _handle),
            on_broken=dead_letters.of(DURABLE),
        )

    async def run(self) -> None:
        await leader(self._db, "relay events", self._consumer.run)

    @property
    def processed(self) -> int:
        return self._consumer.processed

    @property
    def stuck(self) -> float:
        """Seconds for which the first event in line has failed; 0 while all goes well."""
        since = self._consumer.stuck_since
        return 0.0 if since is None else time.monotonic() - since


async def _handle(envelope: Envelope, uow: UnitOfWork) -> None:
    if isinstance(envelope.event, RelayEvent):
        await heard_of_relay(uow, envelope.event)
    elif isinstance(envelope.event, KeyRevoked):
        await heard_of_revoked_key(uow, envelope.event)
