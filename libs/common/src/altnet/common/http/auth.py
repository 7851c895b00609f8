"""Authentication of requests, and the parameters by which handlers say whom they serve.

    async def create_relay(who: RequireAdmin, …)

states the role in the signature; the scope follows from the route (`<tag>:read` for GET, `<tag>:write` for the rest),
so that no route can forget it. The credentials themselves are in `tokens`, roles and scopes in `principal`.

Invariant: a principal comes from a checked credential only, never from anything else in the request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Final, Protocol, cast

from altnet.common import log
from altnet.common.clock import Clock
from altnet.common.errors import Forbidden, Unauthenticated, Unavailable
from altnet.common.http import routes
from altnet.common.http.principal import EVERYTHING, Principal, Role, check_scopes
from altnet.common.http.tokens import (
    API_TOKEN_PREFIX,
    FIELD,
    IssuedToken,
    LookUp,
    NewApiToken,
    StoredApiToken,
    TokenIssuer,
    TokenVerifier,
    check_api_token,
    is_api_token_id,
    new_api_token,
    token_was_revoked,
)
from altnet.common.ids import ApiTokenId
from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import Request
from starlette.types import Scope

__all__ = [
    "DECLARED",
    "EVERYTHING",
    "Authenticator",
    "ChainAuthenticator",
    "IssuedToken",
    "JwtAuthenticator",
    "LookUp",
    "NewApiToken",
    "Principal",
    "RequireAdmin",
    "RequireAgent",
    "RequireAuditor",
    "RequireOwner",
    "Role",
    "StoredApiToken",
    "TokenIssuer",
    "TokenVerifier",
    "authenticate_scope",
    "check_api_token",
    "check_scopes",
    "new_api_token",
    "require",
]

AUTHENTICATOR_KEY: Final = "altnet.authenticator"
LOOK_UP_WITHIN: Final = 1.0
"""Seconds: the answer to a person should not wait longer for a service that is away."""
_PRINCIPAL_KEY: Final = "altnet.principal"
_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class Authenticator(Protocol):
    """Tells who sent an `Authorization` header."""

    async def authenticate(self, authorization: str | None) -> Principal:
        """Raises `Unauthenticated` where it does not prove anybody."""
        ...


class JwtAuthenticator:
    """Takes access tokens."""

    def __init__(self, verifier: TokenVerifier) -> None:
        self._verifier = verifier

    async def authenticate(self, authorization: str | None) -> Principal:
        return self._verifier.verify(_bearer(authorization))


class ChainAuthenticator:
    """Takes access tokens, and API tokens that `look_up` finds.

    An access token that was made for an API token is void with it, as far as `look_up` can be asked: where it cannot,
    the token's own short life has to do, and nobody waits longer than `LOOK_UP_WITHIN` to find that out.
    """

    def __init__(self, verifier: TokenVerifier, look_up: LookUp, *, clock: Clock) -> None:
        self._verifier = verifier
        self._look_up = look_up
        self._clock = clock

    async def authenticate(self, authorization: str | None) -> Principal:
        text = _bearer(authorization)
        if text.startswith(API_TOKEN_PREFIX):
            return await check_api_token(text, self._look_up, clock=self._clock)
        principal = self._verifier.verify(text)
        if is_api_token_id(principal.id):
            await self._refuse_revoked(ApiTokenId(principal.id))
        return principal

    async def _refuse_revoked(self, token: ApiTokenId) -> None:
        try:
            async with asyncio.timeout(LOOK_UP_WITHIN):
                stored = await self._look_up(token)
        except (Unavailable, TimeoutError):
            return
        if stored is not None and stored.revoked:
            raise token_was_revoked()


async def authenticate_scope(scope: Scope) -> Principal:
    """Who sent the request of this ASGI scope; checked once per request. Raises `Unauthenticated`."""
    if _PRINCIPAL_KEY not in scope:
        authenticator = cast(Authenticator, scope[AUTHENTICATOR_KEY])
        found = [value for name, value in scope["headers"] if name == b"authorization"]
        if len(found) > 1:
            raise Unauthenticated(
                "token_invalid", "There is more than one Authorization header.", field=FIELD, mend="Send one."
            )
        principal = await authenticator.authenticate(found[0].decode("latin-1") if found else None)
        log.bind(principal=principal.id)
        scope[_PRINCIPAL_KEY] = principal
    return cast(Principal, scope[_PRINCIPAL_KEY])


DECLARED: Final = HTTPBearer(
    auto_error=False,
    scheme_name="bearer",
    bearerFormat="JWT",
    description="An access token (JWT), or an API token that starts with `alt_`.",
)


def require(role: Role, *, scope: str | None = None, own: str | None = None) -> Callable[..., Awaitable[Principal]]:
    """A dependency that lets only `role` (or more) in. `scope` replaces the one that follows from the route.

    `own` names a parameter of the path: an agent gets in as well, where that is its own id.
    """

    async def check(
        request: Request, _: Annotated[HTTPAuthorizationCredentials | None, Depends(DECLARED)]
    ) -> Principal:
        principal = await authenticate_scope(request.scope)
        if not principal.role.covers(role) and not _is_own(principal, request, own):
            raise Forbidden(
                "role_too_low",
                f"This takes the role {role.value}; yours is {principal.role.value}.",
                field=FIELD,
                mend="Ask an owner of the network.",
            )
        needed = scope or _scope_of(request)
        if not principal.may(needed):
            raise Forbidden(
                "scope_missing",
                f"This takes a token with the scope {needed or '*'}.",
                field=FIELD,
                mend="Make a token with that scope.",
            )
        return principal

    return check


def _is_own(principal: Principal, request: Request, own: str | None) -> bool:
    return own is not None and principal.role is Role.AGENT and request.path_params.get(own) == principal.id


def _scope_of(request: Request) -> str | None:
    resource = cast(routes.Route, request.scope[routes.SCOPE_KEY]).resource
    if resource is None:
        return None
    return f"{resource}:{'read' if request.method in _READING else 'write'}"


def _bearer(authorization: str | None) -> str:
    kind, _, text = (authorization or "").partition(" ")
    if kind.lower() != "bearer" or not text.strip():
        raise Unauthenticated(
            "token_missing", "This needs a token.", field=FIELD, mend="Send it as `Authorization: Bearer <token>`."
        )
    return text.strip()


RequireOwner = Annotated[Principal, Depends(require(Role.OWNER))]
RequireAdmin = Annotated[Principal, Depends(require(Role.ADMIN))]
RequireAuditor = Annotated[Principal, Depends(require(Role.AUDITOR))]
RequireAgent = Annotated[Principal, Depends(require(Role.AGENT))]
