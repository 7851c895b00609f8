"""Moving the tunnel from the sessions of one pair of keys to those of the next one, without losing a packet.

    prepare   the other lane is made, with the next sessions; nothing goes by it
    switch    when the handshake with the relay in use is seen there, the routes move; both lanes take what comes
    settle    when the relay answers by the new lane, and what was under way has arrived, the old lane goes

A session of a relay that stands by carries nothing, so where only its keys change it is replaced in place.

Leaves out the host (tunnel.py) and where to move (plan.py). Invariant: a lane is removed only when the other one
carries, or has never carried.
"""

from __future__ import annotations

from dataclasses import dataclass

from altnet.client.plan import Plan
from altnet.client.settings import Timers
from altnet.client.tunnel import Tunnel
from altnet.common import log
from altnet.common.clock import Clock

_log = log.get(__name__)


@dataclass(slots=True)
class _Going:
    plan: Plan
    relay: str
    """In use."""
    due: float
    wait: float


@dataclass(slots=True)
class _Settling:
    relay: str | None
    answered: float | None = None
    """Monotonic: when the relay first answered by the new lane."""


class Shift:
    """At most one at a time."""

    def __init__(self, tunnel: Tunnel, *, clock: Clock, timers: Timers) -> None:
        self._tunnel = tunnel
        self._clock = clock
        self._timers = timers
        self._going: _Going | None = None
        self._settling: _Settling | None = None
        self.done = 0
        """How often the tunnel has moved so."""

    @property
    def idle(self) -> bool:
        return self._going is None and self._settling is None

    @property
    def preparing(self) -> bool:
        """Whether the next sessions are not used yet: this may be given up without harm."""
        return self._going is not None

    async def begin(self, plan: Plan, now: Plan, *, relay: str) -> None:
        """Prepare to move from `now` to `plan`."""
        await self._tunnel.prepare(plan, now, current=relay)
        wait = self._timers.repoke
        self._going = _Going(plan, relay, due=self._clock.monotonic() + wait, wait=wait)
        _log.info("preparing to change keys", relay=plan.relays[relay].name)

    async def give_up(self) -> None:
        """Forget what was prepared."""
        self._going = None
        await self._tunnel.drop_other()

    def settle(self, relay: str | None) -> None:
        """There is a second lane that is, or was, not in use: it goes when the one in use is seen to work."""
        self._settling = _Settling(relay)

    def forget(self) -> None:
        """The host is looked at anew."""
        self._going = self._settling = None

    def moved(self, relay: str) -> None:
        """Another relay is in use from now on."""
        if self._settling is not None:
            self._settling = _Settling(relay)

    async def step(self) -> Plan | None:
        """Go on; the plan that the tunnel follows from now on, when it has just moved."""
        if self._going is not None:
            return await self._switch(self._going)
        if self._settling is not None:
            await self._settle(self._settling)
        return None

    def answered(self, relay: str, *, held: bool) -> None:
        """A relay has answered by the lane in use; `held`: and has said, if it says so, that it heard us there."""
        settling = self._settling
        if settling is not None and held and settling.answered is None and settling.relay in (None, relay):
            settling.answered = self._clock.monotonic()

    async def _switch(self, going: _Going) -> Plan | None:
        now = self._clock.monotonic()
        if not await self._tunnel.shaken(going.plan, going.relay):
            if now >= going.due:
                going.wait = min(2 * going.wait, self._timers.repoke_most)
                going.due = now + going.wait
                await self._tunnel.hurry_other(going.plan, going.relay, current=True)
            return None
        await self._tunnel.switch(going.plan, current=going.relay)
        self._going, self._settling = None, _Settling(going.relay)
        _log.info("changed keys", relay=going.plan.relays[going.relay].name)
        return going.plan

    async def _settle(self, settling: _Settling) -> None:
        if settling.answered is None or self._clock.monotonic() - settling.answered < self._timers.lane_kept:
            return
        await self._tunnel.drop_other()
        self._settling = None
        self.done += 1
