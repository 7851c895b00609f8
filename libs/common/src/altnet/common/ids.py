"""Identifiers: opaque, prefixed, sortable by time of creation.

`rly_06f3k…`: three letters that name the kind, an underscore, and a UUIDv7 (RFC 9562 §5.7) in 26 characters of
lower-case Crockford base32. They contain only characters that are legal in a NATS subject token, a KV key
(ADR-6) and a URL path, so no place needs to escape them.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from datetime import datetime
from typing import Final, NewType

from altnet.common.errors import Invalid

NetworkId = NewType("NetworkId", str)
RelayId = NewType("RelayId", str)
ClientId = NewType("ClientId", str)
ServiceId = NewType("ServiceId", str)
SiteId = NewType("SiteId", str)
PeeringId = NewType("PeeringId", str)
JoinTokenId = NewType("JoinTokenId", str)
ApiTokenId = NewType("ApiTokenId", str)
EventId = NewType("EventId", str)
RequestId = NewType("RequestId", str)
RotationId = NewType("RotationId", str)

NETWORK: Final = "net"
RELAY: Final = "rly"
CLIENT: Final = "cli"
SERVICE: Final = "svc"
SITE: Final = "sit"
PEERING: Final = "prg"
JOIN_TOKEN: Final = "jtk"
API_TOKEN: Final = "atk"
EVENT: Final = "evt"
REQUEST: Final = "req"
ROTATION: Final = "rot"
REVOCATION: Final = "rvk"

KINDS: Final = {
    NETWORK: "network",
    RELAY: "relay",
    CLIENT: "client",
    SERVICE: "service",
    SITE: "site",
    PEERING: "peering",
    JOIN_TOKEN: "join token",
    API_TOKEN: "API token",
    EVENT: "event",
    REQUEST: "request",
    ROTATION: "rotation",
    REVOCATION: "revocation",
}

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_SHAPE: Final = re.compile(r"^[a-z]{3}_[0-7][0-9a-hjkmnp-tv-z]{25}$")

Randomness = Callable[[int], bytes]
"""Gives that many random bytes; `secrets.token_bytes` outside tests."""


def new_id(kind: str, now: datetime, randomness: Randomness = secrets.token_bytes) -> str:
    """Make an identifier of `kind` (one of `KINDS`) for something created at `now`."""
    if kind not in KINDS:
        raise ValueError(f"unknown kind of identifier: {kind}")
    milliseconds = int(now.timestamp() * 1000)
    noise = int.from_bytes(randomness(10), "big")
    number = (milliseconds & (2**48 - 1)) << 80
    number |= 0x7 << 76 | ((noise >> 62) & 0xFFF) << 64
    number |= 0b10 << 62 | noise & (2**62 - 1)
    return f"{kind}_{_base32(number)}"


def check_id(kind: str, text: str, *, field: str | None = None) -> str:
    """Return `text` if it has the shape of an identifier of `kind`.

    Raises `Invalid` (`bad_id`) otherwise. Whether such a thing exists is another question.
    """
    if text[:3] != kind or not _SHAPE.match(text):
        raise Invalid(
            "bad_id",
            f"not the identifier of a {KINDS[kind]}.",
            field=field,
            mend=f"It looks like {kind}_ followed by 26 characters; copy it whole from a listing.",
        )
    return text


def _base32(number: int) -> str:
    return "".join(_ALPHABET[(number >> shift) & 31] for shift in range(125, -1, -5))
