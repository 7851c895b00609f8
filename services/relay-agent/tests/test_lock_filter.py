"""With the network lock on a host takes what is signed for, keeps what it has taken, and says what it leaves out."""

from __future__ import annotations

import hashlib
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from altnet.common.contracts.desired import AccessClient, IdentityKeys, KeyStage, NextKey, RelayDocument, RelayEntry
from altnet.common.contracts.lock import HostCertificates, Refusal
from altnet.common.contracts.routing import Peering, PrefixRule
from altnet.common.errors import AltnetError
from altnet.common.keys import PrivateKey
from altnet.common.lock.book import Book
from altnet.common.lock.certificates import Certificate
from altnet.common.lock.log import LockChange, Log
from altnet.common.signing import SigningKey
from altnet.relay_agent.lock.accepted import Accepted
from altnet.relay_agent.lock.filter import judge_client, judge_own, judge_peerings, judge_relay
from altnet.relay_agent.lock.keeper import remember_pin
from altnet.relay_agent.lock.memory import LockMemory
from altnet.relay_agent.memory_state import MemoryState
from hypothesis import given, settings
from hypothesis import strategies as st
from support.locksmith import Locksmith
from support.relays import (
    NETWORK,
    Paper,
    Rig,
    client,
    document,
    enrolment_of,
    entry,
    identity_of,
    key_of,
    relay_id,
)

EVIL = PrivateKey(b"e" * 32).public().base64


def host_key(name: str) -> SigningKey:
    return SigningKey(hashlib.sha256(name.encode()).digest())


class World:
    """A lock that vouches for relays by name, and for their keys."""

    def __init__(self) -> None:
        self.smith = Locksmith(NETWORK)
        self.smith.take(self.smith.init())
        self.memory = LockMemory(network=NETWORK, entries=self.smith.log.entries, version=1)

    def vouch(self, *entries: RelayEntry, serial: int = 1, **fields: Any) -> World:
        signed = [
            self.smith.relay(
                one.id, slot=one.slot, identity=host_key(one.name).public().base64, serial=serial, **fields
            )
            for one in entries
        ]
        hosts = [HostCertificates(relay=one.id, certificates=(self.certificate(one),)) for one in entries]
        return self._with(statements=(*self.memory.statements, *signed), hosts=(*self.memory.hosts, *hosts))

    def certificate(self, one: RelayEntry, key: str = "", epoch: int | None = None) -> Certificate:
        number = one.epoch if epoch is None else epoch
        return self.smith.certificate(one.id, key or one.key, by=host_key(one.name), epoch=number)

    def certify(self, one: RelayEntry, key: str, epoch: int) -> World:
        told = HostCertificates(relay=one.id, certificates=(self.certificate(one, key, epoch),))
        return self._with(hosts=(*self.memory.hosts, told))

    def client(self, one: AccessClient, **fields: Any) -> World:
        wish = {"key": one.key, "addresses": one.addresses, **fields}
        return self._with(statements=(*self.memory.statements, self.smith.client(one.id, **wish)))

    def change(self, change: LockChange, **fields: Any) -> World:
        self.smith.take(self.smith.change(change, **fields))
        return self._with(entries=self.smith.log.entries)

    def _with(self, **fields: Any) -> World:
        self.memory = msgspec.structs.replace(self.memory, **fields)
        return self

    def book(self) -> Book:
        made = Book(NETWORK)
        made.take_log(Log(NETWORK).extended(self.memory.entries))
        self.tell(made)
        return made

    def tell(self, book: Book) -> None:
        for one in self.memory.statements:
            book.put(one)
        for host in self.memory.hosts:
            book.certify(host.relay, host.certificates)


def what(refusals: tuple[Refusal, ...]) -> list[tuple[str, str]]:
    return [(one.object, one.what) for one in refusals]


async def rig_with(world: World, *entries: RelayEntry, **fields: Any) -> tuple[Rig, Paper]:
    state = MemoryState(identity_of("me"), enrolment_of("me", 1))
    await state.save_lock(world.memory)
    rig, paper = Rig(state=state), Paper()
    paper.put(entry("me", 1), *entries)
    rig.shelf.put_mesh(paper)
    rig.shelf.put_document(document("me", **fields))
    await rig.start()
    await rig.fetch()
    return rig, paper


async def learn(rig: Rig, world: World) -> None:
    """What the keeper does when something new is told."""
    rig.agent.lock._book.take_log(rig.agent.lock.log.extended(world.memory.entries[rig.agent.lock.log.length :]))
    world.tell(rig.agent.lock._book)
    rig.agent.reconciler.notice()
    await rig.settle()


