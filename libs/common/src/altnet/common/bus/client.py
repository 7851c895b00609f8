"""One connection of nats-py, made safe to lose.

The only file that touches private parts of nats-py (its version is pinned by hash). It mends what was found there:

- `flush` with a deadline leaves a cancelled future in the list of awaited PONGs; the PONG that comes late then kills
  the read loop silently. Here a PONG for nobody is dropped.
- `flush` sends its PING past what still waits to be sent, so its PONG proves nothing. Here it queues in line.
- Waiting for room in the queue of flushes swallows a cancellation, a deadline's too. Here nothing waits there.
- A read loop that dies of an unexpected error leaves the client "connected". Here it counts as a lost connection.
- `tls://` does not insist on TLS: a server that offers none is talked to in the clear. Here it is refused.
- Requests in flight wait for their full deadline when the connection is gone or the server refuses the subject. Here
  they fail at once.
- Nothing awaits the tasks after `close`, and `close` has no deadline against a server that stopped reading.

It never reconnects by itself: nats-py gives up for good on some errors (an expired JWT), so `connect.Bus` makes a
new client each time.
"""

from __future__ import annotations

import asyncio
import base64
import re
import secrets
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import nats.errors
from altnet.common.bus.credentials import Credentials
from altnet.common.bus.nkey import sign
from altnet.common.errors import AltnetError, Forbidden, Invalid, TooLarge, Unavailable
from nats.aio.client import PING_PROTO, Client
from nats.aio.msg import Msg

_VIOLATION: Final = re.compile(r'permissions violation for (publish|subscription) to "([^"]+)"')
_NOBODY: Final[Mapping[str, str]] = {}


@dataclass(frozen=True, slots=True)
class Message:
    """What came in. `headers` is empty where there are none, `reply` where nobody waits."""

    subject: str
    data: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    reply: str = ""

    @property
    def status(self) -> str:
        """The server's inline status (`503` no responders, `404` …), empty on ordinary messages."""
        return self.headers.get("Status", "")


def message_of(raw: Msg) -> Message:
    return Message(raw.subject, raw.data, raw.headers or _NOBODY, raw.reply)


