"""`Idempotency-Key` on POST: a request that is sent again is answered again, and not done again.

The first request with a key claims it; its answer is stored and replayed for a day to the same principal for the same
request. Requests without a known sender (enrolment) are idempotent by other means, and their keys are left alone.
Server errors and answers that say "not now" or "not you" are not kept: the next try shall be a real one.

The answer is written in the transaction of the handler's last unit of work, so a process that dies has done both or
neither. A claim names the database connection that made it, and dies with it: the client's next try then does the work
at once. What dies without the server's hearing of it (a host without power) holds its claim until that expires. Whoever
commits after its claim was taken over is rolled back. What this cannot do: of a handler with several units of work only
the last is one with the answer.

Invariant: the table is no treasure. A stored answer may hold a fresh token, so it is sealed under a key that is derived
from the idempotency key, which the table has only as a hash.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from altnet.common import log
from altnet.common.clock import Clock
from altnet.common.errors import AltnetError, Conflict, Invalid, Unauthenticated, Unavailable
from altnet.common.http import auth, problems
from altnet.common.http.context import SCOPE_KEY
from altnet.common.http.limits import BODY_KEY
from altnet.common.http.settings import MIB, HttpSettings
from altnet.common.ids import Randomness
from altnet.common.jobs import Job, every
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

if TYPE_CHECKING:
    from altnet.common.db.engine import Database

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotency-Replayed"
LARGEST_STORED: Final = 1 * MIB
"""A larger answer passes through unstored, and its key is free again."""

_KEY: Final = re.compile(r"^[\x21-\x7e]{1,255}$")
_NOT_KEPT: Final = frozenset({401, 403, 408, 425, 429})
_KEPT_HEADERS: Final = frozenset({b"content-type", b"etag", b"location", b"link"})
_HOLDER: Final = "backend.pid || ' ' || extract(epoch FROM backend.backend_start)"
"""Tells the connection that made a claim from every other of the server's, also from one that has its number later."""
_log = log.get(__name__)


