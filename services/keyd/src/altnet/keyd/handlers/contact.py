"""A host speaks to keyd inside its channel; the channel has proven the static key of the identity."""

from __future__ import annotations

import base64
import binascii

from altnet.common.contracts.keyd import REGISTER, Register, registration
from altnet.common.db.uow import UnitOfWork
from altnet.common.errors import Unauthenticated
from altnet.common.signing import VerifyKey
from altnet.keyd.domain import identities as rules
from altnet.keyd.store import identities
from altnet.keyd.tables import IdentityRow


async def register_signing_key(
    uow: UnitOfWork, relay: str, ask: Register, *, static_key: str, binding: bytes, by_token: bool
) -> IdentityRow:
    """Take the host's signing key. The same again changes nothing.

    Raises `Invalid` (`bad_signing_key`), `Unauthenticated` (`bad_signature`, `static_key_changed`), `Forbidden`
    (`identity_revoked`), `Conflict` (`key_taken`), `NotFound`.
    """
    key = VerifyKey.parse(ask.signing_key, field="/signing_key")
    try:
        signature = base64.b64decode(ask.signature, validate=True)
    except (binascii.Error, ValueError):
        signature = b""
    if not key.verifies(signature, purpose=REGISTER, content=registration(binding, relay, key)):
        raise Unauthenticated(
            "bad_signature", "the signature does not bind the key to this channel.", mend="Sign the channel's binding."
        )
    row = await identities.get(uow.session, relay, lock=True)
    if row.static_key != static_key:  # the registry told of another one since the handshake
        raise Unauthenticated("static_key_changed", "the identity has another key by now.", mend="Shake hands anew.")
    after = rules.contact(row.snapshot(), signing_key=key.base64, by_token=by_token)
    await identities.save(uow, row, after, contact=True)
    return row


async def approve_identity(uow: UnitOfWork, id: str, *, fingerprint: str) -> IdentityRow:
    """An owner vouches for a pending identity. Raises `NotFound`, `Conflict`."""
    row = await identities.get(uow.session, id, lock=True)
    await identities.save(uow, row, rules.approved(row.snapshot(), fingerprint=fingerprint, by=uow.actor))
    return row
