"""From the bus to `Desired`, and from there to the disk: subscribe first, then fetch, then apply what is newer.

A message may be lost; the fetch after each connect and at each resync makes it good. A gap, or a delta that cannot be
read, asks for the snapshot again. What is taken goes to the host at once and to the disk cache beside it: as it came,
so that a change costs no compression here.

Leaves out what documents mean. Invariant: the reconciler is told of nothing that `Desired` has not accepted.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Protocol

from altnet.common import log
from altnet.common.bus import desired as documents
from altnet.common.bus import subjects
from altnet.common.bus.connect import Bus
from altnet.common.clock import Clock
from altnet.common.contracts.desired import pack
from altnet.common.errors import AltnetError, Broken
from altnet.relay_agent.desired import Desired, Verdict
from altnet.relay_agent.settings import Timers
from altnet.relay_agent.state import State

_log = log.get(__name__)


class Documents(Protocol):
    """Where documents come from: the bus, in earnest."""

    @property
    def connected(self) -> bool: ...

    async def fetch(self, bucket: str, key: str, *, timeout: float) -> bytes | None:
        """The stored document, None where there is none. Raises `Unavailable`."""
        ...

    async def subscribe(self, bucket: str, key: str, on_data: Callable[[bytes], Awaitable[None]]) -> None:
        """Have `on_data` called with each document stored from now on."""
        ...

    def on_connect(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Have `callback` called whenever messages may have been lost."""
        ...


