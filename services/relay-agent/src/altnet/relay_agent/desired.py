"""What the registry wants, as far as the agent has heard: two documents, merged from snapshot and deltas.

`Desired` does no I/O. Each message is a verdict: taken, nothing new, or a gap that only a fetch can close. Messages
may be lost, repeated or reordered as they like; what counts is the generation of each document, and neither ever
goes back. A document that contradicts itself is refused whole, and the one before it stays.

Leaves out where messages come from (feed.py) and what they mean for the host (view.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv6Network
from typing import Final, Protocol

import msgspec
from altnet.common.contracts.desired import (
    MeshDelta,
    MeshSettings,
    MeshSnapshot,
    RelayDocument,
    RelayEntry,
    unpack_delta,
    unpack_relay_document,
    unpack_snapshot,
)
from altnet.common.errors import Broken

NEVER: Final = -1
"""The generation of a document that has not come yet."""


class Verdict(Enum):
    """What a message was."""

    TAKEN = "taken"
    KNOWN = "known"
    """As old as what we have, or older."""
    SAME = "same"
    """A snapshot of exactly what we have."""
    GAP = "gap"
    """It builds on what we do not have."""


@dataclass(frozen=True, kw_only=True)
class Decode:
    """How documents are read. Many agents in one process may share one that remembers the last."""

    snapshot: Callable[[bytes], MeshSnapshot] = unpack_snapshot
    delta: Callable[[bytes], MeshDelta] = unpack_delta
    document: Callable[[bytes], RelayDocument] = unpack_relay_document


class Wish(Protocol):
    """What those who act on documents read: `Desired`, or what the network lock leaves of it (lock/accepted.py)."""

    @property
    def relay(self) -> str: ...
    @property
    def network(self) -> str: ...
    @property
    def prefix(self) -> IPv6Network: ...
    @property
    def settings(self) -> MeshSettings: ...
    @property
    def entries(self) -> Mapping[str, RelayEntry]: ...
    @property
    def document(self) -> RelayDocument | None: ...
    @property
    def generation(self) -> int: ...
    @property
    def complete(self) -> bool: ...
    @property
    def touched(self) -> bool: ...
    def take(self) -> Mapping[str, RelayEntry | None]: ...


class Desired:
    """The present wish for one relay.

    `entries` and the rest are read by the reconciler; `take()` tells it which relays changed since it last asked.
    """

    def __init__(self, *, relay: str, network: str, prefix: IPv6Network, decode: Decode | None = None) -> None:
        self.relay = relay
        self.network = network
        self.prefix = prefix
        self.settings = MeshSettings()
        self.entries: dict[str, RelayEntry] = {}
        self.generation = NEVER
        self.ahead = NEVER
        """The newest generation heard of: while it is above `generation`, a fetch is due."""
        self.document: RelayDocument | None = None
        self._decode = decode or Decode()
        self._slots: dict[int, str] = {}
        self._keys: dict[str, str] = {}
        self._touched: dict[str, RelayEntry | None] = {}

    @property
    def document_generation(self) -> int:
        return NEVER if self.document is None else self.document.generation

    @property
    def complete(self) -> bool:
        """Whether both documents are here: nothing is taken off the host before."""
        return self.generation != NEVER and self.document is not None

    @property
    def revoked(self) -> bool:
        return self.document is not None and self.document.revoked

    @property
    def touched(self) -> bool:
        """Whether `take` has something to tell."""
        return bool(self._touched)

    def take(self) -> Mapping[str, RelayEntry | None]:
        """The relays that changed since the last call, each with its entry of then (None: there was none)."""
        touched, self._touched = self._touched, {}
        return touched

    def on_snapshot(self, data: bytes) -> Verdict:
        """A whole mesh. Raises `Broken` for one that cannot be had; nothing has changed then."""
        snapshot = self._decode.snapshot(data)
        self._check_mesh(snapshot.network, snapshot.prefix)
        if snapshot.generation <= self.generation:
            return Verdict.SAME if snapshot.generation == self.generation else Verdict.KNOWN
        entries = {entry.id: entry for entry in snapshot.relays}
        if len(entries) != len(snapshot.relays):
            raise Broken("MeshSnapshot: a relay is in it twice")
        slots, keys = _claims(entries)
        for relay in self.entries.keys() - entries.keys():
            self._touched.setdefault(relay, self.entries[relay])
        for relay, entry in entries.items():
            had = self.entries.get(relay)
            if had != entry:
                self._touched.setdefault(relay, had)
        self.entries, self._slots, self._keys = entries, slots, keys
        self.settings = snapshot.settings
        self.generation = snapshot.generation
        return Verdict.TAKEN

    def on_delta(self, data: bytes) -> Verdict:
        """A change of the mesh. Raises `Broken` for one that cannot be had; nothing has changed then."""
        delta = self._decode.delta(data)
        self._check_mesh(delta.network, None)
        if delta.generation <= self.generation:
            return Verdict.KNOWN
        if delta.prev != self.generation:
            self.ahead = max(self.ahead, delta.generation)
            return Verdict.GAP
        self._check_claims(delta)
        for relay in delta.removed:
            had = self.entries.pop(relay, None)
            if had is not None:
                self._touched.setdefault(relay, had)
                self._release(had)
        for entry in delta.changed:
            had = self.entries.get(entry.id)
            if had is not None:
                self._release(had)
        for entry in delta.changed:
            had = self.entries.get(entry.id)
            if had != entry:
                self._touched.setdefault(entry.id, had)
            self.entries[entry.id] = entry
            self._slots[entry.slot] = entry.id
            self._keys.update(dict.fromkeys(keys_of(entry), entry.id))
        if delta.settings is not None:
            self.settings = delta.settings
        self.generation = delta.generation
        return Verdict.TAKEN

    def on_document(self, data: bytes) -> Verdict:
        """This relay's own document. Raises `Broken`, also for another relay's."""
        document = self._decode.document(data)
        if document.relay != self.relay or document.network != self.network:
            raise Broken(f"RelayDocument: it is for {document.relay} in {document.network}")
        if document.generation <= self.document_generation:
            return Verdict.KNOWN
        if len({client.id for client in document.clients}) != len(document.clients):
            raise Broken("RelayDocument: a client is in it twice")
        keys = {client.key for client in document.clients}
        if len(keys) != len(document.clients):
            raise Broken("RelayDocument: two clients have the same key")
        addresses = [address for client in document.clients for address in client.addresses]
        if len(set(addresses)) != len(addresses):
            raise Broken("RelayDocument: two clients have the same address")
        if document.mesh_port == document.access_port:
            raise Broken("RelayDocument: mesh and access have the same port")
        self.document = document
        return Verdict.TAKEN

    def revoke(self) -> RelayDocument:
        """The registry said in person that this relay is out; a newer document may say otherwise later."""
        known = self.document or RelayDocument(relay=self.relay, network=self.network, generation=0)
        self.document = msgspec.structs.replace(known, revoked=True)
        return self.document

    def _check_mesh(self, network: str, prefix: str | None) -> None:
        if network != self.network:
            raise Broken(f"mesh of another network: {network}")
        if prefix is not None and prefix != str(self.prefix):
            raise Broken(f"the mesh's prefix is {prefix}, this relay enrolled into {self.prefix}")

    def _check_claims(self, delta: MeshDelta) -> None:
        """No two relays share a slot or a key. Costs what the delta costs, not what the mesh does."""
        gone = set(delta.removed) | {entry.id for entry in delta.changed}
        if len({entry.id for entry in delta.changed}) != len(delta.changed):
            raise Broken("MeshDelta: a relay is in it twice")
        _claims({entry.id: entry for entry in delta.changed})
        for entry in delta.changed:
            for holder in (self._slots.get(entry.slot), *map(self._keys.get, keys_of(entry))):
                if holder is not None and holder not in gone:
                    raise Broken(f"MeshDelta: {entry.id} has the slot or the key of {holder}")

    def _release(self, entry: RelayEntry) -> None:
        if self._slots.get(entry.slot) == entry.id:
            del self._slots[entry.slot]
        for key in keys_of(entry):
            if self._keys.get(key) == entry.id:
                del self._keys[key]


def keys_of(entry: RelayEntry) -> tuple[str, ...]:
    """The mesh keys that a relay's entry claims, present and next."""
    return (entry.key, entry.next.key) if entry.next is not None and entry.next.key else (entry.key,)


def _claims(entries: Mapping[str, RelayEntry]) -> tuple[dict[int, str], dict[str, str]]:
    slots = {entry.slot: entry.id for entry in entries.values()}
    claims = [(key, entry.id) for entry in entries.values() for key in keys_of(entry)]
    keys = dict(claims)
    if len(slots) != len(entries) or len(keys) != len(claims):
        raise Broken("mesh: two relays have the same slot or the same key")
    return slots, keys
