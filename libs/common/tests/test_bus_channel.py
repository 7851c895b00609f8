"""The channel over a real bus: what the opening end does when the answering end, or the bus between, misbehaves."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import msgspec
import pytest
import pytest_asyncio
from altnet.common.bus import rpc
from altnet.common.bus.channel import Channel, Remote, Reply
from altnet.common.bus.connect import Bus
from altnet.common.bus.line import MOST_OF_ONE
from altnet.common.bus.rpc import RpcContext
from altnet.common.clock import SystemClock
from altnet.common.contracts.keyd import HELLO, Frame, records_of
from altnet.common.errors import AltnetError, Conflict, Invalid, Unauthenticated, Unavailable
from altnet.common.keys import PrivateKey
from altnet.common.noise.initiator import Initiator
from altnet.common.noise.responder import Responder
from altnet.common.noise.session import SessionLimits
from support.nats import RelayBus, ServiceBus

RELAY = "rly_1"
HOST, KEYD = PrivateKey.generate(), PrivateKey.generate()


class Question(msgspec.Struct, frozen=True):
    number: int


class Answer(msgspec.Struct, frozen=True):
    number: int


class Answering:
    """A service that answers a number with the same number, and can be told to misbehave."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.asked: list[int] = []
        self.spoil: Callable[[bytes], bytes] = lambda frame: frame
        self.refuse_hellos = False
        self.silent = False
        self.responder = self.start(b"replica0")

    def start(self, name: bytes) -> Responder:
        """A fresh responder: all sessions are gone."""
        self.responder = Responder(replica=name)
        self.responder.answer_for({KEYD.public(): KEYD})
        return self.responder

    async def listen(self) -> None:
        await rpc.serve(self.bus, "keyd", HELLO, Frame, self.hello, callers="relays")
        await rpc.serve(self.bus, "keyd", records_of(b"replica0"), Frame, self.record, callers="relays")

    async def hello(self, frame: Frame, context: RpcContext) -> Frame:
        if self.refuse_hellos:
            raise Unavailable("away", "not now.")
        assert context.relay is not None
        arrival = self.responder.arrive(frame.data, peer=context.relay, now=0.0)
        if isinstance(arrival, bytes):
            return Frame(data=arrival)
        return Frame(data=self.responder.welcome(arrival, expected=HOST.public(), now=0.0))

    async def record(self, frame: Frame, context: RpcContext) -> Frame:
        if self.silent:
            await asyncio.sleep(60)
        assert context.relay is not None
        request = self.responder.open(frame.data, peer=context.relay, now=0.0)
        asked = msgspec.json.decode(request.plain, type=Question)
        self.asked.append(asked.number)
        reply = Reply(ok=msgspec.Raw(msgspec.json.encode(Answer(asked.number))))
        if asked.number < 0:
            reply = Reply(failure=rpc.failure_of(Conflict("below_zero", "the number is below zero.", field="/number")))
        return Frame(data=self.spoil(self.responder.answer(request, msgspec.json.encode(reply), now=0.0)))


@pytest_asyncio.fixture
async def answering(service_bus: ServiceBus) -> Answering:
    made = Answering(await service_bus("keyd"))
    await made.listen()
    await made.bus.flush(10)
    return made


@pytest_asyncio.fixture
async def make(relay_bus: RelayBus) -> AsyncIterator[Callable[..., Channel]]:
    bus = await relay_bus(RELAY)

    def channel(limits: SessionLimits | None = None) -> Channel:
        return Channel(
            bus,
            Initiator(RELAY, HOST, limits=limits),
            service="keyd",
            peer=RELAY,
            remote=lambda: Remote(key=KEYD.public()),
            clock=SystemClock(),
            timeout=2.0,
        )

    yield channel


async def test_as_many_requests_as_one_relay_may_have_in_line_share_one_handshake_and_each_gets_its_answer(
    answering: Answering, make: Callable[..., Channel]
) -> None:
    channel = make()

    answers = await asyncio.gather(*(channel.call(Question(number), Answer) for number in range(MOST_OF_ONE)))

    assert [answer.number for answer in answers] == list(range(MOST_OF_ONE))
    assert channel.handshakes == 1


async def test_it_shakes_hands_anew_after_so_many_records(answering: Answering, make: Callable[..., Channel]) -> None:
    channel = make(SessionLimits(rekey_after_messages=3, reject_after_messages=6))

    for number in range(9):
        assert (await channel.call(Question(number), Answer)).number == number

    assert channel.handshakes == 3


