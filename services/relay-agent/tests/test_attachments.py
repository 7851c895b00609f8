"""Where a client is attached: whatever becomes of its words, one relay holds it in the end, and it is the right one."""

from __future__ import annotations

import socket
import struct
from datetime import UTC, datetime
from ipaddress import IPv6Address

import msgspec
from altnet.common.clock import FixedClock
from altnet.common.contracts.attach import SIZE, Answer, Hello, pack, unpack
from altnet.common.contracts.desired import RelayDocument
from altnet.relay_agent.access import ANSWERS, Access
from altnet.relay_agent.attachments import Attachments
from altnet.relay_agent.pieces import Names
from altnet.relay_agent.state import Attachment
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from support.relays import PLAN, client, document

LIFETIME = 3.5
RELAYS = ("a", "b")


class ClientWithTwoRelays(RuleBasedStateMachine):
    """A client that moves as it likes, over paths that lose, repeat and reorder, to relays whose agents crash."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.relays = {name: Attachments(lifetime=LIFETIME) for name in RELAYS}
        self.kept: dict[str, dict[str, Attachment]] = {name: {} for name in RELAYS}
        self.counter, self.at, self.number = 1, "a", 0
        self.under_way: list[tuple[str, Hello]] = []
        self.answers: list[Answer] = []
        self.meant: dict[int, int] = {}
        """Number of a hello to the counter it carried."""

    def hello(self, relay: str) -> Hello:
        self.number += 1
        self.meant[self.number] = self.counter
        return Hello(number=self.number, counter=self.counter, attached=relay == self.at)

    def deliver(self, relay: str, hello: Hello) -> Answer:
        return self.relays[relay].hear("c", hello, now=self.now)

    def learn(self, relay: str, answer: Answer) -> None:
        """What altnetd does with an answer."""
        if self.meant.get(answer.number) != self.counter:
            return
        if answer.counter > self.counter or (relay == self.at and not answer.attached):
            self.counter = max(self.counter, answer.counter) + 1

    @rule(relay=st.sampled_from(RELAYS))
    def say(self, relay: str) -> None:
        self.under_way.append((relay, self.hello(relay)))

    @rule()
    def move(self) -> None:
        self.counter += 1
        self.at = "b" if self.at == "a" else "a"

    @rule()
    def the_client_restarts_with_a_clock_that_went_back(self) -> None:
        self.counter = max(1, self.counter - 2)
        self.meant.clear()

    @precondition(lambda self: self.under_way)
    @rule(which=st.integers(min_value=0), again=st.booleans(), lost=st.booleans())
    def arrive(self, which: int, again: bool, lost: bool) -> None:
        relay, hello = self.under_way[which % len(self.under_way)]
        if not again:
            self.under_way.remove((relay, hello))
        answer = self.deliver(relay, hello)
        if not lost:
            self.learn(relay, answer)

    @rule(seconds=st.sampled_from([0.5, 2.0, 4.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        for relay in self.relays.values():
            relay.expire(now=self.now)

    @rule(relay=st.sampled_from(RELAYS))
    def the_agent_saves(self, relay: str) -> None:
        self.kept[relay] = self.relays[relay].dump()

    @rule(relay=st.sampled_from(RELAYS), host=st.booleans())
    def the_agent_crashes(self, relay: str, host: bool) -> None:
        self.relays[relay] = Attachments(lifetime=LIFETIME)
        if not host:
            self.relays[relay].adopt(self.kept[relay], now=self.now)

    @invariant()
    def when_all_is_quiet_the_client_is_attached_where_it_means_to_be_and_nowhere_else(self) -> None:
        """Looks ahead on copies: two rounds of hellos that arrive."""
        relays = {}
        for name, relay in self.relays.items():
            relays[name] = Attachments(lifetime=LIFETIME)
            relays[name].adopt(relay.dump(), now=self.now)
        counter = self.counter
        for _ in range(3):
            for name in RELAYS:
                told = Hello(number=0, counter=counter, attached=name == self.at)
                answer = relays[name].hear("c", told, now=self.now)
                if answer.counter > counter or (name == self.at and not answer.attached):
                    counter = max(counter, answer.counter) + 1
        assert [name for name in RELAYS if "c" in relays[name].attached] == [self.at]


TestClientWithTwoRelays = ClientWithTwoRelays.TestCase


def test_a_client_that_falls_silent_is_let_go_and_comes_back_with_its_next_move() -> None:
    told: list[frozenset[str]] = []
    attachments = Attachments(lifetime=LIFETIME, changed=lambda: told.append(attachments.attached))
    attachments.hear("c", Hello(number=1, counter=5, attached=True), now=0.0)
    attachments.hear("c", Hello(number=2, counter=5, attached=True, rtt=0.02), now=3.0)
    attachments.expire(now=6.0)
    assert (attachments.attached, attachments.rtt("c")) == (frozenset({"c"}), 0.02)
    attachments.expire(now=6.6)
    assert attachments.attached == frozenset()
    answer = attachments.hear("c", Hello(number=3, counter=5, attached=True), now=7.0)
    assert answer == Answer(number=3, counter=5, attached=False), "an old word does not bring it back"
    assert attachments.hear("c", Hello(number=4, counter=6, attached=True), now=7.1).attached
    attachments.keep({"another"})
    assert attachments.dump() == {}
    assert told == [frozenset({"c"}), frozenset(), frozenset({"c"}), frozenset()]


@given(
    message=st.one_of(
        st.builds(
            Hello,
            number=st.integers(0, 2**64 - 1),
            counter=st.integers(0, 2**64 - 1),
            attached=st.booleans(),
            rtt=st.one_of(st.none(), st.integers(1, 2**32 - 1).map(lambda us: us / 1e6)),
        ),
        st.builds(Answer, number=st.integers(0, 2**64 - 1), counter=st.integers(0, 2**64 - 1), attached=st.booleans()),
    )
)
def test_a_message_reads_back_as_written(message: Hello | Answer) -> None:
    packed = pack(message)
    assert len(packed) == SIZE
    assert unpack(packed) == message


@given(data=st.binary(max_size=SIZE + 8))
def test_noise_is_no_message(data: bytes) -> None:
    assert unpack(data) is None or data.startswith(b"alta")


class Edge:
    """The edge without a socket; `lo` stands for the access interface."""

    def __init__(self) -> None:
        self.clock = FixedClock(datetime(2026, 1, 1, tzinfo=UTC))
        self.attachments = Attachments(lifetime=LIFETIME)
        self.address = PLAN.client_prefix(1)[300]
        movable = msgspec.structs.replace(client("x", f"{self.address}/128"), movable=True)
        self.fixed = PLAN.client_prefix(1)[301]
        self.document: RelayDocument | None = document("a", clients=(movable, client("y", f"{self.fixed}/128")))
        self.access = Access(
            1,
            self.attachments,
            names=_Loopback(prefix="alt"),
            plan=PLAN,
            slot=1,
            document=lambda: self.document,
            clock=self.clock,
            tick=1.0,
        )

    def hear(
        self,
        counter: int,
        *,
        attached: bool = True,
        source: IPv6Address | None = None,
        target: IPv6Address | None = None,
        device: str = "lo",
    ) -> bool:
        """Whether the client is attached after such a packet."""
        where = (target or PLAN.access_address(1)).packed + struct.pack("=I", socket.if_nametoindex(device))
        control = [(int(socket.IPPROTO_IPV6), int(socket.IPV6_PKTINFO), where)]
        data = pack(Hello(number=counter, counter=counter, attached=attached))
        self.access.heard(data, control, str(source or self.address), port=9)
        return "cli_x" in self.attachments.attached


class _Loopback(Names):
    over_link = False

    def access_number(self, name: str) -> int | None:
        return 0 if name == ("alta0" if self.over_link else "lo") else None

    def is_link(self, name: str) -> bool:
        return self.over_link


def test_only_a_movable_client_of_the_document_attaches_and_only_from_its_own_address() -> None:
    edge = Edge()
    assert not edge.hear(1, source=IPv6Address("fd42:1337:beef:1001::999"))
    edge.hear(1, source=edge.fixed)
    assert edge.attachments.dump() == {}, "a client that cannot move says nothing about it"
    assert edge.hear(2)
    edge.document = document("a", generation=2)
    edge.clock.advance(1)
    assert not edge.hear(3), "no client of ours any more"
    assert edge.attachments.dump() == {}


def test_over_a_link_a_client_may_leave_and_not_attach() -> None:
    edge = Edge()
    assert edge.hear(1)
    _Loopback.over_link = True
    try:
        assert edge.hear(2, target=PLAN.relay_address(1)), "not attached over a link, so nothing changes"
        assert edge.attachments.dump()["cli_x"].counter == 1
        assert edge.hear(2, attached=False), "not at the access address"
        assert not edge.hear(2, attached=False, target=PLAN.relay_address(1))
    finally:
        _Loopback.over_link = False


def test_a_client_that_shouts_is_heard_a_bounded_number_of_times_a_second() -> None:
    edge = Edge()
    for counter in range(1, 10 * ANSWERS):
        edge.hear(counter)
    assert edge.attachments.dump()["cli_x"].counter == ANSWERS
    edge.clock.advance(1.0)
    edge.hear(1000)
    assert edge.attachments.dump()["cli_x"].counter == 1000


def test_who_has_come_is_fresh_for_a_while_and_who_stays_or_goes_is_not() -> None:
    attachments = Attachments(lifetime=LIFETIME, fresh_for=lambda: 10.0)
    attachments.hear("x", Hello(number=1, counter=1, attached=True), now=0.0)
    assert attachments.fresh == {"x"}
    attachments.hear("x", Hello(number=2, counter=1, attached=True), now=9.9)
    attachments.expire(now=10.0)
    assert (attachments.attached, attachments.fresh) == ({"x"}, set())
    attachments.hear("x", Hello(number=3, counter=2, attached=False), now=10.1)
    attachments.hear("x", Hello(number=4, counter=3, attached=True), now=10.2)
    assert attachments.fresh == {"x"}, "it was elsewhere meanwhile"
    attachments.hear("x", Hello(number=5, counter=4, attached=False), now=10.3)
    assert attachments.fresh == set()
