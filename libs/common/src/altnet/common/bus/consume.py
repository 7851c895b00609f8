"""Events in: a durable pull consumer that hands on one event at a time, in the order of the stream.

Order is kept through everything: a failing event is tried again here, with the later ones waiting, and after a
crash nothing new is handed on before what was given out earlier has come back. The price: one durable is for one
process at a time (`altnet.common.db.advisory.leader`), and one event that always asks for a retry holds up its
consumer, visibly (`stuck_since`).

Deliveries repeat (a crash between work and acknowledgement), so `process` is made idempotent by the inbox
(`altnet.common.db.inbox`). Leaves out what the events mean.

Verdicts of `process`: returning means done; `Retry` and `Unavailable` mean again, as often as it takes; `Broken` means
never; anything else counts as a fault of ours, tried `max_deliver` times and then broken. What is broken goes to
`on_broken` (a dead-letter table) and out of the way once that has succeeded.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from altnet.common import log
from altnet.common.bus import subjects
from altnet.common.bus.connect import Bus, Message
from altnet.common.bus.delivery import Delivery
from altnet.common.bus.jsapi import call
from altnet.common.bus.subscription import Subscription
from altnet.common.errors import AltnetError, Broken, Retry, Unavailable

__all__ = ["Delivery", "PullConsumer"]

_LOG: Final = log.get(__name__)

_NS: Final = 10**9
_PULL_ENDED: Final = ("404", "408")


Process = Callable[[Delivery], Awaitable[None]]
OnBroken = Callable[[Delivery, str], Awaitable[None]]


@dataclass(frozen=True)
class _Held:
    delivery: Delivery
    ack: str


class _Away(Exception):
    """The consumer has to be looked up again: it, its stream or the connection is gone."""


class PullConsumer:
    """Runs one durable consumer of EVT. `filters` are subjects such as `subjects.event_filter("registry")`."""

    def __init__(
        self,
        bus: Bus,
        *,
        durable: str,
        filters: Sequence[str],
        process: Process,
        on_broken: OnBroken | None = None,
        max_deliver: int = 5,
        ack_wait: float = 10.0,
        batch: int = 100,
        pull_expires: float = 5.0,
        retry_wait: float = 0.5,
        retry_wait_max: float = 30.0,
    ) -> None:
        """Times in seconds.

        `ack_wait`: how long after a crash the server gives the same events out again; kept alive while we work.
        `batch`: events in hand at once. `pull_expires`: how long one request for more lies at the server, hence how
        soon a consumer that vanished is noticed. `retry_wait`: before the first new try, doubled up to
        `retry_wait_max`.
        """
        self._bus = bus
        self._durable = subjects.token(durable)
        self._filters = list(filters)
        self._process = process
        self._on_broken = on_broken
        self._max_deliver = max_deliver
        self._ack_wait = ack_wait
        self._batch = batch
        self._pull_expires = pull_expires
        self._retry_wait = retry_wait
        self._retry_wait_max = retry_wait_max
        self._incoming: asyncio.Queue[Message] = asyncio.Queue()
        self._held: dict[int, _Held] = {}
        self._made = ""  # when the server made the consumer: another time means that it is another one
        self._connect = -1  # the number of the connection that the session is on
        self._outstanding = 0
        self._failures = 0
        self._wakes = False
        self._pulls = 0
        self._last_pull = ""
        self.processed = 0
        self.retried = 0
        self.broken = 0
        self.stuck_since: float | None = None
        """`time.monotonic()` since when the first event in line fails; None when all goes well."""

    async def run(self) -> None:
        """Consume until cancelled. What it holds by then goes back to the server at once."""
        inbox = await self._bus.subscribe_inbox(self._take)
        if not self._wakes:
            self._bus.on_connect(self._wake)
            self._wakes = True
        try:
            while True:
                await self._bus.wait_connected(None)
                try:
                    await self._session(inbox.subject.removesuffix("*"))
                except _Away:
                    await self._pause()
                except AltnetError as error:
                    self._failures += 1
                    _LOG.warning("consumer_waits", durable=self._durable, reason=error.detail)
                    await self._pause()
        finally:
            await self._give_back(inbox)

    async def _give_back(self, inbox: Subscription) -> None:
        """Without a pull of ours at the server, or it would give us the same again; what it has sent is ours to tell.

        What this does not reach is given out again after `ack_wait`.
        """
        try:
            with contextlib.suppress(TimeoutError):
                await inbox.drain()
            with contextlib.suppress(AltnetError, _Away):
                self._drain()
                for held in self._in_order():
                    await self._bus.publish(held.ack, b"-NAK")
        finally:
            self._held.clear()

    async def _session(self, inbox: str) -> None:
        """One stretch on one connection. Ends by `_Away` or an `AltnetError`."""
        self._connect = self._bus.counters.connects
        self._outstanding = 0
        await self._gather(inbox)
        self._failures = 0
        while True:
            await self._receive(inbox)
            while self._held:
                await self._work()
                self._drain()

    async def _gather(self, inbox: str) -> None:
        """Make the consumer, and have in hand all that it has given out, before anything is processed."""
        while True:
            info = await self._ensure()
            if info["created"] != self._made:  # wiped or new: what we hold belongs to another life
                self._made = info["created"]
                self._held.clear()
            if info["num_ack_pending"] <= len(self._held):
                if self._held:
                    await self._work()
                return
            await self._receive(inbox)

    async def _ensure(self) -> Mapping[str, Any]:
        config = {
            "name": self._durable,
            "durable_name": self._durable,
            "deliver_policy": "all",
            "ack_policy": "explicit",
            "ack_wait": int(self._ack_wait * _NS),
            "max_deliver": -1,  # giving up is our decision, told to `on_broken`
            "max_ack_pending": self._batch,
            "filter_subjects": self._filters,
            "replay_policy": "instant",
        }
        stream = subjects.EVENT_STREAM
        request = {"stream_name": stream, "config": config}
        return await call(self._bus, f"CONSUMER.CREATE.{stream}.{self._durable}", request)

    async def _receive(self, inbox: str) -> None:
        """Wait for something to come, asking for it first if nothing is asked for. Returns without it now and then."""
        if self._outstanding <= 0:
            self._pulls += 1
            self._last_pull = f"{inbox}{self._pulls}"
            self._outstanding = max(1, self._batch - len(self._held))
            pull = b'{"batch":%d,"expires":%d}' % (self._outstanding, int(self._pull_expires * _NS))
            subject = f"$JS.API.CONSUMER.MSG.NEXT.{subjects.EVENT_STREAM}.{self._durable}"
            await self._bus.publish_with_reply(subject, pull, self._last_pull)
        try:
            async with asyncio.timeout(self._pull_expires + self._bus.settings.request_timeout):
                message = await self._incoming.get()
        except TimeoutError:
            raise _Away from None  # not even the end of the pull: the consumer is gone, or we may not ask
        self._sort_in(message)
        self._drain()

    def _drain(self) -> None:
        while not self._incoming.empty():
            self._sort_in(self._incoming.get_nowait())
        if not self._same_connection():
            raise _Away

    def _sort_in(self, message: Message) -> None:
        if message.status and not message.reply:
            if message.subject != self._last_pull:
                return  # the end of an older pull
            self._outstanding = 0
            if message.status not in _PULL_ENDED:
                raise _Away  # 409 consumer deleted, leader changed; 503 nobody there
            return
        place = message.reply.split(".")  # $JS.ACK.<stream>.<consumer>.<delivered>.<sequence>.…
        if place[:2] != ["$JS", "ACK"]:
            return
        if len(place) >= 11:  # the newer form has <domain>.<account> behind ACK (ADR-15)
            place = place[:2] + place[4:]
        delivery = Delivery(message.subject, message.data, message.headers, int(place[4]), int(place[5]))
        self._outstanding -= 1
        self._held[delivery.sequence] = _Held(delivery, message.reply)

    async def _work(self) -> None:
        """Process what is in hand, lowest sequence first, and keep the server patient meanwhile."""
        keeper = asyncio.create_task(self._keep_patient())
        try:
            for held in self._in_order():
                answer = await self._settle(held.delivery)
                if not self._same_connection():
                    # The consumer may be another one by now, and this number another event's: say nothing. Should
                    # it be the same one, the event comes again and the inbox knows it.
                    raise _Away
                self._held.pop(held.delivery.sequence, None)
                await self._bus.publish(held.ack, answer)
        finally:
            keeper.cancel()
            await asyncio.wait([keeper])

    async def _settle(self, delivery: Delivery) -> bytes:
        """Process one event until there is a verdict; returns the acknowledgement."""
        faults, wait = 0, self._retry_wait
        broken: str | None = None
        try:
            while True:
                try:
                    if broken is None:
                        try:
                            _ = delivery.envelope
                            await self._process(delivery)
                        except Broken as verdict:
                            broken = verdict.reason
                        else:
                            self.processed += 1
                            return b"+ACK"
                    await self._set_aside(delivery, broken)
                    return b"+TERM"
                except Retry as verdict:
                    why, after = verdict.reason, verdict.after
                except Unavailable as error:
                    why, after = error.detail, wait
                except Exception as error:  # noqa: BLE001 - the boundary: a fault of ours, bounded by max_deliver
                    faults += 1
                    why, after = f"{type(error).__name__}: {error}", wait
                    _LOG.error("event_failed", durable=self._durable, subject=delivery.subject, exc_info=error)
                    if broken is None and faults >= self._max_deliver:
                        broken = f"failed {faults} times, at last with {why}"
                        continue
                await self._wait_in_line(delivery, why, after)
                wait = min(wait * 2, self._retry_wait_max)
        finally:
            self.stuck_since = None

    async def _set_aside(self, delivery: Delivery, reason: str) -> None:
        _LOG.error(
            "event_broken", durable=self._durable, subject=delivery.subject, id=delivery.message_id, reason=reason
        )
        if self._on_broken is not None:
            await self._on_broken(delivery, reason)
        self.broken += 1

    async def _wait_in_line(self, delivery: Delivery, why: str, after: float) -> None:
        if self.stuck_since is None:
            self.stuck_since = time.monotonic()
            _LOG.warning("event_waits", durable=self._durable, subject=delivery.subject, reason=why, after=after)
        self.retried += 1
        await asyncio.sleep(after * random.uniform(1, 1.25))  # noqa: S311 - jitter

    async def _keep_patient(self) -> None:
        """Tell the server that what we hold is still being worked on, so that it gives it to nobody else."""
        while True:
            await asyncio.sleep(self._ack_wait / 3)
            if self._same_connection():
                with contextlib.suppress(AltnetError):  # the connection went: the session will see it too
                    for held in list(self._held.values()):
                        await self._bus.publish(held.ack, b"+WPI")

    async def _pause(self) -> None:
        wait = min(self._retry_wait_max, self._retry_wait * 2 ** min(self._failures, 10))
        await asyncio.sleep(wait * random.uniform(0.5, 1))  # noqa: S311 - jitter

    async def _wake(self) -> None:
        """A new connection: a session that waits on the old one learns of it."""
        self._incoming.put_nowait(Message("", b""))

    async def _take(self, message: Message) -> None:
        self._incoming.put_nowait(message)

    def _same_connection(self) -> bool:
        return self._bus.connected and self._bus.counters.connects == self._connect

    def _in_order(self) -> list[_Held]:
        return [self._held[sequence] for sequence in sorted(self._held)]
