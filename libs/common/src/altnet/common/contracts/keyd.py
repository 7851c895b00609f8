"""keyd: frames of the channel, what is said inside it, and what happened to identities.

Frames are requests on the relay's own subjects, so the bus vouches for who asks; their content is for keyd alone. What
is inside a record is a `Ask`, and its answer a `Reply`.

Each event is a security event (`altnet.common.contracts.security`).
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, ClassVar, Final

import msgspec
from altnet.common.contracts.envelope import event
from altnet.common.contracts.lock import LockReport
from altnet.common.contracts.mesh_keys import KeyKind
from altnet.common.contracts.security import SecurityEvent as SecurityEvent
from altnet.common.lock.certificates import Certificate
from altnet.common.noise.pins import MOST_KEYS, KeyUse, ServiceKey
from altnet.common.noise.wire import LARGEST_FRAME
from altnet.common.signing import VerifyKey

SERVICE: Final = "keyd"
KEYS: Final = "keys"
"""Verb: `KeysQuery` → `ServiceKeys`, in the clear: public keys."""
HELLO: Final = "hello"
"""Verb: a handshake's first message → its second one."""
FIRST_CONTACT: Final = "first_contact"
"""Verb of the registry, for keyd alone: `FirstContactQuery` → `FirstContact`."""
REGISTER: Final = b"altnet-register-signing-key-v1"
"""Purpose of the signature that shows a signing key (`registration`)."""

MOST_TOLD: Final = 100
"""Security events of a host in one record."""

Key = Annotated[str, msgspec.Meta(max_length=64)]
Text = Annotated[str, msgspec.Meta(max_length=256)]


def records_of(replica: bytes) -> str:
    """Verb: a record → a record, at the replica that holds the session. No responder there means: it is gone."""
    return f"r-{replica.hex()}"


def registration(binding: bytes, relay: str, key: VerifyKey) -> bytes:
    """What a signing key signs to be registered: the channel that it is shown in, who shows it, and itself."""
    return binding + relay.encode() + b"\0" + key.raw


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes of the channel (`altnet.common.noise.wire`)."""

    data: Annotated[bytes, msgspec.Meta(max_length=LARGEST_FRAME)]


class KeysQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing is asked but the keys."""


class ServiceKeys(msgspec.Struct, frozen=True, kw_only=True):
    """keyd's public keys, the oldest first."""

    keys: Annotated[tuple[ServiceKey, ...], msgspec.Meta(max_length=MOST_KEYS)]


class FirstContactQuery(msgspec.Struct, frozen=True, kw_only=True):
    """keyd asks for the secret that a relay's join token gives."""

    relay: Text
    to: Key
    """keyd's static key, for which the answer is sealed."""
    signature: Annotated[str, msgspec.Meta(max_length=128)]
    """By keyd's nkey (`first_contact.query_bytes`), base64."""


class FirstContact(msgspec.Struct, frozen=True, kw_only=True):
    """The secret, sealed for keyd; the identity key that it is for, signed by the registry's nkey."""

    identity: Key
    psk: Annotated[str, msgspec.Meta(max_length=256)]
    signature: Annotated[str, msgspec.Meta(max_length=128)]


class IdentityState(StrEnum):
    EXPECTED = "expected"
    """The registry has told of it; it has not made contact."""
    PENDING = "pending"
    """It made contact, or will, with keys that nothing proves: an owner decides."""
    ACTIVE = "active"
    REVOKED = "revoked"


class PendingReason(StrEnum):
    NO_TOKEN = "no_token"
    """First contact without the secret of a join token: the host enrolled before there was a keyd, or lost it."""
    NAME_REUSED = "name_reused"
    """Another identity had this name before: a host that was set up anew, or somebody who says so."""
    IDENTITY_KEY_CHANGED = "identity_key_changed"
    SIGNING_KEY_CHANGED = "signing_key_changed"
    KEY_REVOKED = "key_revoked"
    """Its key counts for nothing any more: the host has to make new ones, and an owner to approve them."""


class HostKeyUse(StrEnum):
    """What a host has a key for."""

    STATIC = "static"
    """X25519: its Noise handshakes, and what is sealed for it."""
    SIGNING = "signing"
    """Ed25519: what it signs."""
    MESH = "mesh"
    """WireGuard, between relays."""
    ACCESS = "access"
    """WireGuard, for its clients."""


class RotationPhase(StrEnum):
    """How far a rotation is."""

    PREPARE = "prepare"
    CONNECT = "connect"
    DRAIN = "drain"
    KEEP = "keep"
    BACK = "back"
    DONE = "done"
    ROLLED_BACK = "rolled_back"


