"""keyd's own keys: their public parts, and their replacement."""

from __future__ import annotations

from altnet.common.http.auth import RequireAuditor, RequireOwner
from altnet.common.http.problems import responses
from altnet.common.keys import PublicKey
from altnet.common.noise.pins import current
from altnet.common.signing import VerifyKey, fingerprint
from altnet.keyd.api.deps import Keyd, Parts
from altnet.keyd.api.schemas import KeydKey, KeydKeys, KeyRotation
from altnet.keyd.handlers.service_keys import rotate_key
from fastapi import APIRouter

router = APIRouter(tags=["keyd"])


@router.get("/v1/keyd/keys", responses=responses(401, 403, 503))
async def get_keyd_keys(keyd: Keyd, _: RequireAuditor) -> KeydKeys:
    """Show keyd's own public keys, with the signatures by which hosts follow a rotation."""
    return _shown(keyd)


@router.post("/v1/keyd/keys/rotate", responses=responses(401, 403, 422, 503))
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
