"""Digests that follow a set, one change at a time.

The digest of a set of items is the sum, modulo 2**256, of the SHA-256 of each item: order does not matter, and
adding or removing one item costs one hash whatever the size of the set (Bellare and Micciancio 1997, AdHASH). It
tells honest parties whether they hold the same state; it is not a commitment against somebody who chooses the
items, which takes a wider modulus.

An agent sums only objects that it has applied and seen in the kernel, the registry sums what it planned; equal
digests mean that the host is as planned.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

import msgspec
from altnet.common.contracts.desired import MeshSettings, RelayDocument, RelayEntry

_MODULUS: Final = 1 << 256


class Digest(int):
    """A sum of item hashes. Immutable; `with_item` and `without_item` give the next one."""

    def with_item(self, item: int) -> Digest:
        return Digest((int(self) + item) % _MODULUS)

    def without_item(self, item: int) -> Digest:
        return Digest((int(self) - item) % _MODULUS)

    @property
    def text(self) -> str:
        """64 hex digits."""
        return f"{int(self):064x}"


EMPTY: Final = Digest(0)


def item_hash(kind: str, item: msgspec.Struct) -> int:
    """The number that stands for one item. `kind` keeps items of different kinds apart."""
    return int.from_bytes(hashlib.sha256(kind.encode() + b"\0" + msgspec.json.encode(item)).digest(), "big")


def entry_hash(entry: RelayEntry) -> int:
    return item_hash("relay", entry)


def settings_hash(settings: MeshSettings) -> int:
    return item_hash("settings", settings)


def mesh_digest(settings: MeshSettings, entries: Iterable[RelayEntry]) -> Digest:
    """The digest of a whole mesh."""
    total = settings_hash(settings)
    for entry in entries:
        total += entry_hash(entry)
    return Digest(total % _MODULUS)


def document_digest(document: RelayDocument) -> Digest:
    """The digest of a relay document: its clients one by one, and the rest as one item.

    The generation is left out: two documents that ask for the same are the same.
    """
    rest = msgspec.structs.replace(document, clients=(), generation=0)
    total = item_hash("document", rest)
    for client in document.clients:
        total += item_hash("client", client)
    return Digest(total % _MODULUS)
