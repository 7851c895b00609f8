"""Any interleaving of lost, repeated, late and reordered words, crashes at any point, reboots and changes of what the
mesh says ends with both ends of a pair on one key, and WireGuard's session never ends while one of the agents lives.

Time is virtual. WireGuard is modelled by what the whitepaper and measurements say of it: a session is renewed from
120 s on, tried every 5 s, fails while the two ends have different keys, and is dead after 180 s.
"""

from __future__ import annotations

import random
from typing import Any

import pytest
from altnet.common.contracts.desired import PresharedPolicy
from altnet.relay_agent.psk import wire
from altnet.relay_agent.psk.keys import Context, Derived, Side
from altnet.relay_agent.psk.pair import NOTHING, Key, Outcome, Pace, Pair, Record, Wish
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

REKEY, TRY, DEAD = 120, 5, 180
GRACE = 65
"""Seconds that an agent must have lived, undisturbed, for what is promised of sessions."""
APART = 30
"""Seconds after which two agents that reach each other are on one key."""
NAMES = "ab"


def wish(policy: PresharedPolicy, epoch: int) -> Wish:
    sides = [
        Side(relay=name, static=name.encode() * 32, signing=name.encode() * 32, mesh_key=bytes(32), epoch=epoch)
        for name in NAMES
    ]
    return Wish(context=Context(network="n", initiator=sides[0], responder=sides[1]), policy=policy, refresh=300)


class Killed(Exception):
    """The agent dies here."""


