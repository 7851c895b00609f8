"""REST under /v1: thin endpoints, one file a resource, and the models that cross (`schemas`)."""

from __future__ import annotations

from fastapi import APIRouter


def routers() -> list[APIRouter]:
    """Every router of keyd, in the order of the API document."""
    from altnet.keyd.api import identities, keys, lock, rotations

    return [identities.router, keys.keys_router, keys.router, rotations.router, lock.router]
