"""The key of a pair out of one exchange: X25519 and ML-KEM-768, HKDF, MACs. Pure but for randomness.

    secret  = X25519(ephemeral, ephemeral) || ML-KEM-768 secret
    output  = HKDF-SHA256(secret, salt = context, info = label || transcript), 112 bytes:
              the pre-shared key, a MAC key for each side, the key's name
    context = SHA-256 over the network, both relays, their identities, their mesh keys and epochs

The transcript is SHA-256 over the signed offer and the answer's public parts, so each byte that either side said, and
who both are, is in the key. Whoever breaks only one of the two exchanges has nothing. Signatures (wire.py) say who
speaks; the MACs show that the speaker holds the key.

Leaves out what is done with it (pair.py). Invariant: no secret shows in a repr, and a public part never enters the
key as if it were secret.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from altnet.common.contracts.preshared import Answer, Offer
from altnet.common.keys import PrivateKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_LABEL: Final = b"altnet-preshared-key-v1\0"
PSK_BYTES: Final = 32
ID_BYTES: Final = 16


@dataclass(frozen=True, kw_only=True)
class Side:
    """One relay of a pair, as the mesh describes it. Public."""

    relay: str
    static: bytes
    """X25519, of its identity."""
    signing: bytes
    """Ed25519, of its identity."""
    mesh_key: bytes
    epoch: int


@dataclass(frozen=True, kw_only=True)
class Context:
    """Whom and what a key is for."""

    network: str
    initiator: Side
    responder: Side

    @property
    def digest(self) -> bytes:
        parts: list[bytes] = [self.network.encode()]
        for side in (self.initiator, self.responder):
            parts += [side.relay.encode(), side.static, side.signing, side.mesh_key, str(side.epoch).encode()]
        return _hash(b"context", *parts)

    @property
    def identities(self) -> bytes:
        """Of the two hosts alone: a key stays theirs while mesh keys change."""
        parts: list[bytes] = [self.network.encode()]
        for side in (self.initiator, self.responder):
            parts += [side.relay.encode(), side.static, side.signing]
        return _hash(b"identities", *parts)


@dataclass(frozen=True, kw_only=True)
class Derived:
    """What one exchange gives."""

    transcript: bytes
    id: bytes
    psk: bytes = field(repr=False)
    initiator_mac: bytes = field(repr=False)
    responder_mac: bytes = field(repr=False)

    def mac(self, what: str, *, initiator: bool) -> bytes:
        """That the side holds the key and means `what`."""
        key = self.initiator_mac if initiator else self.responder_mac
        return hmac.digest(key, what.encode() + b"\0" + self.transcript, "sha256")

    def shows(self, mac: bytes, what: str, *, initiator: bool) -> bool:
        return hmac.compare_digest(mac, self.mac(what, initiator=initiator))


@dataclass(frozen=True)
class Ephemeral:
    """The initiator's secrets of one exchange; in memory only."""

    exchange: bytes
    x25519: PrivateKey
    kem: MLKEM768PrivateKey = field(repr=False)

    @classmethod
    def make(cls, randomness: Callable[[int], bytes]) -> Ephemeral:
        seed = MLKEM768PrivateKey.from_seed_bytes(randomness(64))
        return cls(randomness(16), PrivateKey.generate(randomness), seed)

    @property
    def public(self) -> tuple[bytes, bytes]:
        return self.x25519.public().raw, self.kem.public_key().public_bytes_raw()


def answer_to(offer: Offer, offered: bytes, *, randomness: Callable[[int], bytes]) -> tuple[Answer, Derived]:
    """The responder's part; `offered` is the offer as it was signed. Raises `ValueError` where its keys are none."""
    ours = PrivateKey.generate(randomness)
    kem = MLKEM768PublicKey.from_public_bytes(offer.kem)
    shared, ciphertext = kem.encapsulate()
    public = ours.public().raw
    derived = _derive(
        _agree(ours, offer.ephemeral) + shared,
        context=offer.context,
        transcript=_transcript(offered, offer.exchange, public, ciphertext),
    )
    mac = derived.mac("answer", initiator=False)
    return Answer(exchange=offer.exchange, ephemeral=public, ciphertext=ciphertext, mac=mac), derived


def opened(answer: Answer, offered: bytes, ephemeral: Ephemeral, *, context: bytes) -> Derived | None:
    """The initiator's part; None where the answer does not show the key. Raises `ValueError` like `answer_to`."""
    shared = ephemeral.kem.decapsulate(answer.ciphertext)
    derived = _derive(
        _agree(ephemeral.x25519, answer.ephemeral) + shared,
        context=context,
        transcript=_transcript(offered, answer.exchange, answer.ephemeral, answer.ciphertext),
    )
    return derived if derived.shows(answer.mac, "answer", initiator=False) else None


def _agree(private: PrivateKey, public: bytes) -> bytes:
    # A point of small order raises ValueError.
    return X25519PrivateKey.from_private_bytes(private.reveal()).exchange(X25519PublicKey.from_public_bytes(public))


def _transcript(offered: bytes, exchange: bytes, ephemeral: bytes, ciphertext: bytes) -> bytes:
    return _hash(b"transcript", offered, exchange, ephemeral, ciphertext)


def _derive(secret: bytes, *, context: bytes, transcript: bytes) -> Derived:
    length = 3 * PSK_BYTES + ID_BYTES
    made = HKDF(algorithm=SHA256(), length=length, salt=context, info=_LABEL + transcript).derive(secret)
    psk, initiator, responder, name = made[:32], made[32:64], made[64:96], made[96:]
    return Derived(transcript=transcript, id=name, psk=psk, initiator_mac=initiator, responder_mac=responder)


def _hash(what: bytes, *parts: bytes) -> bytes:
    digest = hashlib.sha256(_LABEL + what + b"\0")
    for part in parts:
        digest.update(len(part).to_bytes(4, "big") + part)
    return digest.digest()
