"""Latencies: what lasts is told, jitter and spikes are not; estimates are near the truth."""

from __future__ import annotations

import random
import statistics

import pytest
from altnet.registry.domain.latency import Distances, Latencies, LatencyBook, LatencyRule, by_region, pair_of
from hypothesis import given
from hypothesis import strategies as st
from support.internet import make_internet

RULE = LatencyRule(window=150, share=0.2, least=5)


def told_at_once(book: LatencyBook) -> dict[tuple[str, str], float]:
    changed = book.changed()
    book.told(changed)
    return changed


def test_a_first_measurement_is_told_at_once() -> None:
    book = LatencyBook(RULE)
    book.observe("b", "a", 30, at=0)
    assert told_at_once(book) == {("a", "b"): 30}
    assert told_at_once(book) == {}


@given(
    st.floats(min_value=1, max_value=300),
    st.lists(st.floats(min_value=0, max_value=0.19), min_size=20, max_size=200),
)
def test_jitter_writes_nothing_and_so_moves_no_link(base: float, jitter: list[float]) -> None:
    book = LatencyBook(RULE, {("a", "b"): base})
    for number, share in enumerate(jitter):
        sign = 1 if number % 2 else -1
        book.observe("a", "b", base * (1 + sign * share), at=number * 5)
        assert book.changed() == {}


def test_a_spike_is_not_told_and_a_longer_path_only_after_a_whole_window() -> None:
    book = LatencyBook(RULE, {("a", "b"): 20.0})
    now = 0.0
    for value in [20.0] * 40 + [500.0] * 25 + [20.0] * 40:
        book.observe("a", "b", value, at=now)
        now += 5
        assert book.changed() == {}
    longer_since = now
    while not (changed := book.changed()):
        book.observe("a", "b", 90, at=now)
        now += 5
        assert now - longer_since < 2 * RULE.window + 10
    assert now - longer_since > RULE.window
    assert changed == {("a", "b"): 90}


def test_a_new_leader_waits_a_window_before_it_believes_in_a_longer_path() -> None:
    book = LatencyBook(RULE, {("a", "b"): 20.0})
    for at in range(0, 145, 5):
        book.observe("a", "b", 90, at=at)
        assert book.changed() == {}
    book.observe("a", "b", 90, at=155)
    assert book.changed() == {("a", "b"): 90}


def test_a_shorter_path_is_told_at_once() -> None:
    book = LatencyBook(RULE, {("a", "b"): 100.0})
    book.observe("a", "b", 40, at=0)
    assert book.changed() == {("a", "b"): 40}


def test_a_relay_that_claims_to_be_near_is_not_believed_against_the_other_end() -> None:
    book = LatencyBook(RULE)
    book.observe("liar", "honest", 0.1, at=0)
    book.observe("honest", "liar", 80, at=0)
    assert book.changed() == {("honest", "liar"): 80}


def test_what_cannot_be_a_round_trip_is_left_out_and_a_relay_that_is_gone_forgotten() -> None:
    book = LatencyBook(RULE, {("a", "b"): 10.0})
    for value in (-1.0, float("nan"), float("inf"), 1e9):
        book.observe("a", "c", value, at=0)
    book.observe("a", "a", 5, at=0)
    book.observe("b", "c", 5, at=0)
    assert book.changed() == {("b", "c"): 5}
    book.forget("b")
    assert (book.changed(), book.known) == ({}, {})


def test_windows_of_links_that_are_gone_are_let_go_and_what_is_known_of_them_stays() -> None:
    book = LatencyBook(RULE)
    book.observe("a", "b", 10, at=0)
    told_at_once(book)
    for at in range(0, 1000, 5):
        book.observe("a", "c", 20, at=at)
    told_at_once(book)
    assert book.known == {("a", "b"): 10, ("a", "c"): 20}
    assert ("a", "b") not in book._windows
    book.drop([("a", "b")])
    assert book.known == {("a", "c"): 20}


def test_without_measurements_the_region_decides() -> None:
    relays = [("a", "eu-west"), ("b", "eu-west"), ("c", "eu-north"), ("d", "us"), ("e", "")]
    distances = Distances(relays, Latencies({}, {}))
    row = distances.row(0, [1, 2, 3, 4])
    assert row == [by_region("eu-west", region) for _, region in relays[1:]]
    assert row[0] < row[1] < row[2] == row[3]


@pytest.mark.parametrize("seed", range(3))
def test_estimates_of_pairs_that_nobody_measured_are_near_the_truth(seed: int) -> None:
    """Eight measured partners each, chosen at random, of 150 relays: as many as a relay has links."""
    net = make_internet(150, regions=6, seed=seed)
    names, chance = sorted(net.region), random.Random(seed)
    measured = {
        pair_of(one, other): net.latency(one, other)
        for one in names
        for other in chance.sample([name for name in names if name != one], 4)
    }
    distances = Distances([(name, net.region[name]) for name in names], Latencies(measured, net.region))
    errors, blind = [], []
    for one in range(0, 150, 7):
        for other in range(one + 1, 150):
            if distances.measured(one, other) is None:
                truth = net.latency(names[one], names[other])
                errors.append(abs(distances.between(one, other) - truth) / truth)
                blind.append(abs(by_region(net.region[names[one]], net.region[names[other]]) - truth) / truth)
    assert statistics.median(errors) < 0.25
    assert statistics.median(errors) < statistics.median(blind)
