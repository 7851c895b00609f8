"""What relays had reached, read back: the same answer as if each change had a row a relay."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from altnet.registry.domain.receipts import Receipt
from altnet.registry.store.progress import ReceiptLog
from hypothesis import given
from hypothesis import strategies as st

T0 = datetime(2026, 5, 1, tzinfo=UTC)
MESH_ONLY, DOCUMENT_ONLY, BOTH = (True, False), (False, True), (True, True)


def log(*said: tuple[str, float, int, int]) -> ReceiptLog:
    made = ReceiptLog()
    for relay, seconds, mesh, document in said:
        made.add(Receipt(relay, T0 + timedelta(seconds=seconds), mesh, document))
    return made


def test_a_change_is_applied_when_its_generation_was_first_reached() -> None:
    it = log(("a", 1, 4, 0), ("a", 2, 9, 0), ("b", 3, 3, 0))
    assert it.applied(4, {"a": MESH_ONLY, "b": MESH_ONLY, "c": MESH_ONLY}) == {"a": T0 + timedelta(seconds=1)}
    assert it.applied(5, {"a": MESH_ONLY}) == {"a": T0 + timedelta(seconds=2)}
    assert it.applied(10, {"a": MESH_ONLY}) == {}


def test_a_change_of_both_documents_is_applied_with_the_later_one() -> None:
    it = log(("a", 1, 5, 0), ("a", 2, 5, 5))
    assert it.applied(5, {"a": BOTH}) == {"a": T0 + timedelta(seconds=2)}
    assert it.applied(5, {"a": MESH_ONLY}) == {"a": T0 + timedelta(seconds=1)}
    assert log(("a", 1, 5, 0)).applied(5, {"a": BOTH}) == {}


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 12), st.integers(0, 12)), max_size=30),
    st.integers(1, 12),
    st.sampled_from([MESH_ONLY, DOCUMENT_ONLY, BOTH]),
)
def test_it_is_what_a_look_at_every_row_says(
    said: list[tuple[str, int, int]], change: int, takes: tuple[bool, bool]
) -> None:
    reached: dict[str, tuple[int, int]] = {}
    rows = []
    for second, (relay, mesh, document) in enumerate(said):  # generations that a relay has agreed to only rise
        before = reached.get(relay, (0, 0))
        reached[relay] = (max(mesh, before[0]), max(document, before[1]))
        rows.append((relay, float(second), *reached[relay]))
    expected = {}
    for relay, second, mesh, document in rows:
        if (not takes[0] or mesh >= change) and (not takes[1] or document >= change):
            expected.setdefault(relay, T0 + timedelta(seconds=second))
    assert log(*rows).applied(change, dict.fromkeys("abc", takes)) == expected
