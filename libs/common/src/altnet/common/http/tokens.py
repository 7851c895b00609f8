"""Credentials of operators: short-lived signed tokens, and API tokens that are looked up.

Access tokens are JWTs signed with Ed25519 (RFC 7519, RFC 8037; algorithm name of RFC 9864; type `at+jwt` of RFC 9068),
so every service checks them offline. Keys are named by their thumbprint (RFC 7638), and several are known at once
while they rotate. API tokens are `alt_<id>_<secret>`; only a SHA-256 of them is ever stored, which is enough for
256 random bits.

Invariant: the algorithm is ours to choose, never the token's.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

import msgspec
from altnet.common.clock import Clock
from altnet.common.errors import Unauthenticated
from altnet.common.http.principal import EVERYTHING, Principal, Role, check_scopes
from altnet.common.ids import API_TOKEN, ApiTokenId, Randomness, new_id
from altnet.common.settings import Secret
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

ISSUER: Final = "altnet"
AUDIENCE: Final = "altnet"
ALGORITHM: Final = "Ed25519"
TYPE: Final = "at+jwt"
API_TOKEN_PREFIX: Final = "alt_"
FIELD: Final = "/Authorization"
"""How a problem names the header that the token came in."""

LONGEST_TOKEN: Final = 4096
"""Characters; ours have about 450. Longer ones are refused before any work is spent on them."""
LEEWAY: Final = 5
"""Seconds by which the clocks of two hosts may differ."""

_API_TOKEN: Final = re.compile(r"^alt_([0-7][0-9a-hjkmnp-tv-z]{25})_([A-Za-z0-9_-]{43})$")


@dataclass(frozen=True, kw_only=True)
class IssuedToken:
    """A fresh access token. `text` is shown once and kept nowhere."""

    id: str
    text: Secret
    expires: datetime


class TokenIssuer:
    """Signs access tokens."""

    def __init__(
        self, private_key: Ed25519PrivateKey, clock: Clock, *, randomness: Randomness = secrets.token_bytes
    ) -> None:
        self._key = OKPKey.import_key(private_key)
        self._clock = clock
        self._randomness = randomness

    def replace(self, private_key: Ed25519PrivateKey) -> None:
        """Sign with another key from now on."""
        self._key = OKPKey.import_key(private_key)

    def key_name(self) -> str:
        """The thumbprint (RFC 7638) of the key in use, by which tokens name it."""
        return str(self._key.thumbprint())

    def issue(
        self, subject: str, *, role: Role, lifetime: timedelta, scopes: frozenset[str] = EVERYTHING
    ) -> IssuedToken:
        """A token for `subject`, valid from now for `lifetime`. Raises `Invalid` (`bad_scope`)."""
        now = self._clock.now()
        expires = (now + lifetime).replace(microsecond=0)
        token_id = new_id(API_TOKEN, now, self._randomness)
        header = {"alg": ALGORITHM, "typ": TYPE, "kid": self._key.thumbprint()}
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": subject,
            "jti": token_id,
            "iat": int(now.timestamp()),
            "nbf": int(now.timestamp()),
            "exp": int(expires.timestamp()),
            "role": role.value,
            "scope": " ".join(sorted(check_scopes(scopes))),
        }
        text = jwt.encode(header, claims, self._key, algorithms=[ALGORITHM])
        return IssuedToken(id=token_id, text=Secret(text), expires=expires)


class TokenVerifier:
    """Checks access tokens offline. `revoked` is asked with a token's id."""

    def __init__(
        self,
        public_keys: Iterable[Ed25519PublicKey],
        clock: Clock,
        *,
        revoked: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._clock = clock
        self._revoked = revoked
        self.replace(public_keys)

    def replace(self, public_keys: Iterable[Ed25519PublicKey]) -> None:
        """Believe these keys from now on, and no other."""
        imported = [OKPKey.import_key(key) for key in public_keys]
        self._keys = {key.thumbprint(): key for key in imported}

    def verify(self, text: str) -> Principal:
        """Who holds this token. Raises `Unauthenticated` (`token_invalid`, `token_expired`, `token_revoked`)."""
        key = self._keys.get(_read_header(text).kid)
        if key is None:
            raise _refused()
        try:
            token = jwt.decode(text, key, algorithms=[ALGORITHM])
            self._registry().validate(token.claims)
        except (JoseError, ValueError) as error:
            if isinstance(error, JoseError) and error.error == "expired_token":
                raise _expired() from None
            raise _refused() from None
        principal = _principal(token.claims)
        if self._revoked(principal.token_id):
            raise token_was_revoked()
        return principal

    def _registry(self) -> jwt.JWTClaimsRegistry:
        return jwt.JWTClaimsRegistry(
            now=int(self._clock.now().timestamp()),
            leeway=LEEWAY,
            iss={"essential": True, "value": ISSUER},
            aud={"essential": True, "value": AUDIENCE},
            exp={"essential": True},
            nbf={"essential": True},
            iat={"essential": True},
            sub={"essential": True},
            jti={"essential": True},
            role={"essential": True},
        )


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    alg: Literal["Ed25519"]
    typ: Literal["at+jwt"]
    kid: str


def _read_header(text: str) -> _Header:
    """The header, if it is as ours are. Nothing else reaches the library, which trips over odd ones."""
    if len(text) > LONGEST_TOKEN:
        raise _refused()
    first = text.partition(".")[0]
    try:
        raw = base64.b64decode(first + "=" * (-len(first) % 4), altchars=b"-_", validate=True)
        return msgspec.json.decode(raw, type=_Header)
    except ValueError:  # of base64, of msgspec, and of text that is not ASCII
        raise _refused() from None


def _principal(claims: dict[str, Any]) -> Principal:
    role, scope = claims["role"], claims.get("scope", "")
    if role not in Role.__members__.values() or not isinstance(scope, str):
        raise _refused()
    return Principal(id=claims["sub"], role=Role(role), scopes=frozenset(scope.split()), token_id=claims["jti"])


@dataclass(frozen=True, kw_only=True)
class StoredApiToken:
    """What a service keeps of an API token."""

    id: ApiTokenId
    digest: bytes
    principal: str
    role: Role
    scopes: frozenset[str]
    expires: datetime
    revoked: bool = False


@dataclass(frozen=True, kw_only=True)
class NewApiToken:
    """A fresh API token: `text` for its holder, shown once; `digest` for the database."""

    id: ApiTokenId
    text: Secret
    digest: bytes


LookUp = Callable[[ApiTokenId], Awaitable[StoredApiToken | None]]
"""Finds a stored API token by its id; asked for every request, so that a revocation holds at once."""


def new_api_token(clock: Clock, randomness: Randomness = secrets.token_bytes) -> NewApiToken:
    """Make an API token with 256 random bits."""
    token_id = ApiTokenId(new_id(API_TOKEN, clock.now(), randomness))
    secret = base64.urlsafe_b64encode(randomness(32)).rstrip(b"=").decode()
    text = f"{API_TOKEN_PREFIX}{token_id.removeprefix(API_TOKEN + '_')}_{secret}"
    return NewApiToken(id=token_id, text=Secret(text), digest=hashlib.sha256(text.encode()).digest())


def is_api_token_id(text: str) -> bool:
    """Whether this principal is an API token."""
    return text.startswith(f"{API_TOKEN}_")


async def check_api_token(text: str, look_up: LookUp, *, clock: Clock) -> Principal:
    """Who holds this API token. Raises `Unauthenticated`, with one answer for an unknown id and a wrong secret."""
    shape = _API_TOKEN.match(text)
    if shape is None:
        raise _refused()
    stored = await look_up(ApiTokenId(f"{API_TOKEN}_{shape.group(1)}"))
    digest = hashlib.sha256(text.encode()).digest()
    same = hmac.compare_digest(digest, stored.digest if stored is not None else bytes(32))
    if stored is None or not same:
        raise _refused()
    if stored.revoked:
        raise token_was_revoked()
    if clock.now() >= stored.expires:
        raise _expired()
    return Principal(id=stored.principal, role=stored.role, scopes=stored.scopes, token_id=stored.id)


def _refused() -> Unauthenticated:
    return Unauthenticated("token_invalid", "The token is not valid here.", field=FIELD, mend="Ask for a new one.")


def _expired() -> Unauthenticated:
    return Unauthenticated("token_expired", "The token has expired.", field=FIELD, mend="Ask for a new one.")


def token_was_revoked() -> Unauthenticated:
    return Unauthenticated("token_revoked", "The token has been revoked.", field=FIELD, mend="Ask for a new one.")
