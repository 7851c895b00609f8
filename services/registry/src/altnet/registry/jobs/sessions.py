"""Peerings' sessions, judged from heartbeats on the leader; only turns become rows and events.

A relay that is silent turns no session: that it is down is told by its own health, and what its sessions do meanwhile
nobody knows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from altnet.common.contracts.agent import Heartbeat
from altnet.common.contracts.peerings import PeeringDown, PeeringUp
from altnet.common.contracts.routing import Engine, Peering, SessionStatus
from altnet.common.db.engine import Database
from altnet.registry.domain.sessions import SessionRule, Standing, Turn, Watched
from altnet.registry.settings import SessionSettings
from altnet.registry.store import status

ACTOR = "registry"
NO_ENGINE = "no_routing_engine"
"""The state of every session of a relay that runs without BIRD."""

Lookup = Callable[[str], Mapping[str, Peering]]
"""The peerings of a relay, by id."""


class Sessions:
    """The standing of every peering's session, on the leader."""

    def __init__(self, db: Database, *, settings: SessionSettings) -> None:
        self._db = db
        self._rule = SessionRule(up_after=settings.up_after, down_after=settings.down_after)
        self._lookup: Lookup | None = None
        self._watched: dict[str, dict[str, Watched]] = {}
        self._stored: dict[str, Standing] = {}
        self._turned: dict[str, tuple[str, Peering, Turn | None]] = {}

    @property
    def standings(self) -> dict[Standing, int]:
        """How many sessions stand how, on the leader."""
        counts = dict.fromkeys(Standing, 0)
        for relay, sessions in self._watched.items():
            known = self._lookup(relay) if self._lookup is not None else {}
            for peering, one in sessions.items():
                counts[one.standing] += peering in known
        return counts

    async def begin(self, lookup: Lookup) -> None:
        """This replica judges from now on."""
        self._stored = await status.session_standings(self._db)
        self._watched.clear()
        self._turned.clear()
        self._lookup = lookup

    def end(self) -> None:
        """Another replica may judge."""
        self._lookup = None
        self._watched.clear()

    def heard(self, relay: str, heartbeat: Heartbeat) -> None:
        """A heartbeat arrived."""
        if self._lookup is None or heartbeat.routing is None:
            return
        known = self._lookup(relay)
        if not known:
            self._watched.pop(relay, None)
            return
        before = self._watched.get(relay, {})
        watched = self._watched[relay] = {
            peering: before.get(peering) or Watched(self._stored.get(peering, Standing.NEW)) for peering in known
        }
        said = {one.neighbour: one for one in heartbeat.routing.peerings}
        if heartbeat.routing.engine is Engine.STATIC:
            problem = heartbeat.routing.problem
            said = {peering: SessionStatus(neighbour=peering, state=NO_ENGINE, problem=problem) for peering in known}
        for identifier, peering in known.items():
            one = watched[identifier]
            if not peering.enabled:
                if one.switched_off():
                    self._turned[identifier] = (relay, peering, None)
            elif (turn := one.heard(said.get(identifier), self._rule)) is not None:
                self._turned[identifier] = (relay, peering, turn)

    async def tell(self) -> None:
        """Write the turns since the last time, with their events, in one unit of work."""
        turned, self._turned = self._turned, {}
        after = {
            peering: Standing.NEW if turn is None else turn.after
            for peering, (_, _, turn) in turned.items()
            if (Standing.NEW if turn is None else turn.after) is not self._stored.get(peering, Standing.NEW)
        }
        if not after:  # nothing, or there and back again
            return
        try:
            async with self._db.transaction(actor=ACTOR) as uow:
                await status.write_session_standings(uow, list(after.items()))
                for peering in after:
                    relay, told, turn = turned[peering]
                    if turn is not None:
                        uow.emit(_event(relay, told, turn))
            self._stored |= after
        except BaseException:
            self._turned = turned | self._turned
            raise


def _event(relay: str, peering: Peering, turn: Turn) -> PeeringUp | PeeringDown:
    happened = PeeringUp if turn.after is Standing.UP else PeeringDown
    return happened(
        peering=peering.id,
        name=peering.name,
        relay=relay,
        address=peering.address,
        asn=peering.asn,
        state=turn.state.replace("\0", ""),
        problem=turn.problem.replace("\0", ""),
    )
