"""What a link costs: equal for equals, steady under jitter, steep for loss."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from altnet.relay_agent.bird.cost import (
    EASING,
    HOLD,
    LOSS_CLASSES,
    MEND,
    STEP,
    UNKNOWN_COST,
    LinkCost,
    observe,
    remembered,
)
from hypothesis import given

times = st.floats(min_value=0.0001, max_value=2.0)
small_loss = st.floats(min_value=0.0, max_value=LOSS_CLASSES[0][0] - 0.001)


def measured(rtt: float, loss: float = 0.0) -> LinkCost:
    return observe(LinkCost(), rtt=rtt, loss=loss, now=0.0)


@given(times, st.lists(st.tuples(st.floats(min_value=1 / STEP, max_value=STEP), small_loss), max_size=60))
def test_jitter_within_a_step_never_changes_a_cost(rtt: float, wobbles: list[tuple[float, float]]) -> None:
    link = first = measured(rtt)
    for second, (factor, loss) in enumerate(wobbles):
        link = observe(link, rtt=rtt * factor, loss=loss, now=float(second * 5))
        assert link.cost == first.cost


@given(times, times)
def test_the_longer_link_never_costs_less(one: float, other: float) -> None:
    short, long = sorted((one, other))
    assert measured(short).cost <= measured(long).cost


def test_links_of_a_rack_cost_the_same_and_a_longer_one_costs_what_it_takes() -> None:
    assert measured(0.0002).cost == measured(0.0009).cost
    assert 100_000 <= measured(0.1).cost <= 130_000
    assert 2 * measured(0.010).cost < measured(0.1).cost, "two hops of 10 ms beat one of 100 ms"


def test_a_time_that_stays_elsewhere_counts_after_a_while_and_not_before() -> None:
    link = measured(0.010)
    link = observe(link, rtt=0.050, loss=0.0, now=100.0)
    link = observe(link, rtt=0.050, loss=0.0, now=100.0 + HOLD - 0.1)
    assert link.cost == measured(0.010).cost
    link = observe(link, rtt=0.050, loss=0.0, now=100.0 + HOLD)
    assert link.cost == measured(0.050).cost


def test_of_a_new_link_a_shorter_time_counts_at_once_and_a_longer_one_does_not() -> None:
    link = measured(0.050)
    link = observe(link, rtt=0.010, loss=0.0, now=1.0)
    assert link.cost == measured(0.010).cost
    link = observe(link, rtt=0.050, loss=0.0, now=2.0)
    assert link.cost == measured(0.010).cost


def test_of_a_link_that_is_new_no_more_a_shorter_time_counts_after_a_while() -> None:
    link = observe(measured(0.050), rtt=0.010, loss=0.0, now=HOLD)
    assert link.cost == measured(0.050).cost
    assert observe(link, rtt=0.010, loss=0.0, now=2 * HOLD).cost == measured(0.010).cost


def test_a_time_that_comes_back_in_between_does_not_count() -> None:
    link = measured(0.010)
    for second in range(0, 100, 4):
        link = observe(link, rtt=0.050 if second % 8 else 0.010, loss=0.0, now=float(second))
    assert link.cost == measured(0.010).cost


def test_loss_costs_at_once_and_is_forgiven_slowly() -> None:
    link = observe(measured(0.010), rtt=0.010, loss=0.30, now=1.0)
    assert link.cost - measured(0.010).cost == LOSS_CLASSES[1][1]
    link = observe(link, rtt=0.010, loss=0.0, now=2.0)
    link = observe(link, rtt=0.010, loss=0.0, now=2.0 + MEND - 0.1)
    assert link.cost > LOSS_CLASSES[1][1]
    link = observe(link, rtt=0.010, loss=0.0, now=2.0 + MEND)
    assert link.cost == measured(0.010).cost


@given(st.lists(st.floats(min_value=LOSS_CLASSES[0][0] * EASING, max_value=LOSS_CLASSES[1][0] - 0.001), min_size=1))
def test_loss_that_wavers_between_two_classes_stays_in_the_worse_one(losses: list[float]) -> None:
    link = observe(measured(0.010), rtt=0.010, loss=LOSS_CLASSES[0][0], now=0.0)
    for number, loss in enumerate(losses):
        link = observe(link, rtt=0.010, loss=loss, now=number * 10.0)
        assert link.loss_class == 1


@given(times, st.floats(min_value=0.0, max_value=1.0))
def test_a_restart_of_the_agent_remembers_what_a_link_cost(rtt: float, loss: float) -> None:
    link = measured(rtt, loss)
    assert remembered(link.cost).cost == link.cost


@pytest.mark.parametrize("cost", [None, 0, 7, 10**9])
def test_a_cost_that_nothing_gives_is_not_remembered(cost: int | None) -> None:
    assert remembered(cost) == LinkCost()


@pytest.mark.parametrize("rtt", [float("nan"), float("inf"), -1.0, None])
def test_what_is_no_time_changes_nothing(rtt: float | None) -> None:
    assert observe(LinkCost(), rtt=rtt, loss=0.0, now=0.0).cost == UNKNOWN_COST
    assert observe(measured(0.01), rtt=rtt, loss=0.0, now=0.0) == measured(0.01)


def test_a_link_that_lost_everything_from_the_start_is_the_last_choice() -> None:
    assert observe(LinkCost(), rtt=None, loss=1.0, now=0.0).cost > LOSS_CLASSES[2][1]
