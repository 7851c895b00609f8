"""Who has applied what: never too early, never twice, never forgotten."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from altnet.registry.domain.receipts import DOCUMENT, MESH, Completion, Receipt, Tracker, percentile
from hypothesis import given
from hypothesis import strategies as st

T0 = datetime(2026, 5, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def ack(
    tracker: Tracker, relay: str, seconds: float, mesh: int = 0, document: int = 0, md: str = "", dd: str = ""
) -> tuple[Receipt | None, list[Completion]]:
    return tracker.acknowledge(
        relay,
        at=at(seconds),
        mesh_generation=mesh,
        mesh_digest=md or f"m{mesh}",
        document_generation=document,
        document_digest=dd or f"d{document}",
    )


def settled(
    tracker: Tracker, relay: str, seconds: float, mesh: int = 0, document: int = 0, md: str = ""
) -> tuple[int, ...]:
    receipt, _ = ack(tracker, relay, seconds, mesh, document, md)
    return receipt.changes if receipt else ()


def tracker(*relays: str) -> Tracker:
    made = Tracker()
    made.expect_mesh("n", 1, "m1")
    for relay in relays:
        made.expect_document(relay, "n", 1, "d1")
    return made


def test_a_change_is_complete_when_everybody_concerned_has_it() -> None:
    it = tracker("a", "b")
    it.expect_mesh("n", 2, "m2")
    it.open(2, T0, {"a": MESH, "b": MESH}, now=T0)
    receipt, _ = ack(it, "a", 0.2, mesh=2)
    assert receipt == Receipt("a", at(0.2), mesh=2, document=0)
    assert receipt.changes == (2,)
    progress = it.progress(2)
    assert progress is not None
    assert (progress.concerned, progress.applied, progress.behind) == (2, 1, ("b",))
    assert ack(it, "b", 0.5, mesh=2)[1] == [Completion(2, at(0.5), 2, 0.2, 0.5)]
    assert it.progress(2) is None
    assert ack(it, "b", 0.6, mesh=2) == (None, [])


def test_a_change_of_both_documents_takes_both() -> None:
    it = tracker("a")
    it.expect_mesh("n", 2, "m2")
    it.expect_document("a", "n", 2, "d2")
    it.open(2, T0, {"a": MESH | DOCUMENT}, now=T0)
    assert settled(it, "a", 1, mesh=2, document=1) == ()
    assert settled(it, "a", 2, mesh=2, document=2) == (2,)


def test_a_wrong_digest_is_not_applied_until_it_is_right() -> None:
    it = tracker("a")
    it.expect_mesh("n", 2, "m2")
    it.open(2, T0, {"a": MESH}, now=T0)
    assert ack(it, "a", 1, mesh=2, md="other") == (None, [])
    assert settled(it, "a", 2, mesh=2) == (2,)


def test_a_newer_generation_is_one_receipt_for_all_changes_before() -> None:
    it = tracker("a")
    for number in (2, 3, 4):
        it.expect_mesh("n", number, f"m{number}")
        it.open(number, T0, {"a": MESH}, now=T0)
    receipt, completions = ack(it, "a", 1, mesh=4)
    assert receipt is not None
    assert receipt.changes == (2, 3, 4)
    assert len(completions) == 3


def test_a_relay_that_is_gone_is_not_waited_for() -> None:
    it = tracker("a", "b")
    it.open(2, T0, {"a": MESH, "b": MESH}, now=T0)
    it.expect_mesh("n", 2, "m2")
    ack(it, "a", 1, mesh=2)
    assert it.forget("b", at(2)) == [Completion(2, at(2), 1, 1.0, 1.0)]
    assert ack(it, "b", 3, mesh=2) == (None, [])


def test_a_change_that_concerns_nobody_is_complete_at_once() -> None:
    assert tracker().open(2, T0, {}, now=at(1)) == [Completion(2, at(1), 0, 0.0, 0.0)]


def test_an_unknown_relay_is_not_listened_to() -> None:
    assert ack(tracker("a"), "stranger", 1, mesh=1) == (None, [])


def test_only_so_many_changes_are_kept_open() -> None:
    it = Tracker(keep=3)
    it.expect_mesh("n", 1, "m1")
    it.expect_document("a", "n", 1, "d1")
    for number in range(2, 10):
        it.open(number, T0, {"a": MESH}, now=T0)
    assert it.open_changes() == 3
    assert it.progress(6) is None
    it.expect_mesh("n", 9, "m9")
    assert settled(it, "a", 1, mesh=9) == (7, 8, 9)


@given(st.data())
def test_every_relay_settles_each_change_exactly_once_in_any_order_of_messages(data: st.DataObject) -> None:
    relays, changes = ["a", "b", "c"], [2, 3, 4, 5]
    it = tracker(*relays)
    waiting = dict.fromkeys(relays, 1)
    seen: list[tuple[int, str]] = []
    opened = 1
    for _ in range(data.draw(st.integers(min_value=0, max_value=30))):
        if opened < changes[-1] and data.draw(st.booleans()):
            opened += 1
            it.expect_mesh("n", opened, f"m{opened}")
            it.open(opened, T0, dict.fromkeys(relays, MESH), now=T0)
        relay = data.draw(st.sampled_from(relays))
        waiting[relay] = max(waiting[relay], data.draw(st.integers(min_value=1, max_value=opened)))
        said = data.draw(st.sampled_from([waiting[relay], 1]))  # a late, older message too
        seen += [(change, relay) for change in settled(it, relay, 1, mesh=said)]
    for relay in relays:
        seen += [(change, relay) for change in settled(it, relay, 2, mesh=opened)]
    assert sorted(seen) == [(change, relay) for change in range(2, opened + 1) for relay in relays]
    assert it.open_changes() == 0


def test_percentiles_are_nearest_rank() -> None:
    values = [float(value) for value in range(1, 101)]
    assert (percentile(values, 0.5), percentile(values, 0.99), percentile([7.0], 0.99)) == (50.0, 99.0, 7.0)
