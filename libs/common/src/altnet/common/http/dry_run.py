"""`?dry_run=true` on a write: it is done, answered, and undone.

The handler runs as ever, with all its checks, in a unit of work that is rolled back before the answer is sent: no row,
no event, no notification, and no idempotency key is used up. The answer is what it would have been, with the header
`Dry-Run: true`; what it names as made (identifiers, secrets) is nowhere.

An operation that a rollback cannot undo is marked (`routes.no_dry_run`) and refuses; so does one that asks the database
again after its unit of work. Leaves out what the operation would lead to later: plans, and what relays make of them.

Invariant: a request that says `dry_run` and is not refused has changed nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs

from altnet.common.errors import AltnetError, Invalid
from altnet.common.http import problems, routes
from altnet.common.http.context import SCOPE_KEY
from altnet.common.http.idempotency import HEADER as IDEMPOTENCY
from altnet.common.http.settings import HttpSettings
from starlette.types import ASGIApp, Message, Receive, Scope, Send

if TYPE_CHECKING:
    from altnet.common.db.engine import Database

PARAMETER: Final = "dry_run"
HEADER: Final = "Dry-Run"
WRITES: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_SAID: Final = {"true": True, "false": False}


class DryRun:
    """See the module. The frame must lie around it, and idempotency inside."""

    def __init__(self, app: ASGIApp, *, database: Database | None, settings: HttpSettings) -> None:
        self._app = app
        self._database = database
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in WRITES:
            await self._app(scope, receive, send)
            return
        try:
            if not _wanted(scope):
                await self._app(scope, receive, send)
                return
            route: routes.Route = scope[routes.SCOPE_KEY]
            if self._database is None or not route.dry_run:
                raise Invalid(
                    "dry_run_unsupported",
                    "this operation cannot be tried without doing it.",
                    field=f"/{PARAMETER}",
                    mend=f"Leave {PARAMETER} out to do it.",
                )
        except AltnetError as error:
            response = problems.of_error(error, scope[SCOPE_KEY], retry_after=self._settings.retry_after)
            await response(scope, receive, send)
            return
        answer: list[Message] = []

        async def keep(message: Message) -> None:
            answer.append(message)

        async with self._database.trying():
            await self._app(_without_key(scope), receive, keep)
        for message in answer:  # only now, when it is undone
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (HEADER.lower().encode(), b"true")]
            await send(message)


def _wanted(scope: Scope) -> bool:
    """Raises `Invalid` (`bad_dry_run`): whoever misspells it must not do it by mistake."""
    said = parse_qs(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True).get(PARAMETER, [])
    if not said:
        return False
    if len(said) > 1 or said[0] not in _SAID:
        raise Invalid("bad_dry_run", "it is either true or false.", field=f"/{PARAMETER}", mend="Say it once.")
    return _SAID[said[0]]


def _without_key(scope: Scope) -> Scope:
    key = IDEMPOTENCY.lower().encode()
    return {**scope, "headers": [(name, value) for name, value in scope["headers"] if name.lower() != key]}
