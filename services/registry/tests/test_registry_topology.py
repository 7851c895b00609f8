"""Links between relays: symmetric, bounded, connected without any one relay, and steady when others come and go."""

from __future__ import annotations

from collections.abc import Iterable

from altnet.registry.domain.topology import DEGREE_BOUND, Slots, links
from hypothesis import given
from hypothesis import strategies as st

some_slots = st.sets(st.integers(min_value=1, max_value=4095), min_size=3, max_size=120)


def graph(slots: Iterable[int]) -> dict[str, set[str]]:
    taken = Slots((slot, f"r{slot}") for slot in slots)
    return {f"r{slot}": set(links(taken, slot, full_mesh_up_to=2) or ()) for slot in taken}


def connected(nodes: dict[str, set[str]], without: str | None = None) -> bool:
    left = set(nodes) - {without}
    reached: set[str] = set()
    waiting = [min(left)]
    while waiting:
        node = waiting.pop()
        if node not in reached:
            reached.add(node)
            waiting.extend((nodes[node] & left) - reached)
    return reached == left


@given(some_slots)
def test_links_are_symmetric_bounded_and_never_to_oneself(slots: set[int]) -> None:
    nodes = graph(slots)
    for node, others in nodes.items():
        assert node not in others
        assert len(others) <= DEGREE_BOUND
        assert all(node in nodes[other] for other in others)


@given(some_slots)
def test_the_mesh_stays_connected_without_any_one_relay(slots: set[int]) -> None:
    nodes = graph(slots)
    assert connected(nodes)
    assert all(connected(nodes, without=node) for node in nodes)


@given(some_slots, st.integers(min_value=1, max_value=4095))
def test_a_relay_that_joins_changes_the_links_of_few_others(slots: set[int], newcomer: int) -> None:
    slots.discard(newcomer)
    before, after = graph(slots), graph({*slots, newcomer})
    changed = {node for node in before if before[node] != after[node]}
    assert changed <= after[f"r{newcomer}"]


def test_a_thousand_relays_are_at_most_eleven_links_apart() -> None:
    nodes = graph(range(1, 1001))
    for start in ("r1", "r512", "r1000"):
        far, seen = {start: 0}, [start]
        for node in seen:
            for other in nodes[node]:
                if other not in far:
                    far[other] = far[node] + 1
                    seen.append(other)
        assert len(far) == 1000
        assert max(far.values()) <= 11


def test_a_small_mesh_is_full_and_not_spelled_out() -> None:
    taken = Slots((slot, f"r{slot}") for slot in range(1, 65))
    assert links(taken, 1, full_mesh_up_to=64) is None
    taken.add(65, "r65")
    assert links(taken, 1, full_mesh_up_to=64) is not None


def test_a_slot_that_has_a_new_owner_is_not_freed_by_the_old_one() -> None:
    taken = Slots([(1, "old")])
    taken.add(1, "new")
    taken.discard(1, "old")
    assert list(taken.relays()) == ["new"]
