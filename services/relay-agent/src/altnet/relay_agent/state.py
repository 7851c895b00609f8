"""What an agent keeps between two starts.

    identity.json     the keys, made here on first start: they never change and never leave
    enrolment.json    what the registry answered: identifier, slot, bus credentials
    mesh.log          the last mesh snapshot as it came, then the deltas since
    document.log      the last private document as it came
    keyd.json         keyd's pinned keys, and until first contact the secret that the join token gives
    lock.json         the network lock: pin, log, signatures, and what was accepted before what is refused came
    clients.json      where clients were last, and which of them are attached
    pairs/            what each pair of relays has agreed on as its pre-shared key
    owned.json        what the agent changed that does not carry its mark: for `down`

Invariant: whatever was written when the host died, the next start finds the state of before or of after.
"""

from __future__ import annotations

import asyncio
import base64
import fcntl
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

import msgspec
from altnet.common.bus.nkey import make_nkey
from altnet.common.contracts.keyd import HostReport
from altnet.common.errors import AltnetError, Conflict, Invalid, Unavailable
from altnet.common.files import write_private
from altnet.common.keys import PrivateKey
from altnet.common.signing import SigningKey
from altnet.relay_agent import disk
from altnet.relay_agent.lock.memory import LockMemory
from altnet.relay_agent.psk.pair import Record
from altnet.relay_agent.psk.store import PairFiles
from altnet.relay_agent.sealing import Sealing, SystemdCreds, sealer

PLAIN: Final = "identity.json"
SEALED: Final = "identity.cred"
"""Instead of the other, where the identity is sealed (`sealing`)."""

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


