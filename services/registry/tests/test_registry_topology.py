"""Links of relays that have none chosen yet: a ring of carriers, everybody else on two of them, few concerned."""

from __future__ import annotations

from collections.abc import Mapping

from altnet.registry.domain.topology import Slots, beginners_of, begins_with
from hypothesis import given
from hypothesis import strategies as st

relays = st.dictionaries(st.integers(min_value=1, max_value=4095), st.booleans(), min_size=3, max_size=60).filter(
    lambda found: sum(found.values()) >= 3
)
"""By slot whether it is a carrier."""


def graph(relays: Mapping[int, bool]) -> dict[str, set[str]]:
    everybody = Slots((slot, f"r{slot}") for slot in relays)
    carriers = Slots((slot, f"r{slot}") for slot, carries in relays.items() if carries)
    found = {}
    for slot, carries in relays.items():
        found[f"r{slot}"] = set(begins_with(slot, carriers))
        if carries:
            found[f"r{slot}"].update(beginners_of(slot, carriers, everybody))
    return found


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


@given(relays)
def test_links_are_symmetric_and_never_to_oneself(relays: dict[int, bool]) -> None:
    nodes = graph(relays)
    for node, others in nodes.items():
        assert node not in others
        assert len(others) >= 2
        assert all(node in nodes[other] for other in others)


@given(relays)
def test_the_ring_stays_connected_without_any_one_relay(relays: dict[int, bool]) -> None:
    nodes = graph(relays)
    assert connected(nodes)
    assert all(connected(nodes, without=node) for node in nodes)


@given(relays, st.integers(min_value=1, max_value=4095))
def test_a_relay_without_an_endpoint_that_joins_concerns_two_others(relays: dict[int, bool], newcomer: int) -> None:
    relays.setdefault(newcomer, False)
    relays[newcomer] = False
    before, after = graph({slot: carries for slot, carries in relays.items() if slot != newcomer}), graph(relays)
    assert {node for node in before if before[node] != after[node]} == after[f"r{newcomer}"]


def test_one_carrier_or_none_is_no_ring() -> None:
    assert graph({1: True, 2: False, 3: False}) == {"r1": {"r2", "r3"}, "r2": {"r1"}, "r3": {"r1"}}
    assert graph({1: False, 2: False}) == {"r1": set(), "r2": set()}


def test_a_slot_that_has_a_new_owner_is_not_freed_by_the_old_one() -> None:
    taken = Slots([(1, "old")])
    taken.add(1, "new")
    taken.discard(1, "old")
    assert list(taken.relays()) == ["new"]
