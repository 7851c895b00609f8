"""The routing plane: BIRD configured as the pieces say, checked before use, confirmed after a look.

All pieces make one configuration, so a change of one renders the whole; it is small, and BIRD works out what differs.
A configuration that BIRD refuses leaves the running one. If the line that it names belongs to one neighbour, that one
is left out and named, and the others get theirs: a bad neighbour holds up nobody else.

Leaves out the process's death and link costs' measuring (bird/watch.py). Invariant: a piece counts as done only while
the BIRD that runs tells the mark of a configuration with that piece in it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Any, Final

from altnet.common import log
from altnet.common.contracts.routing import Peering
from altnet.common.errors import AltnetError, Invalid
from altnet.relay_agent.bird.config import Config, costs_in, mark_of, piece_hash, pieces_in, render, session_name
from altnet.relay_agent.bird.control import bird_unavailable
from altnet.relay_agent.bird.daemon import INSTALL, ConfigRefused, Daemon
from altnet.relay_agent.bird.pieces import HOST_KEY, RoutingHost, RoutingRelay
from altnet.relay_agent.bird.state import protocols
from altnet.relay_agent.diff import Delete, Update
from altnet.relay_agent.pieces import ROUTING, Key
from altnet.relay_agent.planes import Failures

_log = log.get(__name__)

_SETTLE_PACE: Final = 0.05
"""Seconds between two looks whether a session is up."""

_UNKNOWN: Final = "unknown"
"""Of a BIRD that runs and that this process has told nothing yet."""


class RoutingPlane:
    """One BIRD. `usable` off: this host has none that can be started, and pieces for it fail. `daemon` None: a host
    without a directory, where there is never one to be ended either.

    `flush` takes BIRD's routes off the kernel, `stand_in` copies them (bird/kernel.py). `settle`: seconds that a
    session may take to stand in for static routes.
    `trust` believes the configuration file's word of what it holds: for looking, not for doing.
    """

    name = ROUTING

    def __init__(
        self,
        daemon: Daemon | None,
        *,
        usable: bool,
        flush: Callable[[], Awaitable[int]],
        has_routes: Callable[[], Awaitable[bool]],
        stand_in: Callable[[], Awaitable[int]],
        settle: float = 0.0,
        trust: bool = False,
        password: Callable[[Peering], str] = lambda _peering: "",
    ) -> None:
        """`password` opens a peering's, and raises `Invalid` where it cannot."""
        self.daemon = daemon
        self.usable = usable and daemon is not None
        self._flush = flush
        self._has_routes = has_routes
        self._stand_in = stand_in
        self._settle_time = settle
        self._trust = trust
        self._password = password
        self._turn = asyncio.Lock()
        self._wanted: dict[Key, Any] = {}
        self._refused: dict[Key, AltnetError] = {}
        """Pieces that BIRD does not take, with its reason; tried again whenever they are asked for again."""
        self._applied: Config | None = None
        self._holds: dict[Key, Any] = {}
        """The pieces of `_applied`."""
        self.costs: dict[int, int] = {}
        """Of links by slot, microseconds; those of a BIRD that was adopted are kept until they are measured."""
        self.problem = ""
        """Why BIRD is not as it should be."""
        self.failed_starts = 0
        """In a row."""
        self._stood_in = False
        """Static routes stand in for sessions that are still to come."""
        self.changed = asyncio.Event()
        """Set when BIRD was started or stopped."""
        self.started = asyncio.Event()
        """Set when copies of routes were made for a BIRD that is started."""

    @property
    def host(self) -> RoutingHost | None:
        """What BIRD is wanted for; None: it is not wanted."""
        return self._wanted.get(HOST_KEY)

    @property
    def sessions(self) -> dict[int, str]:
        """Slot to relay of every session wanted."""
        return {
            piece.slot: str(key[1])
            for key, piece in self._wanted.items()
            if isinstance(piece, RoutingRelay) and piece.session and isinstance(key, tuple)
        }

    @property
    def peerings(self) -> dict[str, Peering]:
        """Every peering wanted, by its identifier."""
        return {piece.id: piece for piece in self._wanted.values() if isinstance(piece, Peering)}

    def refusal(self, key: Key) -> str:
        """Why a piece is not in BIRD's configuration; empty where it is, or where it was not tried."""
        error = self._refused.get(key)
        return "" if error is None else str(error)

    async def read(self) -> Mapping[Key, Any]:
        daemon = self.daemon
        if daemon is None:
            return {}
        running = await daemon.mark()
        if running is None:
            # Routes that a dead BIRD left are a piece as well: whoever does not want BIRD wants them away.
            return {} if self._wanted or not await self._has_routes() else {HOST_KEY: _UNKNOWN}
        if self._trust:
            return _told(daemon, running)
        if self._applied is None:
            return {HOST_KEY: _UNKNOWN}
        if running != self._applied.mark:
            return {}
        return dict(self._holds)

    def same(self, have: Any, want: Any) -> bool:
        return bool(have == (piece_hash(want) if self._trust else want))

    async def update(self, operations: Sequence[Update]) -> Failures:
        """Make BIRD so. Where static routes to a relay are about to go, wait a little for its session."""
        async with self._turn:
            for operation in operations:
                self._refused.pop(operation.key, None)
                self._replace(operation.key, operation.want)
            try:
                await self._apply()
            except AltnetError as error:
                self._say(str(error))
                return dict.fromkeys((operation.key for operation in operations), error)
            asked = {operation.key for operation in operations}
            taking = [it for it in operations if it.key not in self._refused and _takes_over(it, self._stood_in)]
            self._stood_in = False
            await self._settle([it.want.slot for it in taking])
            return {key: error for key, error in self._refused.items() if key in asked}

    async def delete(self, operations: Sequence[Delete]) -> Failures:
        async with self._turn:
            for operation in operations:
                self._wanted.pop(operation.key, None)
                self._refused.pop(operation.key, None)
            try:
                await self._apply()
            except AltnetError as error:
                self._say(str(error))
                return dict.fromkeys((operation.key for operation in operations), error)
            return {}

    async def set_costs(self, costs: Mapping[int, int]) -> None:
        """Costs of links by slot, microseconds. Raises what BIRD says."""
        async with self._turn:
            before, self.costs = self.costs, dict(costs)
            daemon = self.daemon
            if before == self.costs or daemon is None or self._applied is None or HOST_KEY not in self._wanted:
                return
            if not await daemon.running():
                return  # whoever starts it tells it
            try:
                await self._apply()
            except BaseException:
                self.costs = before  # so that it is told with the next look
                raise

    async def restart(self) -> bool:
        """Start a BIRD that died, keeping its routes; False if there is nothing to do. Raises what BIRD says."""
        async with self._turn:
            daemon = self.daemon
            if daemon is None or HOST_KEY not in self._wanted or await daemon.running():
                return False
            _log.warning("BIRD is gone, and is started again")
            try:
                await self._apply()
            except AltnetError as error:
                self._say(str(error))
                raise
            return True

    async def could_start(self) -> bool:
        """Whether a BIRD that failed can be had again: tried with an empty configuration, which is ended at once."""
        async with self._turn:
            daemon = self.daemon
            if daemon is None or not self.usable or HOST_KEY in self._wanted:
                return False
            try:
                await daemon.check("router id 192.0.2.1;\nprotocol device {}\n")
                await daemon.start(recover=False)
            except AltnetError as error:
                self._say(str(error))
                return False
            await daemon.stop()
            self.failed_starts, self._stood_in = 0, True
            return True

    async def _settle(self, slots: Sequence[int]) -> None:
        """Return once the sessions are up and their routes are in, or after `settle` seconds."""
        daemon = self.daemon
        if not slots or daemon is None:
            return
        with contextlib.suppress(TimeoutError, AltnetError):
            async with asyncio.timeout(self._settle_time), await daemon.connect() as control:
                while True:
                    known = protocols(await control.ask('show protocols all "m*"'))
                    up = [known.get(session_name(slot)) for slot in slots]
                    if all(one is not None and one.info.startswith("Established") and one.imported for one in up):
                        return
                    await asyncio.sleep(_SETTLE_PACE)

    def _replace(self, key: Key, piece: Any) -> None:
        if isinstance(piece, RoutingRelay):
            # A slot that went to another relay: the old one's piece is deleted later, and must not be in the way.
            for other, known in list(self._wanted.items()):
                if other != key and isinstance(known, RoutingRelay) and known.slot == piece.slot:
                    del self._wanted[other]
        self._wanted[key] = piece

    async def _apply(self) -> None:
        """Make BIRD so. Raises `AltnetError` if it is as before."""
        daemon = self.daemon
        if HOST_KEY not in self._wanted:
            await self._remove()
            if any(isinstance(piece, Peering) for piece in self._wanted.values()):
                raise Invalid("bird_missing", "peerings need BIRD, which this relay does not run.", mend=INSTALL)
            return
        if daemon is None or not self.usable:
            raise bird_unavailable("this host has no BIRD.", mend=INSTALL)
        running = await daemon.mark()
        if self._applied is None and running and not self.costs:
            self.costs = costs_in(daemon.text())
        try:
            config = await self._checked(daemon, running)
        except AltnetError:
            if running is None:
                await self._start(daemon, candidate=False)  # with what it had: better than none at all
            raise
        if running is None:
            await self._start(daemon)
        elif running != config.mark:
            before = self._applied
            await daemon.configure(config.mark, reload_routes=before is None or before.rights != config.rights)
        else:
            await daemon.adopt()
        self._applied = config
        self._holds = {key: piece for key, piece in self._wanted.items() if key not in self._refused}
        reasons = [f"{key}: {error}" for key, error in self._refused.items()]
        self._say("; ".join(reasons))

    async def _checked(self, daemon: Daemon, running: str | None) -> Config:
        """The configuration of all pieces that BIRD takes; those that it does not are in `_refused`."""
        while True:
            config = self._render(daemon)
            known = self._applied is not None and self._applied.mark == config.mark == mark_of(daemon.text())
            if known and running in (None, config.mark):
                return config
            try:
                await daemon.check(config.text)
            except ConfigRefused as error:
                culprit = config.owner(error.line)
                if culprit is None or culprit in self._refused:
                    raise
                self._refused[culprit] = error
                continue
            return config

    def _render(self, daemon: Daemon) -> Config:
        pieces = {key: piece for key, piece in self._wanted.items() if key not in self._refused}
        relays: dict[Hashable, RoutingRelay] = {k: p for k, p in pieces.items() if isinstance(p, RoutingRelay)}
        peerings: dict[Hashable, Peering] = {k: p for k, p in pieces.items() if isinstance(p, Peering)}
        host: RoutingHost = self._wanted[HOST_KEY]
        passwords: dict[Hashable, str] = {}
        for key, peering in list(peerings.items()):
            try:
                passwords[key] = self._password(peering)
                render(host, relays={}, peerings={key: peering}, passwords=passwords)
            except Invalid as error:
                self._refused[key] = error
                del peerings[key]
        return render(
            host,
            relays=relays,
            peerings=peerings,
            passwords=passwords,
            costs=self.costs,
            log_file=str(daemon.log),
        )

    async def _start(self, daemon: Daemon, *, candidate: bool = True) -> None:
        try:
            # While BIRD looks at what it left, copies carry what it takes out of the kernel for a moment.
            recover = await self._has_routes()
            if recover:
                try:
                    await self._stand_in()
                except AltnetError as error:  # better a packet lost than no BIRD
                    _log.warning("nothing stands in for BIRD's routes while it starts", reason=str(error))
                self.started.set()
            await daemon.start(recover=recover, candidate=candidate)
        except AltnetError:
            self.failed_starts += 1
            raise
        self.failed_starts = 0
        self.changed.set()

    async def _remove(self) -> None:
        """End BIRD and take away what it left."""
        if self.daemon is not None:
            ran = await self.daemon.running()
            await self.daemon.stop()
            if await self._flush() or ran:
                _log.info("BIRD is not wanted any more: it is ended, and its routes are taken away")
            self.daemon.forget()
        self._applied, self._holds = None, {}
        self.changed.set()

    def _say(self, problem: str) -> None:
        if problem and problem != self.problem:
            _log.warning("BIRD is not as wanted", reason=problem)
        self.problem = problem[:500]


def _told(daemon: Daemon, running: str) -> Mapping[Key, Any]:
    """What the configuration file says that it holds, if it is the one that runs."""
    text = daemon.text()
    return pieces_in(text) if running and mark_of(text) == running else {HOST_KEY: _UNKNOWN}


def _takes_over(operation: Update, stood_in: bool) -> bool:
    """Whether a session takes the place of static routes."""
    had, want = operation.have, operation.want
    if not isinstance(want, RoutingRelay) or not want.session:
        return False
    return stood_in if had is None else isinstance(had, RoutingRelay) and not had.session