async def test_a_relay_that_nobody_vouches_for_is_no_peer_and_is_named() -> None:
    a, b = entry("a", 2), entry("b", 3)
    rig, paper = await rig_with(World().vouch(entry("me", 1), a), a, b)
    assert rig.peers == {"a"}
    assert what(rig.agent.desired.refusals) == [(relay_id("b"), "identity")]
    applied = rig.agent.applied()
    assert [(one.plane, one.object) for one in applied.failed] == [("lock", relay_id("b"))]
    assert "not signed for" in rig.agent.health()
    assert not rig.as_planned(paper)  # the registry sees that it is not as planned


async def test_what_is_signed_later_is_taken_then() -> None:
    a = entry("a", 2)
    world = World().vouch(entry("me", 1))
    rig, paper = await rig_with(world, a)
    assert rig.peers == set()
    await learn(rig, world.vouch(a))
    assert rig.peers == {"a"}
    assert (rig.agent.desired.refusals, rig.as_planned(paper)) == ((), True)


async def test_a_key_that_the_host_has_not_signed_does_not_replace_the_one_that_was_taken() -> None:
    a = entry("a", 2)
    rig, paper = await rig_with(World().vouch(entry("me", 1), a), a)
    await rig.tell(paper.put(msgspec.structs.replace(a, key=EVIL, endpoints=("203.0.113.9:1",))))
    assert rig.peers == {"a"}
    assert what(rig.agent.desired.refusals) == [(a.id, "key")]
    await rig.agent.lock._save()
    await rig.crash()
    await rig.start()
    assert rig.peers == {"a"}  # also after a restart, although the cache of documents has the other one
    await rig.tell(paper.put(a))
    assert rig.agent.desired.refusals == ()


async def test_a_stranger_in_the_place_of_a_relay_gets_nothing_of_it() -> None:
    a = entry("a", 2)
    rig, paper = await rig_with(World().vouch(entry("me", 1), a), a)
    await rig.tell(paper.put(entry("evil", 2, key=EVIL), remove=("a",)))
    assert rig.peers == set()
    await rig.tell(paper.put(entry("a", 9), remove=("evil",)))  # the right relay in the wrong place
    assert (rig.peers, what(rig.agent.desired.refusals)) == (set(), [(a.id, "slot")])


async def test_a_prefix_that_is_not_covered_is_left_out_and_the_rest_of_the_relay_stays() -> None:
    a = entry("a", 2, origins=("fd00:12::/48", "fd00:66::/48"), learned=(_rule("2001:db8::/32"), _rule("::/0")))
    world = World().vouch(entry("me", 1)).vouch(a, prefixes=("fd00:12::/32",), outside=("2001:db8::/32",))
    rig, _ = await rig_with(world, a)
    kept = rig.agent.desired.entries[a.id]
    assert (rig.peers, kept.origins, kept.learned) == ({"a"}, ("fd00:12::/48",), (_rule("2001:db8::/32"),))
    assert what(rig.agent.desired.refusals) == [(a.id, "prefix"), (a.id, "outside")]
    routes = {str(route.prefix) for route in rig.memory.routes.values()}
    assert ("fd00:12::/48" in routes, "fd00:66::/48" in routes) == (True, False)


async def test_clients_are_taken_with_the_key_and_the_addresses_that_are_signed() -> None:
    good, evil = client("good", "fd42:1337:beef:1001::5/128"), client("evil", "fd42:1337:beef:1001::6/128")
    wide = client("wide", "fd42:1337:beef:1001::7/128", "fd42:1337:beef:2000::1/128")
    elsewhere = client("elsewhere", "fd42:1337:beef:1001::8/128")
    world = World().vouch(entry("me", 1)).client(good).client(wide, addresses=wide.addresses[:1])
    world.client(elsewhere, relays=("rly_other",))
    rig, _ = await rig_with(world, clients=(elsewhere, evil, good, wide))
    wanted = rig.agent.desired.document
    assert wanted is not None
    assert [(one.id, len(one.addresses)) for one in wanted.clients] == [("cli_good", 1), ("cli_wide", 1)]
    assert what(rig.agent.desired.refusals) == [
        ("cli_elsewhere", "place"),
        ("cli_evil", "identity"),
        ("cli_wide", "address"),
    ]
    swapped = msgspec.structs.replace(good, key=EVIL)
    await rig.give(document("me", 2, clients=(swapped,)))
    wanted = rig.agent.desired.document
    assert wanted is not None
    assert wanted.clients == (good,)
    assert what(rig.agent.desired.refusals) == [("cli_good", "key")]


