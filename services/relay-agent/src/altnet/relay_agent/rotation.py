"""This host's part in a rotation of mesh keys: make the next key and keep it, see handshakes, tell keyd.

Level-triggered like all else here: what to do follows from this relay's own entry in the mesh, the keys on the disk and
what the devices show, so a kill at any step goes on where it was. A key is on the disk before it is used or told.

Leaves out which session carries a link (epochs.py) and how it gets onto the host (planes/). Invariant: no private key
leaves this module but to the disk and to the device it is for, and failing to reach keyd changes nothing on the host.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec
from altnet.common import log
from altnet.common.bus import rpc
from altnet.common.clock import Clock
from altnet.common.contracts.desired import KeyStage, RelayEntry
from altnet.common.contracts.keyd import KeyReport
from altnet.common.errors import AltnetError
from altnet.common.kernel.wireguard import WireGuard
from altnet.common.keys import PrivateKey
from altnet.common.lock.certificates import Certificate
from altnet.relay_agent.desired import Wish
from altnet.relay_agent.epochs import KeySet, Roles, pair, roles
from altnet.relay_agent.pieces import Names
from altnet.relay_agent.settings import Timers
from altnet.relay_agent.state import Identity, State
from altnet.relay_agent.view import known_key, neighbours

_log = log.get(__name__)

NEWS: Final = 250.0
"""Reports a second that a whole network sends of a new mesh, which all of it applies at once: keyd takes about as many
on one processor. What moves a rotation on, a key or a handshake, is told without delay."""
REPEATS: Final = 50.0
"""Reports a second that say nothing new: a thousand relays that each repeat theirs every five seconds are no room for
the first ones (measured: 130 of them were not heard in five minutes)."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What the reconciler has told and done: for the report, which says nothing that is not so."""

    generation: int
    keys: Roles | None
    switched: frozenset[str]
    pending: frozenset[str]
    """Relays with something that is not applied."""


def followed(identity: Identity, own: RelayEntry | None, make_key: Callable[[], PrivateKey]) -> Identity:
    """The host's keys in the light of its own entry. Pure but for the new key."""
    keys = KeySet.of(identity)
    if own is None or not roles(keys, own).known:
        return identity
    if keys.next_key is not None and own.key == keys.next_key.base64:
        # The rotation is over: the key of before is forgotten here and now.
        return _with_next(
            msgspec.structs.replace(identity, mesh_key=identity.next_mesh_key, mesh_device=1 - identity.mesh_device)
        )
    if own.next is None:
        return _with_next(identity) if identity.next_mesh_key else identity
    if own.next.epoch == keys.next_epoch and keys.next_key is not None:
        return identity
    return _with_next(identity, key=base64.b64encode(make_key().reveal()).decode(), epoch=own.next.epoch)


def _with_next(identity: Identity, *, key: str = "", epoch: int = 0) -> Identity:
    return msgspec.structs.replace(identity, next_mesh_key=key, next_mesh_epoch=epoch)