@dataclass(frozen=True)
class Answer:
    """A stored or to be stored response."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes


class _Seal:
    """What the idempotency key opens: the name of its row, the mark of a request, and the stored answer."""

    def __init__(self, key: str, principal: str) -> None:
        secret = hmac.digest(key.encode(), b"altnet idempotency\0" + principal.encode(), "sha256")
        self._mark = hmac.digest(secret, b"request", "sha256")
        self._cipher = AESGCM(hmac.digest(secret, b"answer", "sha256"))
        self.name = hashlib.sha256(key.encode()).hexdigest()

    def mark(self, *parts: bytes) -> bytes:
        digest = hmac.new(self._mark, digestmod="sha256")
        for part in parts:
            digest.update(len(part).to_bytes(8, "big") + part)
        return digest.digest()

    def close(self, body: bytes, randomness: Randomness) -> bytes:
        nonce = randomness(12)
        return nonce + self._cipher.encrypt(nonce, body, None)

    def open(self, sealed: bytes) -> bytes:
        return self._cipher.decrypt(sealed[:12], sealed[12:], None)


class Outcome(Enum):
    """What became of an attempt to claim a key."""

    CLAIMED = auto()
    IN_FLIGHT = auto()
    OTHER_REQUEST = auto()


@dataclass(frozen=True, kw_only=True)
class _Request:
    principal: str
    name: str
    mark: bytes
    at: datetime
    """When the claim was made; also tells it from a later claim of the same key."""


class Idempotency:
    """See the module. The body cap and the authenticator must lie around it."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        database: Database | None,
        clock: Clock,
        settings: HttpSettings,
        randomness: Randomness = secrets.token_bytes,
    ) -> None:
        self._app = app
        self._database = database
        self._clock = clock
        self._settings = settings
        self._randomness = randomness

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        key = Headers(scope=scope).get(HEADER) if scope["type"] == "http" and scope["method"] == "POST" else None
        if key is None:
            await self._app(scope, receive, send)
            return
        try:
            await self._once(key, scope, receive, send)
        except AltnetError as error:  # of the key itself; the application answers its own
            response = problems.of_error(error, scope[SCOPE_KEY], retry_after=self._settings.retry_after)
            await response(scope, receive, send)

    async def _once(self, key: str, scope: Scope, receive: Receive, send: Send) -> None:
        if not _KEY.match(key):
            raise _refused("bad_idempotency_key", "the key must be 1 to 255 visible ASCII characters.", "Use a UUID.")
        try:
            principal = await auth.authenticate_scope(scope)
        except Unauthenticated:
            await self._app(scope, receive, send)  # which says so, or serves a route that takes anybody
            return
        if self._database is None:
            raise _refused("idempotency_unsupported", "this service keeps no keys.", f"Leave {HEADER} out.")
        seal = _Seal(key, principal.id)
        request = self._describe(seal, principal.id, scope)
        found = await self._claim(self._database, request, seal)
        match found:
            case Answer():
                await _replay(found, send)
            case Outcome.OTHER_REQUEST:
                raise _refused(
                    "idempotency_key_reused", "the key was used for another request.", "Use a new key for each request."
                )
            case Outcome.IN_FLIGHT:
                raise Conflict(
                    "idempotency_in_flight", "The first request with this key is still at work.", mend="Ask again soon."
                )
            case Outcome.CLAIMED:
                await self._work(self._database, request, seal, scope, receive, send)

    async def _work(
        self, database: Database, request: _Request, seal: _Seal, scope: Scope, receive: Receive, send: Send
    ) -> None:
        try:
            async with database.holding() as held:
                recorder = _Recorder(send, before=held.commit)
                await self._app(scope, receive, recorder.take)
                answer = recorder.answer()
                if held.pending and answer is not None and _is_kept(answer):
                    await held.commit(lambda connection: self._store(connection, database, request, seal, answer))
                    await recorder.pass_on()
                    return
                if answer is None or answer.status < 500:
                    await held.commit()  # else it failed after its work, which is undone
            await self._settle(database, request, seal, recorder)
        except Exception:
            await self._release(database, request)
            raise

    async def _store(
        self, connection: AsyncConnection, database: Database, request: _Request, seal: _Seal, answer: Answer
    ) -> None:
        found = await connection.exec_driver_sql(_store(database), self._stored(request, seal, answer))
        if found.rowcount != 1:
            raise Conflict(
                "idempotency_overtaken",
                "the request took so long that a later one with its key was taken for it; this one is undone.",
                mend="Ask again for the answer of the later one.",
            )

    def _stored(self, request: _Request, seal: _Seal, answer: Answer) -> tuple[object, ...]:
        body = seal.close(answer.body, self._randomness)
        return request.principal, request.name, request.at, answer.status, json.dumps(answer.headers), body

    def _describe(self, seal: _Seal, principal: str, scope: Scope) -> _Request:
        content_type = Headers(scope=scope).get("content-type", "")
        return _Request(
            principal=principal,
            name=seal.name,
            mark=seal.mark(
                scope["method"].encode(),
                scope["path"].encode(),
                scope.get("query_string", b""),
                content_type.encode(),
                scope.get(BODY_KEY, b""),
            ),
            at=self._clock.now(),
        )

    async def _claim(self, database: Database, request: _Request, seal: _Seal) -> Answer | Outcome:
        forgotten = request.at - timedelta(seconds=self._settings.idempotency_keep)
        dead = request.at - timedelta(seconds=self._settings.idempotency_claim)
        async with database.raw() as connection:
            # Twice, since the row that stood in the way may have been released before it could be read.
            for _ in range(2):
                claimed = await connection.fetchval(
                    f"""
                    INSERT INTO {database.schema}.idempotency AS row
                        (principal, key, request_hash, created_at, holder)
                    SELECT $1, $2, $3, $4, {_HOLDER} FROM pg_stat_get_activity(pg_backend_pid()) AS backend
                    ON CONFLICT (principal, key) DO UPDATE
                        SET request_hash = excluded.request_hash, status = NULL, headers = NULL, body = NULL,
                            created_at = excluded.created_at, holder = excluded.holder
                        WHERE row.created_at <= $5
                           OR (row.status IS NULL AND row.request_hash = excluded.request_hash
                               AND (row.created_at <= $6 OR NOT EXISTS (
                                   SELECT FROM pg_stat_get_activity(split_part(row.holder, ' ', 1)::int) AS backend
                                   WHERE {_HOLDER} = row.holder)))
                    RETURNING true
                    """,  # noqa: S608 - the schema is a checked name; values are parameters
                    request.principal,
                    request.name,
                    request.mark,
                    request.at,
                    forgotten,
                    dead,
                )
                if claimed:
                    return Outcome.CLAIMED
                row = await connection.fetchrow(
                    f"SELECT request_hash, status, headers, body FROM {database.schema}.idempotency"  # noqa: S608 - as above
                    " WHERE principal = $1 AND key = $2",
                    request.principal,
                    request.name,
                )
                if row is None:
                    continue
                if not hmac.compare_digest(row["request_hash"], request.mark):
                    return Outcome.OTHER_REQUEST
                if row["status"] is None:
                    return Outcome.IN_FLIGHT
                headers = [(name, value) for name, value in json.loads(row["headers"])]
                return Answer(row["status"], headers, seal.open(row["body"]))
        return Outcome.IN_FLIGHT

    async def _settle(self, database: Database, request: _Request, seal: _Seal, recorder: _Recorder) -> None:
        """Store the answer of a request that changed nothing here, or several things."""
        answer = recorder.answer()
        if answer is None or not _is_kept(answer):
            await self._release(database, request)
        else:
            try:
                async with database.raw() as connection:
                    await connection.execute(_store(database), *self._stored(request, seal, answer))
            except Unavailable as error:  # the work is done: the client shall hear of it all the same
                _log.warning("an answer could not be stored for its idempotency key", code=error.code)
        await recorder.pass_on()

    async def _release(self, database: Database, request: _Request) -> None:
        try:
            async with database.raw() as connection:
                await connection.execute(
                    f"DELETE FROM {database.schema}.idempotency"  # noqa: S608 - as above
                    " WHERE principal = $1 AND key = $2 AND created_at = $3 AND status IS NULL",
                    request.principal,
                    request.name,
                    request.at,
                )
        except Unavailable as error:  # the claim then expires by itself
            _log.warning("an idempotency key could not be released", code=error.code)