class PairUnderFire(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 1_000_000
        self.told = {name: wish(PresharedPolicy.ON, 0) for name in NAMES}
        self.ends: dict[str, Pair | None] = dict.fromkeys(NAMES)
        self.disks: dict[str, Record | None] = dict.fromkeys(NAMES)
        self.devices: dict[str, Key] = dict.fromkeys(NAMES, NOTHING)
        self.way: list[tuple[str, bytes]] = []
        self.shaken = self.now
        """The last handshake."""
        self.alive_since = dict.fromkeys(NAMES, self.now)
        self.dies: dict[str, str] = {}
        """Where in its next work an agent is to be killed."""

    @initialize(seed=st.integers(0, 2**32))
    def begin(self, seed: int) -> None:
        self.random = random.Random(seed)
        for name in NAMES:
            self.wake(name)

    # -- the agents ---------------------------------------------------------------------------------------------

    def wake(self, name: str) -> None:
        end = self.ends[name] = Pair(
            self.disks[name],
            self.told[name],
            initiator=name == "a",
            now=self.now,
            pace=Pace(),
            random=self.random.random,
            randomness=self.random.randbytes,
        )
        self.alive_since[name] = self.now
        self.devices[name] = end.present
        self.work(name, end.begin(self.now))
        if (end := self.ends[name]) is not None:
            self.work(name, end.on_device(self.now))

    def work(self, name: str, out: Outcome) -> None:
        """Keep, install, say: in this order, with a death where one is due."""
        if not (out.keep or out.install or out.words):
            return  # as after most of a million ticks
        try:
            self.try_work(name, out)
        except Killed:
            self.ends[name] = None
            del self.dies[name]

    def try_work(self, name: str, out: Outcome) -> None:
        end = self.ends[name]
        assert end is not None
        if out.keep:
            self.die(name, "before keeping")
            self.disks[name] = end.record
            self.die(name, "after keeping")
        if out.install:
            self.devices[name] = end.present
            self.die(name, "after installing")
        if out.words:
            self.way += [("b" if name == "a" else "a", raw) for raw in out.words]
            self.die(name, "after saying")
        if out.install:
            self.try_work(name, end.on_device(self.now))

    def die(self, name: str, where: str) -> None:
        if self.dies.get(name) == where:
            raise Killed

    # -- what happens -------------------------------------------------------------------------------------------

    @rule(number=st.integers(0, 30), times=st.integers(0, 2))
    def a_word_arrives_never_once_or_twice_in_any_order(self, number: int, times: int) -> None:
        if self.way:
            to, raw = self.way.pop(number % len(self.way))
            for _ in range(times):
                self.hear(to, raw)
            if times == 2:
                self.way.append((to, raw))

    @rule(number=st.integers(1, 12))
    def words_arrive(self, number: int) -> None:
        for _ in range(number):
            if self.way:
                self.hear(*self.way.pop(0))

    @rule()
    def words_are_lost(self) -> None:
        self.way.clear()

    @rule(seconds=st.integers(1, 40), carried=st.booleans())
    def time_passes(self, seconds: int, carried: bool) -> None:
        for _ in range(seconds):
            self.second()
            if carried:
                self.carry()

    @rule(seconds=st.integers(60, 260))
    def the_bus_is_dead(self, seconds: int) -> None:
        for _ in range(seconds):
            self.second()
            self.way.clear()

    @rule(words=st.integers(0, 6), lost=st.booleans())
    def an_exchange_begins_and_stops(self, words: int, lost: bool) -> None:
        """After so many words: what comes then finds it there."""
        for _ in range(400):
            if self.way or self.ends["a"] is None:
                break
            self.second()
        for _ in range(words):
            if self.way:
                self.hear(*self.way.pop(0))
        if lost:
            self.way.clear()

    @rule(seconds=st.integers(40, 90))
    def all_is_well(self, seconds: int) -> None:
        apart = 0
        for _ in range(seconds):
            self.second()
            self.carry()
            both = None not in self.ends.values()
            apart = apart + 1 if both and self.devices["a"].psk != self.devices["b"].psk else 0
            assert apart <= APART, (self.devices, self.disks)

    @rule(
        name=st.sampled_from(NAMES),
        where=st.sampled_from(["before keeping", "after keeping", "after installing", "after saying"]),
    )
    def an_agent_will_die(self, name: str, where: str) -> None:
        self.dies[name] = where

    @rule(name=st.sampled_from(NAMES))
    def an_agent_dies(self, name: str) -> None:
        self.ends[name] = None
        self.dies.pop(name, None)

    @rule(name=st.sampled_from(NAMES))
    def an_agent_starts(self, name: str) -> None:
        if self.ends[name] is None:
            self.wake(name)

    @rule(name=st.sampled_from(NAMES))
    def a_host_reboots(self, name: str) -> None:
        self.dies.pop(name, None)
        self.wake(name)  # which puts what the disk has onto a new device
        self.shaken = min(self.shaken, self.now - REKEY)

    @rule(
        name=st.sampled_from(NAMES),
        policy=st.sampled_from([PresharedPolicy.ON, PresharedPolicy.OFF]),
        epoch=st.integers(0, 1),
    )
    def the_mesh_says_something_else(self, name: str, policy: PresharedPolicy, epoch: int) -> None:
        self.tell(name, wish(policy, epoch))

    def tell(self, name: str, said: Wish) -> None:
        self.told[name] = said
        if (end := self.ends[name]) is not None:
            end.want(said, self.now)

    def hear(self, to: str, raw: bytes) -> None:
        if (end := self.ends[to]) is not None:
            self.work(to, end.hear(wire._WORDS.decode(raw), raw, self.now))

    def carry(self) -> None:
        for _ in range(50):
            if not self.way:
                return
            self.hear(*self.way.pop(0))

    def second(self) -> None:
        self.now += 1
        age = self.now - self.shaken
        if age >= REKEY and age % TRY == 0 and self.devices["a"].psk == self.devices["b"].psk:
            self.shaken = self.now
        for name in NAMES:
            if (end := self.ends[name]) is not None:
                self.work(name, end.tick(self.now))
            if (end := self.ends[name]) is not None:  # unless the tick was its end
                self.work(name, end.observe(self.shaken, self.now))
        if self.now - self.shaken > DEAD:
            self.check_session()

    # -- what always holds ----------------------------------------------------------------------------------------

    def check_session(self) -> None:
        lived = [self.now - self.alive_since[name] for name in NAMES if self.ends[name] is not None]
        if lived and min(lived) > GRACE:
            raise AssertionError(f"no session for {self.now - self.shaken} s: {self.devices} {self.disks}")

    @invariant()
    def no_end_is_on_a_key_that_the_other_never_held(self) -> None:
        for key in self.devices.values():
            assert not key.psk or key.id in DERIVED["a"] & DERIVED["b"]

    def teardown(self) -> None:
        self.dies.clear()
        for name in NAMES:
            if self.ends[name] is None:
                self.wake(name)
        for policy in (PresharedPolicy.ON, PresharedPolicy.OFF):
            for name in NAMES:
                self.tell(name, wish(policy, 2))
            apart = 0
            for _ in range(700):
                self.second()
                self.carry()
                apart = apart + 1 if self.devices["a"].psk != self.devices["b"].psk else 0
                assert apart <= APART, (self.devices, self.disks)
            assert bool(self.devices["a"].psk) is (policy is PresharedPolicy.ON)
            ends = [end for end in self.ends.values() if end is not None]
            assert len(ends) == len(NAMES)
            assert [end.record.spare for end in ends] == [None, None]


DERIVED: dict[str, set[bytes]] = {name: set() for name in NAMES}
"""The keys that each end came to."""


def watch(module: Any, name: str, end: str) -> None:
    """Note every key that an end derives."""
    real = getattr(module, name)

    def noted(*args: Any, **more: Any) -> Any:
        made = real(*args, **more)
        derived = made if isinstance(made, Derived | None) else made[1]
        if derived is not None:
            DERIVED[end].add(derived.id)
        return made

    setattr(module, name, noted)


from altnet.relay_agent.psk import pair as machine  # noqa: E402 - it is watched

watch(machine, "opened", "a")
watch(machine, "answer_to", "b")

TestPairUnderFire = PairUnderFire.TestCase
pytestmark = [pytest.mark.slow]
TestPairUnderFire.settings = settings(
    max_examples=250, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