class DiskState:
    """The state in one directory of mode 0700. One agent at a time holds it."""

    def __init__(self, path: Path, *, make: Callable[[], Identity], seal: Sealing = "off") -> None:
        """`seal` says how the identity lies on the disk. Raises `Invalid` (`no_systemd_creds`)."""
        self._path = path
        self._make = make
        self._sealer = sealer(seal)
        self._lock: int | None = None
        self._deltas = 0
        self._pairs = PairFiles(path / "pairs")
        self.warnings: list[str] = []
        """What was found broken and set aside at the start, for the log."""

    @classmethod
    def at(cls, path: str, *, seal: Sealing = "off") -> DiskState:
        """The state directory of this host, checked. Raises `Invalid`, `Unavailable`."""
        state = cls(Path(path), make=lambda: make_identity(make_nkey=make_nkey), seal=seal)
        state.open()
        return state

    def open(self) -> None:
        """Check the directory. Raises `Invalid` or `Unavailable`, with the mend."""
        disk.open_private_dir(self._path)

    def hold(self) -> None:
        """Be the only agent of this directory until the process ends. Raises `Conflict` (`agent_running`)."""
        self.open()
        descriptor = os.open(self._path / "agent.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise Conflict(
                "agent_running",
                f"another agent uses {self._path}.",
                field="/state_dir",
                mend="Stop it first, or give this one its own state directory.",
            ) from None
        self._lock = descriptor

    def release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def identity(self) -> Identity:
        """The host's keys; made and saved on first use."""
        data, as_wanted = self._read_identity()
        if data is None:
            if (self._path / "enrolment.json").exists():
                raise _corrupt(self._path / "identity.json", "it is missing although the host is enrolled")
            made = self._make()
            self._write_identity(made)
            return made
        try:
            identity = msgspec.json.decode(data, type=Identity)
            if not identity.identity_key or not identity.signing_key:
                made = self._make()
                identity = msgspec.structs.replace(
                    identity,
                    identity_key=identity.identity_key or made.identity_key,
                    signing_key=identity.signing_key or made.signing_key,
                )
                as_wanted = False
            if not as_wanted:
                self._write_identity(identity)
            _ = identity.mesh, identity.next_mesh, identity.access, identity.next_access
            _ = identity.sealed_for, identity.signing
        except Unavailable:  # of the disk, or of what seals
            raise
        except (ValueError, AltnetError):  # the reason could quote a key
            raise _corrupt(self._path / "identity.json", "it does not hold the agent's keys") from None
        return identity

    def enrolment(self) -> Enrolment | None:
        path = self._path / "enrolment.json"
        data = disk.read(path)
        if data is None:
            return None
        try:
            return msgspec.json.decode(data, type=Enrolment)
        except ValueError as error:
            raise _corrupt(path, str(error), mend="Remove it and run `altnet-agent enrol` again.") from None

    def keyd(self) -> Keyd:
        """What is known of keyd. Raises `Invalid` (`state_corrupt`): pins are not forgotten because a file is torn."""
        path = self._path / "keyd.json"
        data = disk.read(path)
        if data is None:
            return Keyd()
        try:
            return msgspec.json.decode(data, type=Keyd)
        except ValueError:  # the reason could quote the secret
            raise _corrupt(
                path,
                "it does not hold what is known of keyd",
                mend="Remove it, compare keyd's fingerprint, and have an owner approve this host.",
            ) from None

    def lock(self) -> LockMemory:
        """The network lock. Raises `Invalid` (`state_corrupt`): a lock is not forgotten because a file is torn."""
        path = self._path / "lock.json"
        data = disk.read(path)
        if data is None:
            return LockMemory()
        try:
            return msgspec.json.decode(data, type=LockMemory)
        except ValueError as error:
            raise _corrupt(
                path,
                str(error),
                mend="Remove it, and give the fingerprint of `altnet lock status` as --lock-fingerprint.",
            ) from None

    def owned(self) -> Owned:
        path = self._path / "owned.json"
        data = disk.read(path)
        if data is None:
            return Owned()
        try:
            return msgspec.json.decode(data, type=Owned)
        except ValueError as error:
            self._set_aside(path, str(error))
            return Owned()

    def clients(self) -> ClientMemory:
        path = self._path / "clients.json"
        data = disk.read(path)
        if data is None:
            return ClientMemory()
        try:
            return msgspec.json.decode(data, type=ClientMemory)
        except ValueError as error:
            self._set_aside(path, str(error))
            return ClientMemory()

    def told(self) -> Told:
        """Raises `Invalid` (`state_corrupt`): a count that begins anew would hide what is missing."""
        path = self._path / "security.json"
        data = disk.read(path)
        if data is None:
            return Told()
        try:
            return msgspec.json.decode(data, type=Told)
        except ValueError as error:
            raise _corrupt(path, str(error), mend="Remove it; keyd will say that events are missing.") from None

    def pairs(self) -> Mapping[str, Record]:
        """Pre-shared keys, by neighbour."""
        return self._pairs.load(self.warnings)

    def mesh(self) -> Sequence[bytes]:
        """The last snapshot and the deltas after it, as they came."""
        frames, torn = disk.read_frames(self._path / "mesh.log")
        if torn:
            self.warnings.append("mesh.log: its end was torn by a crash and is cut off")
        self._deltas = max(0, len(frames) - 1)
        return frames

    def document(self) -> bytes | None:
        frames, torn = disk.read_frames(self._path / "document.log")
        if torn and not frames:
            self.warnings.append("document.log: torn, set aside")
        return frames[0] if frames else None

    async def save_identity(self, identity: Identity) -> None:
        """Replace the keys; on the disk, and not only on its way there, when this returns."""
        await asyncio.to_thread(self._write_identity, identity)

    def _read_identity(self) -> tuple[bytes | None, bool]:
        """What lies there, and whether it lies there as it should. Where both lie, a crash was between the two."""
        plain, sealed = disk.read(self._path / PLAIN), disk.read(self._path / SEALED)
        if sealed is None or (plain is not None and self._sealer is None):
            return plain, self._sealer is None and sealed is None
        opened = (self._sealer or SystemdCreds()).open(sealed)
        return opened, self._sealer is not None and plain is None

    def _write_identity(self, identity: Identity) -> None:
        data = msgspec.json.format(msgspec.json.encode(identity))
        if self._sealer is None:
            write_private(self._path / PLAIN, data)
            disk.remove(self._path / SEALED)
        else:
            write_private(self._path / SEALED, self._sealer.seal(data))
            disk.remove(self._path / PLAIN)

    async def save_enrolment(self, enrolment: Enrolment) -> None:
        data = msgspec.json.format(msgspec.json.encode(enrolment))
        await asyncio.to_thread(write_private, self._path / "enrolment.json", data)

    async def save_owned(self, owned: Owned) -> None:
        data = msgspec.json.format(msgspec.json.encode(owned))
        await asyncio.to_thread(write_private, self._path / "owned.json", data)

    async def save_keyd(self, keyd: Keyd) -> None:
        data = msgspec.json.format(msgspec.json.encode(keyd))
        await asyncio.to_thread(write_private, self._path / "keyd.json", data)

    async def save_clients(self, clients: ClientMemory) -> None:
        await asyncio.to_thread(write_private, self._path / "clients.json", msgspec.json.encode(clients))

    async def save_lock(self, lock: LockMemory) -> None:
        await asyncio.to_thread(write_private, self._path / "lock.json", msgspec.json.encode(lock))

    def save_told(self, told: Told) -> None:
        """Not asynchronous: an event has its number on the disk before anything else happens."""
        write_private(self._path / "security.json", msgspec.json.encode(told))

    async def save_pair(self, relay: str, record: Record | None) -> None:
        """Keep what a pair has agreed on, durably; None forgets it."""
        await asyncio.to_thread(self._pairs.save, relay, record)

    async def save_snapshot(self, data: bytes) -> None:
        """Start the log anew with a snapshot."""
        await asyncio.to_thread(write_private, self._path / "mesh.log", disk.encode_frame(data))
        self._deltas = 0

    async def save_delta(self, data: bytes) -> bool:
        """Add a delta. False when the log is long enough: the caller fetches a snapshot then."""
        if self._deltas >= MOST_DELTAS:
            return False
        self._deltas += 1
        await asyncio.to_thread(disk.append_frame, self._path / "mesh.log", data)
        return True

    async def save_document(self, data: bytes) -> None:
        await asyncio.to_thread(write_private, self._path / "document.log", disk.encode_frame(data))

    def forget_documents(self) -> None:
        """Drop the caches, as after a cache that contradicts the enrolment."""
        for name in ("mesh.log", "document.log"):
            disk.remove(self._path / name)

    def _set_aside(self, path: Path, reason: str) -> None:
        aside = disk.set_aside(path)
        self.warnings.append(f"{path.name}: {reason}; kept as {aside.name}")


