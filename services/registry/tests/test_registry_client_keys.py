"""Changes of clients' keys: who is asked, who is late, how one ends, and who is there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from altnet.common.clock import FixedClock
from altnet.common.contracts.agent import Applied, ClientStatus, Heartbeat
from altnet.registry.domain.client_keys import Asked, Outcome, at_the_date, next_asked, under_way
from altnet.registry.jobs.client_sessions import ClientSessions
from altnet.registry.store import clients
from hypothesis import given
from hypothesis import strategies as st

START = datetime(2026, 5, 1, tzinfo=UTC)


def test_at_the_date_a_key_that_its_client_announced_counts_only_if_it_was_used() -> None:
    assert at_the_date(announced=True, proven=True, seen=True) is Outcome.KEPT
    assert at_the_date(announced=True, proven=True, seen=False) is Outcome.NO_HANDSHAKE
    assert at_the_date(announced=False, proven=False, seen=False) is Outcome.NO_ANSWER


def test_at_the_date_a_key_that_an_operator_announced_counts_anyway() -> None:
    assert at_the_date(announced=True, proven=False, seen=False) is Outcome.KEPT


SECONDS = st.integers(-100, 0).map(lambda seconds: START + timedelta(seconds=seconds))
ASKED = st.lists(
    st.builds(Asked, client=st.sampled_from("abcdefgh"), at=SECONDS, here_since=st.none() | SECONDS),
    unique_by=lambda one: one.client,
)


@given(ASKED, st.integers(1, 60))
def test_late_is_who_was_there_and_asked_for_the_whole_time_and_who_is_away_is_neither(
    asked: list[Asked], patience: int
) -> None:
    found = under_way(asked, patience=patience, now=START)
    by_id = {one.client: one for one in asked}
    away = {one.client for one in asked if one.here_since is None}
    assert {*found.timely, *found.late} == by_id.keys() - away
    assert not {*found.timely} & {*found.late}
    for client in found.late:
        one = by_id[client]
        assert one.here_since is not None
        assert min(START - one.at, START - one.here_since) >= timedelta(seconds=patience)


@given(st.lists(st.text("xyz", min_size=1), unique=True), st.lists(st.text("abc"), max_size=9), st.integers(1, 8))
def test_no_more_are_asked_than_there_is_room_for(waiting: list[str], timely: list[str], at_once: int) -> None:
    chosen = next_asked(waiting, timely, at_once=at_once)
    assert len(chosen) == min(len(waiting), max(0, at_once - len(timely)))
    assert set(chosen) <= set(waiting)


def beat(*names: str, attached: bool = True, next_key: str = "") -> Heartbeat:
    applied = Applied(mesh_generation=0, mesh_digest="", document_generation=0, document_digest="")
    said = tuple(ClientStatus(client=name, attached=attached, next_key=next_key) for name in names)
    return Heartbeat(boot="b", number=0, applied=applied, clients=said)


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(START)


@pytest.fixture
def sessions(clock: FixedClock) -> ClientSessions:
    return ClientSessions(cast(Any, None), clock, lasts=30)


def test_a_client_is_there_since_it_came_without_a_break(sessions: ClientSessions, clock: FixedClock) -> None:
    sessions.heard("r", beat("a"))
    clock.advance(5)
    sessions.heard("r", beat("a", "b"))
    assert sessions.since("a", ("r", None)) == START
    assert sessions.since("b", ("r", None)) == START + timedelta(seconds=5)
    clock.advance(5)
    sessions.heard("r", beat("b"))
    assert sessions.since("a", ("r", None)) is None
    clock.advance(5)
    sessions.heard("r", beat("a", "b"))
    assert sessions.since("a", ("r", None)) == START + timedelta(seconds=15)


def test_a_silent_relays_word_grows_old_and_its_clients_begin_anew(sessions: ClientSessions, clock: FixedClock) -> None:
    sessions.heard("r", beat("a"))
    clock.advance(30.5)
    assert sessions.since("a", ("r",)) is None
    sessions.heard("r", beat("a"))
    assert sessions.since("a", ("r",)) == START + timedelta(seconds=30.5)


def test_a_relay_with_a_slow_pace_is_believed_for_longer(sessions: ClientSessions, clock: FixedClock) -> None:
    sessions.heard("r", beat("a"))
    clock.advance(300)
    sessions.heard("r", beat("a"))
    clock.advance(300)
    sessions.heard("r", beat("a"))
    assert sessions.since("a", ("r",)) == START + timedelta(seconds=300)


def test_a_relay_is_believed_about_its_own_clients_alone(sessions: ClientSessions) -> None:
    sessions.heard("other", beat("a"))
    assert sessions.since("a", ("r", None)) is None
    assert sessions.since("a", ("r", "other")) == START


async def test_a_next_key_that_was_used_is_noted_once_and_again_where_that_failed(
    sessions: ClientSessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: list[list[tuple[str, str, str]]] = []
    fails = True

    async def note(_db: object, told: list[tuple[str, str, str]], *, now: datetime) -> None:
        if fails:
            raise ConnectionError
        noted.append(told)

    monkeypatch.setattr(clients, "note_next_seen", note)
    sessions.heard("r", beat("a", next_key="k"))
    with pytest.raises(ConnectionError):
        await sessions.flush()
    fails = False
    await sessions.flush()
    await sessions.flush()
    assert noted == [[("r", "a", "k")]]
