"""Failures as problem documents (RFC 9457), always in one form.

The only place where an error becomes an HTTP status. Programs match on `code`; `detail` and `mend` are for people.

Invariant: a problem never repeats what the client sent nor shows what is inside; an unknown exception says only the
request id under which it was logged.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal, cast

from altnet.common import log
from altnet.common.db.failures import driver_error
from altnet.common.errors import AltnetError, Invalid, TooMany, Unauthenticated, Unavailable
from altnet.common.http.context import SCOPE_KEY, RequestContext
from altnet.common.http.schema import Model
from altnet.common.http.settings import HttpSettings
from asyncpg import PostgresError
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError, ResponseValidationError
from pydantic import Field
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

MEDIA_TYPE: Final = "application/problem+json"

STATUS: Final[Mapping[str, tuple[int, str]]] = {
    "invalid": (422, "The input is not valid"),
    "unauthenticated": (401, "Not authenticated"),
    "forbidden": (403, "Not allowed"),
    "not_found": (404, "Not found"),
    "conflict": (409, "Conflict with what exists"),
    "stale": (412, "The version has changed"),
    "precondition_required": (428, "A version is required"),
    "too_large": (413, "The input is too large"),
    "exhausted": (409, "Nothing left to give"),
    "too_many": (429, "Too many requests"),
    "unavailable": (503, "Not available now"),
}
"""Kind of error → status and title."""

TITLES: Final[Mapping[int, str]] = {
    **{status: title for kind, (status, title) in STATUS.items() if kind != "exhausted"},
    405: "No such method here",
    408: "The request took too long",
    500: "Something went wrong inside",
}

Location = Literal["body", "query", "path", "header", "cookie"]

_HEADERS: Final = frozenset({"/Authorization", "/If-Match", "/Idempotency-Key", "/Altnet-Signature"})
"""Fields of our own errors that are headers; what is in a body is written small, so they are mistaken for nothing."""

_log = log.get(__name__)


class ProblemError(Model):
    """One fault of the input."""

    pointer: str = Field(examples=["/name"])
    """JSON pointer (RFC 6901) into the body; for a parameter, a slash and its name."""
    detail: str
    """What is wrong there, for people."""
    code: str = Field(examples=["string_too_long"])
    """What is wrong there, for programs."""
    location: Location | None = None
    """Which part of the request the pointer is about, where that is known; else it is the body."""


class Problem(Model):
    """A failed request (RFC 9457)."""

    type: str = Field(examples=["urn:altnet:problem:relay_name_taken"])
    """Names the kind of problem; ends in `code`."""
    title: str
    """The same for every problem of this status."""
    status: int = Field(examples=[409])
    """The HTTP status."""
    detail: str
    """What happened, for people."""
    code: str = Field(examples=["relay_name_taken"])
    """What happened, for programs; never changes its meaning."""
    request_id: str
    """Under which the server's logs have it."""
    mend: str | None = None
    """What to do about it."""
    errors: list[ProblemError] = Field(default_factory=list)
    """The faults of the input, where there are any."""


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For a route's `responses=`: these statuses answer with a problem."""
    return {status: {"model": Problem, "description": TITLES[status]} for status in statuses}