async def test_a_rotated_key_needs_no_authority_and_the_old_one_does_not_come_back() -> None:
    a, new = entry("a", 2), key_of("b").public().base64
    world = World().vouch(entry("me", 1), a)
    rig, paper = await rig_with(world, a)
    coming = NextKey(epoch=1, stage=KeyStage.READY, key=new, port=51821)
    await rig.tell(paper.put(msgspec.structs.replace(a, next=coming)))
    assert (rig.agent.desired.entries[a.id].next, what(rig.agent.desired.refusals)) == (None, [(a.id, "next_key")])
    await learn(rig, world.certify(a, new, 1))
    assert rig.agent.desired.entries[a.id].next == coming
    rotated = msgspec.structs.replace(a, key=new, epoch=1, port=51821)
    await rig.tell(paper.put(rotated))
    assert (rig.peers, rig.agent.desired.refusals) == ({"b"}, ())
    await rig.tell(paper.put(a))  # it was certified once; it is replaced
    assert (rig.peers, what(rig.agent.desired.refusals)) == ({"b"}, [(a.id, "key")])
    await rig.agent.lock._save()
    await rig.crash()
    await rig.start()
    assert (rig.peers, what(rig.agent.desired.refusals)) == ({"b"}, [(a.id, "key")])


async def test_an_authority_that_is_removed_takes_what_it_signed_with_it_and_off_is_off() -> None:
    a, b = entry("a", 2), entry("b", 3)
    world = World().vouch(entry("me", 1), a)
    rig, paper = await rig_with(world, a, b)
    assert rig.peers == {"a"}
    other = SigningKey.generate()
    await learn(rig, world.change(LockChange.AUTHORITIES, authorities=[other.public().base64]))
    assert rig.peers == set()
    await learn(rig, world.change(LockChange.DISABLE))
    assert (rig.peers, rig.agent.desired.refusals, rig.as_planned(paper)) == ({"a", "b"}, (), True)


async def test_a_statement_that_revokes_a_relay_takes_it_out() -> None:
    a = entry("a", 2)
    world = World().vouch(entry("me", 1), a)
    rig, _ = await rig_with(world, a)
    await learn(rig, world.vouch(a, serial=2, revoked=True))
    assert (rig.peers, what(rig.agent.desired.refusals)) == (set(), [(a.id, "identity")])


async def test_with_a_pinned_lock_nothing_is_taken_before_it_is_known() -> None:
    world = World().vouch(entry("me", 1), entry("a", 2))
    state = MemoryState(identity_of("me"), enrolment_of("me", 1))
    await remember_pin(state, world.smith.log.fingerprint.lower(), network=NETWORK)
    rig, paper = Rig(state=state), Paper()
    paper.put(entry("me", 1), entry("a", 2))
    rig.shelf.put_mesh(paper)
    rig.shelf.put_document(document("me"))
    await rig.start()
    await rig.fetch()
    assert rig.peers == set()
    other = Locksmith(NETWORK)
    with pytest.raises(AltnetError, match="fingerprint"):
        rig.agent.lock._book.take_log(Log(NETWORK).extended([other.init()]))
    await learn(rig, world)
    assert rig.peers == {"a"}
    with pytest.raises(AltnetError, match="another fingerprint"):
        await remember_pin(state, "AAAA BBBB", network=NETWORK)


async def test_without_a_lock_all_is_as_before_and_nothing_is_kept() -> None:
    state = MemoryState(identity_of("me"), enrolment_of("me", 1))
    rig, paper = Rig(state=state), Paper()
    paper.put(entry("me", 1), entry("a", 2))
    rig.shelf.put_mesh(paper)
    rig.shelf.put_document(document("me"))
    await rig.start()
    await rig.fetch()
    assert (rig.peers, rig.as_planned(paper), state.lock()) == ({"a"}, True, LockMemory())
    assert rig.agent.desired.entries is rig.agent.heard.entries


def test_this_relay_itself_originates_and_brings_in_what_is_signed_alone() -> None:
    me = entry("me", 1, origins=("fd00:1::/48", "fd00:2::/48"))
    book = World().vouch(me, prefixes=("fd00:1::/48",), outside=("2001:db8::/32",)).book()
    judged = judge_own(book, me)
    assert judged.entry is not None
    assert judged.entry.origins == ("fd00:1::/48",)
    bare = judge_own(World().book(), me).entry
    assert bare is not None
    assert (bare.key, bare.origins) == (me.key, ())
    mine = document("me", peerings=(_peering("one", "2001:db8:1::/48"), _peering("two", "::/0")))
    good, refused = judge_peerings(book, mine)
    assert ([one.id for one in good], what(refused)) == (["one"], [("two", "peering")])


