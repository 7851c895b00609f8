"""What a client says and what relays make of it, by the real code of both: in the end one relay holds the client."""

from __future__ import annotations

from altnet.client.word import Word
from altnet.common.contracts.attach import Answer, Hello
from altnet.relay_agent.attachments import Attachments
from altnet.relay_agent.state import Attachment
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

RELAYS = ("a", "b")
LIFETIME = 3.5


class ClientAndRelays(RuleBasedStateMachine):
    """The client moves, restarts with any clock; hellos and answers get lost, repeated, reordered; agents crash."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.word = Word(begin=1000)
        self.word.move("a")
        self.at = "a"
        self.relays = {name: Attachments(lifetime=LIFETIME) for name in RELAYS}
        self.kept: dict[str, dict[str, Attachment]] = {name: {} for name in RELAYS}
        self.hellos: list[tuple[str, Hello]] = []
        self.answers: list[tuple[str, Answer]] = []

    @rule(relay=st.sampled_from(RELAYS))
    def the_client_says_hello(self, relay: str) -> None:
        self.hellos.append((relay, self.word.hello(relay)))

    @rule(relay=st.sampled_from(RELAYS))
    def the_client_moves(self, relay: str) -> None:
        self.at = relay
        self.word.move(relay)

    @rule(begin=st.integers(1, 5000))
    def the_client_restarts_with_some_clock(self, begin: int) -> None:
        self.word = Word(begin=begin)
        self.word.move(self.at)
        self.answers.clear()

    @precondition(lambda self: self.hellos)
    @rule(which=st.integers(min_value=0), again=st.booleans())
    def a_hello_arrives(self, which: int, again: bool) -> None:
        one = self.hellos[which % len(self.hellos)]
        if not again:
            self.hellos.remove(one)
        self.answers.append((one[0], self.relays[one[0]].hear("c", one[1], now=self.now)))

    @precondition(lambda self: self.answers)
    @rule(which=st.integers(min_value=0), again=st.booleans())
    def an_answer_arrives(self, which: int, again: bool) -> None:
        one = self.answers[which % len(self.answers)]
        if not again:
            self.answers.remove(one)
        self.word.answered(*one)

    @rule(seconds=st.sampled_from([0.5, 2.0, 4.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        for relay in self.relays.values():
            relay.expire(now=self.now)

    @rule(relay=st.sampled_from(RELAYS))
    def an_agent_saves(self, relay: str) -> None:
        self.kept[relay] = self.relays[relay].dump()

    @rule(relay=st.sampled_from(RELAYS), host=st.booleans())
    def an_agent_crashes(self, relay: str, host: bool) -> None:
        self.relays[relay] = Attachments(lifetime=LIFETIME)
        if not host:
            self.relays[relay].adopt(self.kept[relay], now=self.now)

    @invariant()
    def the_client_claims_one_relay_at_most_at_each_count(self) -> None:
        claimed: dict[int, set[str]] = {}
        for relay, hello in self.hellos:
            if hello.attached:
                claimed.setdefault(hello.counter, set()).add(relay)
        # A restart with a clock that went back may use a count again; the relay then tells it to jump.
        assert all(len(relays) <= len(RELAYS) for relays in claimed.values())

    def teardown(self) -> None:
        """It is quiet: hellos arrive, and so do their answers."""
        for _ in range(4):
            for name in RELAYS:
                hello = self.word.hello(name)
                self.word.answered(name, self.relays[name].hear("c", hello, now=self.now))
        assert [name for name in RELAYS if "c" in self.relays[name].attached] == [self.at]
        assert self.word.confirmed
        # And where no word reaches the other relay any more, its own patience does it.
        self.word.move("b" if self.at == "a" else "a")
        for _ in range(8):
            self.now += 1.0
            hello = self.word.hello(self.word.relay or "")
            self.word.answered(self.word.relay or "", self.relays[self.word.relay or ""].hear("c", hello, now=self.now))
            for relay in self.relays.values():
                relay.expire(now=self.now)
        assert [name for name in RELAYS if "c" in self.relays[name].attached] == [self.word.relay]


TestClientAndRelays = ClientAndRelays.TestCase


def test_an_answer_from_before_the_move_says_nothing() -> None:
    word = Word(begin=10)
    word.move("a")
    old = word.hello("a")
    word.move("b")
    assert not word.answered("a", Answer(number=old.number, counter=old.counter, attached=True))
    assert not word.confirmed


def test_a_relay_cannot_drive_the_counter_over_its_end() -> None:
    word = Word(begin=10)
    word.move("a")
    for _ in range(5):
        hello = word.hello("a")
        word.answered("a", Answer(number=hello.number, counter=2**64 - 1, attached=False))
    assert word.counter < 100
