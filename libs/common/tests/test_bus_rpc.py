"""Requests with typed answers over a real bus: values, errors, who asked, and what is refused."""

from __future__ import annotations

import asyncio
from dataclasses import fields

import msgspec
import pytest
from altnet.common.bus import rpc
from altnet.common.bus.connect import Message
from altnet.common.bus.measured import BusCounters
from altnet.common.bus.rpc import RpcContext
from altnet.common.errors import AltnetError, Conflict, Exhausted, Forbidden, Invalid, TooLarge, TooMany, Unavailable
from altnet.common.metrics import Metrics, render
from prometheus_client import CollectorRegistry
from support.nats import RelayBus, ServiceBus


class Ask(msgspec.Struct, frozen=True):
    number: int
    text: str = ""


class Told(msgspec.Struct, frozen=True):
    number: int
    relay: str | None = None
    trace: str | None = None


async def double(ask: Ask, context: RpcContext) -> Told:
    return Told(ask.number * 2, context.relay, context.trace)


async def test_a_service_asks_another_and_gets_a_typed_answer(service_bus: ServiceBus) -> None:
    keyd, dnsd = await service_bus("keyd"), await service_bus("dnsd")
    await rpc.serve(keyd, "keyd", "double", Ask, double)
    await keyd.flush()
    assert await rpc.call(dnsd, "keyd", "double", Ask(21), Told, trace="00-abc") == Told(42, None, "00-abc")


async def test_a_relay_is_named_by_the_server_not_by_itself(service_bus: ServiceBus, relay_bus: RelayBus) -> None:
    registry, relay = await service_bus("registry"), await relay_bus("rly_1")
    await rpc.serve(registry, "registry", "double", Ask, double, callers="relays")
    await registry.flush()
    assert await rpc.call(relay, "registry", "double", Ask(1), Told, relay="rly_1") == Told(2, "rly_1")
    with pytest.raises(Forbidden):
        await rpc.call(relay, "registry", "double", Ask(1), Told, relay="rly_2")
    with pytest.raises(Forbidden):
        await rpc.call(relay, "registry", "double", Ask(1), Told)


@pytest.mark.parametrize(
    "error",
    [
        Invalid("bad_name", "too long.", field="/name", mend="Shorten it."),
        Conflict("name_taken", "taken."),
        Exhausted("pool_exhausted", "nothing left."),
        TooMany("too_many", "slower.", after=3.5),
        AltnetError("odd", "something."),
    ],
)
async def test_an_error_of_the_handler_is_raised_at_the_caller(service_bus: ServiceBus, error: AltnetError) -> None:
    async def fail(ask: Ask, context: RpcContext) -> Told:
        raise error

    keyd, dnsd = await service_bus("keyd"), await service_bus("dnsd")
    await rpc.serve(keyd, "keyd", "fail", Ask, fail)
    await keyd.flush()
    with pytest.raises(AltnetError) as raised:
        await rpc.call(dnsd, "keyd", "fail", Ask(1), Told)
    assert type(raised.value) is type(error)
    got = raised.value
    assert (got.code, got.detail, got.field, got.mend) == (error.code, error.detail, error.field, error.mend)
    if isinstance(error, TooMany):
        assert isinstance(got, TooMany)
        assert got.after == 3.5


async def test_a_fault_of_the_handler_tells_no_insides(service_bus: ServiceBus) -> None:
    async def fail(ask: Ask, context: RpcContext) -> Told:
        raise RuntimeError("secret path /etc/x")

    keyd, dnsd = await service_bus("keyd"), await service_bus("dnsd")
    await rpc.serve(keyd, "keyd", "fail", Ask, fail)
    await keyd.flush()
    with pytest.raises(Unavailable) as raised:
        await rpc.call(dnsd, "keyd", "fail", Ask(1), Told)
    assert raised.value.code == "rpc_failed"
    assert "secret" not in str(raised.value)


