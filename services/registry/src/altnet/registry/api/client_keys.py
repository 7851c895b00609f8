"""A client's change of keys: wished, announced with a proof, kept or dropped.

A client may do each for itself, by the secret that it got when it joined; an operator for any.
"""

from __future__ import annotations

from typing import Annotated

from altnet.common.contracts.client_keys import Announced
from altnet.common.http.auth import Principal, Role, require
from altnet.common.http.problems import responses
from altnet.common.http.routes import resource
from altnet.registry.api.deps import Registry, tell
from altnet.registry.api.schemas.client_keys import KeptKey, KeyChange, NextKey
from altnet.registry.api.schemas.clients import NetworkClient
from altnet.registry.api.schemas.join import ClientConfiguration
from altnet.registry.handlers import client_keys as handlers
from altnet.registry.handlers.tunnels import config_of, tunnel_of
from altnet.registry.store import clients
from fastapi import Depends, Response

router = resource("clients")

MayChange = Annotated[Principal, Depends(require(Role.ADMIN, own="client"))]
"""An administrator, or the client itself."""


@router.post("/v1/clients/{client}/key-change", responses=responses(401, 403, 404, 409, 422, 503))
async def change_client_key(
    registry: Registry, who: MayChange, response: Response, client: str, body: KeyChange
) -> NetworkClient:
    """Have a client replace its key, without a break: it makes the new one itself. Asking again changes nothing."""
    handlers.only_operators(body.key, own=who.role is Role.AGENT)
    until = body.within or registry.settings.client_keys.overlap
    async with registry.work(who) as uow:
        row = await clients.find(uow.session, client, lock=True)
        if body.key is not None:
            change = await handlers.announce_for(uow, row, body.key, until=until)
        else:
            change = await handlers.wish(uow, row, until=until, randomness=registry.randomness)
        shown = NetworkClient.of(row, change=change)
    tell(response, change=change, version=shown.version)
    return shown


@router.put("/v1/clients/{client}/next-key", responses=responses(401, 403, 404, 409, 422, 503))
async def announce_client_key(
    registry: Registry, who: MayChange, response: Response, client: str, body: NextKey
) -> ClientConfiguration:
    """Announce the key that the client made. Relays take it beside the present one; the answer says where."""
    said = Announced(key=body.key, epoch=body.epoch, proof=body.proof)
    async with registry.work(who) as uow:
        row = await clients.find(uow.session, client, lock=True)
        change = await handlers.announce(uow, row, said)
        tunnel = await tunnel_of(uow.session, row, domain=registry.settings.network.domain)
        shown = ClientConfiguration.of(tunnel, await config_of(uow.session, row))
    tell(response, change=change)
    return shown


@router.post("/v1/clients/{client}/key-change/keep", responses=responses(401, 403, 404, 409, 422, 503))
async def keep_client_key(
    registry: Registry, who: MayChange, response: Response, client: str, body: KeptKey
) -> NetworkClient:
    """The client goes by its announced key: the one before is out at once."""
    async with registry.work(who) as uow:
        row = await clients.find(uow.session, client, lock=True)
        change = await handlers.keep(uow, row, body.key)
        shown = NetworkClient.of(row, change=change)
    tell(response, change=change, version=shown.version)
    return shown


@router.delete("/v1/clients/{client}/key-change", responses=responses(401, 403, 404, 409, 422, 503))
async def drop_client_key(registry: Registry, who: MayChange, response: Response, client: str) -> NetworkClient:
    """The client keeps the key that it has; an announced one is forgotten."""
    async with registry.work(who) as uow:
        row = await clients.find(uow.session, client, lock=True)
        change = await handlers.drop(uow, row)
        shown = NetworkClient.of(row, change=change)
    tell(response, change=change, version=shown.version)
    return shown
