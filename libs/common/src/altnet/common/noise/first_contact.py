"""The shared secret of a first contact, from a one-time join token.

The registry keeps only SHA-256 of a token's text (160 random bits), the host has the text: both have the hash, so the
psk is derived from that. The host's nkey and its identity key go in too, so that hosts that share a token of several
uses do not share a psk, and a psk says which identity key the token let in.

Invariant: the psk never leaves but for the service that the host makes contact with, and sealed for that one.
"""

from __future__ import annotations

import hashlib
from typing import Final

from altnet.common.keys import PublicKey
from altnet.common.noise.engine import PSK_BYTES
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_LABEL: Final = b"altnet-first-contact-v1\0"


def token_digest(text: str) -> bytes:
    """What the registry keeps of a join token."""
    return hashlib.sha256(text.encode()).digest()


def psk_of(digest: bytes, *, nkey: str, identity: PublicKey) -> bytes:
    """32 bytes: HKDF-SHA256 (RFC 5869) over the token's digest, bound to the host's nkey and X25519 identity."""
    info = _LABEL + identity.raw + nkey.encode()
    return HKDF(algorithm=SHA256(), length=PSK_BYTES, salt=None, info=info).derive(digest)


def seal_context(relay: str) -> bytes:
    """What the sealed psk is for (`altnet.common.seal`)."""
    return _LABEL + relay.encode()


def query_bytes(relay: str, to: str) -> bytes:
    """What keyd signs with its nkey when it asks the registry for a psk, to be sealed for the key `to`."""
    return b"altnet-first-contact-query-v1\0" + relay.encode() + b"\0" + to.encode()


def answer_bytes(relay: str, to: str, identity: str, sealed: str) -> bytes:
    """What the registry signs with its nkey when it answers."""
    return b"altnet-first-contact-answer-v1\0" + b"\0".join(part.encode() for part in (relay, to, identity, sealed))
