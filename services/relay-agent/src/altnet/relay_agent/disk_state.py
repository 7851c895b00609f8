"""An agent's state in a directory of its host.

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
import fcntl
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
from altnet.common.bus.nkey import make_nkey
from altnet.common.errors import AltnetError, Conflict, Invalid, Unavailable
from altnet.common.files import write_private
from altnet.relay_agent import disk
from altnet.relay_agent.lock.memory import LockMemory
from altnet.relay_agent.psk.pair import Record
from altnet.relay_agent.psk.store import PairFiles
from altnet.relay_agent.sealing import Sealing, SystemdCreds, sealer
from altnet.relay_agent.state import MOST_DELTAS, ClientMemory, Enrolment, Identity, Keyd, Owned, Told, make_identity

PLAIN: Final = "identity.json"
SEALED: Final = "identity.cred"
"""Instead of the other, where the identity is sealed (`sealing`)."""


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


def _corrupt(path: Path, reason: str, *, mend: str | None = None) -> Invalid:
    return Invalid(
        "state_corrupt",
        f"{path}: {reason}.",
        field="/state_dir",
        mend=mend or "Bring the file back from a backup, or empty the state directory and enrol anew.",
    )
