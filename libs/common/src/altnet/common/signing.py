"""Ed25519 keys and signatures (RFC 8032), and fingerprints that people compare.

A signature is always over a purpose line and the content, so that one made for a purpose never fits another. A
fingerprint is 160 bits of SHA-256 over an identity's public keys, in base32 (RFC 4648 section 6) in groups of four:
`4JQX 2M7B …`, read out over a telephone in half a minute. Spaces and case do not count.

Invariant: a signing key never shows itself; `reveal()` is the only way to its bytes.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from typing import Final

from altnet.common.errors import Invalid
from altnet.common.ids import Randomness
from altnet.common.keys import KEY_BYTES, PublicKey
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SIGNATURE_BYTES: Final = 64
_FIELD: Final = 2**255 - 19
_SMALL_ORDER: Final = frozenset(
    {
        0,
        1,
        _FIELD - 1,
        2707385501144840649318225287225658788936804267575313519463743609750303402022,
        _FIELD - 2707385501144840649318225287225658788936804267575313519463743609750303402022,
    }
)
"""The y of the eight points whose order divides 8, in pairs of one y."""
_FINGERPRINT: Final = b"altnet-fingerprint-v1\0"


@dataclass(frozen=True)
class VerifyKey:
    """A public Ed25519 key, 32 bytes, base64 on the wire."""

    raw: bytes

    def __post_init__(self) -> None:
        if len(self.raw) != KEY_BYTES:
            raise ValueError("a key has 32 bytes")

    @classmethod
    def parse(cls, text: str, *, field: str | None = None) -> VerifyKey:
        """Read canonical base64. Raises `Invalid` (`bad_signing_key`), also for a key that proves nothing."""
        raw = _decode(text, field=field)
        if proves_nothing(raw):
            raise Invalid("bad_signing_key", "anybody can sign for this key.", field=field, mend="Make another.")
        return cls(raw)

    @property
    def base64(self) -> str:
        return base64.b64encode(self.raw).decode()

    def verifies(self, signature: bytes, *, purpose: bytes, content: bytes) -> bool:
        """Whether the key's owner signed the content for this purpose."""
        if proves_nothing(self.raw):
            return False
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, purpose + b"\0" + content)
        except (InvalidSignature, ValueError):
            return False
        return True

    def __str__(self) -> str:
        return self.base64


@dataclass(frozen=True)
class SigningKey:
    """A private Ed25519 key."""

    _raw: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self._raw) != KEY_BYTES:
            raise ValueError("a signing key has 32 bytes")

    @classmethod
    def generate(cls, randomness: Randomness = secrets.token_bytes) -> SigningKey:
        return cls(randomness(KEY_BYTES))

    @classmethod
    def parse(cls, text: str, *, field: str | None = None) -> SigningKey:
        """Read canonical base64. Raises `Invalid` (`bad_signing_key`), which never repeats the text."""
        return cls(_decode(text, field=field))

    def public(self) -> VerifyKey:
        return VerifyKey(Ed25519PrivateKey.from_private_bytes(self._raw).public_key().public_bytes_raw())

    def sign(self, content: bytes, *, purpose: bytes) -> bytes:
        """64 bytes. `purpose` has no zero byte."""
        return Ed25519PrivateKey.from_private_bytes(self._raw).sign(purpose + b"\0" + content)

    def reveal(self) -> bytes:
        """The 32 bytes, for a file of mode 0600 or an envelope, and for nothing else."""
        return self._raw

    def __repr__(self) -> str:
        return "SigningKey(<hidden>)"

    __str__ = __repr__


def proves_nothing(public: bytes) -> bool:
    """Whether the 32 bytes of a public key have no owner: a point of small order, or a second spelling of a point.

    For the former anybody finds a signature over any text, as OpenSSL verifies (without the cofactor, and it takes
    such keys); the latter would be two names of one key.
    """
    y = int.from_bytes(public, "little") & ((1 << 255) - 1)
    return y >= _FIELD or y in _SMALL_ORDER


def fingerprint(static: PublicKey, signing: VerifyKey | None) -> str:
    """Of an identity: its X25519 key and, once it has shown one, its Ed25519 key. 8 groups of 4."""
    digest = hashlib.sha256(_FINGERPRINT + static.raw + (signing.raw if signing is not None else b"")).digest()
    text = base64.b32encode(digest[:20]).decode()
    return " ".join(text[at : at + 4] for at in range(0, len(text), 4))


def same_fingerprint(one: str, other: str) -> bool:
    """Compare as people write them."""
    return hmac.compare_digest(_plain(one), _plain(other))


def _plain(text: str) -> bytes:
    return "".join(text.split()).replace("-", "").upper().encode()


def _decode(text: str, *, field: str | None) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != KEY_BYTES or base64.b64encode(raw).decode() != text:
        raise Invalid(
            "bad_signing_key", "not an Ed25519 key: 32 bytes in base64 (44 characters) are expected.", field=field
        )
    return raw
