"""Which clients are there, and which came by a key that they announced: as their relays' heartbeats say.

Every replica listens, since any of them answers keyd. The leader notes in Postgres that a next key was used, since that
decides at the latest date. A relay is believed about its own clients alone.

Leaves out what is made of it (domain/client_keys.py). Invariant: memory is bounded by what relays that are heard said
last.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from altnet.common.clock import Clock
from altnet.common.contracts.agent import Heartbeat
from altnet.common.db.engine import Database
from altnet.registry.store import clients

BEATS: Final = 2.5
"""Of a relay's own pace, after which its word is old where that is later than the setting says."""


@dataclass(frozen=True)
class _Said:
    """What a relay said last. `since`: client → when it came, to stay; `keys`: client → next key that it came by."""

    at: datetime
    lasts: timedelta
    since: Mapping[str, datetime]
    keys: Mapping[str, str]


class ClientSessions:
    """`heard` for each heartbeat; `since` whenever somebody asks; `flush` on the leader, now and then."""

    def __init__(self, db: Database, clock: Clock, *, lasts: float) -> None:
        """`lasts`: for so many seconds at least a relay's word holds."""
        self._db = db
        self._clock = clock
        self._lasts = timedelta(seconds=lasts)
        self._said: dict[str, _Said] = {}
        self._noted: frozenset[tuple[str, str, str]] = frozenset()

    def heard(self, relay: str, heartbeat: Heartbeat) -> None:
        """A heartbeat arrived."""
        now, before = self._clock.now(), self._said.get(relay)
        lasts = self._lasts if before is None else max(self._lasts, BEATS * (now - before.at))
        goes_on = before is not None and now - before.at <= before.lasts
        known = before.since if before is not None and goes_on else {}
        self._said[relay] = _Said(
            now,
            lasts,
            {one.client: known.get(one.client, now) for one in heartbeat.clients if one.attached},
            {one.client: one.next_key for one in heartbeat.clients if one.next_key},
        )

    def since(self, client: str, relays: Iterable[str | None]) -> datetime | None:
        """From when on this client of these relays was there without a break; None while it is not."""
        now = self._clock.now()
        found = [
            said.since[client]
            for relay in relays
            if relay is not None
            and (said := self._said.get(relay)) is not None
            and client in said.since
            and now - said.at <= said.lasts
        ]
        return min(found, default=None)

    def forget(self, relay: str) -> None:
        """The relay is gone."""
        self._said.pop(relay, None)

    async def flush(self) -> None:
        """Note which next keys were used. Raises what the database does: then it is tried again."""
        told = frozenset(
            (relay, client, key) for relay, said in self._said.items() for client, key in said.keys.items()
        )
        if told - self._noted:
            await clients.note_next_seen(self._db, sorted(told - self._noted), now=self._clock.now())
        self._noted = told
