"""What two relay agents say to each other while they agree on WireGuard's pre-shared key for their pair.

Core messages on `alt.v1.pair.<network>.<to>.<from>`, where the server guards the last token. Any of them may be lost,
repeated, late or out of order; each is signed by its sender's identity, and nothing in one is secret: public keys, a
KEM's ciphertext, MACs. The protocol is in docs/architecture.md (section 8) and the agent's `psk/` package.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

import msgspec

PURPOSE: Final = b"altnet-preshared-key-v1"
"""Of the signatures."""
LARGEST_MESSAGE: Final = 8_192
"""Bytes; an offer, the largest one, has about 2,300."""
KEM_PUBLIC_BYTES: Final = 1_184
KEM_CIPHERTEXT_BYTES: Final = 1_088
"""Of ML-KEM-768 (FIPS 203)."""

Bytes16 = Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]
Bytes32 = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
KeyId = Annotated[bytes, msgspec.Meta(max_length=16)]
"""Names a key and tells nothing of it; empty for no key."""


class Offer(msgspec.Struct, frozen=True, kw_only=True, tag="offer"):
    """The pair's initiator begins."""

    exchange: Bytes16
    context: Bytes32
    """SHA-256 over whom and what it is for, as the sender knows them."""
    ephemeral: Bytes32
    """X25519."""
    kem: Annotated[bytes, msgspec.Meta(min_length=KEM_PUBLIC_BYTES, max_length=KEM_PUBLIC_BYTES)]
    """ML-KEM-768."""
    drop: bool = False
    """The pair is to have no pre-shared key from now on."""
    has: KeyId = b""
    """Which one the sender goes by."""


class Answer(msgspec.Struct, frozen=True, kw_only=True, tag="answer"):
    """The responder holds the new key."""

    exchange: Bytes16
    ephemeral: Bytes32
    ciphertext: Annotated[bytes, msgspec.Meta(min_length=KEM_CIPHERTEXT_BYTES, max_length=KEM_CIPHERTEXT_BYTES)]
    mac: Bytes32


class Confirm(msgspec.Struct, frozen=True, kw_only=True, tag="confirm"):
    """The initiator holds it too."""

    exchange: Bytes16
    mac: Bytes32


class Installed(msgspec.Struct, frozen=True, kw_only=True, tag="installed"):
    """The responder's devices have it."""

    exchange: Bytes16
    mac: Bytes32


class Done(msgspec.Struct, frozen=True, kw_only=True, tag="done"):
    """The initiator's devices have it."""

    exchange: Bytes16
    mac: Bytes32


class Acknowledged(msgspec.Struct, frozen=True, kw_only=True, tag="acknowledged"):
    """The responder has forgotten the key of before."""

    exchange: Bytes16
    mac: Bytes32


class Refusal(StrEnum):
    """Why an exchange does not go on."""

    POLICY = "policy"
    """The responder's mesh says something else about pre-shared keys."""
    CONTEXT = "context"
    """The two know different keys or epochs of each other: one is behind."""
    ROLE = "role"
    """The responder takes itself for the initiator."""
    UNKNOWN = "unknown"
    """The responder does not hold the key of this exchange, and never will: it was rolled back, or forgotten."""


class Refused(msgspec.Struct, frozen=True, kw_only=True, tag="refused"):
    exchange: Bytes16
    why: Refusal


class Look(msgspec.Struct, frozen=True, kw_only=True, tag="look"):
    """The responder says which key it goes by. A hint: where it is another one, the initiator begins anew."""

    has: KeyId


PairWord = Offer | Answer | Confirm | Installed | Done | Acknowledged | Refused | Look


class PairMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A word between two agents, as JSON, and the sender's Ed25519 signature over who says it to whom and it."""

    word: Annotated[str, msgspec.Meta(max_length=LARGEST_MESSAGE)]
    signature: Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]