class _Recorder:
    """Holds a response back until it is stored; lets one go that is too large to store, after `before`."""

    def __init__(self, send: Send, *, before: Callable[[], Awaitable[None]]) -> None:
        self._send = send
        self._before = before
        self._held: list[Message] = []
        self._size = 0
        self._open = False

    async def take(self, message: Message) -> None:
        if self._open:
            await self._send(message)
            return
        self._held.append(message)
        self._size += len(message.get("body", b""))
        if self._size > LARGEST_STORED:
            await self._before()
            await self.pass_on()

    def answer(self) -> Answer | None:
        """The response; None where it was let go, or never came to an end."""
        if self._open or len(self._held) < 2 or self._held[-1].get("more_body", False):
            return None
        start, *rest = self._held
        headers = [(name.decode(), value.decode()) for name, value in start["headers"] if name in _KEPT_HEADERS]
        return Answer(start["status"], headers, b"".join(part.get("body", b"") for part in rest))

    async def pass_on(self) -> None:
        self._open = True
        held, self._held = self._held, []
        for message in held:
            await self._send(message)


def _is_kept(answer: Answer) -> bool:
    return answer.status < 500 and answer.status not in _NOT_KEPT


def _store(database: Database) -> str:
    return f"""
        UPDATE {database.schema}.idempotency SET status = $4, headers = $5, body = $6
        WHERE principal = $1 AND key = $2 AND created_at = $3 AND status IS NULL
    """  # noqa: S608 - the schema is a checked name; values are parameters


async def sweep(database: Database, *, clock: Clock, settings: HttpSettings) -> None:
    """Remove keys that are no longer kept. Raises `Unavailable`."""
    before = clock.now() - timedelta(seconds=settings.idempotency_keep)
    async with database.raw() as connection:
        await connection.execute(
            f"DELETE FROM {database.schema}.idempotency WHERE created_at <= $1",  # noqa: S608 - as above
            before,
        )


def sweep_job(database: Database, *, clock: Clock, settings: HttpSettings) -> Job:
    """`sweep` as a job of the service, every `settings.idempotency_sweep` seconds."""
    return Job(
        "idempotency sweep",
        every(settings.idempotency_sweep, lambda: sweep(database, clock=clock, settings=settings)),
    )


async def _replay(answer: Answer, send: Send) -> None:
    headers = [(name.encode(), value.encode()) for name, value in answer.headers]
    headers += [(REPLAYED.lower().encode(), b"true"), (b"content-length", str(len(answer.body)).encode())]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body, "more_body": False})


def _refused(code: str, detail: str, mend: str) -> Invalid:
    return Invalid(code, detail, field=f"/{HEADER}", mend=mend)
