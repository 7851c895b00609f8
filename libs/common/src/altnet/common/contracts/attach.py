"""Where a client is attached, spoken inside its tunnel: one UDP datagram each way, to a relay's attach address.

A *hello* says at which of its relays the client is attached, as a state and not as a step: `attached` here, or not
here, as of `counter`. So any of them may be lost, repeated or come late: the newest counter wins, and the next hello
mends everything. The relay answers each with what it now holds, which also measures the round trip.

Nothing is signed: WireGuard's cryptokey routing has proven the source address, and the relay looks that it came
through the access interface. Leaves out who may attach (desired.AccessClient) and when to move (the client's choice).
Invariant: hello and answer have the same size, so nobody gains by making a relay answer.
"""

from __future__ import annotations

import struct
from typing import Annotated, Final

import msgspec

ATTACH_PORT: Final = 51897
"""UDP, at relays, on the access interface only."""

_PACKET: Final = struct.Struct(">4sBBxxQQI4x")
"""Mark, kind, flags, number, counter, round-trip time in microseconds (of an answer: its news); 32 bytes."""
SIZE: Final = _PACKET.size
_MARK: Final = b"alta"
_HELLO, _ANSWER = 1, 2
_ATTACHED: Final = 1
_LONGEST_RTT: Final = 2**32 - 1

Number = Annotated[int, msgspec.Meta(ge=0, le=2**64 - 1)]


class Hello(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """From a client."""

    number: Number
    """Comes back in the answer."""
    counter: Number
    """Grows with each move of the client: its newest word counts."""
    attached: bool
    """Here; else elsewhere, or nowhere."""
    rtt: float | None = None
    """Seconds, between the client and this relay, as the client measured it."""


class Answer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """From the relay, after it has taken in the hello."""

    number: Number
    counter: Number
    """The highest it knows of this client: a client whose own is lower has to go beyond it."""
    attached: bool
    news: Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)] = 0
    """Another number than before: the client's configuration has changed, so it is to ask for it. 0 says nothing."""


def pack(message: Hello | Answer) -> bytes:
    """32 bytes."""
    if isinstance(message, Hello):
        number = 0 if message.rtt is None else max(1, min(_LONGEST_RTT, round(message.rtt * 1e6)))
    else:
        number = message.news
    return _PACKET.pack(
        _MARK,
        _HELLO if isinstance(message, Hello) else _ANSWER,
        _ATTACHED if message.attached else 0,
        message.number,
        message.counter,
        number,
    )


def unpack(data: bytes) -> Hello | Answer | None:
    """What a datagram says; None for what is neither."""
    if len(data) != SIZE:
        return None
    mark, kind, flags, number, counter, last = _PACKET.unpack(data)
    if mark != _MARK or flags & ~_ATTACHED:
        return None
    attached = bool(flags & _ATTACHED)
    if kind == _HELLO:
        return Hello(number=number, counter=counter, attached=attached, rtt=last / 1e6 if last else None)
    if kind == _ANSWER:
        return Answer(number=number, counter=counter, attached=attached, news=last)
    return None
