"""One client, put together: it probes its relays, moves its tunnel when one dies, and says where it is attached.

Everything that touches the world is a parameter; main.py gives it the real one. Invariant: a configuration that cannot
be had leaves the running one as it is, and the tunnel never waits for the registry.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from ipaddress import IPv6Address
from typing import Protocol

from altnet.client import VERSION
from altnet.client.paths import Paths
from altnet.client.plan import Plan, Relay, plan_of
from altnet.client.settings import ClientSettings
from altnet.client.shift import Shift
from altnet.client.status import ClientView, RelayView
from altnet.client.tunnel import Tunnel, interface_gone
from altnet.client.word import Word
from altnet.common import log
from altnet.common.clock import Clock
from altnet.common.contracts.attach import Answer, Hello
from altnet.common.contracts.client import ClientConfig
from altnet.common.errors import AltnetError
from altnet.common.kernel.wireguard import PeerState
from altnet.common.keys import PublicKey

_log = log.get(__name__)


class Edge(Protocol):
    """echo.Edge."""

    def open(self, *, interface: str) -> None: ...
    def close(self) -> None: ...
    def ask(self, address: IPv6Address, *, source: IPv6Address) -> None: ...
    def say(self, address: IPv6Address, port: int, hello: Hello, *, source: IPv6Address) -> None: ...


class Client:
    """The client of one host. `start()`, then `tick()` every `probe` seconds; `run()` does both."""

    def __init__(
        self,
        settings: ClientSettings,
        config: ClientConfig,
        *,
        tunnel: Tunnel,
        edge: Callable[[Client], Edge],
        clock: Clock,
    ) -> None:
        """Raises `Invalid` where the configuration cannot be had."""
        self._settings = settings
        self._timers = settings.timers
        self._config = config
        self._plan = plan_of(config)
        """What the tunnel follows."""
        self._plans = self._plan, plan_of(config, moved=True)
        """Of the configuration: where sessions are, and where they are to move."""
        self._tunnel = tunnel
        self._shift = Shift(tunnel, clock=clock, timers=self._timers)
        self.wants = asyncio.Event()
        """Set when the registry should be asked: a relay has news, or a key has changed."""
        self._news: dict[str, int] = {}
        self._alone = False
        self._clock = clock
        self._edge = edge(self)
        self._started = clock.monotonic()
        self._word = Word(begin=int(clock.now().timestamp() * 1000))
        self._paths = Paths(self._timers)
        self._by_address: dict[IPv6Address, str] = {}
        self._asked: dict[str, float] = {}
        self._said: dict[str, float] = {}
        self._repoke: dict[str, tuple[float, float]] = {}
        """By silent relay: when its peer is made anew, and how long to wait after that."""
        self._left: str | None = None
        self._received: tuple[str, int] | None = None
        """Bytes that had come from the relay in use when it was suspected."""
        self._trouble = ""
        self._moves = 0
        self._last_move = ""
        self._new_plan: ClientConfig | None = None

    @property
    def config(self) -> ClientConfig:
        return self._config

    @property
    def paths(self) -> Paths:
        return self._paths

    @property
    def word(self) -> Word:
        return self._word

    async def start(self) -> None:
        """Bring the tunnel up, or take over the one that is up. Raises `AltnetError`."""
        adopted = await self._tunnel.adopt((self._target(), self._plans[0]))
        self._plan = adopted or self._plans[0]
        self._shift.forget()
        await self._bring_up()
        if await self._tunnel.has_other():
            self._shift.settle(self._paths.current)

    async def _bring_up(self) -> None:
        now = self._clock.monotonic()
        self._paths.set_relays({relay.id: relay.priority for relay in self._plan.relays.values()}, now=now)
        self._by_address = {relay.address: relay.id for relay in self._plan.relays.values()}
        current = await self._tunnel.bring_up(self._plan, prefer=self._paths.current)
        if current is not None and current != self._paths.current:
            self._paths.moved(current, now=now)
        self._word.move(self._paths.current)
        self._listen()

    def _listen(self) -> None:
        self._edge.open(interface=self._tunnel.name)
        self._asked.clear()
        self._said.clear()

    def _target(self) -> Plan:
        """Where the configuration wants the sessions, as far as we have the key for it."""
        present, moved = self._plans
        return moved if moved == present or self._tunnel.holds(moved.own) else present

    async def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Be the client until cancelled."""
        try:
            await self.start()
            ready()
            while True:
                began = self._clock.monotonic()
                await self.tick()
                spent = self._clock.monotonic() - began
                await asyncio.sleep(max(0.0, self._timers.probe - spent))
        finally:
            self._edge.close()

    def follow(self, config: ClientConfig) -> None:
        """Take over another configuration at the next tick. Raises `Invalid`, and keeps the present one, if it
        cannot be had."""
        plan_of(config)
        plan_of(config, moved=True)
        if config != self._config:
            self._new_plan = config

    async def tick(self) -> None:
        """Ask, judge, move: once every `probe` seconds."""
        try:
            if self._new_plan is not None:
                await self._take_over(self._new_plan)
            await self._change_keys()
            await self._spare_the_busy()
            where = self._paths.decide(now=self._clock.monotonic())
            if where is not None:
                await self._move(where)
            await self._wake_the_silent()
            self._trouble = ""
        except AltnetError as error:
            await self._mend(error)
        self._ask()
        self._say()
        if self.alone and not self._alone:
            self.wants.set()  # nobody is left who could tell us that we belong elsewhere
        self._alone = self.alone

    @property
    def alone(self) -> bool:
        """No relay answers, though they have had the time for it."""
        return all(health.silent for health in self._paths.relays.values())

    def echoed(self, address: IPv6Address, rtt: float) -> None:
        """A relay has answered an echo request."""
        relay = self._by_address.get(address)
        if relay is not None:
            self._paths.heard(relay, rtt=rtt, now=self._clock.monotonic())
            self._repoke.pop(relay, None)
            self._shift.answered(relay, held=not self._plan.movable)

    def answered(self, address: IPv6Address, answer: Answer) -> None:
        """A relay has answered a word."""
        relay = self._by_address.get(address)
        if relay is None:
            return
        self._shift.answered(relay, held=True)
        if answer.news and self._news.get(relay) != answer.news:
            self._news[relay] = answer.news
            self.wants.set()
        if self._word.answered(relay, answer):
            self._said.clear()  # there is something new to say, to everybody

    async def _take_over(self, config: ClientConfig) -> None:
        self._new_plan = None
        before = self._config, self._plan, self._plans
        self._config, self._plans = config, (plan_of(config), plan_of(config, moved=True))
        try:
            if self._shift.preparing:
                await self._shift.give_up()
            for plan in (self._target(), self._plans[0]):  # all but the keys is taken over at once in either
                if not await self._moves_to(plan):
                    self._plan = plan
                    await self._bring_up()
                    break
        except AltnetError:
            self._config, self._plan, self._plans = before
            self._new_plan = config  # tried again when the host is mended
            raise
        _log.info("following a new configuration", relays=[relay.name for relay in self._plan.relays.values()])

    async def _moves_to(self, plan: Plan) -> bool:
        """Whether the session of the relay in use has other keys there: then it is not replaced, but moved."""
        current = self._paths.current
        if current is None or current not in plan.relays or current not in self._plan.relays:
            return False
        return not await self._tunnel.follows(plan, current)

    async def _change_keys(self) -> None:
        """Move the tunnel to the keys that the configuration wants."""
        before = self._shift.done
        plan = await self._shift.step()
        if plan is not None:
            self._plan = plan
            self._listen()
        elif self._shift.done != before:
            self.wants.set()
        elif self._shift.idle and (target := self._target()) != self._plan:
            if await self._moves_to(target):
                assert self._paths.current is not None
                await self._shift.begin(target, self._plan, relay=self._paths.current)
            else:
                self._plan = target
                await self._bring_up()

    def settled_on(self, key: PublicKey) -> bool:
        """Whether the tunnel goes by this key of ours, and by no other one any more."""
        return self._shift.idle and self._plan.own == key

    async def _spare_the_busy(self) -> None:
        """A relay whose probes get lost under traffic that flows is not dead."""
        now = self._clock.monotonic()
        suspect = self._paths.suspect(now=now)
        if suspect is None:
            self._received = None
            return
        received = (await self._peer(suspect)).rx if self._plan.relays else 0
        if self._received is None or self._received[0] != suspect:
            self._received = (suspect, received)
        elif received > self._received[1]:
            self._received = (suspect, received)
            self._paths.spare(suspect, now=now)

    async def _peer(self, relay: str) -> PeerState:
        key = self._plan.relays[relay].key
        return (await self._tunnel.peers()).get(key) or PeerState(key=key)

    async def _move(self, where: str) -> None:
        now = self._clock.monotonic()
        before = self._paths.current
        if self._shift.preparing:
            await self._shift.give_up()  # it is begun again with the other relay
        await self._tunnel.move(self._plan, where)
        self._paths.moved(where, now=now)
        self._shift.moved(where)
        self._word.move(where)
        self._left = before
        self._said.clear()
        self._received = None
        self._moves += 1
        names = [self._plan.relays[it].name if it in self._plan.relays else "" for it in (before or "", where)]
        self._last_move = f"from {names[0] or 'nowhere'} to {names[1]}"
        _log.warning("moved to another relay", before=names[0], now=names[1], moves=self._moves)

    async def _wake_the_silent(self) -> None:
        """Start handshakes with silent relays, now and then: WireGuard alone would wait 15 s, and go on waiting."""
        now = self._clock.monotonic()
        for relay, health in self._paths.relays.items():
            if not health.silent:
                continue
            due, wait = self._repoke.get(relay, (now + self._timers.repoke, self._timers.repoke))
            if now >= due:
                wait = min(2 * wait, self._timers.repoke_most)
                due = now + wait
                await self._tunnel.start_anew(self._plan, relay, current=relay == self._paths.current)
            self._repoke[relay] = (due, wait)

    async def _mend(self, error: AltnetError) -> None:
        if str(error) != self._trouble:
            _log.warning("the tunnel is not as it should be", reason=str(error))
        self._trouble = str(error)
        if interface_gone(error):
            try:
                await self.start()
            except AltnetError as again:
                self._trouble = str(again)

    def _ask(self) -> None:
        now = self._clock.monotonic()
        for relay in self._plan.relays.values():
            fresh = not self._paths.relays[relay.id].answered
            often = relay.id == self._paths.current or fresh
            every = self._timers.probe if often else self._timers.standby_probe
            if now - self._asked.get(relay.id, -1e9) >= every * 0.9:
                self._asked[relay.id] = now
                self._edge.ask(relay.address, source=relay.guest)

    def _say(self) -> None:
        if not self._plan.movable:
            return
        now = self._clock.monotonic()
        for relay in self._plan.relays.values():
            urgent = relay.id == self._word.relay and not self._word.confirmed
            every = self._timers.probe if urgent else self._timers.hello
            if now - self._said.get(relay.id, -1e9) < every * 0.9:
                continue
            self._said[relay.id] = now
            hello = self._word.hello(relay.id, rtt=self._paths.relays[relay.id].rtt)
            self._edge.say(relay.address, self._plan.attach_port, hello, source=relay.guest)
            if relay.id == self._left and now - self._paths.since < self._timers.farewell:
                # Its own tunnel may be dead; the mesh reaches it by way of the new relay.
                own = self._plan.addresses[0].ip
                self._edge.say(relay.overlay, self._plan.attach_port, hello, source=own)

    # -- telling ------------------------------------------------------------------------------------------------

    @property
    def health(self) -> str:
        """`ok`, or what is wrong in a few words."""
        if self._trouble:
            return self._trouble[:500]
        if not self._plan.relays:
            return "the registry gives us no relay"
        current = self._paths.relays.get(self._paths.current or "")
        if current is None or not current.answered:
            return "no relay answers"
        return "ok"

    def latencies(self) -> dict[str, float]:
        """Milliseconds by relay, of those that answer."""
        found = self._paths.relays.items()
        return {relay: it.rtt * 1e3 for relay, it in found if it.rtt is not None and it.answered}

    async def view(self) -> ClientView:
        """How it goes."""
        try:
            peers = dict(await self._tunnel.peers())
        except AltnetError:
            peers = {}
        return ClientView(
            running=True,
            client=self._config.client,
            name=self._config.name,
            network=self._config.network,
            addresses=tuple(str(address.ip) for address in self._plan.addresses),
            interface=self._tunnel.name,
            key=self._plan.own.base64 if self._plan.own is not None else "",
            changing_keys=not self._shift.idle,
            key_changes=self._shift.done,
            health=self.health,
            relay=self._paths.current,
            attached=self._word.confirmed,
            moves=self._moves,
            last_move=self._last_move,
            version=VERSION,
            backend=self._tunnel.backend,
            uptime=self._clock.monotonic() - self._started,
            relays=tuple(self._relay_view(relay, peers.get(relay.key)) for relay in self._plan.relays.values()),
            refused=self._plan.refused,
        )

    def _relay_view(self, relay: Relay, peer: PeerState | None) -> RelayView:
        health = self._paths.relays[relay.id]
        shook = peer.last_handshake if peer is not None else None
        return RelayView(
            relay=relay.id,
            name=relay.name,
            priority=relay.priority,
            in_use=relay.id == self._paths.current,
            answers=health.answered,
            rtt=health.rtt,
            silence=self._clock.monotonic() - health.heard if health.rtt is not None else None,
            handshake_age=max(0.0, self._clock.now().timestamp() - shook) if shook is not None else None,
            endpoint=str(peer.endpoint) if peer is not None and peer.endpoint is not None else None,
            received=peer.rx if peer is not None else 0,
            sent=peer.tx if peer is not None else 0,
        )
