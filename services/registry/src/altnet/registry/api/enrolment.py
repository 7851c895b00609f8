"""Enrolment and credentials of relays, without a bearer (as `join` for clients). The host's nkey proves the caller.

Order: the body's size (before it is read), attempts per source, shape, signature, time, and only then any look-up.
"""

from __future__ import annotations

import base64
import binascii
from datetime import timedelta
from typing import Annotated

from altnet.common.bus.jwt import relay_user_jwt
from altnet.common.bus.nkey import check_user_nkey, verify
from altnet.common.errors import Unauthenticated, Unavailable
from altnet.common.http.problems import responses
from altnet.common.http.routes import limit_body, no_dry_run, resource
from altnet.common.ids import RELAY, check_id
from altnet.common.net import AddressPlan
from altnet.registry.api.deps import Parts, Registry, limit_attempts, tell
from altnet.registry.api.schemas.enrolment import (
    BusPass,
    CredentialsAnswer,
    CredentialsRenewal,
    EnrolledNetwork,
    EnrolledRelay,
    Enrolment,
    EnrolmentAnswer,
)
from altnet.registry.domain import enrolment
from altnet.registry.handlers.enrol import enrol_relay as enrol
from altnet.registry.handlers.enrol import renew_credentials as renew
from fastapi import Header, Path, Request, Response

router = resource("enrolment")

LARGEST_BODY = 16 * 1024
"""Bytes. A full request is below 2 KiB; the cap holds before anything is parsed or looked up."""

Signature = Annotated[
    str,
    Header(
        alias="Altnet-Signature",
        max_length=128,
        description="Base64 of the nkey's Ed25519 signature over a purpose line (`altnet-enrol-v1` or"
        " `altnet-credentials-v1`, then a newline) and the raw body.",
    ),
]


@router.post(
    "/v1/enrol",
    status_code=201,
    responses={
        200: {"model": EnrolmentAnswer, "description": "The host was known."},
        **responses(401, 403, 409, 413, 422, 429, 503),
    },
)
@limit_body(LARGEST_BODY)
@no_dry_run
async def enrol_relay(
    registry: Registry, request: Request, response: Response, body: Enrolment, signature: Signature
) -> EnrolmentAnswer:
    """Make a host a relay, by a join token. The same host again is the same relay, and uses no token."""
    limit_attempts(registry, request)
    raw = await request.body()
    _prove(body.nkey, enrolment.ENROL, raw, signature)
    enrolment.check_time(body.timestamp, registry.clock.now(), registry.settings.enrolment.clock_skew)
    asked = enrolment.checked(
        enrolment.EnrolRequest(
            token=body.token,
            nkey=body.nkey,
            key=body.key,
            access_key=body.access_key,
            name=body.name,
            timestamp=body.timestamp,
            endpoints=tuple(body.endpoints),
            mesh_port=body.mesh_port,
            access_port=body.access_port,
            region=body.region,
            labels=body.labels,
            encapsulations=tuple(body.encapsulations),
            identity_key=body.identity_key,
            routing=body.routing,
            versions=enrolment.HostVersions(**body.versions.model_dump()),
        )
    )
    enrolment.check_keys(asked)
    async with registry.work(f"host:{body.nkey}") as uow:
        found = await enrol(uow, asked, rest=registry.settings.allocation.rest, randomness=registry.randomness)
    if not found.created:
        response.status_code = 200
    tell(response, change=found.change)
    relay, network = found.relay, found.network
    plan = AddressPlan(network.prefix)
    return EnrolmentAnswer(
        relay=EnrolledRelay(
            id=relay.id,
            name=relay.name,
            slot=relay.slot,
            address=str(plan.relay_address(relay.slot)),
            locator=str(plan.locator(relay.slot)),
            client_prefix=str(plan.client_prefix(relay.slot)),
            region=relay.region,
            created=found.created,
        ),
        network=EnrolledNetwork(id=network.id, name=network.name, prefix=str(network.prefix)),
        bus=_pass(registry, relay=relay.id, network=network.id, nkey=relay.nkey),
        change=found.change,
    )


@router.post("/v1/relays/{relay}/credentials", responses=responses(401, 403, 404, 409, 413, 422, 429, 503))
@limit_body(LARGEST_BODY)
@no_dry_run
async def renew_credentials(
    registry: Registry,
    request: Request,
    response: Response,
    relay: Annotated[str, Path(max_length=64)],
    body: CredentialsRenewal,
    signature: Signature,
) -> CredentialsAnswer:
    """Give a relay fresh credentials for the bus, and take over its present keys and endpoints."""
    limit_attempts(registry, request)
    raw = await request.body()
    _prove(body.nkey, enrolment.CREDENTIALS, raw, signature)
    enrolment.check_time(body.timestamp, registry.clock.now(), registry.settings.enrolment.clock_skew)
    check_id(RELAY, relay, field="/relay")
    asked = enrolment.CredentialsRequest(
        nkey=body.nkey,
        key=body.key,
        access_key=body.access_key,
        timestamp=body.timestamp,
        endpoints=tuple(body.endpoints),
        identity_key=body.identity_key,
        routing=body.routing,
    )
    enrolment.check_keys(asked)
    async with registry.work(f"relay:{relay}") as uow:
        found = await renew(uow, relay, asked)
    tell(response, change=found.change)
    return CredentialsAnswer(
        bus=_pass(registry, relay=relay, network=found.network.id, nkey=found.relay.nkey), change=found.change
    )


def _prove(nkey: str, purpose: bytes, body: bytes, signature: str) -> None:
    refused = Unauthenticated(
        "bad_signature",
        "the signature does not prove the nkey in the body.",
        field="/Altnet-Signature",
        mend="Sign the purpose line and the exact bytes of the body with the key's seed.",
    )
    try:
        check_user_nkey(nkey, field="/nkey")
        proven = verify(nkey, purpose + body, base64.b64decode(signature, validate=True))
    except (binascii.Error, ValueError):
        raise refused from None
    if not proven:
        raise refused


def _pass(registry: Parts, *, relay: str, network: str, nkey: str) -> BusPass:
    if registry.relay_issuer is None:
        raise Unavailable(
            "no_bus_identity",
            "this registry has no key to admit relays with.",
            mend="Give it the bus identity (docs/operations.md).",
        )
    expires = registry.clock.now() + timedelta(seconds=registry.settings.enrolment.credentials_lifetime)
    jwt = relay_user_jwt(
        registry.relay_issuer, relay=relay, network=network, nkey=nkey, expires=expires, clock=registry.clock
    )
    servers = registry.settings.bus_servers or registry.bus.settings.servers
    return BusPass(servers=list(servers), jwt=jwt, expires_at=expires.replace(microsecond=0))
