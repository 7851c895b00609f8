"""Makes the REST application of a service; the only place that knows in which order the parts lie.

From outside: frame (id, trace, log, metrics, last catch) > body cap > dry run > idempotency > routing > parsing >
authentication > handler. Nothing is opened here, so an application can be made without Postgres or NATS, for its
document alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from altnet.common.clock import Clock
from altnet.common.http import health, openapi, problems
from altnet.common.http.auth import AUTHENTICATOR_KEY, Authenticator
from altnet.common.http.dry_run import DryRun
from altnet.common.http.frame import Frame
from altnet.common.http.idempotency import Idempotency
from altnet.common.http.limits import BodyLimit
from altnet.common.http.routes import RouteTable
from altnet.common.http.settings import HttpSettings
from altnet.common.metrics import Metrics
from fastapi import APIRouter, FastAPI
from prometheus_client import CollectorRegistry
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

if TYPE_CHECKING:
    from altnet.common.db.engine import Database


def create_app(
    *,
    service: str,
    title: str,
    version: str,
    description: str,
    routers: Sequence[APIRouter],
    authenticator: Authenticator,
    database: Database | None,
    clock: Clock,
    metrics: CollectorRegistry,
    ready: health.Ready,
    remarks: health.Remarks | None = None,
    settings: HttpSettings | None = None,
) -> FastAPI:
    """An application with `routers`, which give their paths in full (`/v1/relays`).

    `database` is for idempotency keys and readiness; without it, `Idempotency-Key` is refused rather than ignored.
    """
    settings = settings or HttpSettings()
    table = RouteTable()
    middleware = [
        Middleware(Frame, service=service, table=table, metrics=Metrics(metrics, service=service), clock=clock),
        Middleware(BodyLimit, settings=settings),
        Middleware(_Provide, authenticator=authenticator),
        Middleware(DryRun, database=database, settings=settings),
        Middleware(Idempotency, database=database, clock=clock, settings=settings),
    ]
    app = FastAPI(
        title=title,
        version=version,
        description=description,
        servers=[{"url": settings.public_url}],
        middleware=middleware,
        docs_url=None,  # FastAPI's pages load scripts from elsewhere, which a private network does not reach
        redoc_url=None,
        redirect_slashes=False,
    )
    problems.install(app, settings)
    probes = health.probes(ready=ready, remarks=remarks, database=database, registry=metrics, settings=settings)
    for router in (*routers, probes):
        # Not `include_router`: it makes each route anew, which is most of what starting a service takes.
        app.router.routes.extend(router.routes)
    table.fill(app.routes)
    openapi.install(app)
    return app


class _Provide:
    """Puts the authenticator where the middleware and dependencies below find it, also below a mount."""

    def __init__(self, app: ASGIApp, *, authenticator: Authenticator) -> None:
        self._app = app
        self._authenticator = authenticator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[AUTHENTICATOR_KEY] = self._authenticator
        await self._app(scope, receive, send)