async def test_oversized_and_malformed_requests_are_refused_before_the_handler(service_bus: ServiceBus) -> None:
    handled = 0

    async def count(ask: Ask, context: RpcContext) -> Told:
        nonlocal handled
        handled += 1
        return Told(handled)

    keyd, dnsd = await service_bus("keyd"), await service_bus("dnsd")
    await rpc.serve(keyd, "keyd", "count", Ask, count, largest=1000)
    await keyd.flush()
    with pytest.raises(TooLarge):
        await rpc.call(dnsd, "keyd", "count", Ask(1, "x" * 1000), Told)
    with pytest.raises(Invalid) as refused:
        await rpc.call(dnsd, "keyd", "count", Odd("x"), Told)
    assert refused.value.code == "rpc_bad_request"
    assert handled == 0


class Odd(msgspec.Struct, frozen=True):
    number: str


async def test_a_handler_that_takes_too_long_is_given_up(service_bus: ServiceBus) -> None:
    async def sleep(ask: Ask, context: RpcContext) -> Told:
        await asyncio.Event().wait()
        return Told(0)

    keyd, dnsd = await service_bus("keyd"), await service_bus("dnsd")
    await rpc.serve(keyd, "keyd", "sleep", Ask, sleep, within=0.05)
    await keyd.flush()
    with pytest.raises(Unavailable) as raised:
        await rpc.call(dnsd, "keyd", "sleep", Ask(1), Told)
    assert raised.value.code == "rpc_timeout"


async def test_requests_are_handled_side_by_side_up_to_the_bound(service_bus: ServiceBus) -> None:
    inside = most = 0

    async def busy(ask: Ask, context: RpcContext) -> Told:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0.01)
        inside -= 1
        return Told(ask.number)

    keyd, dnsd = await service_bus("keyd"), await service_bus("dnsd")
    await rpc.serve(keyd, "keyd", "busy", Ask, busy, at_once=4)
    await keyd.flush()
    told = await asyncio.gather(*(rpc.call(dnsd, "keyd", "busy", Ask(n), Told) for n in range(20)))
    assert [answer.number for answer in told] == list(range(20))
    assert most == 4


async def test_requests_that_nobody_waits_for_any_more_are_not_handled(service_bus: ServiceBus) -> None:
    handled: list[int] = []
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(ask: Ask, context: RpcContext) -> Told:
        handled.append(ask.number)
        begun.set()
        await go_on.wait()
        return Told(ask.number)

    keyd, dnsd = await service_bus("keyd"), await service_bus("dnsd")
    await rpc.serve(keyd, "keyd", "slow", Ask, slow, at_once=1)
    await keyd.flush()
    first = asyncio.create_task(rpc.call(dnsd, "keyd", "slow", Ask(1), Told))
    await begun.wait()
    for number in (2, 3, 4):
        with pytest.raises(Unavailable) as gone:
            await rpc.call(dnsd, "keyd", "slow", Ask(number), Told, timeout=0.02)
        assert gone.value.code == "bus_timeout"
    last = asyncio.create_task(rpc.call(dnsd, "keyd", "slow", Ask(5), Told))
    await dnsd.flush()
    go_on.set()
    assert [(await first).number, (await last).number] == [1, 5]
    assert handled == [1, 5]
    # By its own clock the service may think that the caller of the last one is still there.
    assert keyd.counters.rpc_dropped >= 2
    assert keyd.counters.rpc_dropped + keyd.counters.rpc_refused == 3


async def test_a_caller_that_has_waited_half_its_time_is_told_to_come_back_later(service_bus: ServiceBus) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(ask: Ask, context: RpcContext) -> Told:
        begun.set()
        await go_on.wait()
        return Told(ask.number)

    keyd, dnsd = await service_bus("keyd"), await service_bus("dnsd")
    await rpc.serve(keyd, "keyd", "slow", Ask, slow, at_once=1)
    await keyd.flush()
    first = asyncio.create_task(rpc.call(dnsd, "keyd", "slow", Ask(1), Told, timeout=20))
    await begun.wait()
    late = asyncio.create_task(rpc.call(dnsd, "keyd", "slow", Ask(2), Told, timeout=4))
    await dnsd.flush()
    await asyncio.sleep(2.2)
    go_on.set()
    assert (await first).number == 1
    with pytest.raises(Unavailable) as busy:
        await late
    assert busy.value.code == "rpc_busy"
    assert rpc.back_after(busy.value, patience=4.0) == 4.0
    assert (keyd.counters.rpc_dropped, keyd.counters.rpc_refused) == (0, 1)


