"""keyd to the registry: which mesh keys, or access keys, a network's relays have, and are changing to.

The order is absolute for each relay that it names and may be repeated. keyd's nkey signs it: who may publish requests
to the registry cannot thereby put a key into the mesh.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, ClassVar, Final

import msgspec
from altnet.common.contracts.desired import KeyStage
from altnet.common.contracts.envelope import event
from altnet.common.contracts.security import SecurityEvent

MESH_KEYS: Final = "mesh_keys"
"""Verb of the registry: `SignedOrder` → `MeshKeysTaken`."""
MOST_RELAYS: Final = 1_000
"""In one order: with room to spare below a megabyte."""
MOST_LATE_NAMED: Final = 100
"""Clients in one answer."""
PURPOSE: Final = b"altnet-mesh-keys-v1\n"
"""Before what is signed."""

Epoch = Annotated[int, msgspec.Meta(ge=1)]
Id = Annotated[str, msgspec.Meta(max_length=64)]


class KeyKind(StrEnum):
    """Which keys rotate."""

    MESH = "mesh"
    """Of relays, between relays."""
    ACCESS = "access"
    """Of relays, towards their clients."""
    CLIENT = "client"
    """Of clients."""


class Settle(StrEnum):
    """How a rotation ends for a relay."""

    KEEP = "keep"
    """Its next key becomes the present one."""
    DROP = "drop"
    """Its next key is forgotten."""


class KeyOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What one relay's mesh keys are to be. Exactly one of `stage` and `settle` is given."""

    relay: Id
    epoch: Epoch
    stage: KeyStage | None = None
    settle: Settle | None = None
    key: Annotated[str, msgspec.Meta(max_length=64)] = ""
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0


class MeshKeysOrder(msgspec.Struct, frozen=True, kw_only=True):
    network: Id
    rotation: Id
    relays: Annotated[tuple[KeyOrder, ...], msgspec.Meta(max_length=MOST_RELAYS)]
    of: KeyKind = KeyKind.MESH
    until: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    """Of access keys: the latest date at which clients that do not follow by themselves still get in by the present
    one."""


class SignedOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A `MeshKeysOrder` as it was signed, JSON; the Ed25519 signature of keyd's nkey over `PURPOSE` and it, base64."""

    order: Annotated[str, msgspec.Meta(max_length=900_000)]
    signature: Annotated[str, msgspec.Meta(max_length=128)]


CLIENT_KEYS: Final = "client_keys"
"""Verb of the registry: `SignedOrder` of a `ClientKeysOrder` → `ClientKeysTaken`."""
CLIENTS_PURPOSE: Final = b"altnet-client-keys-v1\n"
"""Before what is signed."""


class ClientKeysOrder(msgspec.Struct, frozen=True, kw_only=True):
    """Clients of a network whose keys are older than `since` are to have others, by `until`; some at each call.

    It may be repeated: it says how many may be under way, not how many more to ask.
    """

    network: Id
    rotation: Id
    since: Annotated[datetime, msgspec.Meta(tz=True)]
    until: Annotated[datetime, msgspec.Meta(tz=True)]
    drop: bool = False
    """Instead: nobody is asked any more, and a key that has shown no handshake is forgotten. Who goes by its next key
    goes on."""
    at_once: Annotated[int, msgspec.Meta(ge=1)] = 1
    """Of the clients that follow by themselves, how many may be under way; others are asked all, since each goes by its
    date."""
    patience: Annotated[float, msgspec.Meta(gt=0)] = 30.0
    """Seconds after which a client that is there all the time is late."""
    none_late: bool = False
    """One that is late ends it: then nobody else is asked, not even before that is noticed."""


class ClientKeysTaken(msgspec.Struct, frozen=True, kw_only=True):
    """How many clients are how far."""

    done: Annotated[int, msgspec.Meta(ge=0)]
    announced: Annotated[int, msgspec.Meta(ge=0)]
    """They have another key beside the present one."""
    asked: Annotated[int, msgspec.Meta(ge=0)]
    """They have not answered."""
    waiting: Annotated[int, msgspec.Meta(ge=0)]
    """They are not asked yet."""
    following: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Of those that are not asked yet, the ones that follow by themselves. Who is away is not asked."""
    changed: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Of those that follow by themselves and that this rotation has asked: they go by another key."""
    under_way: Annotated[int, msgspec.Meta(ge=0)] = 0
    """They were asked, are there, and have time left."""
    late: Annotated[int, msgspec.Meta(ge=0)] = 0
    """They were asked, are there, and have had time enough."""
    late_ones: Annotated[tuple[Id, ...], msgspec.Meta(max_length=MOST_LATE_NAMED)] = ()
    """Some of them."""
    left: Annotated[int, msgspec.Meta(ge=0)] = 0
    """They were asked and keep their keys."""


class MeshKeysTaken(msgspec.Struct, frozen=True, kw_only=True):
    """The number of the newest change of such keys among the order's relays: a mesh of that generation has it."""

    change: Annotated[int, msgspec.Meta(ge=0)]


@event
class ClientKeysWished(SecurityEvent, frozen=True, kw_only=True):
    """Clients of a network were asked for other keys, or are not any more."""

    kind: ClassVar[str] = "registry.client_keys.wished"
    network: str
    rotation: str
    clients: tuple[str, ...]
    dropped: bool
    change: int

    @property
    def subject_id(self) -> str:
        return self.network


@event
class ClientKeyLeft(SecurityEvent, frozen=True, kw_only=True):
    """A client keeps the key that it has, although another one was wished: it did not follow by the latest date."""

    kind: ClassVar[str] = "registry.client.key_left"
    client: str
    network: str
    rotation: str
    """The rotation that asked; empty where somebody else did."""
    epoch: int
    """Of the key that does not come."""
    key: str
    """The key that it had announced; empty: none."""
    why: str
    """`no_answer`, `no_handshake`."""
    change: int

    @property
    def subject_id(self) -> str:
        return self.client


@event
class MeshKeysChanged(SecurityEvent, frozen=True, kw_only=True):
    """Relays of a network have other mesh or access keys, or are on the way to them. Public parts only."""

    kind: ClassVar[str] = "registry.mesh_keys.changed"
    network: str
    rotation: str
    relays: tuple[KeyOrder, ...]
    change: int
    of: KeyKind = KeyKind.MESH

    @property
    def subject_id(self) -> str:
        return self.network
