"""Join tokens and API tokens: made, revoked. The secret is in the result of the call that makes it and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from altnet.common.clock import Clock
from altnet.common.contracts.registry import ApiTokenCreated, ApiTokenRevoked, JoinTokenCreated, JoinTokenRevoked
from altnet.common.db.uow import UnitOfWork
from altnet.common.errors import Forbidden, Invalid, NotFound
from altnet.common.http.principal import Principal, Role, check_scopes
from altnet.common.http.tokens import StoredApiToken, new_api_token
from altnet.common.ids import JOIN_TOKEN, ApiTokenId, Randomness, new_id
from altnet.common.settings import Secret
from altnet.registry.domain import tokens
from altnet.registry.domain.names import check_labels
from altnet.registry.handlers import snapshots
from altnet.registry.store import clients, networks, revocations
from altnet.registry.store import tokens as rows
from altnet.registry.tables import ApiTokenRow, JoinTokenRow
from sqlalchemy.ext.asyncio import AsyncSession

OWN_SCOPES: Final = frozenset({"clients:write"})
"""Of a client's secret; its role narrows it to the client itself."""


async def create_join_token(
    uow: UnitOfWork,
    *,
    network: str | None,
    kind: tokens.TokenKind,
    uses: int,
    lifetime: float,
    labels: Mapping[str, str],
    note: str,
    randomness: Randomness,
) -> tuple[JoinTokenRow, Secret]:
    """Make a join token, good for `uses` hosts within `lifetime` seconds. Raises `NotFound`, `Invalid`."""
    owner = await (networks.find(uow.session, network) if network else networks.only(uow.session))
    token_id = new_id(JOIN_TOKEN, uow.now, randomness)
    secret, digest = tokens.make_token(token_id, randomness)
    row = JoinTokenRow(
        id=token_id,
        network_id=owner.id,
        kind=kind.value,
        secret_hash=digest,
        note=note,
        labels=check_labels(labels),
        uses=uses,
        uses_left=uses,
        expires_at=uow.now + timedelta(seconds=lifetime),
        created_by=uow.actor,
        created_at=uow.now,
    )
    uow.session.add(row)
    uow.emit(JoinTokenCreated(token=row.id, after=snapshots.of_join_token(row)))
    return row, Secret(secret)


async def revoke_join_token(uow: UnitOfWork, token: str, *, reason: str = "") -> JoinTokenRow:
    """Nobody gets in with it any more; those who did stay. Revoking again changes nothing. Raises `NotFound`."""
    row = await rows.get_join(uow.session, token, lock=True)
    if row.revoked_at is None:
        before = snapshots.of_join_token(row)
        row.revoked_at = uow.now
        await revocations.note(uow, "join_token", subject=row.id, network=row.network_id, name=row.note, reason=reason)
        uow.emit(JoinTokenRevoked(token=row.id, before=before, after=snapshots.of_join_token(row)))
    return row


async def create_api_token(
    uow: UnitOfWork,
    *,
    name: str,
    role: Role,
    scopes: Iterable[str],
    expires_at: datetime,
    clock: Clock,
    maker: Principal | None,
    randomness: Randomness,
) -> tuple[ApiTokenRow, Secret]:
    """Make an API token. Its maker gives away no more than it has: neither role nor scopes. Raises `Forbidden`."""
    wanted = check_scopes(scopes, field="/scopes")
    if not wanted:
        raise Invalid("bad_scope", "a token without scopes may do nothing.", field="/scopes", mend="Name some, or *.")
    if role is Role.AGENT:
        raise Invalid("bad_role", "agents get no API tokens; they enrol.", field="/role")
    if expires_at <= uow.now:
        raise Invalid("bad_expiry", "the token would have expired already.", field="/expires_at")
    if maker is not None:
        if not maker.role.covers(role):
            raise Forbidden("role_too_low", f"the role {role} is above yours.", field="/role")
        if not all(maker.may(None if scope == "*" else scope) for scope in wanted):
            raise Forbidden("scope_missing", "a scope is wider than yours.", field="/scopes")
    made = new_api_token(clock, randomness)
    row = ApiTokenRow(
        id=made.id,
        name=name,
        role=role.value,
        scopes=sorted(wanted),
        secret_hash=made.digest,
        expires_at=expires_at,
        created_by=uow.actor,
        created_at=uow.now,
    )
    uow.session.add(row)
    uow.emit(ApiTokenCreated(token=row.id, after=snapshots.of_api_token(row)))
    return row, made.text


async def revoke_api_token(
    uow: UnitOfWork, token: str, *, by: Principal | None = None, reason: str = ""
) -> ApiTokenRow:
    """The token is refused from the next request on. Revoking again changes nothing.

    `by` may revoke tokens of its own role or a lower one. Raises `NotFound`, `Forbidden`.
    """
    row = await rows.find_api(uow.session, token, lock=True)
    if row is None:
        raise NotFound("no_such_token", "there is no such API token.", mend="See GET /v1/tokens/api.")
    if by is not None and not by.role.covers(Role(row.role)):
        raise Forbidden("role_too_low", f"the token has the role {row.role}, above yours.", mend="Ask an owner.")
    if row.revoked_at is None:
        before = snapshots.of_api_token(row)
        row.revoked_at = uow.now
        await revocations.note(uow, "api_token", subject=row.id, name=row.name, reason=reason)
        uow.emit(ApiTokenRevoked(token=row.id, before=before, after=snapshots.of_api_token(row)))
    return row


async def find_credential(session: AsyncSession, token: ApiTokenId) -> StoredApiToken | None:
    """An operator's API token, or a client's own secret: an agent that may ask about itself and nothing else."""
    row = await rows.find_api(session, token)
    if row is not None:
        return StoredApiToken(
            id=token,
            digest=row.secret_hash,
            principal=row.id,
            role=Role(row.role),
            scopes=frozenset(row.scopes),
            expires=row.expires_at,
            revoked=row.revoked_at is not None,
        )
    found = await clients.by_secret(session, token)
    if found is None:
        return None
    secret, client = found
    return StoredApiToken(
        id=token,
        digest=secret.secret_hash,
        principal=client.id,
        role=Role.AGENT,
        scopes=OWN_SCOPES,
        expires=client.expires_at or datetime.max.replace(tzinfo=UTC),
    )


async def make_first_owner(
    uow: UnitOfWork, *, clock: Clock, lifetime: float, randomness: Randomness
) -> tuple[ApiTokenRow, Secret] | None:
    """An owner's token, on an installation that has none; None where there is one. For the host's own command."""
    if await rows.any_owner(uow.session) is not None:
        return None
    return await create_api_token(
        uow,
        name="first owner",
        role=Role.OWNER,
        scopes=["*"],
        expires_at=uow.now + timedelta(seconds=lifetime),
        clock=clock,
        maker=None,
        randomness=randomness,
    )
