"""What an agent keeps between two starts: what it is, whatever it lies on (`disk_state`, `memory_state`).

Invariant: private keys are in here and nowhere else, and no text of these types shows one.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

import msgspec
from altnet.common.contracts.keyd import HostReport
from altnet.common.errors import Invalid
from altnet.common.keys import PrivateKey
from altnet.common.signing import SigningKey
from altnet.relay_agent.lock.memory import LockMemory
from altnet.relay_agent.psk.pair import Record

MOST_DELTAS: Final = 512
"""Deltas kept behind a snapshot; the one after them asks for a new snapshot, so that a start stays fast."""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """The host's keys, in base64. `nkey_seed` signs to the registry and the bus; `identity_key` (X25519) is what others
    seal texts for and keyd knows the host by; `signing_key` (Ed25519) signs; the other two are WireGuard's."""

    nkey: str
    nkey_seed: str
    mesh_key: str
    access_key: str
    identity_key: str = ""
    """Empty in a file of before there was one: it is made at the next start."""
    signing_key: str = ""
    """The same holds for it."""
    mesh_device: int = 0
    """On which of its two mesh devices `mesh_key` is: each rotation of keys takes the other one."""
    next_mesh_key: str = ""
    """While keys rotate, the one that `mesh_key` gives way to."""
    next_mesh_epoch: int = 0
    access_device: int = 0
    """The same of the access key."""
    next_access_key: str = ""
    next_access_epoch: int = 0
    version: int = 1

    def __repr__(self) -> str:
        return f"Identity(nkey={self.nkey!r}, <hidden>)"

    @property
    def mesh(self) -> PrivateKey:
        return PrivateKey.parse(self.mesh_key)

    @property
    def next_mesh(self) -> PrivateKey | None:
        return PrivateKey.parse(self.next_mesh_key) if self.next_mesh_key else None

    @property
    def access(self) -> PrivateKey:
        return PrivateKey.parse(self.access_key)

    @property
    def next_access(self) -> PrivateKey | None:
        return PrivateKey.parse(self.next_access_key) if self.next_access_key else None

    @property
    def sealed_for(self) -> PrivateKey:
        """Opens what was sealed for this host (`altnet.common.seal`)."""
        return PrivateKey.parse(self.identity_key)

    @property
    def signing(self) -> SigningKey:
        """Signs what this host says; keyd knows its public half."""
        return SigningKey.parse(self.signing_key)


class RelayIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """The relay as the registry knows it."""

    id: str
    name: str
    slot: int
    address: str = ""
    locator: str = ""
    client_prefix: str = ""


class NetworkIdentity(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    prefix: str


class BusAccess(msgspec.Struct, frozen=True, kw_only=True):
    """Where the bus is and what opens it: a user JWT bound to our nkey. Useless without the seed."""

    servers: tuple[str, ...]
    jwt: str
    expires_at: str
    issued_at: str = ""
    """Written by the agent when the answer came: half of the way to `expires_at` it renews."""


class Enrolment(msgspec.Struct, frozen=True, kw_only=True):
    """The registry's answer to an enrolment. Fields that we do not know are ignored."""

    relay: RelayIdentity
    network: NetworkIdentity
    bus: BusAccess


class Owned(msgspec.Struct, frozen=True, kw_only=True):
    """What the agent changed on the host and could not mark as its own."""

    addresses: tuple[str, ...] = ()
    """Addresses it put on `lo`, with their length."""
    sysctls: dict[str, str] = {}
    """Name to the value of before."""


class Keyd(msgspec.Struct, frozen=True, kw_only=True):
    """What the agent knows of keyd, base64. Nothing is pinned before first contact."""

    psk: str = ""
    """The secret of the join token, until it has proven both sides to each other."""
    static: str = ""
    signing: str = ""

    def __repr__(self) -> str:
        return f"Keyd(static={self.static!r}, signing={self.signing!r})"


class Attachment(msgspec.Struct, frozen=True, kw_only=True):
    """What a client said last about being attached here."""

    counter: int
    attached: bool
    fresh: bool = False
    """It had come lately, and its own address was announced."""


class ClientMemory(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered of clients."""

    endpoints: dict[str, str] = {}
    """By public key, base64."""
    attached: dict[str, Attachment] = {}
    """By the client's identifier."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """Security events of this host: the number of the last one, and those that keyd has not heard yet."""

    number: int = 0
    waiting: tuple[HostReport, ...] = ()


class State(Protocol):
    """Where the agent keeps itself; `DiskState` in earnest, `MemoryState` for many agents in one process."""

    def identity(self) -> Identity: ...
    def enrolment(self) -> Enrolment | None: ...
    def owned(self) -> Owned: ...
    def keyd(self) -> Keyd: ...
    def clients(self) -> ClientMemory: ...
    def lock(self) -> LockMemory: ...
    def told(self) -> Told: ...
    def pairs(self) -> Mapping[str, Record]: ...
    def mesh(self) -> Sequence[bytes]: ...
    def document(self) -> bytes | None: ...
    async def save_identity(self, identity: Identity) -> None: ...
    async def save_enrolment(self, enrolment: Enrolment) -> None: ...
    async def save_owned(self, owned: Owned) -> None: ...
    async def save_keyd(self, keyd: Keyd) -> None: ...
    async def save_clients(self, clients: ClientMemory) -> None: ...
    async def save_lock(self, lock: LockMemory) -> None: ...
    def save_told(self, told: Told) -> None: ...
    async def save_pair(self, relay: str, record: Record | None) -> None: ...
    async def save_snapshot(self, data: bytes) -> None: ...
    async def save_delta(self, data: bytes) -> bool: ...
    async def save_document(self, data: bytes) -> None: ...


def make_identity(
    *, make_nkey: Callable[[], tuple[str, bytes]], make_key: Callable[[], PrivateKey] = PrivateKey.generate
) -> Identity:
    """New keys for a host. `make_nkey` gives a public nkey and its seed."""
    public, seed = make_nkey()
    return Identity(
        nkey=public,
        nkey_seed=seed.decode(),
        mesh_key=_text(make_key()),
        access_key=_text(make_key()),
        identity_key=_text(make_key()),
        signing_key=base64.b64encode(SigningKey.generate().reveal()).decode(),
    )


def _text(key: PrivateKey) -> str:
    return base64.b64encode(key.reveal()).decode()


def not_enrolled() -> Invalid:
    """The error of what needs an enrolment."""
    return Invalid(
        "not_enrolled",
        "this host is not enrolled.",
        mend="Run `altnet-agent enrol --registry … --token-file …` once.",
    )
