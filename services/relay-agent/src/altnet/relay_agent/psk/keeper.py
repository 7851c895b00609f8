"""This host's part in the pre-shared keys of its pairs: words on the bus, records on the disk, keys to the devices.

Follows the mesh: a pair for each neighbour whose identity is proven. Everything is done in one order: a record is on
the disk before it is installed, and installed before it is said. Without the bus nothing is said and nothing changes;
keys that are there stay, and who is unsure of one looks at handshakes (pair.py).

Troubles are counted and told to keyd, in its channel, as security events. Leaves out how a key gets onto a device
(wanted.py, planes/). Invariant: a key leaves this module for the disk and for the devices alone; what is said, logged
and shown has its age and its troubles.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final, Protocol

from altnet.common import log
from altnet.common.bus import subjects
from altnet.common.bus.client import Message
from altnet.common.clock import Clock
from altnet.common.contracts.desired import PresharedPolicy, RelayEntry
from altnet.common.contracts.keyd import MOST_TROUBLES, PairReport, PairTrouble
from altnet.common.contracts.preshared import LARGEST_MESSAGE, Offer
from altnet.common.errors import AltnetError, Broken, Unauthenticated
from altnet.common.kernel.wireguard import PresharedKey, WireGuard
from altnet.common.keys import PublicKey
from altnet.common.noise.rates import Buckets, Rate
from altnet.common.signing import VerifyKey
from altnet.relay_agent import desired as documents
from altnet.relay_agent.psk import wire
from altnet.relay_agent.psk.keys import Context, Side
from altnet.relay_agent.psk.pair import Outcome, Pace, Pair, Step, Trouble, Wish
from altnet.relay_agent.psk.secrets import Secrets
from altnet.relay_agent.settings import Timers
from altnet.relay_agent.state import Identity, State
from altnet.relay_agent.view import neighbours

_log = log.get(__name__)

WORDS: Final = Rate(burst=60, per_second=5)
"""Of one neighbour; an exchange has three in each direction."""
OFFERS: Final = Rate(burst=5, per_second=0.5)
"""Of one neighbour: each costs two key exchanges."""
MOST_WAITING: Final = 2_000
"""Words that wait here; more are dropped, and said again."""
SPREAD: Final = 0.02
"""Seconds for each relay of the mesh by which exchanges that are due at once are spread: each takes about 2 ms of both
ends, and a record on the disk thrice."""
LOOK: Final = 1.0
"""Seconds between two looks at handshakes, while one end is unsure."""
DOUBT: Final = 30.0
"""Seconds between two looks for dead sessions of pairs that have a key: a new one mends two ends that differ in a way
that nobody foresaw."""
CLOSED_FOR: Final = 15.0
"""Seconds without a key, where one is required, until that is a trouble: a new pair needs one or two."""
TELL: Final = 10.0
"""Seconds for which troubles are summed before they are told."""


class Voice(Protocol):
    """Of the bus, what is needed here."""

    @property
    def connected(self) -> bool: ...

    async def publish(self, subject: str, payload: bytes) -> None: ...


class Keeper:
    """`run` until cancelled; `secrets` is what `Wanted` asks for."""

    def __init__(
        self,
        state: State,
        desired: documents.Wish,
        identity: Identity,
        *,
        voice: Voice | None,
        wireguard: WireGuard,
        sessions: Callable[[RelayEntry], Sequence[tuple[str, PublicKey | None]]],
        applied: Callable[[str], PresharedKey | bool | None],
        notice: Callable[[], None],
        tell: Callable[[PairReport], Awaitable[object]] | None,
        clock: Clock,
        random: Callable[[], float],
        timers: Timers,
        pace: Pace | None = None,
        randomness: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        """`applied` gives the key that the devices have for a neighbour, False while that is not known; `sessions`
        the devices and peers of the pair; `notice` is called when `secrets` changed; `tell` reports to keyd."""
        self._state = state
        self._desired = desired
        self._identity = identity
        self._public = identity.sealed_for.public().base64, identity.signing.public().base64
        self._voice = voice
        self._wireguard = wireguard
        self._sessions = sessions
        self._applied = applied
        self._notice = notice
        self._tell = tell
        self._clock = clock
        self._random = random
        self._timers = timers
        self._pace = pace or Pace()
        self._randomness = randomness
        self._records = dict(state.pairs())
        self._pairs: dict[str, Pair] = {}
        self._arrived: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(MOST_WAITING)
        self._wake = asyncio.Event()
        self._words = Buckets(WORDS, most=5_000)
        self._offers = Buckets(OFFERS, most=5_000)
        self._counts: Counter[tuple[str, str]] = Counter()
        self.troubles: Counter[tuple[str, str]] = Counter()
        """By neighbour and kind, since the start."""
        self._unbegun: set[str] = set()
        """Pairs that have not said yet what they have."""
        self._unsaved: set[str] = set()
        """Pairs whose record the disk did not take."""
        self._closed: dict[str, float] = {}
        self._seen: tuple[object, ...] = ()
        self._look_due = 0.0
        self._doubt_due = self._now() + DOUBT
        agreed = {
            relay: PresharedKey(record.present.psk) for relay, record in self._records.items() if record.present.psk
        }
        self._secrets = Secrets(agreed, randomness(32))

    # -- asked ---------------------------------------------------------------------------------------------------

    def secrets(self) -> Secrets:
        return self._secrets

    def wake(self) -> None:
        """The mesh, or the host, is another by now."""
        self._wake.set()

    def age(self, relay: str) -> float | None:
        """Seconds since the pair agreed on its key; None where it has none."""
        record = self._records.get(relay)
        return max(0.0, self._now() - record.present.at) if record is not None and record.present.psk else None

    def words(self) -> str:
        """For the operator of this host; empty where no pair has a key and none is wanted."""
        policy = self._desired.settings.preshared_keys
        ages = [age for relay in self._neighbours() if (age := self.age(relay)) is not None]
        if policy is PresharedPolicy.OFF and not ages:
            return ""
        text = f"{policy}: {len(ages)} of {len(self._neighbours())} pairs have a key"
        text += f", the oldest of {max(ages):.0f} s" if ages else ""
        kinds: Counter[str] = Counter()
        for (_, why), count in self.troubles.items():
            kinds[why] += count
        return text + "".join(f"; {why}: {count}" for why, count in sorted(kinds.items()))

    # -- working -------------------------------------------------------------------------------------------------

    async def hear(self, message: Message) -> None:
        """A word of a neighbour. The reply subject that it may carry is nobody's business."""
        with contextlib.suppress(asyncio.QueueFull):
            self._arrived.put_nowait((subjects.sender_of(message.subject), message.data))
        self._wake.set()

    async def run(self) -> None:
        """Keep every pair's key."""
        telling = asyncio.create_task(self._run_telling(), name="tell troubles")
        try:
            while True:
                self._wake.clear()
                try:
                    await self.step()
                except AltnetError as error:
                    _log.warning("pre-shared keys wait", reason=str(error))
                    await asyncio.sleep(LOOK)
                wait = self._next_at() - self._now()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(max(0.01, wait), self._timers.resync)):
                        await self._wake.wait()
        finally:
            telling.cancel()

    async def step(self) -> None:
        """Do what is due now. Raises `AltnetError` where the disk does not keep a record."""
        for relay in self._unsaved & self._pairs.keys():
            await self._do(relay, self._pairs[relay], Outcome())
        await self._follow()
        while not self._arrived.empty():
            sender, data = self._arrived.get_nowait()
            try:
                await self._word(sender, data)
            except AltnetError:
                raise
            except Exception as error:  # noqa: BLE001 - the boundary: what a neighbour says must not end the agent
                _log.error("a word of a pair failed", neighbour=sender, error=type(error).__name__, exc_info=error)
                self._trouble(sender, Trouble.BROKEN)
        heard = self._voice is not None and self._voice.connected
        for relay in self._unbegun & self._pairs.keys() if heard else ():
            self._unbegun.discard(relay)
            await self._do(relay, self._pairs[relay], self._pairs[relay].begin(self._now()))
        for relay, pair in list(self._pairs.items()):
            if pair.record.step is Step.INSTALLING and self._on_devices(relay, pair):
                await self._do(relay, pair, pair.on_device(self._now()))
            # Without a bus nothing is begun, only ended: an offer that nobody can hear is no trouble.
            if pair.next_at() <= self._now() and (heard or pair.open):
                await self._do(relay, pair, pair.tick(self._now()))
        if self._now() >= self._look_due:
            await self._look()

    def _on_devices(self, relay: str, pair: Pair) -> bool:
        has = self._applied(relay)
        if isinstance(has, bool):
            return False
        return has == self._secrets.of(relay, required=self._required) and self._as_present(relay, pair)

    def _as_present(self, relay: str, pair: Pair) -> bool:
        known = self._secrets.agreed.get(relay)
        return (known.reveal() if known is not None else b"") == pair.present.psk

    @property
    def _required(self) -> bool:
        return self._desired.settings.preshared_keys is PresharedPolicy.REQUIRED

    async def _follow(self) -> None:
        """Have a pair for each neighbour that there can be one with."""
        desired = self._desired
        if desired.complete:
            await self._forget([relay for relay in self._records if relay not in desired.entries])
        if self._idle:
            if self._seen:
                self._pairs.clear()
            for relay in [relay for relay in self._pairs if relay not in desired.entries]:
                del self._pairs[relay]  # it had a key to lay down, and is out
            self._seen = ()
            return
        linked = self._neighbours()
        # What wakes us is mostly about relays that this one has no link to: nothing is worked out for those.
        seen = (desired.entries.get(desired.relay), desired.settings, linked)
        if seen != self._seen:
            for relay in self._pairs.keys() - linked.keys():
                del self._pairs[relay]
            for relay, entry in linked.items():
                await self._follow_one(relay, self._wish(entry))
            self._seen = seen
        if self._required or self._closed:
            self._see_closed(linked)

    @property
    def _idle(self) -> bool:
        """Whether nobody wants a key and nobody here has one."""
        if self._desired.settings.preshared_keys is not PresharedPolicy.OFF:
            return False
        return all(not record.present.psk and record.spare is None for record in self._records.values())

    async def _follow_one(self, relay: str, wish: Wish | None) -> None:
        pair = self._pairs.get(relay)
        if wish is None:
            self._pairs.pop(relay, None)
            return
        known = self._records.get(relay)
        if known is not None and known.identities != wish.context.identities:  # another host has its place
            await self._state.save_pair(relay, None)
            del self._records[relay]
        if pair is not None and pair.record.identities == wish.context.identities:
            pair.want(wish, self._now())
            return
        made = self._pairs[relay] = Pair(
            self._records.get(relay),
            wish,
            initiator=wish.context.initiator.relay == self._desired.relay,
            now=self._now(),
            pace=replace(self._pace, spread=self._pace.spread + SPREAD * len(self._desired.entries)),
            random=self._random,
            randomness=self._randomness,
        )
        self._unbegun.add(relay)
        await self._do(relay, made, Outcome())

    async def _forget(self, gone: Iterable[str]) -> None:
        for relay in gone:
            await self._state.save_pair(relay, None)
            del self._records[relay]
            self._pairs.pop(relay, None)
            self._set(relay, b"")

    def _neighbours(self) -> dict[str, RelayEntry]:
        return {entry.id: entry for entry in neighbours(self._desired.document, self._desired.entries)}

    def _wish(self, entry: RelayEntry) -> Wish | None:
        """None while one of the two has no proven identity in the mesh."""
        own, settings = self._desired.entries.get(self._desired.relay), self._desired.settings
        if own is None or own.identity is None or entry.identity is None:
            return None
        if (own.identity.static, own.identity.signing) != self._public:
            return None
        try:
            sides = sorted((_side(own), _side(entry)), key=lambda side: side.static)
        except AltnetError:
            return None
        return Wish(
            context=Context(network=self._desired.network, initiator=sides[0], responder=sides[1]),
            policy=settings.preshared_keys,
            refresh=self._timers.preshared_refresh or settings.preshared_refresh,
        )

    def _see_closed(self, linked: dict[str, RelayEntry]) -> None:
        """Tell of pairs that have been closed for too long."""
        now = self._now()
        without = {relay for relay in linked if relay not in self._secrets.agreed} if self._required else set()
        for relay in self._closed.keys() - without:
            del self._closed[relay]
        for relay in without:
            since = self._closed.setdefault(relay, now)
            if since <= now - CLOSED_FOR:
                self._closed[relay] = float("inf")  # once, until it is open again
                self._trouble(relay, Trouble.NO_KEY if relay in self._pairs else Trouble.NO_IDENTITY)

    async def _word(self, sender: str, data: bytes) -> None:
        entry = self._neighbours().get(sender) if sender not in self._pairs else self._desired.entries.get(sender)
        if entry is None or entry.identity is None:
            return  # it is not a neighbour, or not yet: it will say it again
        if self._words.take(sender, self._clock.monotonic()) or len(data) > LARGEST_MESSAGE:
            self._trouble(sender, Trouble.FLOOD)
            return
        if sender not in self._pairs:  # nobody wants keys here, but it may have one left to lay down
            await self._follow_one(sender, self._wish(entry))
        pair = self._pairs.get(sender)
        if pair is None:
            return
        try:
            word, raw = wire.read(
                data,
                sender=sender,
                receiver=self._desired.relay,
                network=self._desired.network,
                key=VerifyKey.parse(entry.identity.signing),
            )
        except Unauthenticated:
            self._trouble(sender, Trouble.BAD_SIGNATURE)
            return
        except (Broken, AltnetError):
            self._trouble(sender, Trouble.BROKEN)
            return
        if isinstance(word, Offer) and self._offers.take(sender, self._clock.monotonic()):
            self._trouble(sender, Trouble.FLOOD)
            return
        await self._do(sender, pair, pair.hear(word, raw, self._now()))

    async def _do(self, relay: str, pair: Pair, out: Outcome) -> None:
        """Keep, install, say. What the disk did not take is kept first of all the next time."""
        for trouble in out.troubles:
            self._trouble(relay, trouble)
        if out.keep or relay in self._unsaved:
            self._unsaved.add(relay)
            await self._state.save_pair(relay, pair.record)
            self._unsaved.discard(relay)
            self._records[relay] = pair.record
        self._install(relay, pair)
        for word in out.words:
            await self._say(relay, word)
        if out.settled:
            _log.info("pre-shared key", neighbour=relay, key="new" if pair.present.psk else "none")

    async def _say(self, relay: str, word: bytes) -> None:
        if self._voice is None or not self._voice.connected:
            return
        me, network = self._desired.relay, self._desired.network
        data = wire.sealed(word, sender=me, receiver=relay, network=network, key=self._identity.signing)
        try:
            async with asyncio.timeout(self._timers.bus_timeout):
                await self._voice.publish(subjects.pair(network, relay, me), data)
        except (AltnetError, TimeoutError) as error:
            _log.debug("not said", neighbour=relay, reason=str(error) or "the bus takes nothing")

    def _install(self, relay: str, pair: Pair) -> None:
        self._set(relay, pair.present.psk)

    def _set(self, relay: str, psk: bytes) -> None:
        known = self._secrets.agreed.get(relay)
        if (known.reveal() if known is not None else b"") == psk:
            return
        agreed = {other: key for other, key in self._secrets.agreed.items() if other != relay}
        if psk:
            agreed[relay] = PresharedKey(psk)
        self._secrets = Secrets(agreed, self._secrets.seed)
        self._notice()

    async def _look(self) -> None:
        """Show handshakes to the pairs that are unsure; now and then look for sessions that are dead."""
        now = self._now()
        doubting = now >= self._doubt_due
        if doubting:
            self._doubt_due = now + DOUBT
        looked_at = {relay: pair for relay, pair in self._pairs.items() if pair.unsure or doubting}
        unsure = any(pair.unsure for pair in looked_at.values())
        self._look_due = min(self._doubt_due, now + LOOK) if unsure else self._doubt_due
        made: dict[str, dict[PublicKey, float | None]] = {}
        for relay, pair in looked_at.items():
            entry = self._desired.entries.get(relay)
            if entry is None:
                continue
            newest: float | None = None
            for device, key in self._sessions(entry):
                if device not in made:
                    made[device] = await self._handshakes(device)
                last = made[device].get(key) if key is not None else None
                newest = last if newest is None else newest if last is None else max(newest, last)
            dead = newest is None or newest < now - self._pace.session - DOUBT
            if doubting and dead and pair.present.psk:
                pair.doubt(now)
            await self._do(relay, pair, pair.observe(newest, now))

    async def _handshakes(self, device: str) -> dict[PublicKey, float | None]:
        try:
            async with asyncio.timeout(self._timers.kernel_timeout):
                state = await self._wireguard.read(device)
        except (AltnetError, TimeoutError):
            return {}
        return {key: peer.last_handshake for key, peer in state.peers.items()}

    def _next_at(self) -> float:
        heard = self._voice is not None and self._voice.connected
        pairs = (pair for pair in self._pairs.values() if heard or pair.open)
        due = min((pair.next_at() for pair in pairs), default=float("inf"))
        if self._pairs:
            due = min(due, self._look_due)
        if not heard and self._pairs:
            due = min(due, self._now() + LOOK)
        if any(since != float("inf") for since in self._closed.values()):
            due = min(due, self._now() + LOOK)
        return due

    # -- troubles ------------------------------------------------------------------------------------------------

    def _trouble(self, relay: str, trouble: Trouble) -> None:
        _log.warning("pre-shared key", neighbour=relay, trouble=str(trouble))
        self._counts[relay, str(trouble)] += 1
        self.troubles[relay, str(trouble)] += 1

    async def _run_telling(self) -> None:
        while True:
            await asyncio.sleep(TELL * (0.8 + 0.4 * self._random()))
            await self.tell()

    async def tell(self) -> None:
        """Tell keyd of the troubles that it does not know; those that it does not hear are told again."""
        if self._tell is None or not self._counts:
            return
        some = sorted(self._counts.items())[:MOST_TROUBLES]
        report = PairReport(
            troubles=tuple(PairTrouble(neighbour=relay, why=why, count=count) for (relay, why), count in some)
        )
        try:
            await self._tell(report)
        except Exception as error:  # noqa: BLE001 - whatever it is, the data plane goes on
            _log.debug("troubles not told", reason=str(error))
            return
        self._counts.subtract(dict(some))
        self._counts = +self._counts

    def _now(self) -> float:
        return self._clock.now().timestamp()


def _side(entry: RelayEntry) -> Side:
    """Raises `Invalid`."""
    assert entry.identity is not None
    return Side(
        relay=entry.id,
        static=PublicKey.parse(entry.identity.static).raw,
        signing=VerifyKey.parse(entry.identity.signing).raw,
        mesh_key=PublicKey.parse(entry.key).raw,
        epoch=entry.epoch,
    )
