"""What endpoints share: the service's parts, a unit of work for whoever asks, and headers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Final, cast

from altnet.common.bus.connect import Bus
from altnet.common.bus.identity import RelayIssuer
from altnet.common.clock import Clock
from altnet.common.db.engine import Database
from altnet.common.db.refusals import Refusals
from altnet.common.db.uow import UnitOfWork
from altnet.common.errors import AltnetError, TooMany
from altnet.common.http.auth import Principal, TokenIssuer
from altnet.common.http.context import current
from altnet.common.http.etag import etag_of
from altnet.common.http.settings import HttpSettings
from altnet.common.ids import Randomness
from altnet.registry.domain.ratelimit import RateLimit
from altnet.registry.jobs.convergence import Convergence
from altnet.registry.jobs.director import Director
from altnet.registry.jobs.pulse import Pulse
from altnet.registry.settings import RegistrySettings
from fastapi import Depends, Request, Response

CHANGE_HEADER: Final = "Altnet-Change"


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Everything that an endpoint may need; made once, in `service`."""

    db: Database
    bus: Bus
    clock: Clock
    randomness: Randomness
    settings: RegistrySettings
    http: HttpSettings
    relay_issuer: RelayIssuer | None
    token_issuer: TokenIssuer | None
    attempts: RateLimit
    convergence: Convergence
    pulse: Pulse
    director: Director
    refusals: Refusals

    @asynccontextmanager
    async def work(self, who: Principal | str) -> AsyncIterator[UnitOfWork]:
        """A unit of work in the name of `who`, traced as the request. What is refused in it may be a security event."""
        context = current()
        actor = who if isinstance(who, str) else who.id
        try:
            async with self.db.transaction(actor=actor, trace=context.traceparent if context else None) as uow:
                yield uow
        except AltnetError as error:
            self.refusals.note(actor, error)
            raise


async def _parts(request: Request) -> Parts:  # async, or the framework asks a thread for it, at each request
    return cast(Parts, request.app.state.registry)


Registry = Annotated[Parts, Depends(_parts)]


def limit_attempts(registry: Parts, request: Request) -> None:
    """For routes without a bearer. Raises `TooMany` (`too_many_attempts`) where the source has asked too often."""
    source = request.client.host if request.client else "local"
    wait = registry.attempts.take(source, registry.clock.monotonic())
    if wait > 0:
        raise TooMany(
            "too_many_attempts", "too many attempts from this address.", after=wait, mend="Wait and try again."
        )


def tell(response: Response, *, change: int | None = None, version: int | None = None) -> None:
    """Put the number of a change and the version of a thing into the headers."""
    if change is not None:
        response.headers[CHANGE_HEADER] = str(change)
    if version is not None:
        response.headers["ETag"] = etag_of(version)


def patch_of(body: Any) -> dict[str, Any]:
    """What a JSON merge patch names (RFC 7396); what it leaves out stays as it is."""
    return {name: getattr(body, name) for name in body.model_fields_set}
