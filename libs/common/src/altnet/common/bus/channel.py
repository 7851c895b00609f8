"""A Noise channel over the bus, at the end that opens it: handshakes, retries, and a request with its answer.

The session lives at one replica of the service, which is asked by name. When that replica is gone, or has forgotten the
session, or the session is old, hands are shaken anew with whichever replica answers, and the request is sent once more:
what is asked must bear being done twice. Answers outside the channel (refusals) are not authentic; they can make us
shake hands again, which costs a little, and nothing else.

Invariant: what `call` returns was sealed by the holder of the pinned key in answer to this very request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import msgspec
from altnet.common.bus import rpc
from altnet.common.bus.connect import Bus
from altnet.common.clock import Clock
from altnet.common.contracts.keyd import HELLO, Frame, records_of
from altnet.common.errors import UNREADABLE, AltnetError, Unavailable
from altnet.common.keys import PublicKey
from altnet.common.noise import wire
from altnet.common.noise.failures import SHAKE_AGAIN
from altnet.common.noise.initiator import Established, Initiator

T = TypeVar("T", bound=msgspec.Struct)

_GONE: Final = SHAKE_AGAIN | {"bus_no_responders"}
_SILENT: Final = frozenset({"bus_timeout"})


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What the answering record holds: one of the two."""

    ok: msgspec.Raw = msgspec.Raw(b"null")
    failure: rpc.Failure | None = None


@dataclass(frozen=True, kw_only=True)
class Remote:
    """Whom we shake hands with: the service's static key, and the psk of a first contact."""

    key: PublicKey
    psk: bytes | None = None

    def __repr__(self) -> str:
        return f"Remote({self.key})"


class Channel:
    """`remote` is asked at each handshake. `timeout` in seconds, for one message and its answer."""

    def __init__(
        self,
        bus: Bus,
        initiator: Initiator,
        *,
        service: str,
        peer: str,
        remote: Callable[[], Remote],
        clock: Clock,
        timeout: float,
    ) -> None:
        self._bus = bus
        self._initiator = initiator
        self._service = service
        self._peer = peer
        self._remote = remote
        self._clock = clock
        self._timeout = timeout
        self._held: Established | None = None
        self._shaking = asyncio.Lock()
        self.handshakes = 0

    async def binding(self) -> bytes:
        """The channel binding of the session that is, or is made now. Raises like `call`."""
        return (await self._established()).session.binding

    async def call(self, ask: msgspec.Struct, answer: type[T], *, binding: bytes | None = None) -> T:
        """Send a request and read its answer; with `binding`, only in that session.

        Raises what the service answers inside the channel, `Unavailable`, `Unauthenticated`, `TooMany`, `NotFound`.
        """
        first = await self._established()
        try:
            return await self._ask(first, ask, answer, binding)
        except AltnetError as error:
            if self._held is first or error.code not in _GONE or binding is not None:
                raise
        return await self._ask(await self._established(), ask, answer, binding)

    def close(self) -> None:
        """Forget the session; the next call makes another."""
        self._held = None

    async def _ask(self, held: Established, ask: msgspec.Struct, answer: type[T], binding: bytes | None) -> T:
        if binding is not None and held.session.binding != binding:
            raise Unavailable("channel_changed", "the session is another one by now.", mend="Try again.")
        try:
            frame = held.session.seal(msgspec.json.encode(ask), now=self._clock.monotonic())
            said = await self._send(records_of(held.replica), frame)
            plain = held.session.open(
                wire.read_record(said), now=self._clock.monotonic(), context=frame[: wire.HEADER_BYTES]
            )
        except AltnetError as error:
            if self._held is held and error.code in _GONE | _SILENT:
                self._held = None
            raise
        return _read(plain, answer)

    async def _established(self) -> Established:
        async with self._shaking:
            now = self._clock.monotonic()
            held = self._held
            if held is not None and not held.session.stale(now):
                return held
            try:
                self._held = held = await self._shake()
            except AltnetError:
                if held is None or held.session.over(now):
                    raise
                # It is old, but still good: the next call tries again.
            return held

    async def _shake(self) -> Established:
        remote = self._remote()
        attempt = self._initiator.attempt(remote.key, psk=remote.psk)
        answer = await self._send(HELLO, attempt.frame)
        established = attempt.finish(answer, now=self._clock.monotonic())
        self.handshakes += 1
        return established

    async def _send(self, verb: str, frame: bytes) -> bytes:
        answer = await rpc.call(
            self._bus, self._service, verb, Frame(data=frame), Frame, relay=self._peer, timeout=self._timeout
        )
        return answer.data


def _read(plain: bytes, answer: type[T]) -> T:
    try:
        reply = msgspec.json.decode(plain, type=Reply)
        if reply.failure is None:
            return msgspec.json.decode(reply.ok, type=answer)
    except UNREADABLE as error:
        raise Unavailable("channel_bad_answer", f"the answer has another form: {error}.") from None
    raise rpc.error_of(reply.failure)
