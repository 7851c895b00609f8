"""Private keys at rest: each under a key of its own (AES-256-GCM), and that one under the key-encryption key.

    version 1 | nonce 12 | wrapped data key 32 + 16 | nonce 12 | private key 32 + 16

Both layers authenticate what the key is (its use and public part), so a row's secret cannot be put under another
name. A new key-encryption key rewraps 48 bytes and leaves the rest.

Invariant: what is inside shows in no error.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass, field
from typing import Final

from altnet.common.errors import Invalid, Unavailable
from altnet.common.ids import Randomness
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES: Final = 32
_VERSION: Final = b"\x01"
_NONCE: Final = 12
_WRAPPED: Final = KEY_BYTES + 16
_LABEL: Final = b"altnet-keyd-envelope-v1\0"


@dataclass(frozen=True)
class EncryptionKey:
    """The key-encryption key: 32 bytes, from outside the database."""

    _raw: bytes = field(repr=False)

    @classmethod
    def parse(cls, text: str, *, field: str) -> EncryptionKey:
        """Read base64. Raises `Invalid` (`bad_key_encryption_key`), which never repeats the text."""
        try:
            raw = base64.b64decode(text.strip(), altchars=b"-_" if {"-", "_"} & set(text) else None, validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        if len(raw) != KEY_BYTES:
            raise Invalid(
                "bad_key_encryption_key",
                "not a key-encryption key: 32 random bytes in base64 are expected.",
                field=field,
                mend="Make one with `openssl rand -base64 32`; a lost one cannot be replaced, so keep a copy.",
            )
        return cls(raw)

    @property
    def id(self) -> str:
        """Says which key wrapped a row; 64 bits of a hash."""
        return hashlib.sha256(b"altnet-keyd-kek-id\0" + self._raw).hexdigest()[:16]

    def seal(self, private: bytes, *, about: bytes, randomness: Randomness) -> bytes:
        """An envelope around a private key."""
        data_key, outer, inner = randomness(KEY_BYTES), randomness(_NONCE), randomness(_NONCE)
        wrapped = AESGCM(self._raw).encrypt(outer, data_key, _LABEL + about)
        return _VERSION + outer + wrapped + inner + AESGCM(data_key).encrypt(inner, private, _LABEL + about)

    def open(self, envelope: bytes, *, about: bytes) -> bytes:
        """The private key. Raises `Unavailable` (`keys_sealed`)."""
        data_key, rest = self._unwrap(envelope, about)
        try:
            return AESGCM(data_key).decrypt(rest[:_NONCE], rest[_NONCE:], _LABEL + about)
        except InvalidTag:
            raise _sealed() from None

    def rewrap(self, envelope: bytes, *, about: bytes, by: EncryptionKey, randomness: Randomness) -> bytes:
        """The same private key under the key-encryption key `by`. Raises `Unavailable` (`keys_sealed`)."""
        data_key, rest = self._unwrap(envelope, about)
        outer = randomness(_NONCE)
        return _VERSION + outer + AESGCM(by._raw).encrypt(outer, data_key, _LABEL + about) + rest

    def _unwrap(self, envelope: bytes, about: bytes) -> tuple[bytes, bytes]:
        head = len(_VERSION) + _NONCE
        if envelope[: len(_VERSION)] != _VERSION or len(envelope) <= head + _WRAPPED + _NONCE:
            raise _sealed()
        try:
            data_key = AESGCM(self._raw).decrypt(
                envelope[len(_VERSION) : head], envelope[head : head + _WRAPPED], _LABEL + about
            )
        except InvalidTag:
            raise _sealed() from None
        return data_key, envelope[head + _WRAPPED :]

    def __repr__(self) -> str:
        return f"EncryptionKey(id={self.id})"


def about(use: str, key: str) -> bytes:
    """What an envelope is about: a key's use and its public part."""
    return f"{use}\0{key}".encode()


def _sealed() -> Unavailable:
    return Unavailable(
        "keys_sealed",
        "keyd's private keys do not open with this key-encryption key.",
        mend="Give keyd the key that they were sealed with (docs/operations.md), or restore both from one backup.",
    )
