"""Merging snapshot and deltas: what is taken, what is refused, what asks for more."""

from __future__ import annotations

import hypothesis.strategies as st
import msgspec
import pytest
from altnet.common.contracts.desired import MeshDelta, MeshSnapshot, pack
from altnet.common.errors import Broken
from altnet.relay_agent.desired import Desired, Verdict
from hypothesis import given
from support.relays import NETWORK, PREFIX, Paper, client, document, entry, key_of, relay_id


def desired() -> Desired:
    return Desired(relay=relay_id("me"), network=NETWORK, prefix=PREFIX)


def test_a_delta_that_builds_on_what_we_have_is_taken() -> None:
    paper, mine = Paper(), desired()
    paper.put(entry("a", 2))
    mine.on_snapshot(paper.snapshot())

    assert mine.on_delta(paper.put(entry("b", 3))) is Verdict.TAKEN
    assert set(mine.entries) == {relay_id("a"), relay_id("b")}
    assert set(mine.take()) == {relay_id("a"), relay_id("b")}
    assert mine.take() == {}


def test_a_delta_after_a_lost_one_is_a_gap_and_changes_nothing() -> None:
    paper, mine = Paper(), desired()
    paper.put(entry("a", 2))
    mine.on_snapshot(paper.snapshot())
    paper.put(entry("b", 3))

    assert mine.on_delta(paper.put(entry("c", 4))) is Verdict.GAP
    assert mine.generation == 1
    assert mine.ahead == 3
    assert set(mine.entries) == {relay_id("a")}


def test_an_older_snapshot_is_refused_and_an_equal_one_is_recognised() -> None:
    paper, mine = Paper(), desired()
    paper.put(entry("a", 2))
    old = paper.snapshot()
    paper.put(remove=("a",))
    mine.on_snapshot(paper.snapshot())

    assert mine.on_snapshot(old) is Verdict.KNOWN
    assert mine.on_snapshot(paper.snapshot()) is Verdict.SAME
    assert mine.entries == {}


def test_each_document_has_its_own_generation() -> None:
    paper, mine = Paper(), desired()
    paper.put(entry("a", 2))
    mine.on_snapshot(paper.snapshot())

    assert mine.on_document(pack(document("me", 0))) is Verdict.TAKEN
    assert mine.on_document(pack(document("me", 5, mesh_port=1234))) is Verdict.TAKEN
    assert mine.on_document(pack(document("me", 4, revoked=True))) is Verdict.KNOWN
    assert not mine.revoked


def test_keys_and_slots_may_be_swapped_within_one_delta() -> None:
    paper, mine = Paper(), desired()
    paper.put(entry("a", 2), entry("b", 3))
    mine.on_snapshot(paper.snapshot())

    assert mine.on_delta(paper.put(entry("a", 3), entry("b", 2))) is Verdict.TAKEN
    assert mine.on_delta(paper.put(entry("c", 3), remove=("a",))) is Verdict.TAKEN


@pytest.mark.parametrize(
    "twin", [entry("b", 2), entry("b", 3, key=key_of("a").public().base64)], ids=["the same slot", "the same key"]
)
def test_a_delta_that_gives_two_relays_the_same_is_refused_whole(twin: object) -> None:
    paper, mine = Paper(), desired()
    paper.put(entry("a", 2))
    mine.on_snapshot(paper.snapshot())
    delta = MeshDelta(network=NETWORK, prev=1, generation=2, changed=(entry("c", 9), twin))  # type: ignore[arg-type]  # parametrised

    with pytest.raises(Broken):
        mine.on_delta(pack(delta))
    assert mine.generation == 1
    assert set(mine.entries) == {relay_id("a")}


def test_a_snapshot_that_contradicts_itself_or_is_of_another_network_is_refused() -> None:
    mine = desired()
    twice = MeshSnapshot(network=NETWORK, prefix=str(PREFIX), generation=1, relays=(entry("a", 2), entry("b", 2)))
    with pytest.raises(Broken, match="same slot"):
        mine.on_snapshot(pack(twice))
    with pytest.raises(Broken, match="another network"):
        mine.on_snapshot(pack(msgspec.structs.replace(twice, network="net_2")))
    with pytest.raises(Broken, match="prefix"):
        mine.on_snapshot(pack(msgspec.structs.replace(twice, prefix="fd00::/48")))
    assert not mine.complete


def test_another_relays_document_and_clients_with_one_key_or_address_are_refused() -> None:
    mine = desired()
    with pytest.raises(Broken, match="rly_you"):
        mine.on_document(pack(document("you")))
    same_key = msgspec.structs.replace(client("x", "fd42:1337:beef:1001::5/128"), id="cli_y")
    with pytest.raises(Broken, match="same key"):
        mine.on_document(pack(document("me", clients=(client("x"), same_key))))
    one, other = client("x", "fd42:1337:beef:1001::5/128"), client("y", "fd42:1337:beef:1001::5/128")
    with pytest.raises(Broken, match="same address"):
        mine.on_document(pack(document("me", clients=(one, other))))


@given(st.data())
def test_any_order_of_any_messages_ends_in_the_newest_mesh(data: st.DataObject) -> None:
    paper, mine = Paper(), desired()
    messages: list[tuple[bool, bytes]] = []
    for number in range(data.draw(st.integers(1, 8))):
        name = data.draw(st.sampled_from("abc"))
        slot = "abc".index(name) + 2 + 3 * (number % 2)
        messages.append((False, paper.put(entry(name, slot))))
        messages.append((True, paper.snapshot()))
    for is_snapshot, message in data.draw(st.lists(st.sampled_from(messages), max_size=30)):
        before = mine.generation
        mine.on_snapshot(message) if is_snapshot else mine.on_delta(message)
        assert mine.generation >= before

    mine.on_snapshot(paper.snapshot())

    assert mine.entries == paper.relays
    assert mine.generation == paper.generation
