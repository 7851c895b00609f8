"""What endpoints share: the service's parts, and a unit of work for whoever asks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, cast

from altnet.common.db.engine import Database
from altnet.common.db.uow import UnitOfWork
from altnet.common.http.auth import Principal
from altnet.common.http.context import current
from altnet.common.http.settings import HttpSettings
from altnet.common.ids import Randomness
from altnet.keyd.jobs.lock import LockTeller
from altnet.keyd.jobs.rotations import Driver
from altnet.keyd.keyring import Keyring
from altnet.keyd.settings import KeydSettings
from fastapi import Depends, Request


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Everything that an endpoint may need; made once, in `service`."""

    db: Database
    randomness: Randomness
    settings: KeydSettings
    keyring: Keyring
    driver: Driver
    teller: LockTeller
    http: HttpSettings

    @asynccontextmanager
    async def work(self, who: Principal) -> AsyncIterator[UnitOfWork]:
        """A unit of work in the name of `who`, traced as the request."""
        context = current()
        async with self.db.transaction(actor=who.id, trace=context.traceparent if context else None) as uow:
            yield uow


def _parts(request: Request) -> Parts:
    return cast(Parts, request.app.state.keyd)


Keyd = Annotated[Parts, Depends(_parts)]
