"""Clients: made, moved, removed; their configuration as text and as QR code; which relay suits them."""

from __future__ import annotations

import base64
import io
from typing import Annotated, Any

from altnet.common.errors import Conflict
from altnet.common.http.auth import Principal, RequireAdmin, RequireAuditor, Role, require
from altnet.common.http.etag import IfMatch, require_match
from altnet.common.http.paging import Page, Paging
from altnet.common.http.problems import responses
from altnet.common.http.routes import resource
from altnet.common.keys import PrivateKey
from altnet.registry.api.deps import Parts, Registry, patch_of, tell
from altnet.registry.api.lists import page_of
from altnet.registry.api.schemas.clients import (
    ClientMade,
    ClientNew,
    ClientPatch,
    Latencies,
    NetworkClient,
    RankedRelay,
    RelayRanking,
)
from altnet.registry.api.schemas.join import ClientConfiguration
from altnet.registry.domain.codes import code_of
from altnet.registry.domain.wgquick import render
from altnet.registry.handlers import clients as handlers
from altnet.registry.handlers import placement
from altnet.registry.handlers.tunnels import config_of, tunnel_of
from altnet.registry.store import clients, networks
from altnet.registry.tables import ClientRow
from fastapi import Depends, Query, Response
from sqlalchemy import select
from sqlmodel import col

Answers = dict[int | str, dict[str, Any]]

router = resource("clients")

MayRead = Annotated[Principal, Depends(require(Role.AUDITOR, own="client"))]
"""An auditor, or the client itself by the secret that it got when it joined."""
MayReport = Annotated[Principal, Depends(require(Role.ADMIN, own="client"))]


@router.get("/v1/clients", responses=responses(401, 403, 404, 422, 503))
async def list_clients(
    registry: Registry,
    _: RequireAuditor,
    paging: Paging,
    network: Annotated[str | None, Query(max_length=64, description="Identifier or name.")] = None,
    name: Annotated[str | None, Query(max_length=63)] = None,
    relay: Annotated[str | None, Query(max_length=64, description="A relay, or `none`.")] = None,
    label: Annotated[str | None, Query(max_length=128, description="`key` or `key=value`.")] = None,
) -> Page[NetworkClient]:
    """List clients, oldest first."""
    query = select(ClientRow)
    if name is not None:
        query = query.where(col(ClientRow.name) == name)
    if relay is not None:
        column = col(ClientRow.relay_id)
        query = query.where(column.is_(None) if relay == "none" else column == relay)
    if label is not None:
        key, has_value, value = label.partition("=")
        labels = col(ClientRow.labels)
        query = query.where(labels.contains({key: value}) if has_value else labels.has_key(key))  # type: ignore[attr-defined]  # JSONB's own
    async with registry.db.read() as session:
        if network is not None:
            query = query.where(col(ClientRow.network_id) == (await networks.find(session, network)).id)
        rows, cursor = await page_of(
            session,
            query,
            by=ClientRow.id,
            params=paging,
            name=f"clients:{network}:{name}:{relay}:{label}",
        )
    return Page[NetworkClient](items=[NetworkClient.of(row[0]) for row in rows], next_cursor=cursor)


@router.post("/v1/clients", status_code=201, responses=responses(401, 403, 404, 409, 422, 503))
async def create_client(registry: Registry, who: RequireAdmin, response: Response, body: ClientNew) -> ClientMade:
    """Make a client. With `generate_key` the private key is in this answer only; it is not stored."""
    private = PrivateKey.generate(registry.randomness) if body.generate_key else None
    command = handlers.NewClient(
        name=body.name,
        key=private.public().base64 if private else body.key or "",
        network=body.network,
        relay=body.relay,
        movable=body.movable,
        standby=body.standby,
        region=body.region,
        labels=body.labels,
        expires_at=body.expires_at,
    )
    async with registry.work(who) as uow:
        row, change = await handlers.create_client(uow, command, randomness=registry.randomness)
        config = None
        if private is not None:
            config = render(await tunnel_of(uow.session, row, domain=registry.settings.network.domain), private)
    tell(response, change=change, version=row.version)
    svg, missing = None, None
    if config is not None:
        try:
            svg = _code(config, "svg").decode()
        except Conflict as error:  # the client is made, and this answer alone has its key: it must not fail
            missing = str(error)
    return ClientMade.with_key(
        row,
        change=change,
        private_key=base64.b64encode(private.reveal()).decode() if private else None,
        config=config,
        config_svg=svg,
        config_svg_missing=missing,
    )


@router.get("/v1/clients/{client}", responses=responses(401, 403, 404, 422, 503))
async def get_client(registry: Registry, _: RequireAuditor, response: Response, client: str) -> NetworkClient:
    """Show a client."""
    async with registry.db.read() as session:
        row = await clients.find(session, client)
    tell(response, version=row.version)
    return NetworkClient.of(row)


