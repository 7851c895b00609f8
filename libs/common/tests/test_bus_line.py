"""Requests in line: what is worth handling, what is refused, what is dropped."""

from __future__ import annotations

import pytest
from altnet.common.bus.line import LONGEST_PATIENCE, Line, Verdict, patience_of
from hypothesis import given
from hypothesis import strategies as st


def test_what_comes_first_is_handled_first() -> None:
    line: Line[str] = Line()
    for name in ("a", "b"):
        assert line.join(name, size=1, patience=1.0, now=0.0)
    assert [line.leave(now=0.1), line.leave(now=0.1), line.leave(now=0.1)] == [
        ("a", Verdict.HANDLE),
        ("b", Verdict.HANDLE),
        None,
    ]


@pytest.mark.parametrize(
    ("waited", "verdict"),
    [(0.0, Verdict.HANDLE), (2.0, Verdict.HANDLE), (2.1, Verdict.REFUSE), (3.9, Verdict.REFUSE), (4.0, Verdict.DROP)],
)
def test_half_of_the_patience_may_pass_in_line_and_after_all_of_it_the_caller_has_gone(
    waited: float, verdict: Verdict
) -> None:
    line: Line[str] = Line()
    line.join("a", size=1, patience=4.0, now=100.0)
    assert line.leave(now=100.0 + waited) == ("a", verdict)
    assert (line.refused, line.dropped) == (verdict is Verdict.REFUSE, verdict is Verdict.DROP)


def test_a_full_line_takes_nobody_and_one_that_has_room_again_does() -> None:
    line: Line[int] = Line(most=2)
    assert [line.join(n, size=1, patience=1.0, now=0.0) for n in range(3)] == [True, True, False]
    line.leave(now=0.0)
    assert line.join(3, size=1, patience=1.0, now=0.0)
    assert line.refused == 1


def test_a_line_is_full_in_bytes_as_well_but_one_large_request_is_always_taken() -> None:
    line: Line[int] = Line(most_bytes=10)
    assert line.join(1, size=50, patience=1.0, now=0.0)
    assert not line.join(2, size=1, patience=1.0, now=0.0)
    line.leave(now=0.0)
    assert line.join(3, size=10, patience=1.0, now=0.0)


def test_one_relay_that_floods_keeps_nobody_else_out() -> None:
    line: Line[str] = Line(most=100, most_of_one=3)
    flood = [line.join("x", size=1, patience=1.0, now=0.0, who="rly_1") for _ in range(50)]
    assert (sum(flood), line.refused) == (3, 47)
    assert line.join("y", size=1, patience=1.0, now=0.0, who="rly_2")
    assert all(line.join("z", size=1, patience=1.0, now=0.0) for _ in range(20)), "services have no such bound"
    line.leave(now=0.0)
    assert line.join("x", size=1, patience=1.0, now=0.0, who="rly_1")
    while line.leave(now=9.0) is not None:
        pass
    assert all(line.join("x", size=1, patience=1.0, now=9.0, who="rly_1") for _ in range(3))


@pytest.mark.parametrize("text", [None, "", "soon", "-1", "0", "nan", "inf", "1e9", "5 s"])
def test_a_patience_that_is_none_counts_as_the_longest(text: str | None) -> None:
    assert patience_of(text) == LONGEST_PATIENCE


@given(text=st.text())
def test_whatever_a_caller_writes_its_patience_is_between_nothing_and_the_longest(text: str) -> None:
    assert 0 < patience_of(text) <= LONGEST_PATIENCE


@given(load=st.floats(0.5, 20.0), patience=st.floats(0.5, 10.0), seconds=st.integers(5, 40))
def test_whatever_the_load_what_is_handled_is_still_waited_for_and_the_handler_is_never_idle(
    load: float, patience: float, seconds: int
) -> None:
    """One handler that takes 0.1 s for each; `load` times as many come. Without a bound on waiting all but the first
    few are handled in vain."""
    line: Line[float] = Line()
    takes, now, came, handled = 0.1, 0.0, 0, 0
    end = float(seconds)
    while now < end:
        while came * takes / load <= now:
            line.join(came * takes / load, size=1, patience=patience, now=came * takes / load)
            came += 1
        place = line.leave(now=now)
        if place is None:
            now = came * takes / load
        elif place[1] is Verdict.HANDLE:
            now += takes
            handled += 1
            assert now - place[0] <= patience / 2 + takes + 1e-9
    assert handled >= min(end, end * load) / takes * 0.9 - load - 2
