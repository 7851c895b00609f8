"""Keeps a host's knowledge of the network lock up to date, and says how it stands with it.

The newest page is heard from the bus; who has missed something asks keyd for the rest. Whoever tells is not believed:
the log has to extend the one that is known, and the rest is signed. What is new is on the disk before it counts, and a
longer log counts when everything that was signed under it is here, so that turning the lock on cuts nobody off.

Leaves out what the lock makes of documents (accepted.py). Invariant: no failure here changes what counts already.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec
from altnet.common import log
from altnet.common.bus import desired as documents
from altnet.common.bus import rpc, subjects
from altnet.common.bus.connect import Bus
from altnet.common.clock import Clock
from altnet.common.contracts.keyd import SERVICE
from altnet.common.contracts.lock import (
    LOCK,
    MOST_ASKED,
    MOST_REFUSED,
    HostCertificates,
    LockPage,
    LockQuery,
    LockReport,
    Refusal,
    unpack,
)
from altnet.common.errors import AltnetError, Broken, Conflict, Invalid, Stale, Unauthenticated
from altnet.common.lock.book import Book
from altnet.common.lock.certificates import Certificate, WgUse, certify
from altnet.common.lock.log import Log
from altnet.common.lock.statements import SignedStatement
from altnet.relay_agent.desired import Desired
from altnet.relay_agent.lock.accepted import Accepted
from altnet.relay_agent.lock.memory import LockMemory
from altnet.relay_agent.settings import Timers
from altnet.relay_agent.state import Identity, State

_log = log.get(__name__)

INCOMPLETE: Final = "lock_incomplete"
MOST_PAGES: Final = 4_096
"""Of one catching up: a keyd that has ever more to tell is broken."""


class LockKeeper:
    """`run` until cancelled. Without a bus what is on the disk counts."""

    def __init__(
        self,
        state: State,
        book: Book,
        accepted: Accepted,
        heard: Desired,
        *,
        bus: Bus | None,
        identity: Callable[[], Identity],
        tell: Callable[[LockReport], Awaitable[object]],
        met: Callable[[], bool],
        notice: Callable[[], None],
        clock: Clock,
        random: Callable[[], float],
        timers: Timers,
    ) -> None:
        """`tell` says a report to keyd, once `met` keyd; `notice` is called when something else counts."""
        self._state = state
        self._book = book
        self._accepted = accepted
        self._heard = heard
        self._bus = bus
        self._identity = identity
        self._tell = tell
        self._met = met
        self._notice = notice
        self._clock = clock
        self._random = random
        self._timers = timers
        self._version = state.lock().version if book.log.length else 0
        self._turn = asyncio.Lock()
        self._wake = asyncio.Event()
        self._missed = False
        self._fetch_due = 0.0
        self._ask_due = 0.0
        self._asks = 0
        self._asked_for: tuple[Refusal, ...] = ()
        self._told: LockReport | None = None
        self._tell_due = 0.0
        self._tells = 0
        self._save_due = 0.0
        self._saved = (book.revision, self._version, accepted.remembered)
        self._calm_due = False
        self._logged: tuple[Refusal, ...] = ()
        self._certificates: dict[tuple[WgUse, int, str], Certificate] = {}
        self._publics: tuple[Identity, str, str, str] | None = None
        """Of which identity, and its public keys: mesh, access and next mesh."""
        self.alarm = ""
        """Code of what was wrong with the last log that was shown; empty once a good one was."""
        self.alarm_text = ""
        self.problem = ""

    @property
    def log(self) -> Log:
        return self._book.log

    def wake(self) -> None:
        """Documents, keys or the bus are others by now."""
        self._wake.set()

    async def start(self) -> None:
        """Listen."""
        if self._bus is not None:
            key = subjects.lock_key(self._book.network)
            await documents.subscribe(self._bus, subjects.MESH_BUCKET, key, self.on_page)
            self._bus.on_connect(self._on_connect)

    async def hear(self) -> None:
        """Hear the newest page now, and of keyd what it leads over: for a start, before anything is brought back."""
        try:
            await self._fetch()
            if self._missed:
                await self._catch_up()
        except Exception as error:  # noqa: BLE001 - whatever it is, `run` tries again
            self._say(error)

    async def _on_connect(self) -> None:
        self._fetch_due = self._clock.monotonic() + self._random() * self._timers.fetch_jitter
        self._wake.set()

    async def run(self) -> None:
        """Follow the lock."""
        while True:
            self._wake.clear()
            try:
                wait = await self.step()
            except Exception as error:  # noqa: BLE001 - whatever it is, what counts already goes on counting
                self._say(error)
                wait = self._timers.lock_retry_most
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._wake.wait()

    async def step(self) -> float:
        """Do what is due; seconds until something is."""
        now = self._clock.monotonic()
        refused = self._accepted.refusals
        self._say_refused(refused)
        if refused != self._asked_for:  # what is new may be known to keyd already
            self._asked_for, self._asks, self._ask_due = refused, 0, now
        due = []
        if self._bus is not None and self._bus.connected:
            if now >= self._fetch_due:
                await self._fetch()
            if self._missed or (refused and now >= self._ask_due):
                self._asks += 1
                self._ask_due = now + self._backoff(self._asks)
                await self._catch_up()
            await self._report()
            due += [self._fetch_due, self._tell_due]
            if refused or self._missed:
                due.append(self._ask_due)
        if self._unsaved and self._clock.monotonic() >= self._save_due:
            self._save_due = self._clock.monotonic() + self._timers.lock_kept
            await self._save()
        elif self._unsaved:
            due.append(self._save_due)
        if not due:  # a connection wakes us
            return float(self._timers.resync)
        return max(0.05, min(due) - self._clock.monotonic())

    # -- hearing ----------------------------------------------------------------------------------------------------

    async def on_page(self, data: bytes) -> None:
        """The newest page, as it is on the bus: whoever may write there may have written it."""
        try:
            page = unpack(data)
        except Broken as error:
            self._alarm(Invalid("lock_unreadable", f"{error.reason}."))
            return
        async with self._turn:
            if page.network == self._book.network and page.length:
                await self._take(page)
        self._wake.set()

    async def _take(self, page: LockPage) -> None:
        known = self._book.log
        if page.length < known.length and page.head == known.hash_at(page.length):
            return  # a message of before: the bus may be behind what keyd has told
        try:
            new = [one for one in page.entries if one.opened().number > known.length]
            after = known.follow(length=page.length, head=page.head, entries=new)
        except AltnetError as error:
            if error.code != INCOMPLETE:
                self._alarm(error)
                return
            self._missed = True
            return
        if after.length > known.length or page.version < self._version or page.more or page.since > self._version:
            self._missed = True
            return
        if page.version > self._version:
            await self._apply(known, page.statements, page.hosts, version=page.version)
        self._calm()

    async def _fetch(self) -> None:
        assert self._bus is not None
        spread = 1 + self._timers.resync_jitter * (2 * self._random() - 1)
        self._fetch_due = self._clock.monotonic() + self._timers.resync * spread
        key, timeout = subjects.lock_key(self._book.network), self._timers.fetch_timeout
        try:
            data = await documents.fetch(self._bus, subjects.MESH_BUCKET, key, timeout=timeout)
        except AltnetError as error:
            self._say(error)
            return
        if data is not None:
            await self.on_page(data)

    async def _catch_up(self) -> None:
        """Ask keyd for everything that is new. What it shows is taken as a whole, or not at all."""
        async with self._turn:
            try:
                await self._ask_all()
            except (Stale, Conflict, Unauthenticated, Invalid) as error:
                self._alarm(error)
            except AltnetError as error:
                self._say(error)
            else:
                self._missed, self.problem = False, ""

    async def _ask_all(self) -> None:
        known, since = self._book.log, self._version
        page = await self._ask(since=since, length=known.length)
        if not page.length and not known.length:
            return  # there is no lock
        entries = list(page.entries)
        while page.entries and known.length + len(entries) < page.length:  # a long log comes in pieces
            page = await self._ask(since=since, length=known.length + len(entries))
            entries += page.entries
        after = known.follow(length=page.length, head=page.head, entries=entries)
        if after.length > known.length and since:  # what other authorities signed counts now
            page = await self._ask(since=0, length=after.length)
        statements, hosts = list[SignedStatement](), list[HostCertificates]()
        for _ in range(MOST_PAGES):
            after.follow(length=page.length, head=page.head, entries=page.entries)
            statements += page.statements
            hosts += page.hosts
            if not page.more:
                await self._apply(after, statements, hosts, version=page.version)
                self._calm()
                return
            page = await self._ask(since=page.version, length=after.length)
        raise Invalid("lock_endless", "keyd has ever more to tell of the lock.")

    async def _ask(self, *, since: int, length: int) -> LockPage:
        assert self._bus is not None
        query = LockQuery(since=since, length=length, clients=self._accepted.lacking[:MOST_ASKED])
        page = await rpc.call(
            self._bus,
            SERVICE,
            LOCK,
            query,
            LockPage,
            relay=self._heard.relay,
            timeout=self._timers.keyd_timeout,
        )
        if page.network != self._book.network:
            raise Invalid("lock_other_network", f"the page shown is of network {page.network}.")
        return page

    async def _apply(
        self,
        after: Log,
        statements: Sequence[SignedStatement],
        hosts: Sequence[HostCertificates],
        *,
        version: int,
    ) -> None:
        """On the disk first, then in the book."""
        book, document = self._book, self._heard.document
        clients = {one.id for one in document.clients} if document is not None else set()
        told = [(one.relay, one.certificates) for one in hosts]
        if after.length > book.log.length:
            new = Book(book.network, pin=book.pin)
            new.adopt(after, book.statements, book.certificates.items(), clients=clients)
            new.adopt(after, statements, told, clients=clients)
            await self._state.save_lock(self._memory(new, version))
            _log.warning("the network lock has a new entry", number=after.length, enabled=after.enabled)
        revision = book.revision
        book.adopt(after, statements, told, clients=clients)
        self._version = version
        if book.revision != revision:
            self._notice()
        self._wake.set()  # to be kept

    # -- keeping ----------------------------------------------------------------------------------------------------

    def _memory(self, book: Book, version: int) -> LockMemory:
        hosts = tuple(HostCertificates(relay=relay, certificates=told) for relay, told in book.certificates.items())
        made = LockMemory(
            network=book.network,
            pin=book.pin,
            entries=book.log.entries,
            version=version,
            statements=book.statements,
            hosts=hosts,
        )
        return self._accepted.remember(made)

    @property
    def _unsaved(self) -> bool:
        now = (self._book.revision, self._version, self._accepted.remembered)
        return now != self._saved and bool(self._book.log.length)

    async def _save(self) -> None:
        """A signature that a crash loses is asked for again; the log itself was kept before it counted."""
        now = (self._book.revision, self._version, self._accepted.remembered)
        if self._unsaved:
            await self._state.save_lock(self._memory(self._book, self._version))
            self._saved = now

    # -- telling ----------------------------------------------------------------------------------------------------

    def report(self) -> LockReport:
        """How this host stands with the lock."""
        refused = self._accepted.refusals
        return LockReport(
            certificates=self._own_certificates(),
            length=self._book.log.length,
            head=self._book.log.head,
            refused=refused[:MOST_REFUSED],
            refused_count=len(refused),
            alarm=self.alarm,
            alarm_text=self.alarm_text[:300],
        )

    def certificate(self, *, use: WgUse, epoch: int, key: str) -> Certificate:
        """Signed by this host's identity key; the same again is the same."""
        place = (use, epoch, key)
        if place not in self._certificates:
            self._certificates[place] = certify(
                network=self._book.network,
                relay=self._heard.relay,
                use=use,
                epoch=epoch,
                key=key,
                by=self._identity().signing,
            )
        return self._certificates[place]

    def words(self) -> str:
        """For the operator of this host."""
        log = self._book.log
        if not log.length:
            return f"waiting for the log {self._book.pin}" if self._book.pin else ""
        state = "on" if log.enabled else "off"
        text = f"{state}, entry {log.length}, {log.fingerprint}"
        if refused := self._accepted.refusals:
            text += f"; {len(refused)} refused, first {refused[0].object} {refused[0].what}: {refused[0].reason}"
        return f"{text}; ALARM {self.alarm}: {self.alarm_text}" if self.alarm else text

    def _own_certificates(self) -> tuple[Certificate, ...]:
        identity, own = self._identity(), self._heard.entries.get(self._heard.relay)
        if self._publics is None or self._publics[0] is not identity:  # each change of any relay comes by here
            following = identity.next_mesh.public().base64 if identity.next_mesh is not None else ""
            self._publics = identity, identity.mesh.public().base64, identity.access.public().base64, following
        _, mesh, access, following = self._publics
        epoch = own.epoch if own is not None and own.key == mesh else 0
        document = self._heard.document
        told = document.access if document is not None else None
        access_epoch = told.epoch if told is not None and told.key == access else 0
        keys = [(WgUse.MESH, epoch, mesh), (WgUse.ACCESS, access_epoch, access)]
        if following:
            keys.append((WgUse.MESH, identity.next_mesh_epoch, following))
        return tuple(self.certificate(use=use, epoch=number, key=key) for use, number, key in keys)

    async def _report(self) -> None:
        now = self._clock.monotonic()
        if not self._met():  # it wakes us
            self._tell_due = now + self._timers.keyd_every
            return
        report = self.report()
        if report == self._told and now < self._tell_due:
            return
        if self._tells and now < self._tell_due:
            return
        try:
            await self._tell(report)
        except Exception as error:  # noqa: BLE001 - whatever it is, the data plane goes on
            self._told = None
            self._tells += 1
            self._tell_due = now + self._backoff(self._tells)
            self._say(error)
        else:
            self._told, self._tells = report, 0
            self._tell_due = now + self._timers.keyd_every
            if self._calm_due:
                self._calm()

    def _backoff(self, tries: int) -> float:
        wait = min(self._timers.lock_retry_most, self._timers.lock_retry_first * 2 ** min(tries - 1, 16))
        return float(wait * (0.8 + 0.4 * self._random()))

    def _alarm(self, error: AltnetError) -> None:
        if (error.code, error.detail) != (self.alarm, self.alarm_text):
            _log.error("the log of the network lock that was shown is refused", code=error.code, reason=error.detail)
        self.alarm, self.alarm_text, self._calm_due = error.code, error.detail, False
        self._missed = False  # asking again at once would show the same
        self._wake.set()

    def _calm(self) -> None:
        """What is shown now is good. An alarm stays until keyd has heard of it."""
        if not self.alarm:
            return
        self._calm_due = self._bus is not None and (self._told is None or self._told.alarm != self.alarm)
        if not self._calm_due:
            _log.warning("the log of the network lock that is shown is good again")
            self.alarm = self.alarm_text = ""
        self._wake.set()

    def _say(self, error: Exception) -> None:
        text = str(error) if isinstance(error, AltnetError) else type(error).__name__
        if text != self.problem:
            _log.warning("network lock", reason=text)
        self.problem = text

    def _say_refused(self, refused: tuple[Refusal, ...]) -> None:
        for one in refused:
            if one not in self._logged:
                _log.error("not signed for, so left out", object=one.object, what=one.what, reason=one.reason)
        self._logged = refused


async def remember_pin(state: State, pin: str, *, network: str) -> None:
    """Keep the fingerprint that was given at enrolment. Raises `Invalid` (`lock_other_than_pinned`)."""
    kept = state.lock()
    if kept.network and kept.network != network:
        kept = LockMemory()  # of another life
    if pin and kept.entries and same(Log(network).extended(kept.entries).fingerprint, pin):
        return
    if pin and (kept.entries or (kept.pin and not same(kept.pin, pin))):
        raise Invalid(
            "lock_other_than_pinned",
            "this host knows a network lock of another fingerprint.",
            field="/lock_fingerprint",
            mend="Compare with `altnet lock status`; remove lock.json from the state directory to begin anew.",
        )
    after = msgspec.structs.replace(kept, network=network, pin=pin or kept.pin)
    if after != state.lock():
        await state.save_lock(after)


def same(one: str, other: str) -> bool:
    """Compare fingerprints as people write them."""
    return "".join(one.split()).replace("-", "").upper() == "".join(other.split()).replace("-", "").upper()
