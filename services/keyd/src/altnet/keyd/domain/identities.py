"""What an identity is, and what it becomes: by the registry's word, by a host's contact, by an owner's decision.

An identity is *expected* when the registry tells of a relay, *active* when its keys are proven (by the secret of the
join token that let it in, or by an owner who compared fingerprints), *pending* while they are not, and *revoked* for
good. Keys that change make an active identity pending again: a host that lost its keys and somebody who stole its
place look alike, and only a person can tell.

Invariant: nothing but a token's secret or an owner makes an identity active.
"""

from __future__ import annotations

from typing import Final

import msgspec
from altnet.common.contracts.keyd import IdentitySnapshot, IdentityState, PendingReason
from altnet.common.errors import Conflict, Forbidden
from altnet.common.keys import PublicKey
from altnet.common.signing import VerifyKey, same_fingerprint
from altnet.common.signing import fingerprint as fingerprint_of

TOKEN: Final = "token"


def expected(*, id: str, network: str, name: str, static_key: str, name_known: bool) -> IdentitySnapshot:
    """A relay that keyd hears of for the first time. `name_known`: another identity has or had its name."""
    return IdentitySnapshot(
        id=id,
        network=network,
        name=name,
        state=IdentityState.PENDING if name_known else IdentityState.EXPECTED,
        reason=PendingReason.NAME_REUSED if name_known else "",
        static_key=static_key,
    )


def told(identity: IdentitySnapshot, *, name: str, static_key: str) -> IdentitySnapshot:
    """What the registry says of a relay that is known here."""
    changed = msgspec.structs.replace(identity, name=name)
    if static_key in ("", identity.static_key) or identity.state is IdentityState.REVOKED:
        return changed
    changed = msgspec.structs.replace(changed, static_key=static_key, signing_key="", confirmed_by="")
    if identity.state is IdentityState.EXPECTED:
        return changed
    return _pending(changed, PendingReason.IDENTITY_KEY_CHANGED)


def key_revoked(identity: IdentitySnapshot) -> IdentitySnapshot:
    """The identity's present key was revoked: whoever shows it proves nothing."""
    if identity.state is IdentityState.REVOKED:
        return identity
    return _pending(msgspec.structs.replace(identity, signing_key="", confirmed_by=""), PendingReason.KEY_REVOKED)


def revoked(identity: IdentitySnapshot) -> IdentitySnapshot:
    return msgspec.structs.replace(identity, state=IdentityState.REVOKED, reason="")


def contact(identity: IdentitySnapshot, *, signing_key: str, by_token: bool) -> IdentitySnapshot:
    """A host that holds the identity's static key shows its signing key.

    `by_token`: the handshake proved the secret of the join token for this very static key. Raises `Forbidden`.
    """
    if identity.state is IdentityState.REVOKED:
        raise refused()
    if identity.state is IdentityState.ACTIVE:
        if signing_key == identity.signing_key:
            return identity
        return _pending(
            msgspec.structs.replace(identity, signing_key=signing_key, confirmed_by=""),
            PendingReason.SIGNING_KEY_CHANGED,
        )
    if identity.reason == PendingReason.KEY_REVOKED:
        return identity  # whoever has a revoked key may be anybody
    shown = msgspec.structs.replace(identity, signing_key=signing_key)
    if identity.state is IdentityState.PENDING and identity.reason != PendingReason.NO_TOKEN:
        return shown  # a token let somebody in, but says nothing of the one who had the name or the keys before
    if by_token:
        return msgspec.structs.replace(shown, state=IdentityState.ACTIVE, reason="", confirmed_by=TOKEN)
    return _pending(shown, PendingReason.NO_TOKEN)


def approved(identity: IdentitySnapshot, *, fingerprint: str, by: str) -> IdentitySnapshot:
    """An owner compared fingerprints, and it is the host.

    Raises `Conflict`: `key_revoked`, `not_pending`, `identity_incomplete`, `fingerprint_differs`.
    """
    if identity.reason == PendingReason.KEY_REVOKED:
        raise Conflict(
            "key_revoked",
            "the identity's key was revoked.",
            mend="Run `altnet-agent new-keys` on the host: it makes new ones, which you approve then.",
        )
    if identity.state is not IdentityState.PENDING:
        raise Conflict("not_pending", f"the identity is {identity.state}; only a pending one is approved.")
    if not identity.signing_key or not identity.static_key:
        raise Conflict(
            "identity_incomplete",
            "the host has not shown its keys yet.",
            mend="Wait for its first contact: its agent must run and reach keyd.",
        )
    if not same_fingerprint(fingerprint, fingerprint_text(identity)):
        raise Conflict(
            "fingerprint_differs",
            "this is not the fingerprint of the identity's present keys.",
            field="/fingerprint",
            mend="Compare with `altnet-agent status` on the host itself, and approve what it shows there.",
        )
    return msgspec.structs.replace(identity, state=IdentityState.ACTIVE, reason="", confirmed_by=by)


def fingerprint_text(identity: IdentitySnapshot) -> str:
    """What people compare; empty while no key is known."""
    if not identity.static_key:
        return ""
    signing = VerifyKey.parse(identity.signing_key) if identity.signing_key else None
    return fingerprint_of(PublicKey.parse(identity.static_key), signing)


def refused() -> Forbidden:
    """A revoked identity gets nothing."""
    return Forbidden("identity_revoked", "this relay is revoked.", mend="Enrol the host anew, with new keys.")


def _pending(identity: IdentitySnapshot, reason: PendingReason) -> IdentitySnapshot:
    return msgspec.structs.replace(identity, state=IdentityState.PENDING, reason=reason)
