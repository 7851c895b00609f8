"""What of a document is signed for. Pure.

    a relay     its slot and identity key by an authority; its WireGuard keys by that identity key; what it originates
                and what it may bring in from outside inside the prefixes that the authority named
    a client    its key and addresses, and where it may attach, by an authority
    a peering   of this relay: what it imports, inside what the authority named for this relay

Not covered is left out and named. Where a relay or client as it was accepted last still is covered, that stays. Not
judged is what can only take away (draining, revoked, no link) and what WireGuard proves by itself (endpoints).

Invariant: what comes out is signed for, part by part, whatever came in.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import msgspec
from altnet.common.contracts.desired import AccessClient, NextKey, RelayDocument, RelayEntry
from altnet.common.contracts.lock import Refusal
from altnet.common.contracts.routing import Peering, PrefixRule
from altnet.common.lock.book import Book
from altnet.common.lock.certificates import WgUse
from altnet.common.lock.statements import RelayStatement, covers

IDENTITY, SLOT, KEY, NEXT_KEY = "identity", "slot", "key", "next_key"
PREFIX, OUTSIDE, ADDRESS, PLACE, PEERING = "prefix", "outside", "address", "place", "peering"


@dataclass(frozen=True, kw_only=True)
class JudgedRelay:
    entry: RelayEntry | None
    """What of it counts; None: nothing."""
    refusals: tuple[Refusal, ...] = ()
    held: bool = False
    """It is as it was accepted before, not as it came."""


@dataclass(frozen=True, kw_only=True)
class JudgedClient:
    client: AccessClient | None
    refusals: tuple[Refusal, ...] = ()
    held: bool = False


def judge_relay(
    book: Book, came: RelayEntry, *, before: RelayEntry | None = None, retired: Collection[str] = ()
) -> JudgedRelay:
    """Another relay. `before`: as it was accepted last. `retired`: mesh keys that it has replaced."""
    said = book.relay(came.id)
    if said is None:
        return JudgedRelay(entry=None, refusals=(_no(came.id, IDENTITY, "no authority vouches for this relay"),))
    why = _why_not(book, said, came, retired)
    if why is None:
        return _limited(book, said, came, retired)
    if before is None or _why_not(book, said, before, retired) is not None:
        return JudgedRelay(entry=None, refusals=(why,))
    kept = _limited(book, said, before, retired)
    return JudgedRelay(entry=kept.entry, refusals=(why, *kept.refusals), held=True)


def judge_own(book: Book, came: RelayEntry) -> JudgedRelay:
    """This relay itself: it knows its own keys, but not what it may originate."""
    said = book.relay(came.id)
    if said is not None:
        entry, refusals = _prefixes(said, came)
        return JudgedRelay(entry=entry, refusals=refusals)
    bare = msgspec.structs.replace(came, origins=(), roaming=(), learned=())
    return JudgedRelay(entry=bare, refusals=(_no(came.id, IDENTITY, "no authority vouches for this relay itself"),))


def judge_client(book: Book, came: AccessClient, *, at: str, before: AccessClient | None = None) -> JudgedClient:
    """A client that is to attach to the relay `at`. One that changes its key has both once an authority says so."""
    said = book.client(came.id)
    if said is None:
        return JudgedClient(client=None, refusals=(_no(came.id, IDENTITY, "no authority vouches for this client"),))
    if said.relays and at not in said.relays:
        why = f"the authority lets it attach to {', '.join(said.relays)} only"
        return JudgedClient(client=None, refusals=(_no(came.id, PLACE, why),))
    moving = bool(came.next_key) and came.next_key == said.key and before is not None and before.key == came.key
    if came.key != said.key and not moving:
        why = f"the authority vouches for key {said.key}, not {came.key}"
        if before is None or before.key != said.key:
            return JudgedClient(client=None, refusals=(_no(came.id, KEY, why),))
        kept = judge_client(book, before, at=at)
        return JudgedClient(client=kept.client, refusals=(_no(came.id, KEY, why), *kept.refusals), held=True)
    if came.next_key and not moving:
        why = f"no authority vouches for its next key {came.next_key}"
        bare = judge_client(book, msgspec.structs.replace(came, next_key=""), at=at, before=before)
        return JudgedClient(client=bare.client, refusals=(_no(came.id, NEXT_KEY, why), *bare.refusals))
    good = tuple(one for one in came.addresses if covers(said.addresses, one))
    bad = [one for one in came.addresses if one not in good]
    if not bad:
        return JudgedClient(client=came, held=moving)  # its present key counts because it did before
    refusals = (_no(came.id, ADDRESS, f"no authority gives it {', '.join(bad)}"),)
    return JudgedClient(client=msgspec.structs.replace(came, addresses=good) if good else None, refusals=refusals)


def judge_peerings(book: Book, document: RelayDocument) -> tuple[tuple[Peering, ...], tuple[Refusal, ...]]:
    """Those of this relay that bring in only what they may."""
    said = book.relay(document.relay)
    may = said.outside if said is not None else ()
    good, refusals = [], []
    for one in document.peerings:
        bad = [rule.prefix for rule in one.imports if not covers(may, rule.prefix)]
        if bad:
            refusals.append(_no(one.id, PEERING, f"no authority lets this relay bring in {', '.join(bad)}"))
        else:
            good.append(one)
    return tuple(good), tuple(refusals)


def _why_not(book: Book, said: RelayStatement, came: RelayEntry, retired: Collection[str]) -> Refusal | None:
    if came.slot != said.slot:
        return _no(came.id, SLOT, f"the authority gives it slot {said.slot}, not {came.slot}")
    if came.key in retired:
        return _no(came.id, KEY, f"it has replaced the key {came.key}")
    if not book.certified(came.id, WgUse.MESH, epoch=came.epoch, key=came.key):
        return _no(came.id, KEY, f"its identity key has not signed {came.key} of epoch {came.epoch}")
    return None


def _limited(book: Book, said: RelayStatement, entry: RelayEntry, retired: Collection[str]) -> JudgedRelay:
    entry, refusals = _prefixes(said, entry)
    if entry.identity is not None and entry.identity.signing != said.identity:
        # Pre-shared keys are agreed on with whoever holds it, so it is the authority's word that counts.
        why = f"the authority vouches for identity key {said.identity}, not {entry.identity.signing}"
        entry = msgspec.structs.replace(entry, identity=None)
        refusals = (*refusals, _no(entry.id, IDENTITY, why))
    following = entry.next
    if following is not None and following.key and not _next_is_good(book, entry, following, retired):
        why = f"its identity key has not signed the next key {following.key} of epoch {following.epoch}"
        return JudgedRelay(
            entry=msgspec.structs.replace(entry, next=None), refusals=(*refusals, _no(entry.id, NEXT_KEY, why))
        )
    return JudgedRelay(entry=entry, refusals=refusals)


def _next_is_good(book: Book, entry: RelayEntry, following: NextKey, retired: Collection[str]) -> bool:
    if following.key in retired:
        return False
    return book.certified(entry.id, WgUse.MESH, epoch=following.epoch, key=following.key)


def _prefixes(said: RelayStatement, came: RelayEntry) -> tuple[RelayEntry, tuple[Refusal, ...]]:
    origins, roaming = (_covered(said.prefixes, texts) for texts in (came.origins, came.roaming))
    learned: tuple[PrefixRule, ...] = tuple(rule for rule in came.learned if covers(said.outside, rule.prefix))
    refusals = []
    bad = sorted({*came.origins, *came.roaming} - {*origins, *roaming})
    if bad:
        refusals.append(_no(came.id, PREFIX, f"no authority lets it originate {', '.join(bad)}"))
    outside = sorted({rule.prefix for rule in came.learned} - {rule.prefix for rule in learned})
    if outside:
        refusals.append(_no(came.id, OUTSIDE, f"no authority lets it bring in {', '.join(outside)}"))
    if not refusals:
        return came, ()
    return msgspec.structs.replace(came, origins=origins, roaming=roaming, learned=learned), tuple(refusals)


def _covered(prefixes: tuple[str, ...], wanted: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(one for one in wanted if covers(prefixes, one))


def _no(object: str, what: str, reason: str) -> Refusal:
    return Refusal(object=object[:64], what=what, reason=reason[:300])