class Connection(Client):
    """A nats-py client with one life. `lost` is set when it ends, for whatever reason."""

    def __init__(self, on_error: Callable[[Exception], None], on_violation: Callable[[str, str], None]) -> None:
        super().__init__()  # type: ignore[no-untyped-call, unused-ignore]  # nats-py is typed in parts
        self.lost = asyncio.Event()
        self._report = on_error
        self._report_violation = on_violation
        self._insist_on_tls = False
        self._answers: dict[str, tuple[str, asyncio.Future[Message]]] = {}
        self._asked = 0
        self._inbox = ""
        self._unreachable: OSError | None = None

    async def open(
        self,
        server: str,
        *,
        name: str,
        inbox_prefix: str,
        credentials: Credentials | None,
        tls: ssl.SSLContext | None,
        tls_hostname: str | None,
        timeout: float,
        ping_interval: float,
        pings_outstanding: int,
    ) -> None:
        """Connect to one server. Raises `OSError`, `TimeoutError`, `nats.errors.Error`; then call `shut`."""
        self._insist_on_tls = server.startswith(("tls://", "wss://"))
        options: dict[str, Any] = {}
        if credentials is not None:
            jwt, seed = credentials.jwt.encode(), credentials.seed
            options["user_jwt_cb"] = lambda: jwt
            options["signature_cb"] = lambda nonce: base64.b64encode(sign(seed, nonce.encode()))
        if tls is not None:
            options["tls"] = tls
        if tls_hostname is not None:
            options["tls_hostname"] = tls_hostname
        async with asyncio.timeout(timeout):
            try:
                await self.connect(
                    [server],
                    name=name,
                    error_cb=self._on_error,
                    allow_reconnect=False,
                    max_reconnect_attempts=1,  # 0 would mean for ever
                    reconnect_time_wait=0,
                    connect_timeout=timeout,  # type: ignore[arg-type]  # annotated int, used as a float
                    ping_interval=ping_interval,  # type: ignore[arg-type]  # the same
                    max_outstanding_pings=pings_outstanding,
                    inbox_prefix=inbox_prefix,
                    pending_size=0,  # no hidden buffer while away, and no forced flush, which swallows cancellation
                    **options,
                )
            except nats.errors.NoServersError as error:  # nats-py's word for it: it tried twice and says not why
                self._err = self._unreachable or error
                raise self._err from None
            assert self._reading_task is not None
            self._reading_task.add_done_callback(lambda _: self.lost.set())
            self._inbox = f"{inbox_prefix}.{secrets.token_hex(8)}"
            await self.subscribe(f"{self._inbox}.*", cb=self._on_answer)

    async def send(self, subject: str, payload: bytes, headers: Mapping[str, str] | None, reply: str = "") -> None:
        """Hand a message to the connection's buffer. Raises `Unavailable`, `TooLarge`, `Invalid`."""
        try:
            await self.publish(subject, payload, reply=reply, headers=dict(headers) if headers else None)
        except nats.errors.MaxPayloadError:
            raise TooLarge(
                "bus_payload_too_large", f"{len(payload)} bytes are more than the bus takes ({self.max_payload})."
            ) from None
        except (nats.errors.BadSubjectError, nats.errors.BadHeaderError) as error:
            raise Invalid("bad_subject", f"{subject!r} or its headers can not go on the bus: {error}.") from None
        except (nats.errors.Error, OSError) as error:
            raise bus_down(str(error)) from None

    async def ask(self, subject: str, payload: bytes, headers: Mapping[str, str] | None, timeout: float) -> Message:
        """Send and wait for one answer. Raises `Unavailable`, `Forbidden`, `TooLarge`, `Invalid`."""
        self._asked += 1
        token = str(self._asked)
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._answers[token] = (subject, answer)
        try:
            async with asyncio.timeout(timeout):
                await self.send(subject, payload, headers, reply=f"{self._inbox}.{token}")
                if self.lost.is_set():
                    raise bus_down("the connection was lost")
                message = await answer
        except TimeoutError:
            raise Unavailable("bus_timeout", f"no answer on {subject} within {timeout:g} s.") from None
        finally:
            del self._answers[token]
        if message.status == "503" and not message.data:
            raise Unavailable("bus_no_responders", f"nobody answers on {subject}.")
        return message

    async def settle(self, timeout: float) -> None:
        """Wait until the server has read everything sent so far. Raises `Unavailable`."""
        pong: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(timeout):
                if self.is_closed or self.lost.is_set():
                    raise bus_down("the connection was lost")
                await self._send_ping(pong)
                await pong
        except TimeoutError:
            raise Unavailable("bus_timeout", f"the bus did not take what was sent within {timeout:g} s.") from None
        except (nats.errors.Error, OSError) as error:
            raise bus_down(str(error)) from None

    async def shut(self, timeout: float) -> None:
        """Send what is left, close, and wait for every task; after `timeout` s tear the socket down."""
        if self._flush_queue is None:  # never got as far as connecting
            return
        tasks = [self._reading_task, self._ping_interval_task, self._flusher_task]
        tasks += [sub._wait_for_msgs_task for sub in self._subs.values()]
        try:
            async with asyncio.timeout(timeout):
                await self.close()
                running = [task for task in tasks if task is not None and not task.done()]
                if running:
                    await asyncio.wait(running)
        except (TimeoutError, OSError, nats.errors.Error) as error:
            self._report(error)
        finally:
            writer = getattr(self._transport, "_io_writer", None)
            if writer is not None and writer.transport is not None:
                writer.transport.abort()

    async def _close(self, status: int, do_cbs: bool = True) -> None:
        self.lost.set()
        self._fail_all(bus_down("the connection was lost"))
        for pong in self._pongs:
            if not pong.done():
                pong.set_exception(nats.errors.ConnectionClosedError())
                pong.exception()  # pings of the interval have no reader
        await super()._close(status, do_cbs)

    async def _send_ping(self, future: asyncio.Future[bool] | None = None) -> None:
        self._pongs.append(future or asyncio.get_running_loop().create_future())
        await self._send_command(PING_PROTO)
        await self._flush_pending()

    async def _flush_pending(self, force_flush: bool = False) -> None:
        if self.is_connected and self._flush_queue is not None and self._flush_queue.empty():
            self._flush_queue.put_nowait(asyncio.get_running_loop().create_future())

    async def _process_pong(self) -> None:
        if self._pongs:
            pong = self._pongs.pop(0)
            if not pong.done():
                pong.set_result(True)
            self._pongs_received += 1
            self._pings_outstanding = 0

    @staticmethod
    def _parse_header_lines(raw: bytes) -> dict[str, str]:
        """As nats-py's, which looks at each character of each name: that was a tenth of what a message costs."""
        found: dict[str, str] = {}
        for line in raw.split(b"\r\n"):
            name, colon, value = line.partition(b":")
            words = name.split()
            if colon and len(words) == 1 and words[0].isascii():
                found[words[0].decode("ascii")] = value.strip().decode("utf-8", "replace")
        return found

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        if self._insist_on_tls and initial_connection and not info.get("tls_required"):
            raise nats.errors.Error("nats: the server offers no TLS, which tls:// asks for")
        await super()._process_info(info, initial_connection)

    async def _on_error(self, error: Exception) -> None:
        if isinstance(error, OSError):
            self._unreachable = error
        violation = _VIOLATION.search(str(error).lower())
        if violation is None:
            self._report(error)
            return
        action, subject = violation.groups()
        self._report_violation(action, subject)
        if action == "publish":
            for asked, answer in self._answers.values():
                if asked.lower() == subject and not answer.done():
                    _fail(answer, Forbidden("bus_permission", f"this user of the bus may not send to {asked}."))

    async def _on_answer(self, raw: Msg) -> None:
        waiting = self._answers.get(raw.subject.rpartition(".")[2])
        if waiting is not None and not waiting[1].done():
            waiting[1].set_result(message_of(raw))

    def _fail_all(self, error: AltnetError) -> None:
        for _, answer in self._answers.values():
            if not answer.done():
                _fail(answer, error)


def _fail(answer: asyncio.Future[Message], error: AltnetError) -> None:
    answer.set_exception(error)
    answer.exception()  # counts as seen, should the one who asked be gone


def bus_down(why: str) -> Unavailable:
    return Unavailable("bus_down", f"the bus is not connected ({why}).", mend="It reconnects by itself; try again.")
