"""Every key that hosts have or had; keyd's own keys, and their replacement. Public parts only."""

from __future__ import annotations

from typing import Annotated, Any

from altnet.common.contracts.keyd import HostKeyUse
from altnet.common.http.auth import RequireAuditor, RequireOwner
from altnet.common.http.paging import Page, Paging, fetch_page
from altnet.common.http.problems import responses
from altnet.common.http.routes import no_dry_run, resource
from altnet.common.keys import PublicKey
from altnet.common.noise.pins import current
from altnet.common.signing import VerifyKey, fingerprint
from altnet.keyd.api.deps import Keyd, Parts
from altnet.keyd.api.schemas import HostKey, KeydKey, KeydKeys, KeyRotation
from altnet.keyd.handlers.service_keys import rotate_key
from altnet.keyd.tables import IdentityKeyRow, IdentityRow
from fastapi import Query
from sqlalchemy import select
from sqlmodel import col

router = resource("keyd")


keys_router = resource("keys")


@keys_router.get("/v1/keys", responses=responses(401, 403, 422, 503))
async def list_keys(
    keyd: Keyd,
    _: RequireAuditor,
    paging: Paging,
    identity: Annotated[str | None, Query(max_length=64, description="The relay's identifier.")] = None,
    network: Annotated[str | None, Query(max_length=64, description="Identifier.")] = None,
    use: HostKeyUse | None = None,
    key: Annotated[str | None, Query(max_length=64, description="Public key, base64.")] = None,
    in_use: Annotated[bool | None, Query(description="Only those that are in use, or only the others.")] = None,
) -> Page[HostKey]:
    """List every key that a host has or had, newest first: public halves."""
    query: Any = select(IdentityKeyRow, IdentityRow).join(
        IdentityRow, col(IdentityRow.id) == col(IdentityKeyRow.identity_id)
    )
    for column, value in (
        (IdentityKeyRow.identity_id, identity),
        (IdentityRow.network, network),
        (IdentityKeyRow.use, use),
        (IdentityKeyRow.key, key),
    ):
        if value is not None:
            query = query.where(col(column) == str(value))
    if in_use is not None:
        gone = col(IdentityKeyRow.removed_at)
        query = query.where(gone.is_(None) if in_use else gone.is_not(None))
    async with keyd.db.read() as session:
        found: Any = await fetch_page(
            session,
            query,
            order=col(IdentityKeyRow.number),  # type: ignore[arg-type]  # SQLModel declares columns as their values
            key=col(IdentityKeyRow.number),  # type: ignore[arg-type]
            params=paging,
            name=f"keys:{identity}:{network}:{use}:{key}:{in_use}",
            descending=True,
        )
    rows, cursor = found
    return Page[HostKey](items=[HostKey.of(row[0], row[1]) for row in rows], next_cursor=cursor)


@router.get("/v1/keyd/keys", responses=responses(401, 403, 503))
async def get_keyd_keys(keyd: Keyd, _: RequireAuditor) -> KeydKeys:
    """Show keyd's own public keys, with the signatures by which hosts follow a rotation."""
    return _shown(keyd)


@router.post("/v1/keyd/keys/rotate", responses=responses(401, 403, 422, 503))
@no_dry_run
async def rotate_keyd_key(keyd: Keyd, who: RequireOwner, body: KeyRotation) -> KeydKeys:
    """Replace one of keyd's own keys; hosts follow by the old signing key's signature."""
    overlap = keyd.settings.keys.overlap if body.overlap is None else body.overlap
    async with keyd.work(who) as uow:
        await rotate_key(uow, body.use, keyd.keyring.kek, overlap=overlap, randomness=keyd.randomness)
    await keyd.keyring.load()
    return _shown(keyd)


def _shown(keyd: Parts) -> KeydKeys:
    keys = keyd.keyring.public
    pins = current(keys)
    return KeydKeys(
        keys=[KeydKey.of(key) for key in keys],
        fingerprint=fingerprint(PublicKey.parse(pins.static), VerifyKey.parse(pins.signing)),
    )
