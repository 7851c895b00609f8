"""What a host keeps of the network lock between two starts (`lock.json`, 0600).

Invariant: a longer log is written before it counts, so a host never knows less of it than it has gone by.
"""

from __future__ import annotations

import msgspec
from altnet.common.contracts.desired import AccessClient, RelayEntry
from altnet.common.contracts.lock import HostCertificates
from altnet.common.errors import AltnetError, Invalid
from altnet.common.lock.book import Book
from altnet.common.lock.log import Log, SignedEntry
from altnet.common.lock.statements import SignedStatement


class LockMemory(msgspec.Struct, frozen=True, kw_only=True):
    """`pin`: the fingerprint that was given at enrolment; empty: the first log that is seen is the one."""

    network: str = ""
    pin: str = ""
    entries: tuple[SignedEntry, ...] = ()
    version: int = 0
    """Of what keyd has told."""
    statements: tuple[SignedStatement, ...] = ()
    hosts: tuple[HostCertificates, ...] = ()
    held: tuple[RelayEntry, ...] = ()
    """Relays as they were accepted last, where what came later was refused."""
    held_clients: tuple[AccessClient, ...] = ()
    retired: dict[str, tuple[str, ...]] = {}
    """Mesh keys that relays have replaced: they do not come back."""


def open_book(memory: LockMemory, *, network: str, pin: str = "") -> Book:
    """The book that was kept. Raises `Invalid` (`lock_broken`, `lock_other_than_pinned`): a lock is not forgotten.

    `pin` is what the settings say, where the enrolment said nothing.
    """
    kept = memory.network == network
    book = Book(network, pin=(memory.pin if kept else "") or pin)
    if not kept:
        return book
    try:
        book.take_log(Log(network).extended(memory.entries))
    except AltnetError as error:
        raise Invalid(
            "lock_broken",
            f"lock.json: {error.detail}",
            field="/state_dir",
            mend="Bring the file back from a backup; or remove it, and give the fingerprint of `altnet lock status` as"
            " --lock-fingerprint.",
        ) from None
    for statement in memory.statements:
        book.put(statement)
    for host in memory.hosts:
        book.certify(host.relay, host.certificates)
    return book
