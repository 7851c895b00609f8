"""Which relay a client uses: it leaves the silent, keeps the busy, and goes back without haste."""

from __future__ import annotations

import hypothesis.strategies as st
from altnet.client.paths import Paths
from altnet.client.settings import Timers
from hypothesis import given
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

TIMERS = Timers()


class Story:
    """Time goes on in steps of one probe; who is up answers within `rtt`."""

    def __init__(self, *names: str, timers: Timers = TIMERS) -> None:
        self.timers = timers
        self.paths = Paths(timers)
        self.now = 100.0
        self.up = dict.fromkeys(names, True)
        self.rtt = dict.fromkeys(names, 0.02)
        self.asked = dict.fromkeys(names, -1e9)
        self.moves: list[tuple[str, float]] = []
        self.paths.set_relays({name: number for number, name in enumerate(names)}, now=self.now)
        self.step()

    def step(self) -> None:
        self.now += self.timers.probe
        for name, up in self.up.items():
            often = name == self.paths.current or not self.paths.relays[name].answered
            every = self.timers.probe if often else self.timers.standby_probe
            if self.now - self.asked[name] >= every * 0.9:
                self.asked[name] = self.now
                if up:
                    self.paths.heard(name, rtt=self.rtt[name], now=self.now)
        where = self.paths.decide(now=self.now)
        if where is not None:
            self.paths.moved(where, now=self.now)
            self.moves.append((where, self.now))

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end - 1e-9:
            self.step()


def test_a_dead_relay_is_left_after_three_probes_and_twice_the_round_trip() -> None:
    story = Story("a", "b")
    story.run(5)
    assert [name for name, _ in story.moves] == ["a"]
    began, story.up["a"] = story.now, False
    story.run(2)
    name, at = story.moves[-1]
    assert name == "b"
    assert at - began <= 3 * TIMERS.probe + 2 * 0.02 + TIMERS.probe


def test_a_far_relay_is_given_the_time_that_its_answers_take() -> None:
    story = Story("a", "b")
    story.rtt["a"] = 0.6
    story.run(5)
    assert story.paths.limit("a") > 1.4


def test_a_relay_is_not_left_for_one_that_is_known_to_be_silent() -> None:
    story = Story("a", "b")
    story.run(5)
    story.up["b"] = False
    story.run(5)
    story.up["a"] = False
    story.run(60)
    assert [name for name, _ in story.moves] == ["a"]
    story.up["b"] = True
    story.run(2)
    assert [name for name, _ in story.moves] == ["a", "b"]


def test_when_all_relays_die_at_once_the_client_looks_at_the_other_once_and_stays() -> None:
    story = Story("a", "b")
    story.run(5)
    story.up = {"a": False, "b": False}
    story.run(60)
    assert [name for name, _ in story.moves] == ["a", "b"]


def test_a_preferred_relay_is_gone_back_to_after_ten_answers_and_a_while() -> None:
    story = Story("a", "b")
    story.run(5)
    story.up["a"] = False
    story.run(5)
    back, story.up["a"] = story.now, True
    story.run(60)
    assert [name for name, _ in story.moves] == ["a", "b", "a"]
    moved = story.moves[-1][1]
    assert moved - back >= (TIMERS.good_probes - 1) * TIMERS.standby_probe * 0.9
    assert moved - story.moves[1][1] >= TIMERS.settle


def test_a_relay_that_comes_and_goes_is_trusted_less_and_less_and_in_the_end_again() -> None:
    story = Story("a", "b")
    story.run(5)
    for _ in range(10):
        story.up["a"] = False
        story.run(5)
        story.up["a"] = True
        story.run(25)
    assert story.paths.stay == 16 * TIMERS.settle
    assert len(story.moves) == 1 + 5 + 4, "of ten failures the last five moved nobody"
    story.run(2 * TIMERS.settle_most)
    assert story.paths.current == "a"
    assert story.paths.stay == TIMERS.settle


def test_a_host_that_stood_still_judges_nobody_by_its_own_silence() -> None:
    story = Story("a", "b")
    story.run(5)
    story.now += 30.0
    story.asked = dict.fromkeys(story.asked, story.now)
    story.step()
    assert [name for name, _ in story.moves] == ["a"]
    story.run(5)
    assert [name for name, _ in story.moves] == ["a"]


def test_a_busy_relay_is_spared_and_one_that_never_answers_again_is_not() -> None:
    story = Story("a", "b")
    story.run(5)
    story.up["a"] = False
    spared = story.now
    while story.paths.current == "a" and story.now < spared + 60:
        if story.paths.suspect(now=story.now) == "a":
            story.paths.spare("a", now=story.now)
        story.step()
    assert TIMERS.busy <= story.now - spared <= TIMERS.busy + 1


def test_at_the_start_a_relay_that_is_dead_is_passed_over() -> None:
    story = Story("a", "b")
    story.up["a"] = False
    story.paths = Paths(TIMERS)
    story.paths.set_relays({"a": 0, "b": 1}, now=story.now)
    story.moves = []
    story.run(5)
    assert [name for name, _ in story.moves] == ["a", "b"]


@given(priorities=st.dictionaries(st.sampled_from("abc"), st.integers(0, 3)), current=st.sampled_from("abc"))
def test_relays_that_are_taken_away_are_not_used(priorities: dict[str, int], current: str) -> None:
    paths = Paths(TIMERS)
    paths.set_relays({"a": 0, "b": 1, "c": 2}, now=0.0)
    paths.moved(current, now=0.0)
    paths.set_relays(priorities, now=1.0)
    where = paths.decide(now=1.1) or paths.current
    assert where in priorities or not priorities
    if not priorities:
        assert where is None


class Anything(RuleBasedStateMachine):
    """Relays come and go as they like."""

    def __init__(self) -> None:
        super().__init__()
        self.story = Story("a", "b", "c")

    @rule(name=st.sampled_from("abc"), up=st.booleans())
    def a_relay_changes(self, name: str, up: bool) -> None:
        self.story.up[name] = up

    @rule(seconds=st.sampled_from([0.1, 0.5, 3.0, 15.0]))
    def time_passes(self, seconds: float) -> None:
        before = list(self.story.moves)
        answered = {name for name, it in self.story.paths.relays.items() if it.answered}
        up = set(self.story.up)
        self.story.run(seconds)
        for name, _ in self.story.moves[len(before) :]:
            assert name in answered | {it for it in up if self.story.up[it]}

    @rule()
    def the_process_stands_still(self) -> None:
        self.story.now += 20.0

    @invariant()
    def who_is_up_for_a_while_serves(self) -> None:
        alive = [name for name, up in self.story.up.items() if up]
        if len(alive) == 1:
            self.story.run(TIMERS.first_answer + 2)
            assert self.story.paths.current == alive[0]


TestAnything = Anything.TestCase