def test_who_says_when_to_come_back_is_heard_and_other_errors_say_nothing_of_it() -> None:
    assert rpc.back_after(TooMany("noise_too_many", "slower.", after=3.5), patience=5.0) == 3.5
    assert rpc.back_after(Unavailable("bus_timeout", "no answer."), patience=5.0) is None
    assert rpc.back_after(ValueError("rpc_busy"), patience=5.0) is None


async def test_what_becomes_of_requests_is_on_metrics(service_bus: ServiceBus) -> None:
    keyd, registry = await service_bus("keyd"), CollectorRegistry()
    BusCounters(Metrics(registry, service="keyd"), keyd)
    keyd.counters.rpc_dropped = 3
    text = render(registry).decode()
    assert "altnet_keyd_bus_rpc_dropped_total 3.0" in text
    assert "altnet_keyd_bus_connected 1.0" in text
    assert all(f"altnet_keyd_bus_{what.name}_total " in text for what in fields(keyd.counters))


async def test_replicas_share_the_requests(service_bus: ServiceBus) -> None:
    async def serve_as(number: int) -> None:
        async def tell(ask: Ask, context: RpcContext) -> Told:
            return Told(number)

        bus = await service_bus("keyd")
        await rpc.serve(bus, "keyd", "who", Ask, tell)
        await bus.flush()

    await serve_as(1)
    await serve_as(2)
    dnsd = await service_bus("dnsd")
    told = [(await rpc.call(dnsd, "keyd", "who", Ask(1), Told)).number for _ in range(40)]
    assert set(told) == {1, 2}


async def test_a_relay_can_not_have_the_answer_sent_elsewhere(service_bus: ServiceBus, relay_bus: RelayBus) -> None:
    registry, relay, victim = await service_bus("registry"), await relay_bus("rly_1"), await relay_bus("rly_2")
    got: list[Message] = []

    async def note(message: Message) -> None:
        got.append(message)

    await victim.subscribe("_INBOX_rly_2.>", note)
    await registry.subscribe("alt.v1.relay.*.status", note)
    await victim.flush()
    await rpc.serve(registry, "registry", "double", Ask, double, callers="relays")
    await registry.flush()
    for elsewhere in ("_INBOX_rly_2.x", "alt.v1.relay.rly_2.status", "alt.v1.desired.relay.rly_2", "_INBOX_rly_1x.y"):
        await relay.publish_with_reply("alt.v1.relay.rly_1.rpc.registry.double", msgspec.json.encode(Ask(1)), elsewhere)
    assert await rpc.call(relay, "registry", "double", Ask(3), Told, relay="rly_1") == Told(6, "rly_1")
    await victim.flush()
    assert got == []
    assert registry.violations == 0


async def doubled(ask: Ask) -> Told:
    return Told(ask.number * 2)


async def test_a_service_asks_a_relay_and_that_relay_alone_answers(
    service_bus: ServiceBus, relay_bus: RelayBus
) -> None:
    registry = await service_bus("registry")
    for name, factor in (("rly_1", 10), ("rly_2", 100)):

        async def times(ask: Ask, factor: int = factor) -> Told:
            return Told(ask.number * factor)

        relay = await relay_bus(name)
        await rpc.answer_asks(relay, name, "times", Ask, times)
        await relay.flush()
    assert await rpc.ask_relay(registry, "rly_1", "times", Ask(3), Told) == Told(30)
    assert await rpc.ask_relay(registry, "rly_2", "times", Ask(3), Told) == Told(300)


async def test_a_relay_that_is_away_or_knows_no_such_question_is_told_at_once(
    service_bus: ServiceBus, relay_bus: RelayBus
) -> None:
    registry, relay = await service_bus("registry"), await relay_bus("rly_1")
    await rpc.answer_asks(relay, "rly_1", "double", Ask, doubled)
    await relay.flush()
    for name, verb in (("rly_1", "triple"), ("rly_2", "double")):
        with pytest.raises(Unavailable) as raised:
            await rpc.ask_relay(registry, name, verb, Ask(1), Told)
        assert raised.value.code == "bus_no_responders"


