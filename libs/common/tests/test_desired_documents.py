"""Desired-state documents: packing, bounds, digests."""

import zlib

import msgspec
import pytest
from altnet.common.contracts import desired, digest
from altnet.common.contracts.desired import AccessClient, MeshSettings, MeshSnapshot, RelayDocument, RelayEntry
from altnet.common.errors import Broken
from hypothesis import given
from hypothesis import strategies as st

entries = st.builds(
    RelayEntry,
    id=st.integers(0, 10**6).map(lambda n: f"rly_{n}"),
    name=st.text("abc-", min_size=1, max_size=8),
    slot=st.integers(1, 4095),
    key=st.just("k"),
    origins=st.lists(st.sampled_from(["fd00:1::/64", "fd00:2::/64"]), max_size=2).map(tuple),
)


def test_packing_reads_back_and_is_the_same_each_time() -> None:
    snapshot = MeshSnapshot(network="net_1", prefix="fd00::/48", generation=7, relays=(entry("a", 1),))

    data = desired.pack(snapshot)

    assert desired.unpack_snapshot(data) == snapshot
    assert desired.pack(snapshot) == data


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not compressed",
        zlib.compress(b"[]"),
        zlib.compress(b'{"network":1}'),
        zlib.compress(b'{"network":"n","prefix":"p","generation":-1}'),
        zlib.compress(b'{"network":"n","prefix":"p","generation":1}')[:-3],
    ],
    ids=["empty", "plain", "wrong-shape", "wrong-type", "negative-generation", "cut-off"],
)
def test_bytes_that_are_no_snapshot_are_broken_with_a_reason(data: bytes) -> None:
    with pytest.raises(Broken, match="MeshSnapshot"):
        desired.unpack_snapshot(data)


def test_a_decompression_bomb_is_refused_within_its_bound() -> None:
    bomb = zlib.compress(bytes(desired.LARGEST_DOCUMENT + 1))

    with pytest.raises(Broken, match="larger than"):
        desired.unpack_relay_document(bomb)


def test_fields_of_a_later_version_are_ignored() -> None:
    data = zlib.compress(b'{"network":"n","prefix":"p","generation":1,"invented":{"later":true}}')

    assert desired.unpack_snapshot(data).generation == 1


def test_a_link_uses_the_best_encapsulation_that_both_ends_have() -> None:
    both = ("ip6gre", "vxlan")
    old = entry("a", 1)
    new = entry("b", 2, encapsulations=both)

    assert desired.link_encapsulation(old, new) == "vxlan"
    assert desired.link_encapsulation(new, entry("c", 3, encapsulations=both)) == "ip6gre"
    assert desired.link_encapsulation(old, entry("d", 4, encapsulations=("ip6gre",))) is None


def test_a_document_without_links_means_the_full_mesh_but_never_itself() -> None:
    mesh = (entry("a", 1), entry("b", 2), entry("c", 3))
    full = RelayDocument(relay="rly_a", network="n", generation=1)
    chosen = RelayDocument(relay="rly_a", network="n", generation=1, links=("rly_a", "rly_c", "rly_gone"))

    assert [e.id for e in desired.neighbours(mesh, full)] == ["rly_b", "rly_c"]
    assert [e.id for e in desired.neighbours(mesh, chosen)] == ["rly_c"]


@given(st.lists(entries, max_size=8), st.randoms())
def test_a_digest_does_not_depend_on_the_order_of_items(items: list[RelayEntry], random: object) -> None:
    shuffled = list(items)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis gives a random.Random

    assert digest.mesh_digest(MeshSettings(), items) == digest.mesh_digest(MeshSettings(), shuffled)


@given(st.lists(entries, max_size=6), entries)
def test_following_one_change_equals_summing_anew(items: list[RelayEntry], extra: RelayEntry) -> None:
    before = digest.mesh_digest(MeshSettings(), items)

    after = before.with_item(digest.entry_hash(extra))

    assert after == digest.mesh_digest(MeshSettings(), [*items, extra])
    assert after.without_item(digest.entry_hash(extra)) == before
    assert len(after.text) == 64


def test_a_documents_digest_sees_every_client_but_not_the_generation() -> None:
    client = AccessClient(id="cli_1", key="k", addresses=("fd00::1/128",))
    document = RelayDocument(relay="rly_a", network="n", generation=1, clients=(client,))

    same = msgspec.structs.replace(document, generation=9)
    moved = msgspec.structs.replace(document, clients=(msgspec.structs.replace(client, addresses=("fd00::2/128",)),))

    assert digest.document_digest(document) == digest.document_digest(same)
    assert digest.document_digest(document) != digest.document_digest(moved)


def entry(name: str, slot: int, **fields: object) -> RelayEntry:
    return msgspec.convert(
        {"id": f"rly_{name}", "name": name, "slot": slot, "key": "k", **fields}, RelayEntry, strict=False
    )
