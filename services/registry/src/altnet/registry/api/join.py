"""How a client comes in by itself: no bearer, a join token in the body.

Order as in enrolment: the body's size (before it is read), attempts per source, shape, and only then any look-up.
"""

from __future__ import annotations

from altnet.common.http.problems import responses
from altnet.common.http.routes import limit_body, no_dry_run, resource
from altnet.registry.api.deps import Registry, limit_attempts, tell
from altnet.registry.api.enrolment import LARGEST_BODY
from altnet.registry.api.schemas.clients import NetworkClient
from altnet.registry.api.schemas.join import ClientConfiguration, Join, JoinAnswer
from altnet.registry.domain.tokens import read_token
from altnet.registry.handlers import join
from altnet.registry.handlers.tunnels import config_of, tunnel_of
from fastapi import Request, Response

router = resource("enrolment")


@router.post(
    "/v1/join",
    status_code=201,
    responses={
        200: {"model": JoinAnswer, "description": "The key was known."},
        **responses(403, 409, 413, 422, 429, 503),
    },
)
@limit_body(LARGEST_BODY)
@no_dry_run
async def join_client(registry: Registry, request: Request, response: Response, body: Join) -> JoinAnswer:
    """Make the caller a client, by a join token. The same key with the same token again is the same client, uses
    nothing up, and gets a fresh secret."""
    limit_attempts(registry, request)
    asked = join.JoinRequest(
        token=body.token,
        key=body.key,
        name=body.name,
        region=body.region,
        labels=body.labels,
        latencies=body.latencies,
        movable=body.movable,
    )
    async with registry.work(read_token(body.token).id) as uow:  # nothing is written unless the token proves itself
        found = await join.join_client(uow, asked, clock=registry.clock, randomness=registry.randomness)
        tunnel = await tunnel_of(uow.session, found.client, domain=registry.settings.network.domain)
        config = await config_of(uow.session, found.client)
    if not found.created:
        response.status_code = 200
    response.headers["Cache-Control"] = "no-store"
    tell(response, change=found.change, version=found.client.version)
    return JoinAnswer(
        client=NetworkClient.of(found.client, change=found.change),
        created=found.created,
        configuration=ClientConfiguration.of(tunnel, config),
        secret=found.secret.reveal(),
        change=found.change,
    )
