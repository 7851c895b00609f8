"""A client announces another key, and proves that it holds that one and the present one.

The secret by which a client asks about itself is no key: whoever has stolen it shall not be able to take over the
client's address. So the registry shows a challenge, the public half of a key pair made for this one change, and the
client answers with what only both its private keys give (X25519, RFC 7748; HKDF, RFC 5869).

Leaves out how it travels (REST). Invariant: a proof fits one client, one change, and one pair of keys.
"""

from __future__ import annotations

import base64
import hmac
from typing import Annotated, Final

import msgspec
from altnet.common.errors import Forbidden
from altnet.common.keys import PrivateKey, PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_LABEL: Final = b"altnet-client-key-v1\0"


class Announced(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `PUT /v1/clients/{id}/next-key`."""

    key: str
    epoch: Annotated[int, msgspec.Meta(ge=1)]
    proof: str


def prove(*, client: str, epoch: int, challenge: PublicKey, present: PrivateKey, following: PrivateKey) -> str:
    """The proof, base64. Raises `Forbidden` where the challenge is no point that keeps a secret."""
    shared = _shared(present, challenge) + _shared(following, challenge)
    return base64.b64encode(_proof(shared, client, epoch, present.public(), following.public())).decode()


def check(
    proof: str, *, client: str, epoch: int, challenge: PrivateKey, present: PublicKey, following: PublicKey
) -> None:
    """Raises `Forbidden` (`bad_key_proof`) where it is not the proof of both keys for this change."""
    shared = _shared(challenge, present) + _shared(challenge, following)
    wanted = base64.b64encode(_proof(shared, client, epoch, present, following)).decode()
    if not hmac.compare_digest(wanted.encode(), proof.encode(errors="replace")):  # JSON may hold half a character
        raise _refused()


def _proof(shared: bytes, client: str, epoch: int, present: PublicKey, following: PublicKey) -> bytes:
    info = _LABEL + msgspec.json.encode((client, epoch, present.base64, following.base64))
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(shared)


def _shared(private: PrivateKey, public: PublicKey) -> bytes:
    try:
        return X25519PrivateKey.from_private_bytes(private.reveal()).exchange(
            X25519PublicKey.from_public_bytes(public.raw)
        )
    except ValueError:  # a point of small order: anybody could know what it gives
        raise _refused() from None


def _refused() -> Forbidden:
    return Forbidden(
        "bad_key_proof",
        "it is not proven that the present key and the new one are held.",
        field="/proof",
        mend="Answer the challenge of GET /v1/clients/{id}/configuration with both private keys.",
    )
