"""The log: owners say who the owners and the authorities are, and whether the lock is on.

Each entry tells the whole state after it, names the hash of the entry before it, and is signed by k of the owners in
force before it (the first one by k of its own; one that changes owners by k of the new ones too, so that nobody locks
himself out with keys that nobody has). A hash covers an entry without its signatures: which k owners signed does not
make another log.

Invariant: a log only grows. A shorter one is stale, one that differs is a fork, and neither is taken.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Final

import msgspec
from altnet.common.errors import AltnetError, Conflict, Invalid, Stale, Unauthenticated
from altnet.common.lock.encoding import Id, KeyText, Signature, Text, canonical, read, sign, signed
from altnet.common.signing import SigningKey, VerifyKey

PURPOSE: Final = b"altnet-lock-entry-v1"
MOST_KEYS: Final = 16
"""Owners, and authorities."""
MOST_ENTRIES: Final = 10_000
MOST_SIGNATURES: Final = 2 * MOST_KEYS

Hash = Annotated[str, msgspec.Meta(max_length=64, pattern=r"^([0-9a-f]{64})?$")]
Keys = Annotated[tuple[KeyText, ...], msgspec.Meta(max_length=MOST_KEYS)]


class LockChange(StrEnum):
    """What an entry changes. All else it repeats."""

    INIT = "init"
    OWNERS = "owners"
    AUTHORITIES = "authorities"
    DISABLE = "disable"
    ENABLE = "enable"


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry: the whole state after it."""

    network: Id
    number: Annotated[int, msgspec.Meta(ge=1, le=MOST_ENTRIES)]
    previous: Hash
    """Hash of the entry before; empty for the first."""
    change: LockChange
    owners: Keys
    threshold: Annotated[int, msgspec.Meta(ge=1, le=MOST_KEYS)]
    """How many owners sign an entry."""
    authorities: Keys
    enabled: bool

    @property
    def hash(self) -> str:
        return hash_of(canonical(self))


class SignedEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry as it was signed, and by whom."""

    entry: Text
    signatures: Annotated[tuple[Signature, ...], msgspec.Meta(max_length=MOST_SIGNATURES)] = ()

    def opened(self) -> Entry:
        """Raises `Invalid`."""
        found: Entry = read(self.entry, Entry, what="a lock entry")
        return found

    @property
    def hash(self) -> str:
        return hash_of(self.entry)

    def with_signature(self, key: SigningKey) -> SignedEntry:
        """Signed by one more owner; the same one again changes nothing."""
        made = sign(self.entry, by=key, purpose=PURPOSE)
        others = tuple(one for one in self.signatures if one.key != made.key)
        return msgspec.structs.replace(self, signatures=(*others, made))

    def signers(self) -> frozenset[str]:
        """Whose signatures verify."""
        return frozenset(one.key for one in self.signatures if signed(self.entry, one, purpose=PURPOSE))


def hash_of(entry: str) -> str:
    """64 hex digits."""
    return hashlib.sha256(PURPOSE + b"\0" + entry.encode()).hexdigest()


def fingerprint_of(hash: str) -> str:
    """Of a log's first entry, as people compare it: 160 bits in base32, 8 groups of 4."""
    text = base64.b32encode(bytes.fromhex(hash)[:20]).decode()
    return " ".join(text[at : at + 4] for at in range(0, len(text), 4))


@dataclass(frozen=True)
class Log:
    """A log that was verified from its first entry. Empty: there is no lock."""

    network: str
    entries: tuple[SignedEntry, ...] = ()
    last: Entry | None = field(default=None, compare=False)

    @property
    def length(self) -> int:
        return len(self.entries)

    @property
    def head(self) -> str:
        """Hash of the last entry; empty where there is none."""
        return self.entries[-1].hash if self.entries else ""

    @property
    def fingerprint(self) -> str:
        return fingerprint_of(self.entries[0].hash) if self.entries else ""

    @property
    def enabled(self) -> bool:
        return self.last is not None and self.last.enabled

    @property
    def authorities(self) -> frozenset[str]:
        return frozenset(self.last.authorities) if self.last is not None else frozenset()

    def hash_at(self, number: int) -> str:
        """Of the entry with this number; empty for 0."""
        return self.entries[number - 1].hash if number else ""

    def extended(self, new: Iterable[SignedEntry]) -> Log:
        """With further entries, verified one by one. Raises what is wrong with the first bad one."""
        log = self
        for item in new:
            log = Log(self.network, (*log.entries, item), verified(log, item))
        return log

    def follow(self, *, length: int, head: str, entries: Sequence[SignedEntry]) -> Log:
        """What another party shows: its length and head, and its entries beyond ours.

        Raises `Stale` (`lock_stale`), `Conflict` (`lock_forked`), `Invalid` (`lock_incomplete`), and as `extended`.
        """
        if length <= self.length:
            if self.hash_at(max(0, length)) != head:
                raise forked(max(1, length))
            if length < self.length:
                raise Stale("lock_stale", f"the log shown ends at entry {length}; entry {self.length} is known here.")
            return self
        if len(entries) < length - self.length:
            raise Invalid("lock_incomplete", f"of {length - self.length} new entries, {len(entries)} are shown.")
        new = entries[: length - self.length]
        first = new[0].opened()
        if first.number == self.length + 1 and first.previous != self.head:
            raise forked(self.length)
        log = self.extended(new)
        if log.head != head:
            raise Invalid("lock_incomplete", "the entries shown do not end in the head that is shown.")
        return log


def forked(number: int) -> Conflict:
    return Conflict(
        "lock_forked",
        f"the log shown differs from the one known here at entry {number}.",
        mend="There are two logs of one lock: compare `altnet lock status` with the owners before anything else.",
    )


