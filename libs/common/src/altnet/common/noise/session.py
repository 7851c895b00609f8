"""A session: two keys, a counter each way, and an end.

Each record carries its counter, so records may be lost, repeated and reordered (WireGuard's way; Noise section 11.4).
A session is left when it is old or has carried much, and is refused when it is older still; the gap between the two is
for what is under way.

Invariant: a plaintext leaves `open` at most once for each record that the peer sealed, and only if its context fits.
"""

from __future__ import annotations

import struct
from typing import Annotated, Final

import msgspec
from altnet.common.noise import wire
from altnet.common.noise.engine import Keys
from altnet.common.noise.failures import bad_frame, expired, refused, replayed
from altnet.common.noise.window import SIZE, ReplayWindow
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

_nonce: Final = struct.Struct("<4xQ").pack
"""A counter as ChaChaPoly takes it (Noise section 12.3)."""


class SessionLimits(msgspec.Struct, frozen=True, kw_only=True):
    """When a session is replaced and when it ends. Times in seconds."""

    rekey_after: Annotated[float, msgspec.Meta(gt=0)] = 900.0
    """A handshake costs a millisecond: a quarter of an hour bounds what one stolen session key opens."""
    reject_after: Annotated[float, msgspec.Meta(gt=0)] = 1800.0
    """Above the former by more than any request takes."""
    rekey_after_messages: Annotated[int, msgspec.Meta(ge=1, le=2**60)] = 2**20
    """Far below what the cipher bears (WireGuard takes 2^60), and never reached in `rekey_after` by honest use."""
    reject_after_messages: Annotated[int, msgspec.Meta(ge=2, le=2**62)] = 2**20 + 2**16
    window: Annotated[int, msgspec.Meta(ge=64, le=65536)] = SIZE
    """Numbers that may arrive out of order (RFC 6479)."""


class Session:
    """One end of an established channel. Times are monotonic seconds."""

    def __init__(self, id: bytes, keys: Keys, *, limits: SessionLimits, now: float) -> None:
        self.id = id
        self.binding = keys.binding
        """The handshake hash: whatever is authorised in here is bound to it."""
        self.began = now
        self.used = now
        """When a record of the peer was last accepted."""
        self._send = ChaCha20Poly1305(keys.send)
        self._receive = ChaCha20Poly1305(keys.receive)
        self._counter = 0
        self._window = ReplayWindow(limits.window)
        self._limits = limits

    def __repr__(self) -> str:
        return f"Session({self.id.hex()})"

    def stale(self, now: float) -> bool:
        """Whether the initiator should shake hands anew."""
        limits = self._limits
        return self._counter >= limits.rekey_after_messages or now - self.began >= limits.rekey_after

    def over(self, now: float) -> bool:
        """Whether it is refused."""
        limits = self._limits
        return self._counter >= limits.reject_after_messages or now - self.began >= limits.reject_after

    def seal(self, plain: bytes, *, now: float, context: bytes = b"") -> bytes:
        """A record. `context` is authenticated and not sent. Raises `Unauthenticated` (`noise_expired`), `Invalid`."""
        if self.over(now):
            raise expired("is over")
        if len(plain) > wire.LARGEST_PLAINTEXT:
            raise bad_frame(f"would hold {len(plain)} bytes; {wire.LARGEST_PLAINTEXT} are the most")
        counter = self._counter
        self._counter += 1
        header = wire.record_header(self.id, counter)
        return header + self._send.encrypt(_nonce(counter), plain, header + context)

    def open(self, record: wire.Record, *, now: float, context: bytes = b"") -> bytes:
        """What the peer sealed.

        Raises `Unauthenticated`: `noise_unknown_session`, `noise_expired`, `noise_replayed`, `noise_refused`.
        """
        if record.session != self.id:
            raise refused("record")
        limits = self._limits  # what we have sent does not count here: the last request has an answer too
        if record.counter >= limits.reject_after_messages or now - self.began >= limits.reject_after:
            raise expired("is over")
        if not self._window.check(record.counter):
            raise replayed()
        try:
            plain = self._receive.decrypt(_nonce(record.counter), record.ciphertext, record.header + context)
        except InvalidTag:
            raise refused("record") from None
        self._window.mark(record.counter)
        self.used = now
        return plain
