"""REST under /v1: thin endpoints, one file a resource, and the models that cross (`schemas`)."""

from __future__ import annotations

from fastapi import APIRouter


def routers() -> list[APIRouter]:
    """Every router of the registry, in the order of the API document."""
    from altnet.registry.api import (
        changes,
        client_keys,
        clients,
        enrolment,
        join,
        links,
        networks,
        peerings,
        peers,
        relays,
        revocations,
        routing,
        services,
        sites,
        tokens,
    )

    return [
        networks.router,
        enrolment.router,
        join.router,
        relays.router,
        links.router,
        clients.router,
        client_keys.router,
        services.router,
        sites.router,
        peerings.router,
        routing.router,
        peers.router,
        networks.mesh_router,
        changes.router,
        tokens.router,
        tokens.auth_router,
        revocations.router,
    ]