async def test_an_old_session_is_used_on_while_nobody_shakes_hands(
    answering: Answering, make: Callable[..., Channel]
) -> None:
    channel = make(SessionLimits(rekey_after_messages=1, reject_after_messages=4))
    await channel.call(Question(0), Answer)
    answering.refuse_hellos = True

    for number in range(1, 4):
        assert (await channel.call(Question(number), Answer)).number == number
    with pytest.raises(Unavailable, match="not now"):
        await channel.call(Question(4), Answer)


async def test_a_service_that_forgot_the_session_costs_one_handshake(
    answering: Answering, make: Callable[..., Channel]
) -> None:
    channel = make()
    await channel.call(Question(0), Answer)
    answering.start(b"replica0")

    assert (await channel.call(Question(1), Answer)).number == 1
    assert channel.handshakes == 2


async def test_an_altered_answer_is_never_believed_and_asked_for_once_more(
    answering: Answering, make: Callable[..., Channel]
) -> None:
    channel = make()
    spoilt = []

    def once(frame: bytes) -> bytes:
        spoilt.append(frame)
        return frame[:-1] + bytes([frame[-1] ^ 1]) if len(spoilt) == 1 else frame

    answering.spoil = once

    assert (await channel.call(Question(7), Answer)).number == 7
    assert answering.asked == [7, 7]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda frame: frame[:-1] + bytes([frame[-1] ^ 1]),
        lambda frame: frame[:20],
        lambda frame: b"",
        lambda frame: b"\x03" + bytes(100),
    ],
    ids=["altered", "cut off", "empty", "of another session"],
)
async def test_answers_that_are_always_spoilt_end_in_an_error_after_two_tries(
    answering: Answering, make: Callable[..., Channel], spoil: Callable[[bytes], bytes]
) -> None:
    channel = make()
    answering.spoil = spoil

    with pytest.raises(AltnetError) as refusal:
        await channel.call(Question(7), Answer)

    assert refusal.value.code in ("noise_refused", "noise_bad_frame")
    assert len(answering.asked) <= 2
    assert channel.handshakes <= 2


async def test_the_answer_to_another_request_is_refused(answering: Answering, make: Callable[..., Channel]) -> None:
    channel = make()
    kept: list[bytes] = []

    def swap(frame: bytes) -> bytes:
        kept.append(frame)
        return kept[0]

    answering.spoil = swap
    assert (await channel.call(Question(1), Answer)).number == 1

    with pytest.raises(Unauthenticated):
        await channel.call(Question(2), Answer)


async def test_a_refusal_from_inside_the_channel_is_the_callers_error_and_no_reason_to_shake_hands(
    answering: Answering, make: Callable[..., Channel]
) -> None:
    channel = make()

    with pytest.raises(Conflict) as refusal:
        await channel.call(Question(-1), Answer)

    assert (refusal.value.code, refusal.value.field) == ("below_zero", "/number")
    assert channel.handshakes == 1
    assert answering.asked == [-1]


async def test_silence_is_a_typed_error_and_the_next_call_shakes_hands(
    answering: Answering, make: Callable[..., Channel]
) -> None:
    channel = make()
    await channel.call(Question(0), Answer)
    answering.silent = True
    with pytest.raises(Unavailable) as refusal:
        await channel.call(Question(1), Answer)
    answering.silent = False

    assert refusal.value.code == "bus_timeout"
    assert (await channel.call(Question(2), Answer)).number == 2
    assert channel.handshakes == 2


async def test_a_request_that_is_bound_to_a_session_goes_into_that_one_alone(
    answering: Answering, make: Callable[..., Channel]
) -> None:
    channel = make()
    binding = await channel.binding()
    assert (await channel.call(Question(1), Answer, binding=binding)).number == 1
    channel.close()

    with pytest.raises(Unavailable) as refusal:
        await channel.call(Question(2), Answer, binding=binding)
    assert refusal.value.code == "channel_changed"
    assert answering.asked == [1]


async def test_what_is_too_large_for_a_record_is_refused_before_it_is_sent(
    answering: Answering, make: Callable[..., Channel]
) -> None:
    class Large(msgspec.Struct):
        text: str

    with pytest.raises(Invalid, match="65536"):
        await make().call(Large("x" * 70_000), Answer)
    assert answering.asked == []


async def test_callers_that_give_up_leave_the_channel_in_order(
    answering: Answering, make: Callable[..., Channel]
) -> None:
    channel = make()
    calls = [asyncio.create_task(channel.call(Question(number), Answer)) for number in range(20)]
    await asyncio.sleep(0)
    for call in calls[::2]:
        call.cancel()
    for call in calls:
        with contextlib.suppress(asyncio.CancelledError):
            await call

    assert (await channel.call(Question(99), Answer)).number == 99
