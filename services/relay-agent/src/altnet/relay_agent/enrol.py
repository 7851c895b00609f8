"""Talking to the registry over HTTP: enrolling once, renewing the pass to the bus, hearing that we are out.

Keys are made on the host and stay there; the registry gets the public halves and a signature by the nkey over the
very bytes that it reads, so nobody can enrol somebody else's key. Only the standard library speaks HTTP here, in a
thread, because the agent calls twice a day and should stay small.

Leaves out when to renew (agent.py). Invariant: the join token and the keys enter no error and no log.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec
from altnet.common.bus import nkey
from altnet.common.clock import Clock
from altnet.common.contracts.agent import Versions
from altnet.common.errors import (
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
from altnet.common.settings import Secret
from altnet.relay_agent.state import BusAccess, Enrolment, Identity

ENROL_PREFIX: Final = b"altnet-enrol-v1\n"
CREDENTIALS_PREFIX: Final = b"altnet-credentials-v1\n"
SIGNATURE: Final = "Altnet-Signature"
REVOKED: Final = "relay_revoked"
LARGEST_ANSWER: Final = 256 * 1024
"""Bytes read of an answer; a real one has about two thousand."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


Post = Callable[[str, bytes, Mapping[str, str], float], Awaitable[Answer]]
"""`post(url, body, headers, timeout)`. Raises `Unavailable` where no answer comes."""


_T = TypeVar("_T")


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirected POST would show the token to another host."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def https_post(ca: str = "") -> Post:
    """A `Post` over http or https; `ca` is a PEM file to trust instead of the system's authorities."""

    def call(url: str, body: bytes, headers: Mapping[str, str], timeout: float) -> Answer:
        context = ssl.create_default_context(cafile=ca or None)
        opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), _NoRedirects)
        request = urllib.request.Request(url, data=body, headers=dict(headers), method="POST")  # noqa: S310 - checked
        try:
            with opener.open(request, timeout=timeout) as answer:
                return Answer(status=answer.status, headers=dict(answer.headers), body=answer.read(LARGEST_ANSWER + 1))
        except urllib.error.HTTPError as error:
            with error:
                return Answer(status=error.code, headers=dict(error.headers), body=error.read(LARGEST_ANSWER + 1))

    async def post(url: str, body: bytes, headers: Mapping[str, str], timeout: float) -> Answer:
        try:
            async with asyncio.timeout(timeout):
                return await asyncio.to_thread(call, url, body, headers, timeout)
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

    return post


class EnrolRequest(msgspec.Struct, frozen=True, kw_only=True):
    """`POST /v1/enrol`."""

    token: str
    nkey: str
    key: str
    access_key: str
    identity_key: str
    name: str
    endpoints: tuple[str, ...]
    mesh_port: int
    access_port: int
    region: str
    labels: dict[str, str]
    encapsulations: tuple[str, ...]
    routing: str
    versions: dict[str, str]
    timestamp: str

    def __repr__(self) -> str:
        return f"EnrolRequest(name={self.name!r}, nkey={self.nkey!r})"


class RenewRequest(msgspec.Struct, frozen=True, kw_only=True):
    """`POST /v1/relays/{id}/credentials`."""

    nkey: str
    key: str
    access_key: str
    identity_key: str
    endpoints: tuple[str, ...]
    routing: str
    timestamp: str


class _Renewed(msgspec.Struct, frozen=True, kw_only=True):
    bus: BusAccess


class _Problem(msgspec.Struct, frozen=True, kw_only=True):
    """What we read of application/problem+json (RFC 9457)."""

    title: str = ""
    detail: str = ""
    code: str = ""
    mend: str | None = None
    errors: tuple[dict[str, Any], ...] = ()


