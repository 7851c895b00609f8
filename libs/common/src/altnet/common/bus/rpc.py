"""Requests with typed answers: from service to service, from relay to service, and questions of services to a relay.

A relay asks on its own subjects (`alt.v1.relay.<relay>.rpc.<service>.<verb>`), where nobody else may publish, so the
server itself vouches for who asks; a service asks on the service's (`alt.v1.rpc.<service>.<verb>`), or a relay on
`alt.v1.ask.<relay>.<verb>`, where only services may speak. Errors travel by their code and are raised as the same class
at the caller. A caller says how long it waits, and what is asked of a busy service is handled in that time or refused
(`bus/line.py`).

Invariant: an answer goes only to an inbox, to a relay only into that relay's own, and from a relay only into a
service's, because the server does not check what reply subject a caller names.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

import msgspec
from altnet.common import errors, log
from altnet.common.bus import rights, subjects
from altnet.common.bus.connect import Bus, Message, Subscription
from altnet.common.bus.line import HEADER_PATIENCE, Line, Verdict, patience_of
from altnet.common.contracts.envelope import HEADER_TRACE
from altnet.common.errors import UNREADABLE, AltnetError, Invalid, TooLarge, Unavailable

_LOG: Final = log.get(__name__)

R = TypeVar("R", bound=msgspec.Struct)
T = TypeVar("T", bound=msgspec.Struct)

HEADER_ERROR: Final = "Alt-Error"
BUSY: Final = "rpc_busy"

LARGEST_REQUEST: Final = 256 * 1024
"""Bytes; refused before anything is decoded."""
AT_ONCE: Final = 32
"""Requests of one verb that are handled side by side; more wait in line."""
ASKED_AT_ONCE: Final = 4
"""Questions of one verb that a relay works on side by side: answering must never be its main work."""
HANDLE_WITHIN: Final = 30.0
"""Seconds for one handler; below the minute in which the server still takes an answer."""

_CLASSES: Final[dict[str, type[AltnetError]]] = {
    cls.kind: cls for cls in AltnetError.__subclasses__() if cls.__module__ == errors.__name__
}


@dataclass(frozen=True, kw_only=True)
class RpcContext:
    """Who asks. `relay` is proven by the server; None means one of our services."""

    relay: str | None
    trace: str | None


class Failure(msgspec.Struct, kw_only=True, omit_defaults=True):
    """An error on the wire."""

    kind: str
    code: str
    detail: str
    field: str | None = None
    mend: str | None = None
    after: float | None = None


async def call(
    bus: Bus,
    service: str,
    verb: str,
    request: msgspec.Struct,
    reply: type[T],
    *,
    timeout: float | None = None,
    relay: str | None = None,
    trace: str | None = None,
) -> T:
    """Ask a service and read its answer. A relay gives its own id as `relay`.

    Raises what the handler raised, `Unavailable` (`bus_down`, `bus_timeout`, `bus_no_responders`, `rpc_busy`),
    `Forbidden`.
    """
    subject = subjects.rpc(service, verb) if relay is None else subjects.relay_rpc(relay, service, verb)
    return await _request(bus, subject, service, verb, request, reply, timeout=timeout, trace=trace)


async def ask_relay(
    bus: Bus,
    relay: str,
    verb: str,
    request: msgspec.Struct,
    reply: type[T],
    *,
    timeout: float | None = None,
    trace: str | None = None,
) -> T:
    """Put a question to one relay and read its answer. For services (`rights.ASKERS`).

    Raises like `call`: `bus_no_responders` says that the relay is not on the bus, or answers no such question (an
    older agent), `rpc_bad_answer` that what it said is none of our answers.
    """
    return await _request(bus, subjects.ask(relay, verb), relay, verb, request, reply, timeout=timeout, trace=trace)


async def _request(
    bus: Bus,
    subject: str,
    whom: str,
    verb: str,
    request: msgspec.Struct,
    reply: type[T],
    *,
    timeout: float | None,
    trace: str | None,
) -> T:
    timeout = bus.settings.request_timeout if timeout is None else timeout
    headers = {HEADER_PATIENCE: f"{timeout:.3f}"}
    if trace:
        headers[HEADER_TRACE] = trace
    answer = await bus.request(subject, msgspec.json.encode(request), timeout=timeout, headers=headers)
    try:
        if HEADER_ERROR in answer.headers:
            raise error_of(msgspec.json.decode(answer.data, type=Failure))
        return msgspec.json.decode(answer.data, type=reply)
    except UNREADABLE as error:
        raise Unavailable("rpc_bad_answer", f"{whom} answered {verb} in another form: {error}.") from None


async def serve(
    bus: Bus,
    service: str,
    verb: str,
    request: type[R],
    handler: Callable[[R, RpcContext], Awaitable[msgspec.Struct]],
    *,
    callers: Literal["services", "relays"] = "services",
    largest: int = LARGEST_REQUEST,
    at_once: int = AT_ONCE,
    within: float = HANDLE_WITHIN,
) -> Subscription:
    """Answer requests until the subscription is stopped; replicas share them.

    What the handler raises reaches the caller if it is an `AltnetError`; anything else is logged, and the caller
    learns only that it failed.
    """

    def caller(message: Message) -> RpcContext | None:
        relay = subjects.relay_of(message.subject) if callers == "relays" else None
        inbox = "_INBOX_" if relay is None else f"{subjects.inbox(relay)}."
        if not message.reply.startswith(inbox):
            return None
        return RpcContext(relay=relay, trace=message.headers.get(HEADER_TRACE))

    subject = subjects.rpc(service, verb) if callers == "services" else subjects.all_relays_rpc(service, verb)
    hear = _answering(bus, request, handler, caller, largest=largest, at_once=at_once, within=within)
    return await bus.subscribe(subject, hear, queue=service)


async def answer_asks(
    bus: Bus,
    relay: str,
    verb: str,
    request: type[R],
    handler: Callable[[R], Awaitable[msgspec.Struct]],
    *,
    largest: int = LARGEST_REQUEST,
    at_once: int = ASKED_AT_ONCE,
    within: float = HANDLE_WITHIN,
) -> Subscription:
    """Answer questions to `relay`, ourselves, until the subscription is stopped. For agents; errors as with `serve`."""
    inboxes = tuple(f"{subjects.inbox(service)}." for service in rights.ASKERS)

    def caller(message: Message) -> RpcContext | None:
        if not message.reply.startswith(inboxes):
            return None
        return RpcContext(relay=None, trace=message.headers.get(HEADER_TRACE))

    async def handle(asked: R, context: RpcContext) -> msgspec.Struct:
        return await handler(asked)

    hear = _answering(bus, request, handle, caller, largest=largest, at_once=at_once, within=within)
    return await bus.subscribe(subjects.ask(relay, verb), hear)


def _answering(
    bus: Bus,
    request: type[R],
    handler: Callable[[R, RpcContext], Awaitable[msgspec.Struct]],
    caller: Callable[[Message], RpcContext | None],
    *,
    largest: int,
    at_once: int,
    within: float,
) -> Callable[[Message], Awaitable[None]]:
    """What hears requests and answers them; `caller` gives None where the answer would go to a foreign subject."""
    line: Line[tuple[Message, RpcContext]] = Line()
    clock = asyncio.get_running_loop().time
    working = 0

    async def hear(message: Message) -> None:
        nonlocal working
        context = caller(message)
        if context is None:
            _LOG.warning("rpc_strange_reply_subject", subject=message.subject, reply=message.reply)
            return
        patience = patience_of(message.headers.get(HEADER_PATIENCE))
        size, who = len(message.data), context.relay
        if not line.join((message, context), size=size, patience=patience, now=clock(), who=who):
            await refuse(message)
        elif working < at_once:
            working += 1
            bus.spawn(work())

    async def work() -> None:
        nonlocal working
        try:
            while (place := line.leave(now=clock())) is not None:
                (message, context), verdict = place
                if verdict is Verdict.HANDLE:
                    await answer(message, context)
                elif verdict is Verdict.REFUSE:
                    await refuse(message)
                else:
                    bus.counters.rpc_dropped += 1
                    # A run of those is no reason to keep everybody else from their turn.
                    await asyncio.sleep(0)
        finally:
            working -= 1

    async def refuse(message: Message) -> None:
        bus.counters.rpc_refused += 1
        busy = Unavailable(BUSY, "more is asked than can be answered in time.", mend="Ask again later.")
        headers, payload = _told(busy)
        try:
            await bus.publish(message.reply, payload, headers=headers)
        except AltnetError as error:  # the caller will time out and ask again
            _LOG.debug("rpc_answer_not_sent", subject=message.subject, reason=error.detail)

    async def answer(message: Message, context: RpcContext) -> None:
        try:
            headers, payload = await _handle(message, context, request, handler, largest=largest, within=within)
            try:
                await bus.publish(message.reply, payload, headers=headers)
            except TooLarge as error:  # the caller learns why, instead of waiting in vain
                headers, payload = _told(TooLarge("rpc_answer_too_large", error.detail))
                await bus.publish(message.reply, payload, headers=headers)
        except AltnetError as error:  # the caller will time out and ask again
            _LOG.warning("rpc_answer_not_sent", subject=message.subject, reason=error.detail)

    return hear


async def _handle(
    message: Message,
    context: RpcContext,
    request: type[R],
    handler: Callable[[R, RpcContext], Awaitable[msgspec.Struct]],
    *,
    largest: int,
    within: float,
) -> tuple[dict[str, str], bytes]:
    failure: AltnetError
    try:
        if len(message.data) > largest:
            raise TooLarge("rpc_too_large", f"the request has {len(message.data)} bytes; {largest} are the most.")
        try:
            asked = msgspec.json.decode(message.data, type=request)
        except UNREADABLE as error:
            raise Invalid("rpc_bad_request", f"{error}.", mend="The caller speaks another version.") from None
        async with asyncio.timeout(within):
            return {}, msgspec.json.encode(await handler(asked, context))
    except AltnetError as error:
        failure = error
    except TimeoutError:
        failure = Unavailable("rpc_timeout", f"{message.subject} was not handled within {within:g} s.")
    except Exception as error:  # noqa: BLE001 - the boundary: a fault of ours, told without its insides
        _LOG.error("rpc_handler_failed", subject=message.subject, error=repr(error), exc_info=error)
        failure = Unavailable("rpc_failed", f"{message.subject} failed; the service's log says why.")
    return _told(failure)


def _told(failure: AltnetError) -> tuple[dict[str, str], bytes]:
    told = failure_of(failure)
    return {HEADER_ERROR: failure.kind}, msgspec.json.encode(told)


def back_after(error: Exception, *, patience: float) -> float | None:
    """Seconds after which whoever refused wants to be asked again; None where the error says nothing of the kind.

    `patience` is what the caller would have waited for the answer: a service that is busy sheds about so much.
    """
    if isinstance(error, errors.TooMany):
        return error.after
    return patience if isinstance(error, Unavailable) and error.code == BUSY else None


def failure_of(error: AltnetError) -> Failure:
    """An error as it travels."""
    return Failure(
        kind=error.kind,
        code=error.code,
        detail=error.detail,
        field=error.field,
        mend=error.mend,
        after=error.after if isinstance(error, errors.TooMany) else None,
    )


def error_of(told: Failure) -> AltnetError:
    """The error that travelled, of the same class."""
    if told.kind == errors.TooMany.kind:
        return errors.TooMany(told.code, told.detail, after=told.after or 1.0, mend=told.mend)
    cls = _CLASSES.get(told.kind, AltnetError)
    return cls(told.code, told.detail, field=told.field, mend=told.mend)
