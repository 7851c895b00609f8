"""Sealed texts: readable by the holder of one X25519 key, and by nobody that carries or stores them.

A fresh key pair for each text, Diffie-Hellman with the recipient's key, HKDF-SHA256 over the shared secret and both
public keys, ChaCha20-Poly1305 (the construction of RFC 9180's base mode, without its negotiation). `context` says what
the text is for and whose; a text that was sealed for one purpose does not open for another.

Leaves out who sent it: a seal hides, it does not sign. Invariant: what is inside shows in no error and no repr.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Callable
from typing import Final

from altnet.common.errors import Broken
from altnet.common.keys import KEY_BYTES, PrivateKey, PublicKey
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_LABEL: Final = b"altnet-seal-v1\0"
_NONCE: Final = bytes(12)  # one message a key
_TAG: Final = 16


def seal(
    plain: bytes,
    *,
    to: PublicKey,
    context: bytes,
    randomness: Callable[[int], bytes] = secrets.token_bytes,
) -> str:
    """`plain` for the holder of `to`, base64. Raises `Broken` where `to` is no point that keeps a secret."""
    ours = PrivateKey.generate(randomness)
    cipher = ChaCha20Poly1305(_key(ours, to, ephemeral=ours.public(), recipient=to))
    return base64.b64encode(ours.public().raw + cipher.encrypt(_NONCE, plain, context)).decode()


def unseal(text: str, *, key: PrivateKey, context: bytes) -> bytes:
    """What was sealed for us. Raises `Broken`, the same for every way in which it does not open."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) < KEY_BYTES + _TAG:
        raise _closed()
    ephemeral = PublicKey(raw[:KEY_BYTES])
    try:
        cipher = ChaCha20Poly1305(_key(key, ephemeral, ephemeral=ephemeral, recipient=key.public()))
        return cipher.decrypt(_NONCE, raw[KEY_BYTES:], context)
    except InvalidTag:
        raise _closed() from None


def _key(private: PrivateKey, public: PublicKey, *, ephemeral: PublicKey, recipient: PublicKey) -> bytes:
    try:
        shared = X25519PrivateKey.from_private_bytes(private.reveal()).exchange(
            X25519PublicKey.from_public_bytes(public.raw)
        )
    except ValueError:  # a point of small order
        raise _closed() from None
    info = _LABEL + ephemeral.raw + recipient.raw
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(shared)


def _closed() -> Broken:
    return Broken("sealed text: it is not for this key and this purpose, or was altered")
