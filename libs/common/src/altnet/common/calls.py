"""Calling a registry over HTTP(S) from a host that should stay small: the standard library, in a thread.

Answers are bounded, redirects are refused, problems (RFC 9457) become our errors. Leaves out retries: whoever calls
knows how long it can wait. Invariant: no header and no body enters an error or a log.
"""

from __future__ import annotations

import asyncio
import ssl
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec
from altnet.common.errors import (
    UNREADABLE,
    AltnetError,
    Conflict,
    Exhausted,
    Forbidden,
    Invalid,
    NotFound,
    TooLarge,
    TooMany,
    Unauthenticated,
    Unavailable,
)

LARGEST_ANSWER: Final = 256 * 1024
"""Bytes read of an answer; a real one has about two thousand."""


LONGEST_WAIT: Final = 86_400.0
"""Seconds that an answer may ask us to wait."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


Call = Callable[[str, str, bytes | None, Mapping[str, str], float], Awaitable[Answer]]
"""`call(method, url, body, headers, timeout)`. Raises `Unavailable` where no answer comes."""

Post = Callable[[str, bytes, Mapping[str, str], float], Awaitable[Answer]]
"""`post(url, body, headers, timeout)`. Raises `Unavailable` where no answer comes."""

_T = TypeVar("_T")


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirected request would show its token to another host."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def https_call(ca: str = "") -> Call:
    """A `Call` over http or https; `ca` is a PEM file to trust instead of the system's authorities."""

    def send(method: str, url: str, body: bytes | None, headers: Mapping[str, str], timeout: float) -> Answer:
        handlers: list[Any] = [_NoRedirects]
        if url.startswith("https:"):  # reading the authorities takes longer than the rest of the call
            handlers.append(urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=ca or None)))
        opener = urllib.request.build_opener(*handlers)
        request = urllib.request.Request(url, data=body, headers=dict(headers), method=method)  # noqa: S310 - checked
        try:
            with opener.open(request, timeout=timeout) as answer:
                return Answer(status=answer.status, headers=dict(answer.headers), body=answer.read(LARGEST_ANSWER + 1))
        except urllib.error.HTTPError as error:
            with error:
                return Answer(status=error.code, headers=dict(error.headers), body=error.read(LARGEST_ANSWER + 1))

    async def call(method: str, url: str, body: bytes | None, headers: Mapping[str, str], timeout: float) -> Answer:
        try:
            async with asyncio.timeout(timeout):
                return await asyncio.to_thread(send, method, url, body, headers, timeout)
        except TimeoutError:
            reason = f"no answer within {timeout:g} s"
        except (urllib.error.URLError, OSError, ValueError) as error:
            reason = str(getattr(error, "reason", None) or error)
        raise Unavailable(
            "registry_unavailable",
            f"the registry at {url.split('/v1/')[0]} does not answer: {reason}.",
            field="/registry_url",
            mend="Check the address, and that the host can reach it.",
        )

    return call


def https_post(ca: str = "") -> Post:
    """`https_call` for POST alone."""
    call = https_call(ca)

    async def post(url: str, body: bytes, headers: Mapping[str, str], timeout: float) -> Answer:
        return await call("POST", url, body, headers, timeout)

    return post


def registry_base(url: str) -> str:
    """The address without a slash at its end. Raises `Invalid` (`bad_setting`)."""
    if not url.startswith(("http://", "https://")):
        raise Invalid(
            "bad_setting",
            "there is no registry to ask." if not url else f"{url!r} is not an http or https address.",
            field="/registry_url",
            mend="Give --registry, or set registry_url, to an address such as https://registry.example.org.",
        )
    return url.rstrip("/")


class _Problem(msgspec.Struct, frozen=True, kw_only=True):
    """What we read of application/problem+json (RFC 9457)."""

    title: str = ""
    detail: str = ""
    code: str = ""
    mend: str | None = None
    errors: tuple[dict[str, Any], ...] = ()


_BY_STATUS: Final[Mapping[int, type[AltnetError]]] = {
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: NotFound,
    413: TooLarge,
}


def problem(answer: Answer) -> AltnetError:
    """The error that an answer speaks of."""
    try:
        said = msgspec.json.decode(answer.body, type=_Problem)
    except UNREADABLE:
        said = _Problem()
    code = said.code or f"http_{answer.status}"
    detail = said.detail or said.title or f"the registry answered with status {answer.status}."
    # A header is what the program sent; its name would tell its user nothing.
    own = (error for error in said.errors if error.get("location") != "header")
    field = next((str(error["pointer"]) for error in own if error.get("pointer")), None)
    if answer.status == 429:
        return TooMany(code, detail, after=_seconds(answer.headers.get("Retry-After", "")), mend=said.mend)
    if answer.status >= 500 or answer.status in (408, 425) or 300 <= answer.status < 400:
        return Unavailable(code, detail, mend=said.mend or "Try again later.")
    kind = Exhausted if code.endswith("_exhausted") else _BY_STATUS.get(answer.status, Invalid)
    return kind(code, detail, field=field, mend=said.mend)


def _seconds(text: str) -> float:
    """Of `Retry-After`. For a date, and for what is no number, a guess."""
    return min(float(text), LONGEST_WAIT) if text.isascii() and text.isdigit() else 5.0


def read_answer(answer: Answer, kind: type[_T]) -> _T:
    """The answer's body. Raises `Unavailable` (`registry_answer`) for what cannot be one."""
    if len(answer.body) > LARGEST_ANSWER:
        raise Unavailable("registry_answer", f"the registry's answer is larger than {LARGEST_ANSWER} bytes.")
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except UNREADABLE as error:
        raise Unavailable(
            "registry_answer",
            f"the registry's answer cannot be read: {error}.",
            mend="Is it an Altnet registry, of this version or later?",
        ) from None