class OnSilence(StrEnum):
    """What a relay that does not answer in time means for a rotation."""

    LEAVE = "leave"
    """The others go on; it keeps its key, and is cut off from them until it hears of theirs."""
    ROLL_BACK = "roll_back"


class Register(msgspec.Struct, frozen=True, kw_only=True, tag="register"):
    """Show the host's signing key. `signature` by it (`REGISTER`), so that it belongs to this channel's peer."""

    signing_key: Key
    signature: Annotated[str, msgspec.Meta(max_length=128)]


class Look(msgspec.Struct, frozen=True, kw_only=True, tag="look"):
    """Ask how we stand; also keeps the session known."""


class KeyReport(msgspec.Struct, frozen=True, kw_only=True, tag="keys"):
    """How far a relay is in a rotation of mesh keys, or of its access key: the channel proves who says so."""

    epoch: Annotated[int, msgspec.Meta(ge=1)]
    key: Key
    """Its next key. The private half is on its disk."""
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)]
    generation: Annotated[int, msgspec.Meta(ge=0)]
    """Of the mesh that it has applied, and that the rest speaks of."""
    switched: Annotated[tuple[Key, ...], msgspec.Meta(max_length=4096)] = ()
    """Neighbours whose links go by the next keys."""
    waiting: Annotated[tuple[Key, ...], msgspec.Meta(max_length=4096)] = ()
    """Neighbours that may, and with whom no handshake is seen yet."""
    certificate: Certificate | None = None
    """Of the key, by the host's identity key: with the network lock on, neighbours take no other."""
    behind: Annotated[tuple[Key, ...], msgspec.Meta(max_length=4096)] = ()
    """Of access keys: clients that cannot follow by themselves, or are away; these are waited for until a date."""
    of: KeyKind = KeyKind.MESH
    """Of access keys `switched` and `waiting` are clients, and `generation` is the private document's."""


class HostReport(msgspec.Struct, frozen=True, kw_only=True):
    """A security event of a host, numbered by its agent."""

    number: Annotated[int, msgspec.Meta(ge=1)]
    at: Annotated[datetime, msgspec.Meta(tz=True)]
    code: Annotated[str, msgspec.Meta(max_length=64, pattern="^[a-z][a-z0-9_]*$")]
    text: Annotated[str, msgspec.Meta(max_length=300)] = ""


class Tell(msgspec.Struct, frozen=True, kw_only=True, tag="tell"):
    """A host's security events, in the order of their numbers. Telling one again is harmless."""

    events: Annotated[tuple[HostReport, ...], msgspec.Meta(min_length=1, max_length=MOST_TOLD)]


