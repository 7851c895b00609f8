"""Letting a client in by a join token, and the secret by which it asks about itself afterwards.

Nobody proves here that they hold the private key of the public one: whoever does not cannot use the tunnel. So a key
that is known is answered only to who shows the very token that let it in, and then the secret that was given before is
replaced: two holders notice each other. The token is used up once a key, however often that key asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from altnet.common.clock import Clock
from altnet.common.contracts.registry import ClientSecretIssued
from altnet.common.db.uow import UnitOfWork
from altnet.common.http.tokens import new_api_token
from altnet.common.ids import Randomness
from altnet.common.keys import PublicKey
from altnet.common.settings import Secret
from altnet.registry.domain.names import check_labels, check_region
from altnet.registry.domain.tokens import TokenKind
from altnet.registry.handlers import admission
from altnet.registry.handlers.clients import NewClient, create_client
from altnet.registry.store import clients
from altnet.registry.store.conflicts import CONFLICTS, key_taken
from altnet.registry.tables import ClientRow, JoinTokenRow


@dataclass(frozen=True, kw_only=True)
class JoinRequest:
    """`key` is the public one; `latencies` are milliseconds by relay."""

    token: str = field(repr=False)
    key: str
    name: str
    region: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    latencies: Mapping[str, float] = field(default_factory=dict)
    movable: bool = False


@dataclass(frozen=True, kw_only=True)
class Joined:
    """`created` is false, and `change` None, when the key was known."""

    client: ClientRow
    secret: Secret
    created: bool
    change: int | None


async def join_client(uow: UnitOfWork, request: JoinRequest, *, clock: Clock, randomness: Randomness) -> Joined:
    """Make the holder of `request.key` a client, or give the client that it is a fresh secret.

    Raises `Forbidden` (`bad_join_token`, `token_kind`, `token_used`, `token_expired`, `token_revoked`), `Conflict`
    (`name_taken`, `key_taken`), `Exhausted`, `Invalid`.
    """
    uow.conflicts(CONFLICTS)
    key = PublicKey.parse(request.key, field="/key").base64
    region = check_region(request.region)
    token, network = await admission.shown(uow, request.token, kind=TokenKind.CLIENT)
    known = await clients.by_key(uow, key)
    if known is not None:
        before = await clients.secret_of(uow.session, known.id)
        if before is None or before.join_token != token.id:
            raise key_taken()
        admission.judge(token, uow, used_up_is_fine=True)
        secret = await _issue(uow, known, token, clock=clock, randomness=randomness)
        return Joined(client=known, secret=secret, created=False, change=None)
    admission.judge(token, uow)
    command = NewClient(
        name=request.name,
        key=key,
        network=network.id,
        region=region or token.labels.get("region", ""),
        labels={**check_labels(request.labels), **token.labels},
        latencies=request.latencies,
        movable=request.movable,
    )
    row, change = await create_client(uow, command, randomness=randomness, token=token)
    secret = await _issue(uow, row, token, clock=clock, randomness=randomness)
    return Joined(client=row, secret=secret, created=True, change=change)


async def _issue(
    uow: UnitOfWork, row: ClientRow, token: JoinTokenRow, *, clock: Clock, randomness: Randomness
) -> Secret:
    made = new_api_token(clock, randomness)
    await clients.replace_secret(uow, row.id, secret=made.id, digest=made.digest, join_token=token.id)
    uow.emit(ClientSecretIssued(client=row.id, secret=made.id, token=token.id))
    return made.text
