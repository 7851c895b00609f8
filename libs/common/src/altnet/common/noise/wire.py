"""The frames of the channel: fixed sizes wherever possible, so that reading one is a comparison of lengths.

    hello     01 | pattern 1 | static 8 | Noise message 1, without payload: 96
    welcome   02 | Noise message 2, with session 8 and replica 8 inside: 64
    record    03 | session 8 | counter 8 | ciphertext with its tag

`static` names which of the responder's keys the initiator uses. Numbers are big endian.

Invariant: a frame either reads in full or raises `Invalid` (`noise_bad_frame`).
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import Final, NamedTuple

from altnet.common.keys import PublicKey
from altnet.common.noise.engine import Pattern
from altnet.common.noise.failures import bad_frame

ID_BYTES: Final = 8
COUNTER_BYTES: Final = 8
TAG_BYTES: Final = 16
LARGEST_PLAINTEXT: Final = 64 * 1024
"""Bytes in one record: far above any request, far below what the bus carries."""
_HELLO, _WELCOME, _RECORD = b"\x01", b"\x02", b"\x03"
_MESSAGE_1: Final = 32 + 32 + TAG_BYTES + TAG_BYTES
_MESSAGE_2: Final = 32 + 2 * ID_BYTES + TAG_BYTES
HEADER_BYTES: Final = 1 + ID_BYTES + COUNTER_BYTES
_HEADER: Final = struct.Struct(f">c{ID_BYTES}sQ")
_SMALLEST_RECORD: Final = HEADER_BYTES + TAG_BYTES
LARGEST_FRAME: Final = HEADER_BYTES + LARGEST_PLAINTEXT + TAG_BYTES

_PATTERNS: Final = {1: Pattern.IK, 2: Pattern.IKPSK2}
_NUMBERS: Final = {pattern: number for number, pattern in _PATTERNS.items()}


@dataclass(frozen=True, kw_only=True)
class Hello:
    """An initiator's first message."""

    pattern: Pattern
    static: bytes
    message: bytes

    def pack(self) -> bytes:
        return _HELLO + bytes([_NUMBERS[self.pattern]]) + self.static + self.message


class Record(NamedTuple):
    """A sealed message. `header` is authenticated with it. A tuple, since there is one for each message."""

    session: bytes
    counter: int
    header: bytes
    ciphertext: bytes


def static_id(key: PublicKey) -> bytes:
    """A name of eight bytes for a responder's static key; it selects a key and proves nothing."""
    return hashlib.blake2s(key.raw, digest_size=ID_BYTES, person=b"altstat1").digest()


def read_hello(frame: bytes) -> Hello:
    if len(frame) != 2 + ID_BYTES + _MESSAGE_1 or frame[:1] != _HELLO or frame[1] not in _PATTERNS:
        raise bad_frame("is no hello")
    return Hello(pattern=_PATTERNS[frame[1]], static=frame[2 : 2 + ID_BYTES], message=frame[2 + ID_BYTES :])


def pack_welcome(message: bytes) -> bytes:
    return _WELCOME + message


def read_welcome(frame: bytes) -> bytes:
    """The Noise message inside."""
    if len(frame) != 1 + _MESSAGE_2 or frame[:1] != _WELCOME:
        raise bad_frame("is no welcome")
    return frame[1:]


def record_header(session: bytes, counter: int) -> bytes:
    return _HEADER.pack(_RECORD, session, counter)


def read_record(frame: bytes) -> Record:
    if not _SMALLEST_RECORD <= len(frame) <= LARGEST_FRAME or frame[:1] != _RECORD:
        raise bad_frame("is no record")
    _, session, counter = _HEADER.unpack_from(frame)
    return Record(session, counter, frame[:HEADER_BYTES], frame[HEADER_BYTES:])
