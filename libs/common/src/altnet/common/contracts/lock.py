"""The network lock on the bus: what relays fetch and are told, and what a relay reports of it inside its channel.

All of it is public, and signed by those whom it is about; who carries it is nobody. A page leads from version `since`
of what keyd has to `version`; the document of the bucket `mesh` is the newest page, republished to every relay of the
network, and whoever has another version asks (`LOCK`).
"""

from __future__ import annotations

import zlib
from typing import Annotated, Final

import msgspec
from altnet.common.errors import UNREADABLE, Broken
from altnet.common.lock.certificates import MOST_CERTIFICATES, Certificate
from altnet.common.lock.log import Hash, SignedEntry
from altnet.common.lock.statements import SignedStatement

LOCK: Final = "lock"
"""Verb: `LockQuery` → `LockPage`, in the clear: all of it is signed, and public."""
MOST_ASKED: Final = 256
"""Clients in one question."""
PAGE: Final = 256
"""Relays in one page; entries, too."""
MOST_REFUSED: Final = 50
"""Refusals that a report names; the rest is a number."""
LARGEST_DOCUMENT: Final = 8 * 2**20
"""Bytes of a page after decompression."""

REFUSABLE: Final = ("identity", "slot", "key", "next_key", "prefix", "outside", "address", "place", "peering")
"""Of what kind a refusal may be."""
ALARMS: Final = (
    "lock_forked",
    "lock_stale",
    "lock_behind",
    "lock_unsigned",
    "lock_other_than_pinned",
    "lock_other_network",
    "lock_unreadable",
)
"""The commonest alarms: others are counted together."""

Id = Annotated[str, msgspec.Meta(max_length=64)]
Reason = Annotated[str, msgspec.Meta(max_length=300)]


class HostCertificates(msgspec.Struct, frozen=True, kw_only=True):
    """What a host's identity key has signed."""

    relay: Id
    certificates: Annotated[tuple[Certificate, ...], msgspec.Meta(max_length=MOST_CERTIFICATES)] = ()


class LockQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What is new since a version, and statements about these clients."""

    since: Annotated[int, msgspec.Meta(ge=0)] = 0
    length: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Entries of the log that the relay has."""
    clients: Annotated[tuple[Id, ...], msgspec.Meta(max_length=MOST_ASKED)] = ()


class LockPage(msgspec.Struct, frozen=True, kw_only=True):
    """From `since` to `version`; `more`: there is still newer. Length and head are the log's own."""

    network: Id
    since: Annotated[int, msgspec.Meta(ge=0)]
    version: Annotated[int, msgspec.Meta(ge=0)]
    length: Annotated[int, msgspec.Meta(ge=0)]
    head: Hash
    entries: Annotated[tuple[SignedEntry, ...], msgspec.Meta(max_length=PAGE)] = ()
    """After those that the relay said that it has; in the document, the last ones."""
    statements: Annotated[tuple[SignedStatement, ...], msgspec.Meta(max_length=PAGE + MOST_ASKED)] = ()
    hosts: Annotated[tuple[HostCertificates, ...], msgspec.Meta(max_length=PAGE)] = ()
    more: bool = False


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Something of the desired state that nobody has signed for, and that is left out."""

    object: Id
    """The relay's or client's identifier."""
    what: Annotated[str, msgspec.Meta(max_length=32)]
    """One of `REFUSABLE`."""
    reason: Reason


class LockReport(msgspec.Struct, frozen=True, kw_only=True, tag="lock"):
    """How a relay stands with the lock: the channel proves who says so."""

    certificates: Annotated[tuple[Certificate, ...], msgspec.Meta(max_length=MOST_CERTIFICATES)] = ()
    """Of the keys that it holds."""
    length: Annotated[int, msgspec.Meta(ge=0)] = 0
    head: Hash = ""
    refused: Annotated[tuple[Refusal, ...], msgspec.Meta(max_length=MOST_REFUSED)] = ()
    refused_count: Annotated[int, msgspec.Meta(ge=0)] = 0
    alarm: Annotated[str, msgspec.Meta(max_length=64)] = ""
    """Code of what was wrong with the last log that it was shown: `lock_forked`, `lock_stale`, `lock_unsigned`, …"""
    alarm_text: Reason = ""


def pack(page: LockPage) -> bytes:
    """JSON, compressed."""
    return zlib.compress(msgspec.json.encode(page), 6)


def unpack(data: bytes) -> LockPage:
    """Raises `Broken`."""
    inflate = zlib.decompressobj()
    try:
        plain = inflate.decompress(data, LARGEST_DOCUMENT)
        if inflate.unconsumed_tail or not inflate.eof:
            raise Broken(f"LockPage: cut off, or larger than {LARGEST_DOCUMENT} bytes")
        return msgspec.json.decode(plain, type=LockPage)
    except (zlib.error, *UNREADABLE) as error:
        raise Broken(f"LockPage: {error}") from None
