"""Key material as value types.

A `PublicKey` is 32 bytes of a Curve25519 point, written in base64 on the wire and in hex on WireGuard's UAPI
socket. A `PrivateKey` never shows itself: not in repr, not in str, not in a format string. Private keys are made
where they are used and never leave (docs/invariants.md).

Keys here are WireGuard's (X25519, RFC 7748). NATS nkeys live in `altnet.common.bus.jwt`.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from altnet.common.errors import Invalid
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

KEY_BYTES = 32


@dataclass(frozen=True, order=True)
class PublicKey:
    """A WireGuard public key. Ordered by its bytes, which decides who initiates (docs/architecture.md §6)."""

    raw: bytes

    def __post_init__(self) -> None:
        if len(self.raw) != KEY_BYTES:
            raise ValueError("a public key has 32 bytes")

    @classmethod
    def parse(cls, text: str, *, field: str | None = None) -> PublicKey:
        """Read canonical base64 (44 characters). Raises `Invalid` (`bad_public_key`)."""
        return cls(_decode(text, code="bad_public_key", what="WireGuard public key", field=field))

    @property
    def base64(self) -> str:
        return base64.b64encode(self.raw).decode()

    @property
    def hex(self) -> str:
        return self.raw.hex()

    def __str__(self) -> str:
        return self.base64


@dataclass(frozen=True)
class PrivateKey:
    """A WireGuard private key. `reveal()` is the only way to its bytes, and easy to search for."""

    _raw: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self._raw) != KEY_BYTES:
            raise ValueError("a private key has 32 bytes")

    @classmethod
    def generate(cls, randomness: Callable[[int], bytes] = secrets.token_bytes) -> PrivateKey:
        """Make a key and clamp it as RFC 7748 §5 says, so that it reads back as written."""
        raw = bytearray(randomness(KEY_BYTES))
        raw[0] &= 248
        raw[31] = (raw[31] & 127) | 64
        return cls(bytes(raw))

    @classmethod
    def parse(cls, text: str, *, field: str | None = None) -> PrivateKey:
        """Read canonical base64. Raises `Invalid` (`bad_private_key`), which never repeats the text."""
        return cls(_decode(text, code="bad_private_key", what="WireGuard private key", field=field))

    def public(self) -> PublicKey:
        return PublicKey(X25519PrivateKey.from_private_bytes(self._raw).public_key().public_bytes_raw())

    def reveal(self) -> bytes:
        """The 32 bytes, for the kernel or a file of mode 0600, and for nothing else."""
        return self._raw

    def __repr__(self) -> str:
        return "PrivateKey(<hidden>)"

    __str__ = __repr__


def _decode(text: str, *, code: str, what: str, field: str | None) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    # Canonical only: with stray trailing bits, one key would have several spellings and slip past UNIQUE.
    if len(raw) != KEY_BYTES or base64.b64encode(raw).decode() != text:
        raise Invalid(
            code,
            f"not a {what}: 32 bytes in base64 (44 characters) are expected.",
            field=field,
            mend="Make one with `wg genkey | wg pubkey`.",
        )
    if raw == bytes(KEY_BYTES):
        raise Invalid(code, f"the all-zero {what} is not a key.", field=field)
    return raw
