"""The log of a network lock: what k owners have signed and nothing else, only ever longer."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations

import msgspec
import pytest
from altnet.common.errors import AltnetError, Conflict, Invalid, Stale, Unauthenticated
from altnet.common.lock.encoding import LARGEST_TEXT, canonical, read
from altnet.common.lock.log import (
    Entry,
    LockChange,
    Log,
    SignedEntry,
    first_entry,
    missing_signatures,
    next_entry,
    verified,
)
from altnet.common.signing import SigningKey
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

NETWORK = "net_1"


def key(name: str) -> SigningKey:
    return SigningKey(name.encode().ljust(32, b".")[:32])


def public(*names: str) -> tuple[str, ...]:
    return tuple(key(name).public().base64 for name in names)


def signed_by(entry: Entry, *names: str) -> SignedEntry:
    made = SignedEntry(entry=canonical(entry))
    for name in names:
        made = made.with_signature(key(name))
    return made


def log_of(*names: str, threshold: int = 2, authorities: tuple[str, ...] = ("auth",)) -> Log:
    entry = first_entry(NETWORK, owners=public(*names), threshold=threshold, authorities=public(*authorities))
    return Log(NETWORK).extended([signed_by(entry, *names[:threshold])])


def code(error: pytest.ExceptionInfo[AltnetError]) -> str:
    return error.value.code


def test_an_entry_counts_with_k_of_the_owners_of_before_and_not_with_one_less() -> None:
    log = log_of("a", "b", "c")
    entry = next_entry(log, LockChange.AUTHORITIES, authorities=public("other"))
    for names in combinations("abc", 2):
        assert log.extended([signed_by(entry, *names)]).authorities == {*public("other")}
    for names in (*combinations("abc", 1), ("a", "a"), ("a", "x"), ("a", "auth"), ()):
        with pytest.raises(Unauthenticated) as error:
            log.extended([signed_by(entry, *names)])
        assert code(error) == "lock_unsigned"
    assert missing_signatures(log, signed_by(entry, "a", "x")) == 1


def test_new_owners_have_to_sign_as_well_so_that_nobody_locks_himself_out() -> None:
    log = log_of("a", "b")
    entry = next_entry(log, LockChange.OWNERS, owners=public("c", "d"), threshold=2)
    for names in (("a", "b"), ("c", "d"), ("a", "b", "c"), ("a", "c", "d")):
        with pytest.raises(Unauthenticated, match="2 are needed"):
            log.extended([signed_by(entry, *names)])
    after = log.extended([signed_by(entry, "a", "b", "c", "d")])
    with pytest.raises(Unauthenticated):  # the owners of before have no word any more
        after.extended([signed_by(next_entry(after, LockChange.DISABLE), "a", "b")])
    assert not after.extended([signed_by(next_entry(after, LockChange.DISABLE), "c", "d")]).enabled


def test_a_signature_for_another_purpose_or_network_is_none() -> None:
    log = log_of("a", "b")
    entry = canonical(next_entry(log, LockChange.DISABLE))
    elsewhere = [key(name).sign(entry.encode(), purpose=b"altnet-lock-statement-v1") for name in "ab"]
    assert not any(key(name).public().verifies(one, purpose=b"altnet-lock-entry-v1", content=entry.encode())
                   for name, one in zip("ab", elsewhere, strict=True))  # fmt: skip
    other = first_entry("net_2", owners=public("a", "b"), threshold=2, authorities=())
    with pytest.raises(Invalid) as error:
        Log(NETWORK).extended([signed_by(other, "a", "b")])
    assert code(error) == "lock_other_network"


def test_a_shorter_log_is_stale_and_one_that_differs_is_a_fork() -> None:
    log = log_of("a", "b")
    one = log.extended([signed_by(next_entry(log, LockChange.AUTHORITIES, authorities=public("x")), "a", "b")])
    other = log.extended([signed_by(next_entry(log, LockChange.AUTHORITIES, authorities=public("y")), "a", "b")])
    assert one.follow(length=2, head=one.head, entries=()) is one
    with pytest.raises(Stale, match="ends at entry 1"):
        one.follow(length=1, head=log.head, entries=())
    with pytest.raises(Stale):
        one.follow(length=0, head="", entries=())
    for length, head, entries in (
        (2, other.head, ()),
        (1, "0" * 64, ()),
        (0, other.head, ()),
        (3, "0" * 64, (signed_by(next_entry(other, LockChange.DISABLE), "a", "b"),)),
    ):
        with pytest.raises(Conflict) as error:
            one.follow(length=length, head=head, entries=entries)
        assert code(error) == "lock_forked"
    longer = one.extended([signed_by(next_entry(one, LockChange.DISABLE), "a", "b")])
    assert one.follow(length=3, head=longer.head, entries=longer.entries[2:]) == longer
    with pytest.raises(Invalid, match="0 are shown"):
        one.follow(length=3, head=longer.head, entries=())
    with pytest.raises(Invalid, match="do not end"):
        one.follow(length=3, head="0" * 64, entries=longer.entries[2:])


def test_which_owners_signed_does_not_make_another_log() -> None:
    log = log_of("a", "b", "c")
    entry = next_entry(log, LockChange.DISABLE)
    assert log.extended([signed_by(entry, "a", "b")]).head == log.extended([signed_by(entry, "b", "c")]).head


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"number": 3}, "lock_wrong_number"),
        ({"number": 1}, "lock_wrong_number"),
        ({"previous": "0" * 64}, "lock_forked"),
        ({"change": LockChange.INIT}, "lock_bad_change"),
        ({"change": LockChange.DISABLE}, "lock_bad_change"),
        ({"enabled": False}, "lock_bad_change"),
        ({"threshold": 1}, "lock_bad_change"),
        ({"owners": public("a")}, "lock_bad_change"),
        ({"change": LockChange.OWNERS, "threshold": 3}, "lock_bad_change"),
        ({"authorities": (*public("x"), *public("x"))}, "lock_bad_keys"),
        ({"authorities": ("A" * 44,)}, "lock_bad_keys"),
    ],
)
def test_an_entry_says_what_it_changes_and_changes_nothing_else(fields: dict[str, object], expected: str) -> None:
    log = log_of("a", "b")
    entry = msgspec.structs.replace(next_entry(log, LockChange.AUTHORITIES, authorities=public("x")), **fields)
    with pytest.raises(AltnetError) as error:
        verified(log, signed_by(entry, "a", "b"))
    assert code(error) == expected


def test_a_quorum_that_cannot_be_had_is_refused() -> None:
    for owners, threshold in ((public("a"), 2), ((), 1)):
        with pytest.raises(Invalid, match="cannot be had"):
            first_entry(NETWORK, owners=owners, threshold=threshold, authorities=())
    log = log_of("a", "b")
    with pytest.raises(Invalid, match="cannot be had"):
        next_entry(log, LockChange.OWNERS, owners=public("c"), threshold=2)


def test_the_lock_is_turned_off_and_on_again_by_owners_alone() -> None:
    log = log_of("a", "b")
    with pytest.raises(Invalid, match="on already"):
        next_entry(log, LockChange.ENABLE)
    off = log.extended([signed_by(next_entry(log, LockChange.DISABLE), "a", "b")])
    assert (log.enabled, off.enabled) == (True, False)
    with pytest.raises(Invalid, match="off already"):
        next_entry(off, LockChange.DISABLE)
    assert off.extended([signed_by(next_entry(off, LockChange.ENABLE), "a", "b")]).enabled


def test_a_text_has_one_spelling_and_a_bound() -> None:
    entry = first_entry(NETWORK, owners=public("a"), threshold=1, authorities=())
    text = canonical(entry)
    assert read(text, Entry, what="it") == entry
    again = msgspec.json.decode(text)
    for bad in (" " + text, text.replace(":", ": "), msgspec.json.encode(dict(reversed(again.items()))).decode()):
        with pytest.raises(Invalid, match="one spelling"):
            read(bad, Entry, what="it")
    for bad in (text[:-1], "[]", "", "{}", text.replace('"number"', '"nummer"'), text.replace('"init"', '"more"')):
        with pytest.raises(Invalid) as error:
            read(bad, Entry, what="it")
        assert code(error) == "lock_unreadable"
    with pytest.raises(Invalid) as error:
        read(text + " " * LARGEST_TEXT, Entry, what="it")
    assert code(error) == "lock_too_large"


NAMES = st.sampled_from("abcdefgh")


@dataclass
class Told:
    """What somebody may tell: any entry, signed by any keys that he has."""

    log: Log
    truth: list[str] = field(default_factory=list)


class Forgers(RuleBasedStateMachine):
    """Owners change the log as they may; a forger with fewer than k owner keys makes entries of every kind.

    The forger holds every other key in the world, all logs that ever were, and all honest signatures.
    """

    @initialize(stolen=st.sets(st.sampled_from("abc"), max_size=1))
    def begin(self, stolen: set[str]) -> None:
        self.owners, self.threshold = ["a", "b", "c"], 2
        self.log = log_of("a", "b", "c")
        self.known = [self.log]
        self.forged = {*"xyz", *stolen}

    @rule(names=st.lists(NAMES, min_size=2, max_size=4, unique=True), more=st.integers(0, 2))
    def owners_change_owners(self, names: list[str], more: int) -> None:
        threshold = min(len(names), 2 + more)
        if len(set(names) & self.forged) >= threshold:
            return  # nobody can help who makes the thief an owner
        entry = next_entry(self.log, LockChange.OWNERS, owners=public(*names), threshold=threshold)
        self._honest(signed_by(entry, *self.owners, *names))
        self.owners, self.threshold = names, threshold

    @rule(names=st.lists(NAMES, max_size=3, unique=True))
    def owners_change_authorities(self, names: list[str]) -> None:
        entry = next_entry(self.log, LockChange.AUTHORITIES, authorities=public(*names))
        self._honest(signed_by(entry, *self.owners))

    @rule()
    def owners_turn_it_off_or_on(self) -> None:
        change = LockChange.DISABLE if self.log.enabled else LockChange.ENABLE
        self._honest(signed_by(next_entry(self.log, change), *self.owners))

    def _honest(self, item: SignedEntry) -> None:
        self.log = self.log.extended([item])
        self.known.append(self.log)

    @rule(
        data=st.data(),
        change=st.sampled_from(LockChange),
        names=st.lists(st.sampled_from("abcxyz"), min_size=1, max_size=3, unique=True),
        threshold=st.integers(1, 3),
        enabled=st.booleans(),
        borrow=st.booleans(),
    )
    def a_forger_makes_an_entry(
        self, data: st.DataObject, change: LockChange, names: list[str], threshold: int, enabled: bool, borrow: bool
    ) -> None:
        base = data.draw(st.sampled_from(self.known))
        assert base.last is not None
        entry = msgspec.structs.replace(
            base.last,
            number=base.length + 1,
            previous=base.head,
            change=change,
            owners=public(*names) if change is LockChange.OWNERS else base.last.owners,
            threshold=threshold if change is LockChange.OWNERS else base.last.threshold,
            authorities=public(*names) if change is LockChange.AUTHORITIES else base.last.authorities,
            enabled=enabled,
        )
        item = signed_by(entry, *self.forged)
        if borrow:  # honest signatures of other entries, and honest names beside forged signatures
            honest = data.draw(st.sampled_from([one for log in self.known for one in log.entries])).signatures
            mine = item.signatures[0].signature
            named = tuple(msgspec.structs.replace(one, signature=mine) for one in honest)
            item = msgspec.structs.replace(item, signatures=(*item.signatures, *honest, *named)[:32])
        if item.entry in [one.entry for one in self.log.entries]:
            return  # it is what owners have said
        before = self.log
        for log in (*self.known,):
            with pytest.raises(AltnetError):
                log.extended([item])
        with pytest.raises(AltnetError):
            before.follow(length=before.length + 1, head=item.hash, entries=(item,))

    @rule(data=st.data())
    def somebody_shows_a_log_of_before(self, data: st.DataObject) -> None:
        old = data.draw(st.sampled_from(self.known))
        if old.length < self.log.length:
            with pytest.raises(Stale):
                self.log.follow(length=old.length, head=old.head, entries=old.entries)

    @precondition(lambda self: self.log.length > 1)
    @rule(data=st.data())
    def somebody_leaves_an_entry_out_or_repeats_one(self, data: st.DataObject) -> None:
        number = data.draw(st.integers(0, self.log.length - 1))
        entries = list(self.log.entries)
        mutated = [*entries[:number], *entries[number + 1 :]] if data.draw(st.booleans()) else [
            *entries[: number + 1],
            *entries[number:],
        ]  # fmt: skip
        if mutated == entries[: len(mutated)]:
            return  # the end is missing: that is a log of before
        with pytest.raises(AltnetError):
            Log(NETWORK).extended(mutated)

    @invariant()
    def each_log_continues_each_one_before(self) -> None:
        if not hasattr(self, "known"):
            return
        for old in self.known:
            assert self.log.entries[: old.length] == old.entries
            assert (
                old.follow(length=self.log.length, head=self.log.head, entries=self.log.entries[old.length :])
                == self.log
            )


Forgers.TestCase.settings = settings(
    max_examples=60, stateful_step_count=12, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestForgers = Forgers.TestCase
