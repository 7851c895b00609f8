"""JetStream's own API, spoken raw: requests in JSON, errors with the server's numbers.

nats-py's wrapper lags behind the server (atomic publish, named consumers with several filters) and asks for more than
it needs. Which numbers mean what: https://github.com/nats-io/nats-server/blob/main/server/errors.json
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from altnet.common.bus.connect import Bus, Message
from altnet.common.errors import UNREADABLE, Unavailable

STREAM_NOT_FOUND: Final = 10059
DUPLICATE_IN_BATCH: Final = 10201


class JetStreamError(Unavailable):
    """The server refused a JetStream request; `number` is its own error number."""

    def __init__(self, number: int, detail: str) -> None:
        super().__init__("jetstream", f"JetStream refused: {detail} ({number}).")
        self.number = number


class _Error(msgspec.Struct):
    err_code: int = 0
    description: str = ""


class PublishAck(msgspec.Struct, frozen=True):
    """What the server says about a stored message. `seq` is the last one's in a batch."""

    stream: str = ""
    seq: int = 0
    duplicate: bool = False
    batch: str = ""
    count: int = 0
    error: _Error | None = None


async def call(bus: Bus, verb: str, request: object = None, *, timeout: float | None = None) -> Mapping[str, Any]:
    """Call `$JS.API.<verb>`. Raises `JetStreamError`, and what `Bus.request` raises."""
    payload = b"" if request is None else msgspec.json.encode(request)
    answer = await bus.request(f"$JS.API.{verb}", payload, timeout=timeout)
    try:
        said = msgspec.json.decode(answer.data, type=dict[str, Any])
    except UNREADABLE as error:
        raise Unavailable("jetstream", f"{verb} was answered with something else: {error}.") from None
    if "error" in said:
        raise JetStreamError(int(said["error"].get("err_code", 0)), str(said["error"].get("description", "")))
    return said


async def store(
    bus: Bus, subject: str, payload: bytes, *, headers: Mapping[str, str] | None = None, timeout: float | None = None
) -> PublishAck:
    """Publish to a stream and return once it is stored. Raises `JetStreamError`, and what `Bus.request` raises."""
    return acknowledged(await bus.request(subject, payload, headers=headers, timeout=timeout))


def acknowledged(answer: Message) -> PublishAck:
    """Read an acknowledgement. Raises `JetStreamError`, `Unavailable`."""
    try:
        ack = msgspec.json.decode(answer.data, type=PublishAck)
    except UNREADABLE as error:
        raise Unavailable("jetstream", f"a message was acknowledged with something else: {error}.") from None
    if ack.error is not None:
        raise JetStreamError(ack.error.err_code, ack.error.description)
    return ack