async def test_what_a_relay_refuses_or_says_wrongly_is_an_error_at_the_caller(
    service_bus: ServiceBus, relay_bus: RelayBus
) -> None:
    async def refuse(ask: Ask) -> Told:
        raise Invalid("bad_prefix", "no prefix.", field="/to", mend="Give one.")

    async def babble(ask: Ask) -> Odd:
        return Odd("x")

    async def flood(ask: Ask) -> Odd:
        return Odd("x" * relay.max_payload)

    registry, relay = await service_bus("registry"), await relay_bus("rly_1")
    for verb, handler in (("refuse", refuse), ("babble", babble), ("flood", flood)):
        await rpc.answer_asks(relay, "rly_1", verb, Ask, handler)
    await relay.flush()
    with pytest.raises(Invalid) as refused:
        await rpc.ask_relay(registry, "rly_1", "refuse", Ask(1), Told)
    assert (refused.value.code, refused.value.field, refused.value.mend) == ("bad_prefix", "/to", "Give one.")
    with pytest.raises(Unavailable) as babbled:
        await rpc.ask_relay(registry, "rly_1", "babble", Ask(1), Told)
    assert babbled.value.code == "rpc_bad_answer"
    with pytest.raises(TooLarge) as flooded:
        await rpc.ask_relay(registry, "rly_1", "flood", Ask(1), Told)
    assert flooded.value.code == "rpc_answer_too_large"


async def test_a_relay_answers_into_a_services_inbox_and_nowhere_else(
    service_bus: ServiceBus, relay_bus: RelayBus
) -> None:
    # the server would let the relay answer there, once: it is the relay that looks
    registry, relay, victim = await service_bus("registry"), await relay_bus("rly_1"), await relay_bus("rly_2")
    handled: list[int] = []
    got: list[Message] = []

    async def count(ask: Ask) -> Told:
        handled.append(ask.number)
        return Told(ask.number)

    async def note(message: Message) -> None:
        got.append(message)

    await victim.subscribe("_INBOX_rly_2.>", note)
    await victim.subscribe("alt.v1.ask.rly_2.*", note)
    await registry.subscribe("alt.v1.relay.*.status", note)
    await rpc.answer_asks(relay, "rly_1", "count", Ask, count)
    for bus in (victim, registry, relay):
        await bus.flush()
    for elsewhere in (
        "",
        "_INBOX_rly_2.x",
        "_INBOX_registryx.y",
        "alt.v1.ask.rly_2.count",
        "alt.v1.relay.rly_2.status",
        "$KV.relay.rly_2",
    ):
        await registry.publish_with_reply("alt.v1.ask.rly_1.count", msgspec.json.encode(Ask(1)), elsewhere)
    assert await rpc.ask_relay(registry, "rly_1", "count", Ask(2), Told) == Told(2)
    await victim.flush()
    assert handled == [2]
    assert got == []
    assert relay.violations == 0


async def test_a_relay_can_not_ask_another_one_directly_or_through_a_service(
    service_bus: ServiceBus, relay_bus: RelayBus
) -> None:
    registry, relay, other = await service_bus("registry"), await relay_bus("rly_1"), await relay_bus("rly_2")
    handled: list[int] = []

    async def count(ask: Ask) -> Told:
        handled.append(ask.number)
        return Told(ask.number)

    await rpc.answer_asks(other, "rly_2", "count", Ask, count)
    await rpc.serve(registry, "registry", "double", Ask, double, callers="relays")
    await other.flush()
    await registry.flush()
    with pytest.raises(Forbidden):
        await rpc.ask_relay(relay, "rly_2", "count", Ask(1), Told)
    # where nobody answers, or a service does, the reply would arrive as a question
    for subject in ("alt.v1.relay.rly_1.rpc.registry.double", "alt.v1.relay.rly_1.rpc.registry.none"):
        await relay.publish_with_reply(subject, msgspec.json.encode(Ask(1)), "alt.v1.ask.rly_2.count")
    await relay.flush()
    assert await rpc.ask_relay(registry, "rly_2", "count", Ask(2), Told) == Told(2)
    assert handled == [2]
