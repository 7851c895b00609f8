"""An agent's state without a disk: for tests, simulated agents and machines.

Invariant: what is read back is what was saved.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from altnet.relay_agent.lock.memory import LockMemory
from altnet.relay_agent.psk.pair import Record
from altnet.relay_agent.state import MOST_DELTAS, ClientMemory, Enrolment, Identity, Keyd, Owned, Told


class MemoryState:
    """Survives a restart of the agent as long as the object does."""

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
