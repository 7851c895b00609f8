"""Looks after the running BIRD: starts it again when it dies, tells it what links cost, gives up and comes back.

A BIRD that was killed left its routes in the kernel, and its neighbours keep theirs for `restart_time`; so a quick
start loses no packet. What stands in for its routes meanwhile (bird/kernel.py) goes when it has settled. After
`bird_tries` failures in a row static direct routes stand in (`set_engine`), and every `bird_retry_most` seconds it is
tried whether BIRD can be had again.

Leaves out what BIRD is told (planes/routing.py). Invariant: the engine that was last told is static exactly while
starting BIRD has failed `bird_tries` times and has not succeeded since.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping
from pathlib import Path
from typing import Final, Protocol

from altnet.common import log
from altnet.common.clock import Clock
from altnet.common.contracts.routing import Engine, Peering
from altnet.common.errors import AltnetError
from altnet.common.noise.rates import Buckets
from altnet.relay_agent.bird.cost import UNKNOWN_COST, LinkCost, observe, remembered
from altnet.relay_agent.bird.daemon import Daemon
from altnet.relay_agent.bird.leftovers import forget
from altnet.relay_agent.bird.pace import PATIENCE, TOLD
from altnet.relay_agent.bird.peerings import BFD_INTERVAL
from altnet.relay_agent.bird.pieces import RoutingHost
from altnet.relay_agent.bird.pulse import between, pulse
from altnet.relay_agent.probe import Quality
from altnet.relay_agent.settings import Timers

_log = log.get(__name__)

SETTLED_AFTER: Final = 15.0
"""Seconds after which a started BIRD has settled whatever it says: its own patience is 10."""
SETTLE_PACE: Final = 0.25
RECOVERING: Final = "Graceful restart recovery in progress"
"""In BIRD's answer to `show status` while routes of before are kept."""
COST_PACE: Final = 1.0
"""Seconds between two looks at what links cost; the rules of cost.py count in tens of seconds."""


class Plane(Protocol):
    """Of the routing plane, what is needed here."""

    problem: str
    failed_starts: int
    changed: asyncio.Event
    started: asyncio.Event
    costs: dict[int, int]
    daemon: Daemon | None
    usable: bool

    @property
    def host(self) -> RoutingHost | None: ...

    @property
    def sessions(self) -> Mapping[int, str]: ...

    @property
    def peerings(self) -> Mapping[str, Peering]: ...

    def refusal(self, key: Hashable) -> str: ...

    async def restart(self) -> bool: ...

    async def could_start(self) -> bool: ...

    async def set_costs(self, costs: Mapping[int, int]) -> None: ...