@router.patch("/v1/clients/{client}", responses=responses(401, 403, 404, 409, 412, 422, 428, 503))
async def change_client(
    registry: Registry, who: RequireAdmin, response: Response, client: str, body: ClientPatch, if_match: IfMatch = None
) -> NetworkClient:
    """Change or move a client: what is left out stays, and so does its address."""
    async with registry.work(who) as uow:
        row = await clients.find(uow.session, client, lock=True)
        require_match(if_match, row.version)
        change = await handlers.change_client(uow, row, patch_of(body))
    tell(response, change=change, version=row.version)
    return NetworkClient.of(row, change=change)


@router.delete("/v1/clients/{client}", responses=responses(401, 403, 404, 412, 422, 428, 503))
async def remove_client(
    registry: Registry, who: RequireAdmin, response: Response, client: str, if_match: IfMatch = None
) -> NetworkClient:
    """Remove a client and its services. Answers with what it was."""
    async with registry.work(who) as uow:
        row = await clients.find(uow.session, client, lock=True)
        require_match(if_match, row.version)
        change = await handlers.remove_client(uow, row)
        shown = NetworkClient.of(row, change=change)
    tell(response, change=change)
    return shown


@router.get("/v1/clients/{client}/relays", responses=responses(401, 403, 404, 422, 503))
async def rank_client_relays(
    registry: Registry,
    _: MayRead,
    client: str,
    region: Annotated[str, Query(max_length=63, description="Where the client is.")] = "",
) -> RelayRanking:
    """Rank relays for a client, by health, latency, load and region, with the reasons."""
    async with registry.db.read() as session:
        row = await clients.find(session, client)
        ranking = await placement.rank_with_standby(
            session, row.network_id, region=region, latencies=row.latencies, current=row.relay_id
        )
    return RelayRanking(
        client=row.id,
        current=row.relay_id,
        standby=ranking.standby,
        relays=[RankedRelay.of(one) for one in ranking.ranked],
    )


@router.put("/v1/clients/{client}/latencies", status_code=204, responses=responses(401, 403, 404, 422, 503))
async def report_client_latencies(registry: Registry, who: MayReport, client: str, body: Latencies) -> None:
    """Keep what a client measured; the ranking uses it."""
    async with registry.work(who) as uow:
        row = await clients.find(uow.session, client, lock=True)
        await handlers.report_latencies(uow, row, body.latencies)


_TEXT: Answers = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "The file."}}
_PNG: Answers = {
    200: {"content": {"image/png": {"schema": {"type": "string", "format": "binary"}}}, "description": "The code."}
}
_SVG: Answers = {200: {"content": {"image/svg+xml": {"schema": {"type": "string"}}}, "description": "It."}}


@router.get(
    "/v1/clients/{client}/config",
    response_class=Response,
    responses={**_TEXT, **responses(401, 403, 404, 409, 422, 503)},
)
async def get_client_config(registry: Registry, _: MayRead, client: str) -> Response:
    """The client's wg-quick file, with a placeholder for the private key, which the server has never seen."""
    text, name = await _config(registry, client)
    disposition = f'attachment; filename="{name}.conf"'
    return Response(text, media_type="text/plain", headers={"Content-Disposition": disposition})


@router.get("/v1/clients/{client}/configuration", responses=responses(401, 403, 404, 409, 422, 503))
async def get_client_configuration(registry: Registry, _: MayRead, client: str) -> ClientConfiguration:
    """The same, field by field, with every relay that the client may attach to."""
    async with registry.db.read() as session:
        row = await clients.find(session, client)
        tunnel = await tunnel_of(session, row, domain=registry.settings.network.domain)
        return ClientConfiguration.of(tunnel, await config_of(session, row))


@router.get(
    "/v1/clients/{client}/config.png",
    response_class=Response,
    responses={**_PNG, **responses(401, 403, 404, 409, 422, 503)},
)
async def get_client_config_png(registry: Registry, _: RequireAuditor, client: str) -> Response:
    """The same as a QR code, PNG. A file that is too large for one is a conflict (`too_large_for_code`)."""
    text, _name = await _config(registry, client)
    return Response(_code(text, "png"), media_type="image/png")


@router.get(
    "/v1/clients/{client}/config.svg",
    response_class=Response,
    responses={**_SVG, **responses(401, 403, 404, 409, 422, 503)},
)
async def get_client_config_svg(registry: Registry, _: RequireAuditor, client: str) -> Response:
    """The same as a QR code, SVG. A file that is too large for one is a conflict (`too_large_for_code`)."""
    text, _name = await _config(registry, client)
    return Response(_code(text, "svg"), media_type="image/svg+xml")


async def _config(registry: Parts, client: str) -> tuple[str, str]:
    async with registry.db.read() as session:
        row = await clients.find(session, client)
        tunnel = await tunnel_of(session, row, domain=registry.settings.network.domain)
    return render(tunnel), row.name


def _code(text: str, kind: str) -> bytes:
    out = io.BytesIO()
    code_of(text).save(out, kind=kind, scale=6, border=4)
    return out.getvalue()