class BusDocuments:
    """The documents of the bus."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    @property
    def connected(self) -> bool:
        return self._bus.connected

    async def fetch(self, bucket: str, key: str, *, timeout: float) -> bytes | None:
        return await documents.fetch(self._bus, bucket, key, timeout=timeout)

    async def subscribe(self, bucket: str, key: str, on_data: Callable[[bytes], Awaitable[None]]) -> None:
        await documents.subscribe(self._bus, bucket, key, on_data)

    def on_connect(self, callback: Callable[[], Awaitable[None]]) -> None:
        self._bus.on_connect(callback)


class Feed:
    """Keeps one relay's `Desired` up to date."""

    def __init__(
        self,
        desired: Desired,
        state: State,
        source: Documents,
        *,
        clock: Clock,
        random: Callable[[], float],
        timers: Timers,
        notice: Callable[[], None],
        alarm: Callable[[str, str], None] = lambda _code, _text: None,
    ) -> None:
        """`alarm` is told of documents that nobody honest would send."""
        self._alarm = alarm
        self._desired = desired
        self._state = state
        self._source = source
        self._clock = clock
        self._random = random
        self._timers = timers
        self._notice = notice
        self._turn = asyncio.Lock()
        self._fetch = asyncio.Event()
        self._soon = False
        self._had_base = False
        self.broken: str = ""
        """Why the last document was refused; empty once a later one is taken."""
        self.fetched_at: float | None = None

    # -- from the disk -------------------------------------------------------------------------------------------

    def load(self) -> bool:
        """Take what the disk holds; True if it makes a complete wish. A cache that cannot be read is no cache."""
        self._had_base = load(self._desired, self._state)
        return self._desired.complete

    # -- from the bus --------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Listen. The snapshot's own republication is not for us: the delta says the same in less."""
        network, relay = self._desired.network, self._desired.relay
        await self._source.subscribe(subjects.MESH_BUCKET, subjects.mesh_delta_key(network), self.on_delta)
        await self._source.subscribe(subjects.RELAY_BUCKET, relay, self.on_document)
        self._source.on_connect(self.on_connect)

    async def on_delta(self, data: bytes) -> None:
        """The republished delta."""
        async with self._turn:
            try:
                verdict = self._desired.on_delta(data)
            except Broken as error:
                self._refuse(error)
                self.fetch_soon()
                return
            if verdict is Verdict.GAP:
                self.fetch_soon()
            elif verdict is Verdict.TAKEN:
                self.broken = ""
                self._notice()  # the host first: the cache may be a moment behind, a fetch closes that
                if not self._had_base or not await self._save(self._state.save_delta(data)):
                    self._had_base = False
                    self.fetch_soon()

    async def on_document(self, data: bytes) -> None:
        """The republished private document."""
        async with self._turn:
            try:
                verdict = self._desired.on_document(data)
            except Broken as error:
                self._refuse(error)
                return
            if verdict is Verdict.TAKEN:
                self.broken = ""
                self._notice()
                await self._save(self._state.save_document(data))

    async def on_connect(self) -> None:
        """The bus is back: whatever was said meanwhile is lost."""
        await asyncio.sleep(self._random() * self._timers.fetch_jitter)
        await self.fetch()

    def fetch_soon(self) -> None:
        """Have `run` fetch at once."""
        self._fetch.set()

    async def run(self) -> None:
        """Fetch at each resync, and whenever a gap asks for it, until cancelled."""
        behind = 0
        while True:
            wait = self._timers.resync * (1 + self._timers.resync_jitter * (2 * self._random() - 1))
            if behind:  # a replica of the bus that lags behind the one that told us
                wait = min(wait, self._timers.retry_first * 2 ** (behind - 1))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._fetch.wait()
            self._fetch.clear()
            if self._source.connected:
                await self.fetch()
            behind = behind + 1 if self._desired.ahead > self._desired.generation else 0

    async def fetch(self) -> bool:
        """Get both documents as they are stored. False if that fails; it is tried again at the next occasion."""
        network, relay = self._desired.network, self._desired.relay
        timeout = self._timers.fetch_timeout
        try:
            snapshot = await self._source.fetch(
                subjects.MESH_BUCKET, subjects.mesh_snapshot_key(network), timeout=timeout
            )
            document = await self._source.fetch(subjects.RELAY_BUCKET, relay, timeout=timeout)
        except AltnetError as error:
            _log.warning("the desired state could not be fetched", reason=str(error))
            return False
        self.fetched_at = self._clock.monotonic()
        async with self._turn:
            if snapshot is not None:
                await self._take_snapshot(snapshot)
        if document is not None:
            await self.on_document(document)
        return True

    async def revoke(self) -> None:
        """The registry said in person that this relay is out. It stays so after a restart."""
        async with self._turn:
            data = pack(self._desired.revoke())
            self._alarm("revoked", "the registry says that this relay is out")
            self._notice()
            await self._save(self._state.save_document(data))

    async def _take_snapshot(self, data: bytes) -> None:
        try:
            verdict = self._desired.on_snapshot(data)
        except Broken as error:
            self._refuse(error)
            return
        if verdict is Verdict.TAKEN:
            self.broken = ""
            self._notice()
        if verdict is Verdict.TAKEN or (verdict is Verdict.SAME and not self._had_base):
            self._had_base = await self._save(self._state.save_snapshot(data))

    async def _save(self, saving: Awaitable[bool | None]) -> bool:
        try:
            return await saving is not False
        except AltnetError as error:
            _log.error("the cache could not be written", reason=str(error))
            return False

    def _refuse(self, error: Broken) -> None:
        if self.broken != error.reason:
            _log.error("a document was refused", reason=error.reason)
            self._alarm("document_refused", error.reason)
        self.broken = error.reason


def load(desired: Desired, state: State) -> bool:
    """Take the disk cache into `desired`; True if more deltas may be added to the one on the disk."""
    frames, document = state.mesh(), state.document()
    whole = bool(frames)
    try:
        for number, frame in enumerate(frames):
            if number == 0:
                desired.on_snapshot(frame)
            elif desired.on_delta(frame) is Verdict.GAP:
                whole = False  # what is before it is good; a fetch starts a new log
                break
    except Broken as error:
        whole = False
        _log.warning("the cached mesh ends early", reason=error.reason)
    try:
        if document is not None:
            desired.on_document(document)
    except Broken as error:
        _log.warning("the cached relay document is set aside", reason=error.reason)
    return whole