def first_entry(network: str, *, owners: Sequence[str], threshold: int, authorities: Sequence[str]) -> Entry:
    """The entry that turns the lock on. Raises `Invalid`."""
    made = Entry(
        network=network,
        number=1,
        previous="",
        change=LockChange.INIT,
        owners=tuple(owners),
        threshold=threshold,
        authorities=tuple(authorities),
        enabled=True,
    )
    _check_keys(made)
    return made


def next_entry(
    log: Log,
    change: LockChange,
    *,
    owners: Sequence[str] | None = None,
    threshold: int | None = None,
    authorities: Sequence[str] | None = None,
) -> Entry:
    """The entry after the last one. Raises `Invalid`, `Conflict` (`lock_off`)."""
    if log.last is None:
        raise Conflict("lock_off", "the network has no lock.", mend="`altnet lock init` makes one.")
    enabled = {LockChange.DISABLE: False, LockChange.ENABLE: True}.get(change, log.last.enabled)
    made = msgspec.structs.replace(
        log.last,
        number=log.length + 1,
        previous=log.head,
        change=change,
        owners=log.last.owners if owners is None else tuple(owners),
        threshold=log.last.threshold if threshold is None else threshold,
        authorities=log.last.authorities if authorities is None else tuple(authorities),
        enabled=enabled,
    )
    _check_change(log.last, made)
    return made


def verified(log: Log, item: SignedEntry) -> Entry:
    """The entry, if it may come after this log. Raises `Invalid`, `Conflict`, `Unauthenticated` (`lock_unsigned`)."""
    entry = check_content(log, item)
    signers = item.signers()
    _check_quorum(entry, log.last or entry, signers, "in force before it")
    if entry.change is LockChange.OWNERS:
        _check_quorum(entry, entry, signers, "that it makes owners")
    return entry


def check_content(log: Log, item: SignedEntry) -> Entry:
    """All but the signatures. Raises `Invalid`, `Conflict` (`lock_forked`)."""
    entry = item.opened()
    where = f"lock entry {entry.number}"
    if entry.network != log.network:
        raise Invalid("lock_other_network", f"{where} is of network {entry.network}, not of {log.network}.")
    if entry.number != log.length + 1:
        raise Invalid("lock_wrong_number", f"{where} comes where entry {log.length + 1} is due.")
    if entry.previous != log.head:
        raise forked(log.length)
    if log.last is None:
        if entry.change is not LockChange.INIT or not entry.enabled:
            raise Invalid("lock_bad_change", f"{where}: a log begins with `init`, which turns the lock on.")
        _check_keys(entry)
    else:
        _check_change(log.last, entry)
    return entry


def missing_signatures(log: Log, item: SignedEntry) -> int:
    """How many more owners have to sign, at least. Raises as `check_content`."""
    entry, signers = check_content(log, item), item.signers()
    quorums = [log.last or entry, *([entry] if entry.change is LockChange.OWNERS else [])]
    return max(0, *(one.threshold - len(signers & set(one.owners)) for one in quorums))


def _check_quorum(entry: Entry, state: Entry, signers: frozenset[str], whose: str) -> None:
    have = len(signers & set(state.owners))
    if have < state.threshold:
        raise Unauthenticated(
            "lock_unsigned",
            f"lock entry {entry.number} is signed by {have} of the {len(state.owners)} owners {whose};"
            f" {state.threshold} are needed.",
            mend="Pass the file on to further owners: `altnet lock sign --in FILE --key FILE --out FILE`.",
        )


def _check_change(before: Entry, after: Entry) -> None:
    may: dict[LockChange, set[str]] = {
        LockChange.INIT: set(),
        LockChange.OWNERS: {"owners", "threshold"},
        LockChange.AUTHORITIES: {"authorities"},
        LockChange.DISABLE: {"enabled"},
        LockChange.ENABLE: {"enabled"},
    }
    where = f"lock entry {after.number}"
    if after.change is LockChange.INIT:
        raise Invalid("lock_bad_change", f"{where}: `init` comes first and once.")
    for name in ("owners", "threshold", "authorities", "enabled"):
        differs = getattr(before, name) != getattr(after, name)
        if differs and name not in may[after.change]:
            raise Invalid("lock_bad_change", f"{where}: `{after.change}` does not change {name}.")
    if before.enabled is (after.change is LockChange.ENABLE) and after.change in (
        LockChange.ENABLE,
        LockChange.DISABLE,
    ):
        raise Invalid("lock_bad_change", f"{where}: the lock is {'on' if before.enabled else 'off'} already.")
    if after.enabled is not (
        before.enabled if after.change not in (LockChange.ENABLE, LockChange.DISABLE) else not before.enabled
    ):
        raise Invalid("lock_bad_change", f"{where}: `{after.change}` says the opposite of what it does.")
    _check_keys(after)


def _check_keys(entry: Entry) -> None:
    where = f"lock entry {entry.number}"
    for name in ("owners", "authorities"):
        keys: tuple[str, ...] = getattr(entry, name)
        if len(set(keys)) != len(keys):
            raise Invalid("lock_bad_keys", f"{where}: one of the {name} is there twice.", field=f"/{name}")
        for key in keys:
            try:
                VerifyKey.parse(key)
            except AltnetError as error:
                raise Invalid("lock_bad_keys", f"{where}: {error.detail}", field=f"/{name}") from None
    if not 1 <= entry.threshold <= len(entry.owners):
        reason = f"{where}: {entry.threshold} signatures of {len(entry.owners)} owners cannot be had."
        raise Invalid("lock_bad_keys", reason, field="/threshold")
