"""Join tokens, API tokens, and the exchange of an API token for an access token."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from altnet.common.errors import Forbidden, Unavailable
from altnet.common.http.auth import DECLARED, RequireAdmin, RequireAuditor, authenticate_scope
from altnet.common.http.paging import Page, Paging
from altnet.common.http.principal import Principal
from altnet.common.http.problems import responses
from altnet.common.http.routes import no_dry_run, resource
from altnet.registry.api.deps import Registry
from altnet.registry.api.lists import page_of
from altnet.registry.api.schemas.tokens import (
    AccessToken,
    ApiToken,
    ApiTokenMade,
    ApiTokenNew,
    JoinToken,
    JoinTokenMade,
    JoinTokenNew,
    OperatorRole,
)
from altnet.registry.domain.tokens import TokenKind
from altnet.registry.handlers import tokens
from altnet.registry.store import tokens as token_rows
from altnet.registry.tables import ApiTokenRow, JoinTokenRow
from fastapi import Depends, Query, Request
from sqlalchemy import select
from sqlmodel import col

router = resource("tokens")

ACCESS_LIFETIME = timedelta(minutes=5)
"""A service that cannot ask the registry checks it offline: so long a revoked API token may live on in one there."""


@router.get("/v1/tokens/join", responses=responses(401, 403, 422, 503))
async def list_join_tokens(
    registry: Registry,
    _: RequireAuditor,
    paging: Paging,
    kind: TokenKind | None = None,
    usable: Annotated[bool | None, Query(description="Only those that let somebody in, or only the others.")] = None,
) -> Page[JoinToken]:
    """List join tokens, newest first."""
    query = select(JoinTokenRow)
    if kind is not None:
        query = query.where(col(JoinTokenRow.kind) == kind.value)
    if usable is not None:
        now = registry.clock.now()
        fits = (
            col(JoinTokenRow.revoked_at).is_(None)
            & (col(JoinTokenRow.expires_at) > now)
            & (col(JoinTokenRow.uses_left) > 0)
        )
        query = query.where(fits if usable else ~fits)
    async with registry.db.read() as session:
        rows, cursor = await page_of(
            session,
            query,
            by=JoinTokenRow.id,
            params=paging,
            name=f"join_tokens:{kind}:{usable}",
            descending=True,
        )
    return Page[JoinToken](items=[JoinToken.of(row[0]) for row in rows], next_cursor=cursor)


@router.post("/v1/tokens/join", status_code=201, responses=responses(401, 403, 404, 409, 422, 503))
async def create_join_token(registry: Registry, who: RequireAdmin, body: JoinTokenNew) -> JoinTokenMade:
    """Make a join token. Its secret is in this answer only."""
    async with registry.work(who) as uow:
        row, secret = await tokens.create_join_token(
            uow,
            network=body.network,
            kind=body.kind,
            uses=body.uses,
            lifetime=body.lifetime,
            labels=body.labels,
            note=body.note,
            randomness=registry.randomness,
        )
    return JoinTokenMade.with_secret(row, secret.reveal())


@router.delete("/v1/tokens/join/{token}", responses=responses(401, 403, 404, 422, 503))
async def revoke_join_token(registry: Registry, who: RequireAdmin, token: str) -> JoinToken:
    """Revoke a join token; who came in by it stays."""
    async with registry.work(who) as uow:
        row = await tokens.revoke_join_token(uow, token)
    return JoinToken.of(row)


@router.get("/v1/tokens/api", responses=responses(401, 403, 422, 503))
async def list_api_tokens(
    registry: Registry,
    _: RequireAdmin,
    paging: Paging,
    name: Annotated[str | None, Query(max_length=63)] = None,
    role: OperatorRole | None = None,
    usable: Annotated[bool | None, Query(description="Only those that are good now, or only the others.")] = None,
) -> Page[ApiToken]:
    """List API tokens, newest first."""
    query = select(ApiTokenRow)
    if name is not None:
        query = query.where(col(ApiTokenRow.name) == name)
    if role is not None:
        query = query.where(col(ApiTokenRow.role) == role.value)
    if usable is not None:
        good = col(ApiTokenRow.revoked_at).is_(None) & (col(ApiTokenRow.expires_at) > registry.clock.now())
        query = query.where(good if usable else ~good)
    async with registry.db.read() as session:
        rows, cursor = await page_of(
            session,
            query,
            by=ApiTokenRow.id,
            params=paging,
            name=f"api_tokens:{name}:{role}:{usable}",
            descending=True,
        )
    return Page[ApiToken](items=[ApiToken.of(row[0]) for row in rows], next_cursor=cursor)


@router.post("/v1/tokens/api", status_code=201, responses=responses(401, 403, 409, 422, 503))
async def create_api_token(registry: Registry, who: RequireAdmin, body: ApiTokenNew) -> ApiTokenMade:
    """Make an API token with no more power than its maker's. Its secret is in this answer only."""
    async with registry.work(who) as uow:
        row, secret = await tokens.create_api_token(
            uow,
            name=body.name,
            role=body.role.role,
            scopes=body.scopes,
            expires_at=body.expires_at,
            clock=registry.clock,
            maker=who,
            randomness=registry.randomness,
        )
    return ApiTokenMade.with_secret(row, secret.reveal())


@router.delete("/v1/tokens/api/{token}", responses=responses(401, 403, 404, 422, 503))
async def revoke_api_token(registry: Registry, who: RequireAdmin, token: str) -> ApiToken:
    """Revoke an API token at once."""
    async with registry.work(who) as uow:
        row = await tokens.revoke_api_token(uow, token, by=who)
    return ApiToken.of(row)


auth_router = resource("auth")


async def _whoever(request: Request, _: Annotated[object, Depends(DECLARED)]) -> Principal:
    """Any token whatever its scopes: what it is changed for has the same."""
    return await authenticate_scope(request.scope)


@auth_router.post("/v1/auth/exchange", responses=responses(401, 403, 422, 503))
@no_dry_run
async def exchange_token(registry: Registry, who: Annotated[Principal, Depends(_whoever)]) -> AccessToken:
    """Change an API token for an access token that every service takes, for five minutes."""
    if registry.token_issuer is None:
        raise Unavailable("no_signing_key", "this registry has no key to sign access tokens with.")
    async with registry.db.read() as session:
        if await token_rows.find_api(session, who.token_id) is None:
            # An access token for an access token would outlive its API token's revocation for ever.
            raise Forbidden("not_an_api_token", "only an API token can be exchanged.", mend="Send the alt_ token.")
    issued = registry.token_issuer.issue(who.id, role=who.role, lifetime=ACCESS_LIFETIME, scopes=who.scopes)
    return AccessToken(access_token=issued.text.reveal(), token_type="Bearer", expires_at=issued.expires)
