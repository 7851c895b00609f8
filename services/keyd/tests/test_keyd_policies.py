"""When keys are old, by a policy."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from altnet.keyd.domain.policies import due
from hypothesis import given
from hypothesis import strategies as st

NOW = datetime(2026, 5, 1, tzinfo=UTC)
SHARE = st.floats(0, 1)
AGE = st.floats(60, 10 * 366 * 86_400)


@given(max_age=AGE, jitter=SHARE, draw=SHARE)
def test_the_date_lies_within_the_jitter_around_the_age(max_age: float, jitter: float, draw: float) -> None:
    waited = (due(NOW, max_age=max_age, jitter=jitter, draw=draw) - NOW) / timedelta(seconds=1)
    assert max_age * (1 - jitter) - 1e-3 <= waited <= max_age * (1 + jitter) + 1e-3


@given(max_age=AGE, jitter=st.floats(0.01, 1))
def test_the_draw_reaches_both_ends_and_without_jitter_it_is_the_age(max_age: float, jitter: float) -> None:
    first, last = (due(NOW, max_age=max_age, jitter=jitter, draw=draw) for draw in (0.0, 1.0))
    assert last - first >= timedelta(seconds=max_age * jitter)
    assert due(NOW, max_age=max_age, jitter=0, draw=0.9) == NOW + timedelta(seconds=max_age)