class Rotation:
    """`run` until cancelled. `keys` and `switched` are what `Wanted` asks for."""

    def __init__(
        self,
        state: State,
        desired: Wish,
        *,
        wireguard: WireGuard,
        names: Names,
        ports: Callable[[], tuple[int, int]],
        seen: Callable[[], Seen],
        notice: Callable[[], None],
        tell: Callable[[KeyReport], Awaitable[object]] | None,
        clock: Clock,
        timers: Timers,
        make_key: Callable[[], PrivateKey] = PrivateKey.generate,
        certify: Callable[[int, str], Certificate] | None = None,
        random: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """`notice` is called when `keys` or `switched` changed; `tell` is None where there is no bus. `certify` signs
        a key of an epoch by the host's identity key."""
        self._certify = certify
        self._random = random
        self._state = state
        self._desired = desired
        self._wireguard = wireguard
        self._names = names
        self._ports = ports
        self._seen = seen
        self._notice = notice
        self._tell = tell
        self._clock = clock
        self._timers = timers
        self._make_key = make_key
        self._identity = state.identity()
        self._keys = KeySet.of(self._identity)
        self._switched: frozenset[str] = frozenset()
        self._wake = asyncio.Event()
        self._saving = asyncio.Lock()
        self._told: KeyReport | None = None
        self._tell_due = 0.0
        self._spread: float | None = None
        """When the new generation is told, where nothing else is new."""
        self._followed: tuple[RelayEntry | None, Identity] | None = None
        self._failures = 0
        self.problem = ""

    def identity(self) -> Identity:
        """With the keys of now."""
        return self._identity

    def keys(self) -> KeySet:
        return self._keys

    def switched(self) -> frozenset[str]:
        """The relays with whom the session of the next keys is seen to work."""
        return self._switched

    async def amend(self, change: Callable[[Identity], Identity]) -> bool:
        """Change other keys of this host, on the disk before anywhere else; True if something changed."""
        async with self._saving:
            after = change(self._identity)
            if after == self._identity:
                return False
            await self._state.save_identity(after)
            self._identity = after
            return True

    def wake(self) -> None:
        """The mesh, or the host, is another by now."""
        self._wake.set()

    async def run(self) -> None:
        """Follow the mesh."""
        while True:
            self._wake.clear()
            try:
                waits = await self.step()
            except AltnetError as error:
                self._say(str(error))
                waits = True
            told = await self._report()
            wait = self._timers.switch_check if waits else None if told is None else told
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._wake.wait()

    async def step(self) -> bool:
        """Follow the mesh once; True while handshakes are waited for. Raises `AltnetError`."""
        own = self._desired.entries.get(self._desired.relay)
        if self._followed is None or self._followed[0] is not own or self._followed[1] is not self._identity:
            await self._follow(own)
        return await self._look(own)

    async def _follow(self, own: RelayEntry | None) -> None:
        if await self.amend(lambda identity: followed(identity, own, self._make_key)):
            self._keys, self._switched = KeySet.of(self._identity), frozenset()
            self._told = None
            self._notice()
        # What wakes us is mostly another relay's, and public keys are not worked out for each of those.
        self._followed = own, self._identity

    async def _look(self, own: RelayEntry | None) -> bool:
        mine = roles(self._keys, own)
        if mine.next is None:
            return False
        # While it is open only: else a relay that was switched and went back would be taken at its old word.
        wanted = {
            entry.id: known_key(both.following.key)
            for entry in self._linked()
            if (both := pair(mine, entry)).following is not None and both.open
        }
        missing = wanted.keys() - self._switched
        if not missing:
            return False
        try:
            async with asyncio.timeout(self._timers.kernel_timeout):
                device = await self._wireguard.read(self._names.mesh_of(mine.next.device))
        except (AltnetError, TimeoutError):
            return True  # not made yet
        now = self._clock.now().timestamp()
        seen = set()
        for relay in missing:
            peer = device.peers.get(key) if (key := wanted[relay]) is not None else None
            made = peer.last_handshake if peer is not None else None
            if made is not None and now - made < self._timers.session_lifetime:
                seen.add(relay)
        if seen:
            self._switched |= seen
            self._notice()
        return bool(missing - seen)

    def _linked(self) -> Iterable[RelayEntry]:
        return neighbours(self._desired.document, self._desired.entries)

    def report(self) -> KeyReport | None:
        """How far this host is, None while no rotation concerns it or the host does not hold the key yet."""
        own = self._desired.entries.get(self._desired.relay)
        seen, keys = self._seen(), self._keys
        if own is None or own.next is None or seen.keys is None or seen.keys.next is None or keys.next_key is None:
            return None
        if seen.keys.next.epoch != own.next.epoch or seen.keys.next.epoch != keys.next_epoch:
            return None
        switched, waiting = split(seen, {entry.id: entry for entry in self._linked()})
        return KeyReport(
            epoch=keys.next_epoch,
            key=keys.next_key.base64,
            port=self._ports()[seen.keys.next.device],
            generation=max(0, seen.generation),
            switched=switched,
            waiting=waiting,
            certificate=self._certify(keys.next_epoch, keys.next_key.base64) if self._certify is not None else None,
        )

    def words(self) -> str:
        """For the operator of this host; empty while nothing rotates."""
        report = self.report()
        if report is None:
            return ""
        own = self._desired.entries.get(self._desired.relay)
        stage = own.next.stage if own is not None and own.next is not None else KeyStage.ASKED
        text = f"epoch {report.epoch}, {stage}: {len(report.switched)} links by the next key"
        text += f", {len(report.waiting)} wait for a handshake" if report.waiting else ""
        return f"{text}; keyd: {self.problem}" if self.problem else text

    async def _report(self) -> float | None:
        """Tell what is new; seconds until it is to be told again, None for never."""
        report = self.report()
        if report is None or self._tell is None:
            self.problem = ""
            return None
        now = self._clock.monotonic()
        if self._told is not None and msgspec.structs.replace(self._told, generation=report.generation) == report:
            if report != self._told and self._spread is None:
                self._spread = now + self._random() * len(self._desired.entries) / NEWS
            due = min(self._tell_due, self._spread or self._tell_due)
        else:
            due = self._tell_due if self._failures else now
        if now < due:
            return due - now
        self._spread = None
        try:
            await self._tell(report)
        except Exception as error:  # noqa: BLE001 - whatever it is, the data plane goes on
            self._failures += 1
            self._told = None
            wait = float(min(self._timers.rotation_told, 0.2 * 2 ** min(self._failures, 10)))
            if (after := rpc.back_after(error, patience=self._timers.keyd_timeout)) is not None:
                wait = max(wait, after * (0.5 + self._random()))
            self._tell_due = now + wait
            self._say(str(error) if isinstance(error, AltnetError) else type(error).__name__)
            return wait
        self._failures, self.problem = 0, ""
        wait = max(self._timers.rotation_told, len(self._desired.entries) / REPEATS)
        self._told, self._tell_due = report, now + wait
        return wait

    def _say(self, problem: str) -> None:
        if problem != self.problem:
            _log.warning("rotation of keys", reason=problem)
        self.problem = problem


def split(seen: Seen, linked: Mapping[str, RelayEntry]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Of the neighbours that have a session of next keys: those whose link it carries, and those who are to follow."""
    switched, waiting = [], []
    assert seen.keys is not None
    for relay, entry in sorted(linked.items()):
        both = pair(seen.keys, entry)
        if both.following is None:
            continue
        carries = both.used(relay in seen.switched) is both.following
        if relay in seen.pending:
            carries = not both.open  # on its way to there, or on its way back: what is worse for who waits
        if carries:
            switched.append(relay)
        elif both.open:
            waiting.append(relay)
    return tuple(switched), tuple(waiting)