def respond(
    *,
    status: int,
    code: str,
    detail: str,
    context: RequestContext | None,
    mend: str | None = None,
    errors: Iterable[ProblemError] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A problem document as a response."""
    problem = Problem(
        type=f"urn:altnet:problem:{code}",
        title=TITLES.get(status, "The request failed"),
        status=status,
        detail=detail,
        code=code,
        request_id=context.request_id if context else "",
        mend=mend,
        errors=list(errors),
    )
    return Response(problem.model_dump_json(), status_code=status, media_type=MEDIA_TYPE, headers=dict(headers or {}))


def of_error(error: AltnetError, context: RequestContext | None, *, retry_after: int) -> Response:
    """The problem of one of our own errors; `retry_after` (seconds) is for what is unavailable."""
    status, _ = STATUS.get(error.kind, (500, ""))
    if isinstance(error, Unavailable) and error.code.startswith("database_"):
        # Its detail names hosts and roles, which are no client's business; the log has them.
        _log.warning("the database is unavailable", code=error.code, detail=error.detail)
        error = Unavailable(error.code, "The database does not answer now.", mend="Try again shortly.")
    headers = {}
    if isinstance(error, TooMany):
        headers["Retry-After"] = str(math.ceil(error.after))
    elif isinstance(error, Unavailable):
        headers["Retry-After"] = str(retry_after)
    elif isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = 'Bearer realm="altnet"'
    faults = []
    if error.field is not None:
        faults.append(
            ProblemError(
                pointer=error.field, detail=error.detail, code=error.code, location=_location_of_field(error.field)
            )
        )
    return respond(
        status=status,
        code=error.code,
        detail=error.detail,
        context=context,
        mend=error.mend,
        errors=faults,
        headers=headers,
    )


def of_unknown(context: RequestContext | None) -> Response:
    """The problem of an exception that nobody expected; log the exception itself before."""
    return respond(
        status=500,
        code="internal_error",
        detail="The server failed; nothing about it can be said here.",
        context=context,
        mend="Give the request id to whoever runs this server: the log has the rest.",
    )


def of_validation(faults: Iterable[Mapping[str, Any]], context: RequestContext | None) -> Response:
    """The problem of input that does not fit its schema, from pydantic's error list."""
    errors = [_fault(fault) for fault in faults]
    first = errors[0] if errors else None
    where = f"{first.pointer or 'The body'}: {first.detail}" if first else "The input does not fit."
    more = f" {len(errors) - 1} more below." if len(errors) > 1 else ""
    return respond(status=422, code="invalid_request", detail=f"{where}{more}", context=context, errors=errors)


def install(app: FastAPI, settings: HttpSettings) -> None:
    """Make `app` answer every failure with a problem."""

    async def on_error(request: Request, error: Exception) -> Response:
        found = cast(AltnetError, error)
        if isinstance(found, Unavailable):
            _log.warning("something needed is unavailable", code=found.code, detail=found.detail)
            if found.code.startswith(
                "database_"
            ):  # its detail names hosts and roles, which are not a client's business
                found = Unavailable(found.code, "The database does not answer now.", mend="Try again shortly.")
        return of_error(found, context_of(request), retry_after=settings.retry_after)

    async def on_group(request: Request, error: Exception) -> Response:
        # A handler's TaskGroup wraps what its tasks raise; one error of ours keeps its meaning.
        leaves = list(_leaves(error))
        if len(leaves) != 1 or not isinstance(leaves[0], AltnetError):
            raise error
        return await on_error(request, leaves[0])

    async def on_database(request: Request, error: Exception) -> Response:
        # The one fault of a text that only Postgres sees: U+0000 is JSON, but no text there (SQLSTATE 22021).
        if getattr(driver_error(error), "sqlstate", None) != "22021":
            raise error
        return await on_error(
            request, Invalid("bad_characters", "A text holds a NUL character.", mend="Leave U+0000 out.")
        )

    async def on_timeout(request: Request, error: Exception) -> Response:
        _log.warning("a deadline passed inside a request", exc_info=error)
        late = Unavailable("timed_out", "Something that the server needs took too long.", mend="Try again.")
        return of_error(late, context_of(request), retry_after=settings.retry_after)

    async def on_bad_answer(request: Request, error: Exception) -> Response:
        # Its text would repeat the answer, which may hold secrets.
        places = [fault["loc"] for fault in cast(ResponseValidationError, error).errors()]
        _log.error("an answer does not fit its own schema", places=places)
        return of_unknown(context_of(request))

    async def on_validation(request: Request, error: Exception) -> Response:
        return of_validation(cast(RequestValidationError, error).errors(), context_of(request))

    async def on_http(request: Request, error: Exception) -> Response:
        return of_http(cast(HTTPException, error), context_of(request))

    handlers: dict[type[Exception], Callable[[Request, Exception], Any]] = {
        AltnetError: on_error,
        ExceptionGroup: on_group,
        TimeoutError: on_timeout,
        DBAPIError: on_database,
        PostgresError: on_database,
        RequestValidationError: on_validation,
        ResponseValidationError: on_bad_answer,
        HTTPException: on_http,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)


def of_http(error: HTTPException, context: RequestContext | None) -> Response:
    """The problem of what the framework itself refuses."""
    if error.status_code == 400:  # FastAPI's word for a body that it could not even decode
        fault = ProblemError(pointer="", detail="The body is not JSON in UTF-8.", code="json_invalid", location="body")
        return respond(status=422, code="invalid_request", detail=fault.detail, context=context, errors=[fault])
    known = {
        404: ("no_such_path", "There is nothing at this path."),
        405: ("method_not_allowed", "This path does not take this method."),
    }
    code, detail = known.get(error.status_code, (f"http_{error.status_code}", str(error.detail)))
    return respond(status=error.status_code, code=code, detail=detail, context=context, headers=error.headers)


def context_of(request: Request) -> RequestContext | None:
    """The request's context, where the frame has made one."""
    return cast(RequestContext | None, request.scope.get(SCOPE_KEY))


def _fault(fault: Mapping[str, Any]) -> ProblemError:
    place = tuple(fault["loc"])
    location = cast(Location, place[0]) if place and place[0] in Location.__args__ else None  # type: ignore[attr-defined]  # Literal's own
    steps = place[1:] if location else place
    if fault["type"] == "json_invalid":  # its location is an offset, no field
        return ProblemError(
            pointer="", detail=f"The body is not JSON (at character {place[-1]}).", code="json_invalid", location="body"
        )
    detail = str(fault["msg"]).removeprefix("Value error, ")
    return ProblemError(pointer=pointer(steps), detail=detail, code=str(fault["type"]), location=location)


def _location_of_field(field: str) -> Location | None:
    if field in _HEADERS:
        return "header"
    return "body" if field == "" else None


def pointer(steps: Iterable[object]) -> str:
    """A JSON pointer (RFC 6901 §3) from its steps."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)


def invalid_parameter(name: str, detail: str, *, code: str, mend: str | None = None) -> Invalid:
    """The error of a query parameter or header that only the handler can judge."""
    return Invalid(code, detail, field=f"/{name}", mend=mend)


def _leaves(error: BaseException) -> Iterable[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error
