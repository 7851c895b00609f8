"""The connection to the bus: always trying, never in the way.

A `Bus` starts without NATS, lives through hours without it, and tells its users by `on_connect` when it is back.
It knows nothing of streams, events or documents. Subscriptions are made once and hold across any number of
connections; what was sent to nobody meanwhile is lost, so users fetch or ask again in `on_connect`.

Invariant: between `async with` and its end the bus never stops trying, whatever the server or a callback does.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import random
import re
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import nats.errors
from altnet.common import log
from altnet.common.bus.client import Connection, Message, bus_down
from altnet.common.bus.credentials import Credentials
from altnet.common.bus.settings import BusSettings
from altnet.common.bus.subscription import Handler, Subscription
from altnet.common.errors import AltnetError, Forbidden, Unauthenticated
from nats.js import JetStreamContext

__all__ = ["Bus", "BusSettings", "Counters", "Credentials", "Message", "Subscription"]

_LOG: Final = log.get(__name__)
_ERRNO: Final = re.compile(r"\[Errno (\d+)\]")

Callback = Callable[[], Awaitable[None]]


@dataclass(slots=True)
class Counters:
    """What happened so far; read by metrics."""

    connects: int = 0
    losses: int = 0
    refusals: int = 0
    violations: int = 0
    handler_errors: int = 0
    rpc_refused: int = 0
    """Requests told to come back, because more was asked than could be answered in time."""
    rpc_dropped: int = 0
    """Requests that nobody waited for any more when their turn came."""
    dropped: int = 0
    """Messages of slow handlers, and such as came under a foreign subject."""


class Bus:
    """One connection, kept up in the background between `async with` and its end.

    `credentials` may be a callable, asked anew at each connection, so that renewed ones are used. `inbox_prefix`
    defaults to the one that the credentials' user may listen to.
    """

    def __init__(
        self,
        settings: BusSettings,
        credentials: Credentials | Callable[[], Credentials] | None,
        *,
        name: str,
        inbox_prefix: str | None = None,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self.settings = settings
        self.name = name
        self.counters = Counters()
        self.last_failure: AltnetError | None = None
        """Why it is not connected: `Unauthenticated` (`bus_refused`) or `Unavailable` (`bus_down`)."""
        self._credentials = credentials
        self._inbox_prefix = inbox_prefix
        self._uniform = uniform
        self._connection: Connection | None = None
        self._connected = asyncio.Event()
        self._hurry = asyncio.Event()
        self._subscriptions: list[Subscription] = []
        self._callbacks: list[Callback] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._keeper: asyncio.Task[None] | None = None
        self._closed_doors = 0

    async def __aenter__(self) -> Self:
        self._keeper = asyncio.create_task(self._keep(), name=f"bus {self.name}")
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        ending = {task for task in (self._keeper, *self._tasks) if task is not None}
        while ending:  # more than once: callbacks may swallow a cancellation, as asyncio.wait_for does (Python < 3.12)
            for task in ending:
                task.cancel()
            _, ending = await asyncio.wait(ending, timeout=self.settings.close_timeout + 0.5)
        self._keeper = None

    @property
    def connected(self) -> bool:
        """Whether messages go out now, as far as is known."""
        return self._connected.is_set()

    @property
    def nobody_listens(self) -> bool:
        """Whether the host of every server answered, last time, that the port is closed: NATS is down, not far away."""
        return self._closed_doors >= len(self.settings.servers)

    @property
    def violations(self) -> int:
        """How often the server said that we may not do what we did."""
        return self.counters.violations

    @property
    def max_payload(self) -> int:
        """Bytes of the largest message that the server takes. Raises `Unavailable`."""
        return self._now().max_payload

    @property
    def jetstream(self) -> JetStreamContext:
        """nats-py's own JetStream context on the present connection. Raises `Unavailable` (`bus_down`)."""
        return self._now().jetstream()

    async def wait_connected(self, timeout: float | None = None) -> None:
        """Return once connected. Raises `Unavailable` (`bus_down`) or `Unauthenticated` after `timeout` s."""
        try:
            async with asyncio.timeout(timeout):
                await self._connected.wait()
                while self._connection is None or self._connection.lost.is_set():
                    # Lost a moment ago: let that be seen to, or whoever asks again at once spins.
                    await asyncio.sleep(0)
                    await self._connected.wait()
        except TimeoutError:
            raise self.last_failure or bus_down(f"not within {timeout:g} s") from None

    def on_connect(self, callback: Callback) -> None:
        """Call `callback` after every connect and reconnect, and now if connected. One after the other, in order."""
        self._callbacks.append(callback)
        if self.connected:
            self.spawn(self._call(callback))

    def reconnect(self) -> None:
        """Drop the connection, if any, and try again at once: the credentials have changed."""
        self._hurry.set()
        if self._connection is not None:
            self._connection.lost.set()

    async def publish(self, subject: str, payload: bytes, *, headers: Mapping[str, str] | None = None) -> None:
        """Send and forget. Raises `Unavailable`, `TooLarge`, `Invalid`; a refusal by the server is only counted."""
        connection = self._now()
        if connection.pending_data_size > self.settings.outgoing_bytes:
            await connection.settle(self.settings.request_timeout)
        await connection.send(subject, payload, headers)

    async def flush(self, timeout: float | None = None) -> None:
        """Return once the server has read everything sent before. Raises `Unavailable`."""
        await self._now().settle(self.settings.request_timeout if timeout is None else timeout)

    async def request(
        self, subject: str, payload: bytes, *, timeout: float | None = None, headers: Mapping[str, str] | None = None
    ) -> Message:
        """Send and wait for one answer.

        Raises `Unavailable` (`bus_down`, `bus_timeout`, `bus_no_responders`), `Forbidden` (`bus_permission`),
        `TooLarge`, `Invalid`.
        """
        connection = self._now()
        return await connection.ask(
            subject, payload, headers, self.settings.request_timeout if timeout is None else timeout
        )

    async def subscribe(self, subject: str, handler: Handler, *, queue: str = "") -> Subscription:
        """Have `handler` called with each message, one at a time and in order, from now on until `stop`.

        Works before the first connection. What the handler raises is logged and counted.
        """
        return await self._subscribe(Subscription(self, subject, queue, handler))

    async def subscribe_inbox(self, handler: Handler) -> Subscription:
        """Listen to a new inbox of our own (`.subject` ends in `.*`); messages may come under any subject."""
        subject = f"{self._prefix(self._fresh_credentials())}.{random.SystemRandom().getrandbits(64):016x}.*"
        return await self._subscribe(Subscription(self, subject, "", handler, any_subject=True))

    async def publish_with_reply(self, subject: str, payload: bytes, reply: str) -> None:
        """Send a request whose answers come to `reply`. Raises like `publish`."""
        await self._now().send(subject, payload, None, reply=reply)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` beside, at most until the bus is closed. `work` handles its own errors."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _subscribe(self, subscription: Subscription) -> Subscription:
        self._subscriptions.append(subscription)
        if self._connection is not None:
            # a lost connection is no failure: the next one attaches it
            with contextlib.suppress(nats.errors.ConnectionClosedError, nats.errors.ConnectionDrainingError):
                await subscription.attach(self._connection)
        return subscription

    def forget(self, subscription: Subscription) -> None:
        """Called by `Subscription.stop`."""
        with contextlib.suppress(ValueError):  # stopped twice
            self._subscriptions.remove(subscription)

    def _now(self) -> Connection:
        if self._connection is None or not self.connected:
            raise bus_down(self.last_failure.detail if self.last_failure else "not yet")
        return self._connection

    async def _keep(self) -> None:
        failures = 0
        servers = list(self.settings.servers)
        random.shuffle(servers)
        me = asyncio.current_task()
        assert me is not None
        while not me.cancelling():  # asyncio.wait_for, inside nats-py, may swallow a cancellation (Python < 3.12)
            connection = Connection(self._on_error, self._on_violation)
            self._hurry.clear()
            try:
                await self._open(connection, servers[failures % len(servers)])
                failures = 0
                if me.cancelling():
                    return
                calls = self.spawn(self._call_all(tuple(self._callbacks)))
                await connection.lost.wait()
                self._connected.clear()
                calls.cancel()
                self._lose(connection)
            except Exception as error:  # noqa: BLE001
                # whatever it was, also in a callable that gives credentials: the bus never stops trying
                failures += 1
                cause = connection.last_error or error
                self._closed_doors = self._closed_doors + 1 if port_is_closed(cause) else 0
                self._fail(cause)
            finally:
                self._connected.clear()
                self._connection = None
                await connection.shut(self.settings.close_timeout)
            if not me.cancelling():
                await self._pause(failures)

    async def _open(self, connection: Connection, server: str) -> None:
        settings = self.settings
        credentials = self._fresh_credentials()
        tls = None
        if settings.tls_ca is not None:
            tls = ssl.create_default_context()
            tls.load_verify_locations(settings.tls_ca)
        await connection.open(
            server,
            name=self.name,
            inbox_prefix=self._prefix(credentials),
            credentials=credentials,
            tls=tls,
            tls_hostname=settings.tls_hostname,
            timeout=settings.connect_timeout,
            ping_interval=settings.ping_interval,
            pings_outstanding=settings.pings_outstanding,
        )
        self._connection = connection  # from here on new subscriptions attach themselves
        for subscription in list(self._subscriptions):
            await subscription.attach(connection)
        await connection.settle(settings.connect_timeout)
        self.last_failure = None
        self._closed_doors = 0
        self.counters.connects += 1
        self._connected.set()
        _LOG.info("bus_connected", bus=self.name, server=server)

    async def _pause(self, failures: int) -> None:
        refused = isinstance(self.last_failure, Unauthenticated)
        wait = pause_after(failures, refused=refused, settings=self.settings, uniform=self._uniform)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await self._hurry.wait()

    def _lose(self, connection: Connection) -> None:
        self.counters.losses += 1
        self.last_failure = _failure(connection.last_error)
        _LOG.warning("bus_lost", bus=self.name, reason=self.last_failure.detail)

    def _fail(self, error: Exception) -> None:
        failure = error if isinstance(error, AltnetError) else _failure(error)
        if isinstance(failure, Unauthenticated):
            self.counters.refusals += 1
        if self.last_failure is None or self.last_failure.code != failure.code:  # once, not at each attempt
            _LOG.warning("bus_not_connected", bus=self.name, code=failure.code, reason=failure.detail)
        self.last_failure = failure

    def _fresh_credentials(self) -> Credentials | None:
        return self._credentials() if callable(self._credentials) else self._credentials

    def _prefix(self, credentials: Credentials | None) -> str:
        if self._inbox_prefix is not None:
            return self._inbox_prefix
        return f"_INBOX_{credentials.name}" if credentials is not None and credentials.name else "_INBOX"

    async def _call_all(self, callbacks: tuple[Callback, ...]) -> None:
        for callback in callbacks:
            await self._call(callback)

    async def _call(self, callback: Callback) -> None:
        try:
            async with asyncio.timeout(self.settings.callback_timeout):
                await callback()
        except Exception as error:  # noqa: BLE001
            # the boundary: one user's failure on connecting must not keep the others from theirs
            self.counters.handler_errors += 1
            _LOG.error("bus_callback_failed", bus=self.name, error=repr(error), exc_info=error)

    def _on_error(self, error: Exception) -> None:
        if isinstance(error, nats.errors.SlowConsumerError):
            self.counters.dropped += 1
            if self.counters.dropped & (self.counters.dropped - 1) == 0:  # 1st, 2nd, 4th, 8th …: not one line each
                _LOG.warning("bus_slow_handler", bus=self.name, subject=error.subject, dropped=self.counters.dropped)
        else:
            _LOG.debug("bus_error", bus=self.name, error=repr(error))

    def _on_violation(self, action: str, subject: str) -> None:
        self.counters.violations += 1
        refusal = Forbidden("bus_permission", f"the bus refuses {action} of {subject} to {self.name}.")
        _LOG.error("bus_permission", bus=self.name, action=action, subject=subject)
        if action == "subscription":
            for subscription in self._subscriptions:
                if subscription.subject.lower() == subject:
                    subscription.refused = refusal


def pause_after(
    failures: int, *, refused: bool, settings: BusSettings, uniform: Callable[[float, float], float]
) -> float:
    """Seconds until the next attempt: doubled with each failure up to a bound, and drawn anew each time.

    `refused`: the server does not take our identity. `uniform` draws from a range.
    """
    longest = settings.refused_wait_max if refused else settings.reconnect_wait_max
    wait: float = min(longest, settings.reconnect_wait * 2 ** min(failures, 16))
    return wait * uniform(1 - settings.reconnect_jitter, 1)


def port_is_closed(error: Exception) -> bool:
    """asyncio joins the errors of several addresses into one text, without their numbers."""
    numbers = _ERRNO.findall(str(error)) if isinstance(error, OSError) else []
    return bool(numbers) and all(int(number) == errno.ECONNREFUSED for number in numbers)


def _failure(error: Exception | None) -> AltnetError:
    text = "dropped by us" if error is None else str(error) or type(error).__name__
    said = text.lower()
    if "auth" in said and "timeout" not in said:  # violation, expired, revoked; a timeout says that the server is busy
        return Unauthenticated(
            "bus_refused",
            f"the bus refuses these credentials ({text}).",
            mend="They are expired or revoked: renew them or enrol again.",
        )
    return bus_down(text)