class Watch:
    """One agent's. `quality` tells how the link to a relay is, `fixed` what the operator says that it costs."""

    def __init__(
        self,
        plane: Plane,
        *,
        quality: Callable[[str], Quality | None],
        set_engine: Callable[[Engine], None],
        retire: Callable[[], Awaitable[int]],
        clock: Clock,
        timers: Timers,
        tries: int,
        fixed: Callable[[str], int | None] = lambda _relay: None,
    ) -> None:
        self._plane = plane
        self._quality = quality
        self._set_engine = set_engine
        self._retire = retire
        self._clock = clock
        self._timers = timers
        self._tries = tries
        self._fixed = fixed
        self._deaths = 0
        self._known: dict[str, LinkCost] = {}
        self._since: dict[str, float] = {}
        """Since when there is a link."""
        self._pace = Buckets(TOLD, most=1)
        self.engine = Engine.BIRD if plane.usable else Engine.STATIC

    @property
    def costs(self) -> dict[str, int]:
        """By relay, microseconds."""
        return {relay: self._fixed(relay) or known.cost for relay, known in self._known.items()}

    async def run(self) -> None:
        """Work until cancelled. A host without BIRD needs none of it."""
        if not self._plane.usable:
            await asyncio.Event().wait()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_alive(), name="bird")
            group.create_task(self._tell_costs(), name="bird costs")
            group.create_task(self._forget_dead_links(), name="bird dead links")
            group.create_task(self._retire_stand_ins(), name="bird stand-ins")
            group.create_task(pulse(self._socket, interval=self._between_words), name="bird pulse")

    def _socket(self) -> Path | None:
        return None if self._plane.daemon is None else self._plane.daemon.socket

    def _between_words(self) -> float:
        host = self._plane.host
        signs = [] if host is None else [host.bfd_interval]
        signs += [BFD_INTERVAL / 1000 for peering in self._plane.peerings.values() if peering.bfd]
        return between(signs, least=self._timers.bird_pulse)

    async def _keep_alive(self) -> None:
        while True:
            if self.engine is Engine.STATIC:
                await asyncio.sleep(self._timers.bird_retry_most)
                if await self._plane.could_start():
                    _log.warning("BIRD can be started again, and decides paths from now on")
                    self._deaths = 0
                    self._engine(Engine.BIRD)
                continue
            if self._failures >= self._tries:
                _log.error("BIRD cannot be kept running; static direct routes stand in", reason=self._plane.problem)
                self._engine(Engine.STATIC)
                continue
            await self._one_life()

    @property
    def _failures(self) -> int:
        return max(self._deaths, self._plane.failed_starts)

    async def _one_life(self) -> None:
        """Watch a BIRD until it is gone, and start another one."""
        began = self._clock.monotonic()
        if await self._gone():
            if self._clock.monotonic() - began >= self._timers.bird_stable:
                self._deaths = 0
            self._deaths += 1
        try:
            if await self._plane.restart():
                return
        except AltnetError as error:
            _log.warning("BIRD was not started", reason=str(error))
        self._plane.changed.clear()
        if self._plane.host is None:
            self._deaths = 0  # it was ended, not lost
            await self._plane.changed.wait()
            return
        wait = min(self._timers.bird_retry_most, self._timers.bird_retry_first * 2**self._failures)
        try:
            async with asyncio.timeout(wait):
                await self._plane.changed.wait()
        except TimeoutError:
            pass

    async def _gone(self) -> bool:
        """Return when the running BIRD is gone: True; or at once where none runs: False."""
        daemon = self._plane.daemon
        if daemon is None:
            return False
        try:
            async with await daemon.connect() as control:
                await control.gone()
        except (AltnetError, OSError):
            return False
        return True

    async def _retire_stand_ins(self) -> None:
        """Whenever a BIRD has settled; also what an agent left that died before."""
        while True:
            self._plane.started.clear()
            await self._settled()
            # It has told that its neighbours have told all; what follows from it is in the kernel a moment later.
            await asyncio.sleep(SETTLE_PACE)
            if not self._plane.started.is_set():
                try:
                    await self._retire()
                except AltnetError as error:
                    _log.warning("copies of BIRD's routes are not taken away", reason=str(error))
                await self._plane.started.wait()

    async def _settled(self) -> None:
        began = self._clock.monotonic()
        while self._clock.monotonic() - began < SETTLED_AFTER:
            if not await self._recovering():
                return
            await asyncio.sleep(SETTLE_PACE)

    async def _recovering(self) -> bool:
        daemon = self._plane.daemon
        if daemon is None:
            return False
        try:
            async with await daemon.connect() as control:
                return any(RECOVERING in line.text for line in await control.ask("show status"))
        except (AltnetError, OSError):
            return self._plane.host is not None  # it is wanted, and will come

    async def _forget_dead_links(self) -> None:
        while True:
            await asyncio.sleep(COST_PACE)
            daemon = self._plane.daemon
            silent = {slot for slot, relay in self._plane.sessions.items() if _dead(self._quality(relay))}
            if daemon is None or not silent:
                continue
            try:
                async with await daemon.connect() as control:
                    await forget(silent, control)
            except (AltnetError, OSError) as error:
                _log.warning("what was learned over dead links is not forgotten", reason=str(error))

    def _engine(self, engine: Engine) -> None:
        self.engine = engine
        self._set_engine(engine)

    async def _tell_costs(self) -> None:
        while True:
            await asyncio.sleep(COST_PACE)
            await self.look_at_costs()

    async def look_at_costs(self) -> None:
        """Measure links, and tell BIRD if a cost has changed."""
        now, sessions = self._clock.monotonic(), self._plane.sessions
        if not sessions:
            return
        known: dict[str, LinkCost] = {}
        for slot, relay in sessions.items():
            quality = self._quality(relay)
            known[relay] = self._known.get(relay) or remembered(self._plane.costs.get(slot))
            if quality is not None:
                known[relay] = observe(known[relay], rtt=quality.rtt, loss=quality.loss, now=now)
        worse = any(link.loss_class > self._known.get(relay, LinkCost()).loss_class for relay, link in known.items())
        self._known = known
        self._since = {relay: self._since.get(relay, now) for relay in known}
        waiting = any(link.step is None and now - self._since[relay] < PATIENCE for relay, link in known.items())
        by_relay = self.costs
        costs = {slot: by_relay[relay] for slot, relay in sessions.items()}
        same = costs == {slot: self._plane.costs.get(slot, UNKNOWN_COST) for slot in sessions}
        if same or (waiting and not worse) or self._pace.take("BIRD", now):
            return
        try:
            await self._plane.set_costs(costs)
        except AltnetError as error:
            _log.warning("BIRD was not told what links cost", reason=str(error))


def _dead(quality: Quality | None) -> bool:
    return quality is not None and quality.dead
