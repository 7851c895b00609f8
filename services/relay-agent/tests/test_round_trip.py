"""The smoothed round-trip time of a link."""

from __future__ import annotations

import pytest
from altnet.relay_agent.probe import RoundTrip


def after(*took: float) -> float | None:
    trip = RoundTrip()
    for one in took:
        trip.add(one)
    return trip.smoothed


def test_before_an_answer_there_is_no_time() -> None:
    assert after() is None


def test_of_the_first_answers_the_quickest_counts_because_a_handshake_delays_the_very_first() -> None:
    assert after(0.300) == 0.300
    assert after(0.300, 0.012, 0.010, 0.011, 0.040) == 0.010


def test_later_a_single_slow_answer_moves_the_time_by_a_fifth_of_what_it_is_off() -> None:
    assert after(*[0.010] * 5, 0.110) == pytest.approx(0.030)


def test_a_time_that_stays_longer_is_believed_in_the_end() -> None:
    assert after(*[0.010] * 5, *[0.110] * 30) == pytest.approx(0.110, rel=0.01)
