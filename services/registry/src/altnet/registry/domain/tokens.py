"""Join tokens: secrets that let a relay or a client in. API tokens are `altnet.common.http.tokens`'.

`altj_<id>_<secret>`: the prefix lets secret scanners find it, the id lets us look up one row, and the secret is 160
random bits, so that a plain SHA-256 is a safe thing to store (nothing can be guessed, hence no slow hash is needed).

Invariant: a secret is in the answer of the request that made it and nowhere else.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from altnet.common.errors import Invalid
from altnet.common.ids import JOIN_TOKEN

PREFIX: Final = "altj"
SECRET_BYTES: Final = 20


class TokenKind(StrEnum):
    """What a join token lets in."""

    RELAY = "relay"
    CLIENT = "client"


@dataclass(frozen=True)
class PresentedToken:
    """A token as somebody shows it: whose row to look up, and what its hash must be."""

    id: str
    digest: bytes = field(repr=False)

    def proves(self, stored: bytes) -> bool:
        """Compare in constant time."""
        return hmac.compare_digest(self.digest, stored)


def make_token(token_id: str, randomness: Callable[[int], bytes] = secrets.token_bytes) -> tuple[str, bytes]:
    """The text to hand out and the hash to keep. `token_id` is `jtk_…`."""
    secret = base64.b32encode(randomness(SECRET_BYTES)).decode().lower()
    text = f"{PREFIX}_{token_id.partition('_')[2]}_{secret}"
    return text, hashlib.sha256(text.encode()).digest()


def read_token(text: str, *, field: str = "/token") -> PresentedToken:
    """Take a shown token apart. Raises `Invalid` (`bad_join_token`)."""
    parts = text.split("_")
    if len(text) > 200 or len(parts) != 3 or parts[0] != PREFIX or len(parts[1]) != 26 or not parts[2]:
        raise Invalid("bad_join_token", "this is not a join token.", field=field, mend="Copy it whole: altj_…_….")
    return PresentedToken(id=f"{JOIN_TOKEN}_{parts[1]}", digest=hashlib.sha256(text.encode()).digest())


class TokenVerdict(StrEnum):
    """Whether a join token may be used now."""

    USABLE = "usable"
    USED = "used"
    EXPIRED = "expired"
    REVOKED = "revoked"


def judge(*, uses_left: int, expires_at: datetime, revoked: bool, now: datetime) -> TokenVerdict:
    """Revocation counts before expiry, and expiry before use: the strongest reason is the one that is told."""
    if revoked:
        return TokenVerdict.REVOKED
    if now >= expires_at:
        return TokenVerdict.EXPIRED
    if uses_left <= 0:
        return TokenVerdict.USED
    return TokenVerdict.USABLE