class Registry:
    """The registry, as an agent sees it."""

    def __init__(self, url: str, *, post: Post, clock: Clock, timeout: float) -> None:
        if not url.startswith(("http://", "https://")):
            raise Invalid(
                "bad_setting",
                "there is no registry to ask." if not url else f"{url!r} is not an http or https address.",
                field="/registry_url",
                mend="Give --registry, or set registry_url, to an address such as https://registry.example.org.",
            )
        self._url = url.rstrip("/")
        self._post = post
        self._clock = clock
        self._timeout = timeout

    async def enrol(
        self,
        identity: Identity,
        *,
        token: Secret,
        name: str,
        endpoints: tuple[str, ...],
        mesh_port: int,
        access_port: int,
        region: str,
        labels: Mapping[str, str],
        versions: Versions,
    ) -> Enrolment:
        """Become a relay, or the same one again. Raises the registry's problem as an `AltnetError`."""
        if not token:
            raise Invalid(
                "no_join_token",
                "enrolling needs a join token.",
                field="/join_token",
                mend="Have an operator make one (`altnet token create`), and put it in a file: --token-file.",
            )
        request = EnrolRequest(
            token=token.reveal(),
            nkey=identity.nkey,
            key=identity.mesh.public().base64,
            access_key=identity.access.public().base64,
            identity_key=identity.sealed_for.public().base64,
            name=name,
            endpoints=endpoints,
            mesh_port=mesh_port,
            access_port=access_port,
            region=region,
            labels=dict(labels),
            encapsulations=tuple(str(one) for one in versions.encapsulations),
            routing=str(versions.routing),
            versions={"agent": versions.agent, "kernel": versions.kernel, "wireguard": versions.wireguard},
            timestamp=self._now(),
        )
        answer = await self._send("/v1/enrol", ENROL_PREFIX, identity, request)
        enrolment = _read(answer, Enrolment)
        return msgspec.structs.replace(enrolment, bus=self._stamped(enrolment.bus))

    async def renew(
        self, identity: Identity, relay: str, *, endpoints: tuple[str, ...], versions: Versions
    ) -> BusAccess:
        """A fresh pass to the bus. Raises `Forbidden` (`relay_revoked`) when this relay is out."""
        request = RenewRequest(
            nkey=identity.nkey,
            key=identity.mesh.public().base64,
            access_key=identity.access.public().base64,
            identity_key=identity.sealed_for.public().base64,
            endpoints=endpoints,
            routing=str(versions.routing),
            timestamp=self._now(),
        )
        answer = await self._send(f"/v1/relays/{relay}/credentials", CREDENTIALS_PREFIX, identity, request)
        return self._stamped(_read(answer, _Renewed).bus)

    async def _send(self, path: str, prefix: bytes, identity: Identity, request: msgspec.Struct) -> Answer:
        body = msgspec.json.encode(request)
        signature = nkey.sign(identity.nkey_seed.encode(), prefix + body)
        headers = {"Content-Type": "application/json", SIGNATURE: base64.b64encode(signature).decode()}
        answer = await self._post(self._url + path, body, headers, self._timeout)
        if answer.status not in (200, 201):
            raise problem(answer)
        return answer

    def _stamped(self, bus: BusAccess) -> BusAccess:
        return msgspec.structs.replace(bus, issued_at=self._now())

    def _now(self) -> str:
        return self._clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")


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
    except msgspec.DecodeError:
        said = _Problem()
    code = said.code or f"http_{answer.status}"
    detail = said.detail or said.title or f"the registry answered with status {answer.status}."
    field = next((str(error["pointer"]) for error in said.errors if error.get("pointer")), None)
    if answer.status == 429:
        after = answer.headers.get("Retry-After", "")
        return TooMany(code, detail, after=float(after) if after.isdigit() else 5.0, mend=said.mend)
    if answer.status >= 500 or answer.status in (408, 425) or 300 <= answer.status < 400:
        return Unavailable(code, detail, mend=said.mend or "Try again later.")
    kind = Exhausted if code.endswith("_exhausted") else _BY_STATUS.get(answer.status, Invalid)
    return kind(code, detail, field=field, mend=said.mend)


def _read(answer: Answer, kind: type[_T]) -> _T:
    if len(answer.body) > LARGEST_ANSWER:
        raise Unavailable("registry_answer", f"the registry's answer is larger than {LARGEST_ANSWER} bytes.")
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except msgspec.DecodeError as error:
        raise Unavailable(
            "registry_answer",
            f"the registry's answer cannot be read: {error}.",
            mend="Is it an Altnet registry, of this version or later?",
        ) from None