PREFIXES = st.sampled_from(["fd00:12::/48", "fd00:12:1::/48", "fd00::/16", "10.0.0.0/8", "10.1.0.0/16", "::/0", "junk"])
ANY_ENTRY = st.builds(
    lambda name, slot, key, epoch, coming, origins, roaming, learned: entry(
        name,
        slot,
        key=key,
        epoch=epoch,
        next=coming,
        origins=tuple(origins),
        roaming=tuple(roaming),
        learned=tuple(_rule(one) for one in learned),
    ),
    st.sampled_from("ab"),
    st.integers(1, 3),
    st.sampled_from([EVIL, key_of("a").public().base64, key_of("c").public().base64]),
    st.integers(0, 2),
    st.none()
    | st.builds(
        NextKey,
        epoch=st.integers(1, 2),
        stage=st.sampled_from(KeyStage),
        key=st.sampled_from([EVIL, key_of("c").public().base64]),
    ),
    st.lists(PREFIXES, max_size=3),
    st.lists(PREFIXES, max_size=2),
    st.lists(PREFIXES, max_size=2),
)


@given(came=ANY_ENTRY, before=st.none() | ANY_ENTRY)
@settings(max_examples=300, deadline=None)
def test_whatever_comes_in_what_comes_out_is_signed_for_part_by_part(
    came: RelayEntry, before: RelayEntry | None
) -> None:
    a = entry("a", 2)
    signed = {(a.key, 0), (key_of("c").public().base64, 1)}
    world = World().vouch(a, prefixes=("fd00:12::/32", "10.0.0.0/8"), outside=("fd00:12::/48",))
    book = world.certify(a, key_of("c").public().base64, 1).book()
    before = before if before is not None and before.id == came.id else None
    out = judge_relay(book, came, before=before).entry
    if out is None:
        return
    assert (out.id, out.slot, (out.key, out.epoch) in signed) == (a.id, 2, True)
    assert out.next is None or (out.next.key, out.next.epoch) in signed
    assert {*out.origins, *out.roaming} <= {"fd00:12::/48", "fd00:12:1::/48", "10.0.0.0/8", "10.1.0.0/16"}
    assert {rule.prefix for rule in out.learned} <= {"fd00:12::/48"}


def test_a_clients_next_key_counts_once_an_authority_vouches_for_it_and_the_present_one_until_then() -> None:
    one = client("x", "fd42:1337:beef:1001::5/128")
    moving = msgspec.structs.replace(one, next_key=EVIL)
    world = World().client(one)
    before = judge_client(world.book(), moving, at="rly_me", before=one)
    assert (before.client, what(before.refusals)) == (one, [("cli_x", "next_key")])

    signed = World().client(one, key=EVIL).book()
    assert judge_client(signed, moving, at="rly_me", before=one).client == moving
    assert judge_client(signed, moving, at="rly_me", before=one).held, "a restart has to know what was taken before"
    assert judge_client(signed, moving, at="rly_me").client is None, "the present key was never vouched for here"
    assert judge_client(signed, msgspec.structs.replace(one, key=EVIL), at="rly_me", before=moving).refusals == ()


def test_a_pre_shared_key_is_agreed_on_with_nobody_but_the_identity_that_is_signed_for() -> None:
    a = entry("a", 2)
    right = IdentityKeys(static=key_of("a-static").public().base64, signing=host_key("a").public().base64)
    wrong = msgspec.structs.replace(right, signing=host_key("evil").public().base64)
    book = World().vouch(a).book()
    good = judge_relay(book, msgspec.structs.replace(a, identity=right))
    assert (good.entry is not None and good.entry.identity, good.refusals) == (right, ())
    bad = judge_relay(book, msgspec.structs.replace(a, identity=wrong))
    assert bad.entry == a
    assert what(bad.refusals) == [(a.id, "identity")]


def test_a_client_statement_of_another_kind_is_none() -> None:
    one = client("x", "fd42:1337:beef:1001::5/128")
    world = World()
    world._with(statements=(world.smith.relay(one.id, slot=5, identity=EVIL),))
    assert judge_client(world.book(), one, at="rly_me").client is None


def _rule(prefix: str) -> PrefixRule:
    return PrefixRule(prefix=prefix, shortest=0, longest=32)


def _peering(id: str, prefix: str) -> Peering:
    return Peering(id=id, name=id, address="2001:db8:ffff::1", asn=65001, imports=(_rule(prefix),))


def test_a_client_is_asked_for_by_name_also_where_only_its_newest_statement_is_missing() -> None:
    known, unknown = client("x", "fd42:1337:beef:1001::5/128"), client("y", "fd42:1337:beef:1001::6/128")
    book = World().client(known).book()

    def lacking(*clients: AccessClient) -> tuple[str, ...]:
        told = RelayDocument(relay="rly_me", network=NETWORK, generation=1, clients=clients)
        heard = SimpleNamespace(
            relay="rly_me", network=NETWORK, prefix=None, document=told, entries={}, take=dict[str, Any]
        )
        return Accepted(cast(Any, heard), book).lacking

    assert lacking(known) == ()
    assert lacking(known, unknown) == ("cli_y",)
    assert lacking(msgspec.structs.replace(known, next_key=EVIL)) == ("cli_x",)
