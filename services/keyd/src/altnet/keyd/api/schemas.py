"""The models of keyd's resources: public parts only."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from altnet.common.contracts.keyd import HostKeyUse, IdentityState
from altnet.common.http.schema import Model
from altnet.common.noise.pins import KeyUse, ServiceKey
from altnet.keyd.domain.identities import fingerprint_text
from altnet.keyd.tables import IdentityKeyRow, IdentityRow
from pydantic import Field

Time = Annotated[datetime, Field(examples=["2026-05-01T12:00:00Z"])]
Key = Annotated[str, Field(examples=["xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="])]
Fingerprint = Annotated[str, Field(max_length=80, examples=["4JQX 2M7B QW3A 5ZKD RT6F HY7U NB2V CX4S"])]


class Identity(Model):
    """A host, by its keys."""

    id: str
    """The relay's identifier."""
    network: str
    name: str
    state: IdentityState
    reason: str
    """Why it is pending: `no_token`, `name_reused`, `identity_key_changed`, `signing_key_changed`, `key_revoked`; else
    empty."""
    static_key: Key
    """X25519, of its Noise handshakes and of what is sealed for it, base64; empty while unknown."""
    signing_key: Key
    """Ed25519, base64; empty until its first contact."""
    fingerprint: Fingerprint
    """Of both keys: 160 bits of SHA-256 in base32 (RFC 4648), in groups of four. The host shows the same."""
    confirmed_by: str
    """`token`, or the owner who approved it."""
    contact_at: Time | None
    """When it last showed a key."""
    created_at: Time
    updated_at: Time
    version: int

    @classmethod
    def of(cls, row: IdentityRow) -> Identity:
        return cls(**_common(row))


class KeyOfIdentity(Model):
    """A key that an identity has or had."""

    use: HostKeyUse
    key: Key
    added_at: Time
    removed_at: Time | None
    why: str
    """The identity's state, or the reason why it was pending, when the key came; where a WireGuard key came from."""


class IdentityWithHistory(Identity):
    """A host with every key that it had, newest first."""

    history: list[KeyOfIdentity]

    @classmethod
    def with_history(cls, row: IdentityRow, history: Sequence[IdentityKeyRow]) -> IdentityWithHistory:
        keys = [
            KeyOfIdentity(
                use=HostKeyUse(key.use), key=key.key, added_at=key.added_at, removed_at=key.removed_at, why=key.why
            )
            for key in history
        ]
        return cls(**_common(row), history=keys)


class HostKey(KeyOfIdentity):
    """A key that some host has or had, and whose it is."""

    number: int
    """Keys are numbered as they come."""
    identity: str
    name: str
    network: str

    @classmethod
    def of(cls, key: IdentityKeyRow, row: IdentityRow) -> HostKey:
        return cls(
            number=key.number or 0,
            identity=row.id,
            name=row.name,
            network=row.network,
            use=HostKeyUse(key.use),
            key=key.key,
            added_at=key.added_at,
            removed_at=key.removed_at,
            why=key.why,
        )


class Approval(Model):
    """An owner vouches for a host."""

    fingerprint: Fingerprint
    """As `altnet-agent status` shows it on the host itself; spaces and case do not count."""


class KeydKey(Model):
    """One of keyd's own keys: its public part."""

    use: KeyUse
    key: Key
    current: bool
    endorsed_by: str
    """The signing key that vouches for it; empty for the first one."""
    endorsement: str
    """Its Ed25519 signature, base64."""
    answers_until: Time | None
    """Of a static key that was replaced: until then it still answers."""

    @classmethod
    def of(cls, key: ServiceKey) -> KeydKey:
        return cls(
            use=key.use,
            key=key.key,
            current=key.current,
            endorsed_by=key.endorsed_by,
            endorsement=key.endorsement,
            answers_until=key.answers_until,
        )


class KeydKeys(Model):
    """keyd's keys, the oldest first."""

    keys: list[KeydKey]
    fingerprint: Fingerprint
    """Of the current static and signing key; hosts show the one that they have pinned."""


class KeyRotation(Model):
    """Replace one of keyd's own keys."""

    use: KeyUse
    overlap: Annotated[float, Field(ge=0, le=366 * 86_400)] | None = None
    """Seconds for which a replaced static key still answers; null: keyd's setting. 0 after a theft."""


def _common(row: IdentityRow) -> dict[str, object]:
    return {
        "id": row.id,
        "network": row.network,
        "name": row.name,
        "state": IdentityState(row.state),
        "reason": row.reason,
        "static_key": row.static_key,
        "signing_key": row.signing_key,
        "fingerprint": fingerprint_text(row.snapshot()),
        "confirmed_by": row.confirmed_by,
        "contact_at": row.contact_at,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "version": row.version,
    }
