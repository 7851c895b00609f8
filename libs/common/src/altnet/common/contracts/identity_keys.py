"""keyd to the registry: the identities that are proven, so that relays know each other by them.

The order is absolute for each relay that it names and may be repeated. keyd's nkey signs it, like one about mesh keys.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Final

import msgspec
from altnet.common.contracts.envelope import event
from altnet.common.contracts.mesh_keys import Id
from altnet.common.contracts.security import SecurityEvent

IDENTITY_KEYS: Final = "identity_keys"
"""Verb of the registry: `SignedOrder` → `IdentityKeysTaken`."""
IDENTITY_PURPOSE: Final = b"altnet-identity-keys-v1\n"
"""Before what is signed."""
MOST_IDENTITIES: Final = 1_000
"""In one order."""

Text = Annotated[str, msgspec.Meta(max_length=64)]


class IdentityOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What one relay's proven identity is; both keys empty where none is proven."""

    relay: Id
    static: Text = ""
    signing: Text = ""


class IdentitiesOrder(msgspec.Struct, frozen=True, kw_only=True):
    relays: Annotated[tuple[IdentityOrder, ...], msgspec.Meta(max_length=MOST_IDENTITIES)]


class IdentityKeysTaken(msgspec.Struct, frozen=True, kw_only=True):
    """How many relays have another identity by it."""

    changed: Annotated[int, msgspec.Meta(ge=0)]


@event
class IdentityKeysChanged(SecurityEvent, frozen=True, kw_only=True):
    """Other relays know relays of a network by other identities. Public parts only."""

    kind: ClassVar[str] = "registry.identity_keys.changed"
    network: str
    relays: tuple[IdentityOrder, ...]
    change: int

    @property
    def subject_id(self) -> str:
        return self.network