class PairTrouble(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong with the pre-shared key of a pair, and how often."""

    neighbour: Key
    why: Annotated[str, msgspec.Meta(max_length=32, pattern="^[a-z_]+$")]
    count: Annotated[int, msgspec.Meta(ge=1)] = 1


MOST_TROUBLES: Final = 64
"""In one report."""


class PairReport(msgspec.Struct, frozen=True, kw_only=True, tag="pairs"):
    """Troubles of a relay with its pre-shared keys: the channel proves who says so."""

    troubles: Annotated[tuple[PairTrouble, ...], msgspec.Meta(max_length=MOST_TROUBLES)]


Ask = Register | Look | KeyReport | LockReport | PairReport | Tell
"""What a record holds."""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How a host stands with keyd, and keyd's keys: in here, they are proven by the channel."""

    state: IdentityState
    reason: str = ""
    fingerprint: str = ""
    keys: Annotated[tuple[ServiceKey, ...], msgspec.Meta(max_length=MOST_KEYS)] = ()


class IdentitySnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Public parts only."""

    id: str
    network: str
    name: str
    state: IdentityState
    reason: str = ""
    static_key: str = ""
    signing_key: str = ""
    confirmed_by: str = ""
    version: int = 1


class IdentityEvent(SecurityEvent, frozen=True, kw_only=True):
    identity: str
    before: IdentitySnapshot | None = None
    after: IdentitySnapshot | None = None

    @property
    def subject_id(self) -> str:
        return self.identity


@event
class IdentityExpected(IdentityEvent, frozen=True, kw_only=True):
    """A relay enrolled; keyd waits for its first contact."""

    kind: ClassVar[str] = "keyd.identity.expected"


@event
class IdentityConfirmed(IdentityEvent, frozen=True, kw_only=True):
    """A host proved its keys by its join token, or an owner approved them."""

    kind: ClassVar[str] = "keyd.identity.confirmed"


@event
class IdentityPending(IdentityEvent, frozen=True, kw_only=True):
    """A host has keys that nothing proves."""

    kind: ClassVar[str] = "keyd.identity.pending"


@event
class IdentityChanged(IdentityEvent, frozen=True, kw_only=True):
    """Something else of an identity changed: its name, or a key before it was confirmed."""

    kind: ClassVar[str] = "keyd.identity.changed"


@event
class IdentityRevoked(IdentityEvent, frozen=True, kw_only=True):
    """A relay was put out: its keys count for nothing from now on."""

    kind: ClassVar[str] = "keyd.identity.revoked"


@event
class ServiceKeyRotated(SecurityEvent, frozen=True, kw_only=True):
    """One of keyd's own keys was replaced."""

    kind: ClassVar[str] = "keyd.service_key.rotated"
    use: KeyUse
    key: str
    before: str = ""
    answers_until: Annotated[datetime, msgspec.Meta(tz=True)] | None = None

    @property
    def subject_id(self) -> str:
        return str(self.use)


@event
class ServiceKeysRewrapped(SecurityEvent, frozen=True, kw_only=True):
    """keyd's private keys lie under another key-encryption key; they are the same keys."""

    kind: ClassVar[str] = "keyd.service_key.rewrapped"
    kek: str
    """The key-encryption key's name, which says nothing of it."""
    before: str
    keys: int

    @property
    def subject_id(self) -> str:
        return self.kek


@event
class ChannelRefused(SecurityEvent, frozen=True, kw_only=True):
    """A relay's messages were refused; counted, not told one by one."""

    kind: ClassVar[str] = "keyd.channel.refused"
    relay: str
    reason: str
    """The error's code: `noise_refused`, `noise_replayed`, `noise_too_many`, …; `noise_unfinished`: a handshake was
    answered and led to nothing."""
    count: int
    since: Annotated[datetime, msgspec.Meta(tz=True)]

    @property
    def subject_id(self) -> str:
        return self.relay


@event
class HostTold(SecurityEvent, frozen=True, kw_only=True):
    """A host told of something in its channel. The emitter is the relay, and the number its agent's."""

    kind: ClassVar[str] = "keyd.host.told"
    at: Annotated[datetime, msgspec.Meta(tz=True)]
    """By the host's clock."""
    code: str
    text: str = ""

    @property
    def subject_id(self) -> str:
        return self.emitter


@event
class HostGap(SecurityEvent, frozen=True, kw_only=True):
    """A host's count jumped: events of it were lost, or somebody kept them back."""

    kind: ClassVar[str] = "keyd.host.gap"
    relay: str
    first: int
    last: int

    @property
    def subject_id(self) -> str:
        return self.relay


@event
class PresharedKeyFailed(SecurityEvent, frozen=True, kw_only=True):
    """Two relays did not agree on a pre-shared key, or one saw something that honest relays do not do."""

    kind: ClassVar[str] = "keyd.preshared_key.failed"
    relay: str
    """Who says so."""
    neighbour: str
    why: str
    """`no_answer`, `not_installed`, `rolled_back`, `not_acknowledged`, `bad_proof`, `bad_signature`, `no_key`, …"""
    count: int

    @property
    def subject_id(self) -> str:
        return self.relay


class RotationEvent(SecurityEvent, frozen=True, kw_only=True):
    """Base: something happened to a rotation of keys."""

    rotation: str
    network: str
    epoch: int

    @property
    def subject_id(self) -> str:
        return self.rotation


@event
class RotationStarted(RotationEvent, frozen=True, kw_only=True):
    """A network's keys of a kind are being replaced."""

    kind: ClassVar[str] = "keyd.rotation.started"
    reason: str
    relays: int
    of: KeyKind = KeyKind.MESH


@event
class RotationAdvanced(RotationEvent, frozen=True, kw_only=True):
    """It came to another phase or wave, or was paused or resumed."""

    kind: ClassVar[str] = "keyd.rotation.advanced"
    phase: RotationPhase
    wave: int
    paused: bool


@event
class RotationRelayLeft(RotationEvent, frozen=True, kw_only=True):
    """A relay keeps its old key: the rotation goes on without it."""

    kind: ClassVar[str] = "keyd.rotation.relay_left"
    relay: str
    why: str


@event
class RotationCompleted(RotationEvent, frozen=True, kw_only=True):
    """The relays that took part have new keys, and have forgotten the old ones."""

    kind: ClassVar[str] = "keyd.rotation.completed"
    relays: int
    left: int


@event
class RotationRolledBack(RotationEvent, frozen=True, kw_only=True):
    """It ended with the keys of before."""

    kind: ClassVar[str] = "keyd.rotation.rolled_back"
    why: str
    """`asked`, `no_handshake`, `silent`, `nobody_prepared`, `order_refused`."""
    relays: tuple[str, ...]
    """Because of whom, as far as that is known."""
    clients: tuple[str, ...] = ()
    """Of a rotation of clients' keys: because of whom."""
