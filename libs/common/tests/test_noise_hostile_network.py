"""A host and two replicas of a service over a network that loses, repeats, reorders, delays, cuts, alters and forges.

Whatever it does, and whoever restarts when: a request that comes out was sent, comes out once, under the host that
sent it; an answer belongs to its request; and as soon as the network behaves, the two speak again.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field

import pytest
from altnet.common.errors import AltnetError, Exhausted, TooMany, Unauthenticated
from altnet.common.keys import PrivateKey
from altnet.common.noise import wire
from altnet.common.noise.failures import REFUSED, UNKNOWN_SESSION, UNKNOWN_STATIC
from altnet.common.noise.initiator import Attempt, Established, Initiator
from altnet.common.noise.rates import Rate
from altnet.common.noise.responder import Arrival, Request, Responder, ResponderLimits
from altnet.common.noise.session import SessionLimits
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

HOST, OTHER = "rly_host", "rly_other"
STATIC, SERVICE, PSK = PrivateKey.generate(), PrivateKey.generate(), b"p" * 32
LIMITS = ResponderLimits(
    session=SessionLimits(rekey_after=300, reject_after=600, rekey_after_messages=40, reject_after_messages=60),
    handshakes=Rate(burst=1000, per_second=1),
    records=Rate(burst=1000, per_second=1),
)
PICK = st.integers(0, 10**6)


def replica(name: bytes, limits: ResponderLimits = LIMITS) -> Responder:
    made = Responder(replica=name, limits=limits)
    made.answer_for({SERVICE.public(): SERVICE})
    return made


def greet(responder: Responder, frame: bytes, *, now: float, peer: str = HOST, psk: bytes = PSK) -> bytes:
    arrival = responder.arrive(frame, peer=peer, now=now)
    if isinstance(arrival, bytes):
        return arrival
    return responder.welcome(arrival, expected=STATIC.public(), psk=psk if arrival.first_contact else None, now=now)


def shake(responder: Responder, initiator: Initiator, *, now: float = 0.0, psk: bytes | None = None) -> Established:
    attempt = initiator.attempt(SERVICE.public(), psk=psk)
    return attempt.finish(greet(responder, attempt.frame, now=now), now=now)


def initiator() -> Initiator:
    return Initiator(HOST, STATIC, limits=LIMITS.session)


@dataclass
class Sent:
    """A request as the host knows it."""

    number: int
    frame: bytes
    by: Established
    came_out: int = 0


@dataclass
class Answer:
    to: Sent
    frame: bytes


@dataclass
class Wire:
    """Everything that was ever said; the network may say any of it again, to anybody."""

    hellos: list[tuple[Attempt, bytes]] = field(default_factory=list)
    welcomes: list[tuple[Attempt, bytes]] = field(default_factory=list)
    requests: list[Sent] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)


class HostileNetwork(RuleBasedStateMachine):
    @initialize()
    def start(self) -> None:
        self.now = 0.0
        self.numbers = 0
        self.host = initiator()
        self.held: Established | None = None
        self.wire = Wire()
        self.replicas = [replica(b"replica0"), replica(b"replica1")]
        self.generation = 2
        self.accepted_answers: dict[int, int] = {}

    # -- the host ------------------------------------------------------------------------------------------------

    @rule(first=st.booleans())
    def the_host_says_hello(self, first: bool) -> None:
        attempt = self.host.attempt(SERVICE.public(), psk=PSK if first else None)
        self.wire.hellos.append((attempt, attempt.frame))

    @precondition(lambda self: self.held is not None)
    @rule()
    def the_host_asks(self) -> None:
        assert self.held is not None
        try:
            frame = self.held.session.seal(b"%d" % self.numbers, now=self.now)
        except Unauthenticated:
            assert self.held.session.over(self.now)
            self.held = None
            return
        self.wire.requests.append(Sent(self.numbers, frame, self.held))
        self.numbers += 1

    @rule()
    def the_host_restarts(self) -> None:
        self.host, self.held = initiator(), None

    @rule(which=st.integers(0, 1))
    def a_replica_restarts(self, which: int) -> None:
        self.replicas[which] = replica(b"replica%d" % (self.generation % 10))
        self.generation += 1

    @rule(seconds=st.sampled_from([1.0, 61.0, 301.0, 601.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        for one in self.replicas:
            one.sweep(self.now)

    # -- the network ---------------------------------------------------------------------------------------------

    @precondition(lambda self: self.wire.hellos)
    @rule(pick=PICK, which=st.integers(0, 1), fresh=st.booleans())
    def a_hello_arrives(self, pick: int, which: int, fresh: bool) -> None:
        attempt, frame = self.wire.hellos[-1 if fresh else pick % len(self.wire.hellos)]
        self.wire.welcomes.append((attempt, greet(self.replicas[which], frame, now=self.now)))

    @precondition(lambda self: self.wire.welcomes)
    @rule(pick=PICK, fresh=st.booleans())
    def a_welcome_arrives(self, pick: int, fresh: bool) -> None:
        attempt, frame = self.wire.welcomes[-1 if fresh else pick % len(self.wire.welcomes)]
        with contextlib.suppress(Unauthenticated):  # the attempt is over, by an earlier answer
            self.held = attempt.finish(frame, now=self.now)

    @precondition(lambda self: self.wire.welcomes and self.wire.hellos)
    @rule(pick=PICK, other=PICK)
    def a_welcome_arrives_for_another_hello(self, pick: int, other: int) -> None:
        attempt, _ = self.wire.hellos[pick % len(self.wire.hellos)]
        meant, frame = self.wire.welcomes[other % len(self.wire.welcomes)]
        if meant is not attempt:
            with pytest.raises(Unauthenticated):
                attempt.finish(frame, now=self.now)

    @precondition(lambda self: self.wire.requests)
    @rule(pick=PICK, which=st.integers(0, 1), fresh=st.booleans())
    def a_request_arrives(self, pick: int, which: int, fresh: bool) -> None:
        sent = self.wire.requests[-1 if fresh else pick % len(self.wire.requests)]
        self._request(sent, self.replicas[which])

    def _request(self, sent: Sent, at: Responder) -> Request | None:
        try:
            request = at.open(sent.frame, peer=HOST, now=self.now)
        except Unauthenticated:
            return None
        sent.came_out += 1
        assert sent.came_out == 1
        assert request.plain == b"%d" % sent.number
        assert request.session.binding == sent.by.session.binding
        answer = at.answer(request, b"to %d" % sent.number, now=self.now)
        self.wire.answers.append(Answer(sent, answer))
        return request

    @precondition(lambda self: self.wire.requests)
    @rule(pick=PICK, which=st.integers(0, 1))
    def a_request_arrives_under_another_name(self, pick: int, which: int) -> None:
        sent = self.wire.requests[pick % len(self.wire.requests)]
        with pytest.raises(Unauthenticated) as refusal:
            self.replicas[which].open(sent.frame, peer=OTHER, now=self.now)
        assert refusal.value.code == UNKNOWN_SESSION

    @precondition(lambda self: self.wire.answers)
    @rule(pick=PICK, asked=PICK)
    def an_answer_arrives(self, pick: int, asked: int) -> None:
        answer = self.wire.answers[pick % len(self.wire.answers)]
        sent = self.wire.requests[asked % len(self.wire.requests)]
        try:
            plain = sent.by.session.open(
                wire.read_record(answer.frame), now=self.now, context=sent.frame[: wire.HEADER_BYTES]
            )
        except Unauthenticated:
            return
        assert answer.to is sent
        assert plain == b"to %d" % sent.number
        self.accepted_answers[sent.number] = self.accepted_answers.get(sent.number, 0) + 1
        assert self.accepted_answers[sent.number] == 1

    @precondition(lambda self: self.wire.requests or self.wire.hellos)
    @rule(pick=PICK, at=PICK, by=st.integers(1, 255), cut=st.booleans(), which=st.integers(0, 1), hello=st.booleans())
    def something_arrives_altered(self, pick: int, at: int, by: int, cut: bool, which: int, hello: bool) -> None:
        frames = [frame for _, frame in self.wire.hellos] if hello else [one.frame for one in self.wire.requests]
        if not frames:
            return
        whole = frames[pick % len(frames)]
        at %= len(whole)
        frame = whole[:at] if cut else whole[:at] + bytes([whole[at] ^ by]) + whole[at + 1 :]
        with pytest.raises(AltnetError):  # also where X25519 ignores the bit: the transcript does not
            self._arrives(frame, self.replicas[which], hello=hello)

    def _arrives(self, frame: bytes, at: Responder, *, hello: bool) -> None:
        if hello:
            greet(at, frame, now=self.now)
        else:
            at.open(frame, peer=HOST, now=self.now)

    # -- what holds ----------------------------------------------------------------------------------------------

    @invariant()
    def memory_is_bounded(self) -> None:
        for one in getattr(self, "replicas", ()):
            assert one.sessions <= 4

    def teardown(self) -> None:
        """The network behaves again: one handshake and one request get through, wherever they land."""
        if not hasattr(self, "replicas"):
            return
        for one in self.replicas:
            held = shake(one, self.host, now=self.now)
            sent = Sent(self.numbers, held.session.seal(b"%d" % self.numbers, now=self.now), held)
            self.numbers += 1
            assert self._request(sent, one) is not None
            answer = self.wire.answers[-1].frame
            assert (
                held.session.open(wire.read_record(answer), now=self.now, context=sent.frame[: wire.HEADER_BYTES])
                == b"to %d" % sent.number
            )


TestHostileNetwork = HostileNetwork.TestCase
TestHostileNetwork.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_a_wrong_psk_is_noticed_by_the_host_and_yields_no_session() -> None:
    responder, host = replica(b"replica0"), initiator()
    attempt = host.attempt(SERVICE.public(), psk=b"x" * 32)

    with pytest.raises(Unauthenticated) as refusal:
        attempt.finish(greet(responder, attempt.frame, now=0.0), now=0.0)
    assert refusal.value.code == REFUSED


def test_a_host_with_another_key_than_expected_is_refused() -> None:
    responder, stranger = replica(b"replica0"), Initiator(HOST, PrivateKey.generate())

    with pytest.raises(Unauthenticated) as refusal:
        shake(responder, stranger)
    assert refusal.value.code == REFUSED
    assert responder.sessions == 0


def test_a_hello_under_another_name_is_refused() -> None:
    responder, host = replica(b"replica0"), initiator()

    with pytest.raises(Unauthenticated):
        greet(responder, host.attempt(SERVICE.public()).frame, now=0.0, peer=OTHER)


def test_a_repeated_hello_gets_the_same_welcome_and_costs_no_session() -> None:
    responder, host = replica(b"replica0"), initiator()
    attempt = host.attempt(SERVICE.public())
    first = greet(responder, attempt.frame, now=0.0)

    assert [greet(responder, attempt.frame, now=0.0) for _ in range(5)] == [first] * 5
    assert responder.sessions == 1


def test_replayed_hellos_do_not_put_out_the_session_in_use() -> None:
    responder, host = replica(b"replica0"), initiator()
    old = [host.attempt(SERVICE.public()).frame for _ in range(20)]
    held = shake(responder, host)
    responder.open(held.session.seal(b"one", now=0.0), peer=HOST, now=0.0)

    for frame in old:
        greet(responder, frame, now=0.0)

    assert responder.open(held.session.seal(b"two", now=0.0), peer=HOST, now=0.0).plain == b"two"
    assert responder.sessions == 3


def test_what_was_under_way_in_the_session_before_still_arrives() -> None:
    responder, host = replica(b"replica0"), initiator()
    before = shake(responder, host)
    responder.open(before.session.seal(b"1", now=0.0), peer=HOST, now=0.0)
    late = before.session.seal(b"late", now=0.0)
    after = shake(responder, host)
    responder.open(after.session.seal(b"2", now=0.0), peer=HOST, now=0.0)

    assert responder.open(late, peer=HOST, now=0.0).plain == b"late"


def test_a_relay_over_its_rate_is_refused_before_any_computation_and_others_are_not() -> None:
    limits = ResponderLimits(handshakes=Rate(burst=3, per_second=0.1), records=Rate(burst=3, per_second=0.1))
    responder, host = replica(b"replica0", limits), initiator()
    frames = [host.attempt(SERVICE.public()).frame for _ in range(5)]
    outcomes: list[type] = []
    waits: list[float] = []
    for frame in frames:
        try:
            outcomes.append(type(responder.arrive(frame, peer=HOST, now=0.0)))
        except TooMany as refusal:
            waits.append(refusal.after)
            outcomes.append(TooMany)

    assert waits == pytest.approx([10, 10])
    assert outcomes == [Arrival, Arrival, Arrival, TooMany, TooMany]
    assert isinstance(responder.arrive(frames[4], peer=OTHER, now=0.0), Arrival)


def test_a_handshake_that_leads_to_nothing_is_told_once() -> None:
    responder, host = replica(b"replica0"), initiator()
    greet(responder, host.attempt(SERVICE.public(), psk=b"x" * 32).frame, now=0.0)
    used = shake(responder, host)
    responder.open(used.session.seal(b"1", now=0.0), peer=HOST, now=0.0)
    greet(responder, host.attempt(SERVICE.public(), psk=b"y" * 32).frame, now=1.0)

    assert responder.sweep(59.0) == []
    assert responder.sweep(61.0) == [HOST]
    assert responder.sweep(62.0) == []
    assert responder.sessions == 1


def test_a_full_table_refuses_newcomers_and_puts_nobody_out_until_somebody_is_over() -> None:
    responder = replica(b"replica0", ResponderLimits(most_peers=1, session=LIMITS.session))
    held = shake(responder, initiator())
    responder.open(held.session.seal(b"1", now=0.0), peer=HOST, now=0.0)
    newcomer = Initiator(OTHER, STATIC)
    attempt = newcomer.attempt(SERVICE.public())

    with pytest.raises(Exhausted):
        greet(responder, attempt.frame, now=0.0, peer=OTHER)
    assert responder.open(held.session.seal(b"2", now=0.0), peer=HOST, now=0.0).plain == b"2"
    assert greet(responder, attempt.frame, now=601.0, peer=OTHER)


def test_a_static_key_answers_as_long_as_it_is_among_those_that_do() -> None:
    responder, host, newer = replica(b"replica0"), initiator(), PrivateKey.generate()
    responder.answer_for({SERVICE.public(): SERVICE, newer.public(): newer})
    assert shake(responder, host)

    responder.answer_for({newer.public(): newer})

    with pytest.raises(Unauthenticated) as refusal:
        shake(responder, host)
    assert refusal.value.code == UNKNOWN_STATIC


def test_a_peer_that_is_forgotten_has_no_session() -> None:
    responder = replica(b"replica0")
    held = shake(responder, initiator())
    responder.forget(HOST)

    with pytest.raises(Unauthenticated) as refusal:
        responder.open(held.session.seal(b"1", now=0.0), peer=HOST, now=0.0)
    assert refusal.value.code == UNKNOWN_SESSION
