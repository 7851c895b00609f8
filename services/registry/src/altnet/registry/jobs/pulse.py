"""Heartbeats: kept in memory as they come, written in bulk, judged for liveness; only transitions become events.

Every replica listens and keeps the short series that the API shows. The leader judges and writes. While the bus is
away nobody is judged, and afterwards the silence starts anew: what nobody could hear proves nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
from altnet.common.clock import Clock
from altnet.common.contracts.agent import Heartbeat
from altnet.common.contracts.registry import RelayHealthChanged
from altnet.common.contracts.routing import RoutingStatus
from altnet.common.db.engine import Database
from altnet.registry.domain.liveness import Health, Liveness, LivenessRule, Transition
from altnet.registry.settings import LivenessSettings
from altnet.registry.store import status
from altnet.registry.store.status import Beat

ACTOR = "registry"


@dataclass(frozen=True)
class Known:
    """What judging a relay takes beyond its heartbeats."""

    name: str
    interval: float
    """Seconds between its heartbeats."""


Lookup = Callable[[str], Known | None]
"""By relay; None for one that is unknown or revoked."""

Listener = Callable[[str, Heartbeat], None]
"""Hears every heartbeat of a known relay while this replica leads."""


class Pulse:
    """The last heartbeats of every relay, and on the leader their standing."""

    def __init__(self, db: Database, clock: Clock, *, settings: LivenessSettings, series: int) -> None:
        self._db = db
        self._clock = clock
        self._settings = settings
        self._series_length = series
        self._series: dict[str, deque[Beat]] = {}
        self._unwritten: dict[str, Beat] = {}
        self._standing: dict[str, Liveness] = {}
        self._turned: dict[str, tuple[Transition, str]] = {}
        self._routing: dict[str, RoutingStatus] = {}
        """What was last written of a relay's routing, but for what always changes."""
        self._lookup: Lookup | None = None
        self._listener: Listener | None = None
        self.lost = 0
        """Heartbeats that never arrived, counted by gaps in their numbers."""

    @property
    def healths(self) -> dict[Health, int]:
        """How many relays stand how, on the leader."""
        counts = dict.fromkeys(Health, 0)
        for one in self._standing.values():
            counts[one.health] += 1
        return counts

    async def begin(self, lookup: Lookup, listener: Listener | None = None) -> None:
        """This replica judges from now on; nobody is down because we were away."""
        now = self._clock.monotonic()
        self._standing = {
            standing.relay: Liveness(standing.health, now) for standing in await status.standings(self._db)
        }
        self._turned.clear()
        self._lookup, self._listener = lookup, listener
        self._routing.clear()

    def end(self) -> None:
        """Another replica may judge."""
        self._lookup = self._listener = None
        self._standing = {}

    def heard(self, relay: str, heartbeat: Heartbeat) -> None:
        """A heartbeat arrived."""
        beat = Beat(relay, self._clock.now(), heartbeat)
        series = self._series.get(relay)
        if series is None:
            series = self._series[relay] = deque(maxlen=self._series_length)
        elif series and series[-1].heartbeat.boot == heartbeat.boot:
            self.lost += max(0, heartbeat.number - series[-1].heartbeat.number - 1)
        series.append(beat)
        if self._lookup is None or (known := self._lookup(relay)) is None:
            return
        self._unwritten[relay] = beat
        if self._listener is not None:
            self._listener(relay, heartbeat)
        now = self._clock.monotonic()
        standing = self._standing.setdefault(relay, Liveness(Health.NEW, now))
        self._turn(relay, known.name, standing.heard(now, self._rule(known)))

    def series(self, relay: str) -> tuple[Beat, ...]:
        """The last heartbeats, oldest first."""
        return tuple(self._series.get(relay, ()))

    def last(self, relay: str) -> Beat | None:
        series = self._series.get(relay)
        return series[-1] if series else None

    def newest(self) -> dict[str, Beat]:
        """The last heartbeat of each relay that was heard."""
        return {relay: series[-1] for relay, series in self._series.items() if series}

    def routing(self) -> list[RoutingStatus]:
        """What each relay that is heard last said of its routing."""
        last = (series[-1].heartbeat.routing for series in self._series.values() if series)
        return [said for said in last if said is not None]

    def preshared_ages(self) -> list[float | None]:
        """Of each link's pre-shared key, as its ends last said; None where it has none."""
        last = (series[-1].heartbeat for series in self._series.values() if series)
        return [link.preshared_age for heartbeat in last for link in heartbeat.links]

    def forget(self, relay: str) -> None:
        """The relay is gone."""
        for held in (self._series, self._unwritten, self._standing, self._turned, self._routing):
            held.pop(relay, None)

    def pardon(self) -> None:
        """We could not hear: start every silence anew."""
        now = self._clock.monotonic()
        for standing in self._standing.values():
            standing.pardon(now)

    def judge(self) -> None:
        """Time has passed: see who has become late or down."""
        if self._lookup is None:
            return
        now = self._clock.monotonic()
        for relay, standing in list(self._standing.items()):
            known = self._lookup(relay)
            if known is None:
                del self._standing[relay]
                continue
            self._turn(relay, known.name, standing.check(now, self._rule(known)))

    async def tell(self) -> None:
        """Write the transitions since the last time, with their events, in one unit of work."""
        if not self._turned:
            return
        turned, self._turned = self._turned, {}
        try:
            async with self._db.transaction(actor=ACTOR) as uow:
                await status.write_health(uow, [(relay, change.after) for relay, (change, _) in turned.items()])
                for relay, (change, name) in turned.items():
                    uow.emit(
                        RelayHealthChanged(
                            relay=relay,
                            name=name,
                            before=str(change.before),
                            after=str(change.after),
                            silence=round(change.silence, 3),
                        )
                    )
        except BaseException:
            self._turned = turned | self._turned
            raise

    async def flush(self) -> None:
        """Write the last heartbeat of everybody who was heard since the last time."""
        if not self._unwritten:
            return
        beats, self._unwritten = self._unwritten, {}
        routing = {
            relay: said
            for relay, beat in beats.items()
            if (said := _lasting(beat.heartbeat.routing)) is not None and said != self._routing.get(relay)
        }
        try:
            await status.write_beats(self._db, list(beats.values()))
            if routing:
                await status.write_routing(self._db, [beats[relay] for relay in routing])
                self._routing |= routing
        except BaseException:
            self._unwritten = beats | self._unwritten
            raise

    def _turn(self, relay: str, name: str, transition: Transition | None) -> None:
        if transition is None:
            return
        earlier = self._turned.get(relay)
        if earlier is not None:  # not told yet: tell the whole way at once
            transition = Transition(earlier[0].before, transition.after, transition.silence)
        if transition.before == transition.after:
            del self._turned[relay]
        else:
            self._turned[relay] = (transition, name)

    def _rule(self, known: Known) -> LivenessRule:
        settings = self._settings
        return LivenessRule(
            interval=known.interval,
            late_after=settings.late_after,
            down_after=settings.down_after,
            down_at_least=settings.down_at_least,
            up_after=settings.up_after,
        )


def _lasting(said: RoutingStatus | None) -> RoutingStatus | None:
    """Without what differs in every heartbeat, so that a mesh at rest writes no sessions."""
    if said is None:
        return None
    sessions, peerings = (
        tuple(msgspec.structs.replace(one, since=None, cost=None) for one in ones)
        for ones in (said.sessions, said.peerings)
    )
    return msgspec.structs.replace(said, sessions=sessions, peerings=peerings)
