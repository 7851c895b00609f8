"""Requests with typed answers, from service to service and from relay to service.

A relay asks on its own subjects (`alt.v1.relay.<relay>.rpc.<service>.<verb>`), where nobody else may publish, so the
server itself vouches for who asks; a service asks on the service's (`alt.v1.rpc.<service>.<verb>`). Errors travel by
their code and are raised as the same class at the caller.

Invariant: an answer goes only to an inbox, and to a relay only into that relay's own, because the server does not
check what reply subject a caller names.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

import msgspec
from altnet.common import errors, log
from altnet.common.bus import subjects
from altnet.common.bus.connect import Bus, Message, Subscription
from altnet.common.contracts.envelope import HEADER_TRACE
from altnet.common.errors import AltnetError, Invalid, TooLarge, Unavailable

_LOG: Final = log.get(__name__)

R = TypeVar("R", bound=msgspec.Struct)
T = TypeVar("T", bound=msgspec.Struct)

HEADER_ERROR: Final = "Alt-Error"

LARGEST_REQUEST: Final = 256 * 1024
"""Bytes; refused before anything is decoded."""
AT_ONCE: Final = 32
"""Requests of one verb that are handled side by side; more wait in line."""
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

    Raises what the handler raised, `Unavailable` (`bus_down`, `bus_timeout`, `bus_no_responders`), `Forbidden`.
    """
    subject = subjects.rpc(service, verb) if relay is None else subjects.relay_rpc(relay, service, verb)
    headers = {HEADER_TRACE: trace} if trace else None
    answer = await bus.request(subject, msgspec.json.encode(request), timeout=timeout, headers=headers)
    try:
        if HEADER_ERROR in answer.headers:
            raise error_of(msgspec.json.decode(answer.data, type=Failure))
        return msgspec.json.decode(answer.data, type=reply)
    except msgspec.DecodeError as error:
        raise Unavailable("rpc_bad_answer", f"{service} answered {verb} in another form: {error}.") from None


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
    slots = asyncio.Semaphore(at_once)

    async def hear(message: Message) -> None:
        caller = subjects.relay_of(message.subject) if callers == "relays" else None
        inbox = "_INBOX_" if caller is None else f"{subjects.inbox(caller)}."
        if not message.reply.startswith(inbox):
            _LOG.warning("rpc_strange_reply_subject", service=service, verb=verb, caller=caller, reply=message.reply)
            return
        await slots.acquire()
        bus.spawn(answer(message, RpcContext(relay=caller, trace=message.headers.get(HEADER_TRACE))))

    async def answer(message: Message, context: RpcContext) -> None:
        try:
            headers, payload = await _handle(message, context, request, handler, largest=largest, within=within)
            await bus.publish(message.reply, payload, headers=headers)
        except AltnetError as error:  # the caller will time out and ask again
            _LOG.warning("rpc_answer_not_sent", service=service, verb=verb, reason=error.detail)
        finally:
            slots.release()

    subject = subjects.rpc(service, verb) if callers == "services" else subjects.all_relays_rpc(service, verb)
    return await bus.subscribe(subject, hear, queue=service)


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
        except msgspec.DecodeError as error:
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
    told = failure_of(failure)
    return {HEADER_ERROR: failure.kind}, msgspec.json.encode(told)


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