class MemoryState:
    """The same without a disk. Survives a restart of the agent as long as the object does."""

    def __init__(self, identity: Identity, enrolment: Enrolment | None = None) -> None:
        self._identity = identity
        self._enrolment = enrolment
        self._owned = Owned()
        self._keyd = Keyd()
        self._clients = ClientMemory()
        self._lock = LockMemory()
        self._told = Told()
        self._pairs: dict[str, Record] = {}
        self._mesh: list[bytes] = []
        self._document: bytes | None = None

    def identity(self) -> Identity:
        return self._identity

    def enrolment(self) -> Enrolment | None:
        return self._enrolment

    def owned(self) -> Owned:
        return self._owned

    def keyd(self) -> Keyd:
        return self._keyd

    def clients(self) -> ClientMemory:
        return self._clients

    def lock(self) -> LockMemory:
        return self._lock

    def told(self) -> Told:
        return self._told

    def pairs(self) -> Mapping[str, Record]:
        return self._pairs

    def mesh(self) -> Sequence[bytes]:
        return tuple(self._mesh)

    def document(self) -> bytes | None:
        return self._document

    async def save_identity(self, identity: Identity) -> None:
        self._identity = identity

    async def save_enrolment(self, enrolment: Enrolment) -> None:
        self._enrolment = enrolment

    async def save_owned(self, owned: Owned) -> None:
        self._owned = owned

    async def save_keyd(self, keyd: Keyd) -> None:
        self._keyd = keyd

    async def save_clients(self, clients: ClientMemory) -> None:
        self._clients = clients

    async def save_lock(self, lock: LockMemory) -> None:
        self._lock = lock

    def save_told(self, told: Told) -> None:
        self._told = told

    async def save_pair(self, relay: str, record: Record | None) -> None:
        if record is None:
            self._pairs.pop(relay, None)
        else:
            self._pairs[relay] = record

    async def save_snapshot(self, data: bytes) -> None:
        self._mesh = [data]

    async def save_delta(self, data: bytes) -> bool:
        if len(self._mesh) > MOST_DELTAS:
            return False
        self._mesh.append(data)
        return True

    async def save_document(self, data: bytes) -> None:
        self._document = data


def _text(key: PrivateKey) -> str:
    return base64.b64encode(key.reveal()).decode()


def not_enrolled() -> Invalid:
    """The error of what needs an enrolment."""
    return Invalid(
        "not_enrolled",
        "this host is not enrolled.",
        mend="Run `altnet-agent enrol --registry … --token-file …` once.",
    )


def _corrupt(path: Path, reason: str, *, mend: str | None = None) -> Invalid:
    return Invalid(
        "state_corrupt",
        f"{path}: {reason}.",
        field="/state_dir",
        mend=mend or "Bring the file back from a backup, or empty the state directory and enrol anew.",
    )
