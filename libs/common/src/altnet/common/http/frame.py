"""The ASGI frame around every request: id, trace, route, log line, metrics, and the answer to what nobody caught.

Outermost of the middleware. It never touches bodies. Paths in metrics are route templates, so that identifiers
cannot multiply the series.
"""

from __future__ import annotations

import secrets
from typing import Final

from altnet.common import log
from altnet.common.clock import Clock
from altnet.common.http import context as contexts
from altnet.common.http import problems, routes
from altnet.common.ids import Randomness
from altnet.common.metrics import Metrics
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
PROBES: Final = frozenset({"/livez", "/readyz", "/metrics"})

_log = log.get("altnet.http")


class Frame:
    """See the module."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        service: str,
        table: routes.RouteTable,
        metrics: Metrics,
        clock: Clock,
        randomness: Randomness = secrets.token_bytes,
    ) -> None:
        self._app = app
        self._service = service
        self._table = table
        self._clock = clock
        self._randomness = randomness
        labels = ("method", "route")
        self._count = metrics.counter("http_requests", "Requests answered.", labels=(*labels, "status"))
        self._seconds = metrics.histogram(
            "http_request_seconds", "From request to the end of the answer.", labels=labels
        )
        self._open = metrics.gauge("http_requests_open", "Requests in work, event streams included.")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        context = contexts.open_context(
            headers.get(contexts.REQUEST_ID_HEADER),
            headers.get("traceparent"),
            clock=self._clock,
            randomness=self._randomness,
        )
        scope[contexts.SCOPE_KEY] = context
        scope[routes.SCOPE_KEY] = route = self._table.find(scope["method"], _path(scope))
        contexts.enter(context)
        with log.bound(request_id=context.request_id, trace_id=context.trace_id, service=self._service, principal=None):
            await self._answer(scope, receive, send, context, route)

    async def _answer(
        self, scope: Scope, receive: Receive, send: Send, context: contexts.RequestContext, route: routes.Route
    ) -> None:
        started = self._clock.monotonic()
        status = 0

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers[contexts.REQUEST_ID_HEADER] = context.request_id
                headers.setdefault("Cache-Control", "no-store")  # answers hold keys and tokens
                headers["X-Content-Type-Options"] = "nosniff"
                if status == 405:
                    headers["Allow"] = ", ".join(self._table.methods(_path(scope)))
            await send(message)

        self._open.inc()
        try:
            await self._app(scope, receive, send_marked)
        except Exception as error:  # noqa: BLE001 - the last catch: logged in full, answered without a word of it
            _log.error("request failed", method=scope["method"], route=route.template, exc_info=error)
            if status:
                return  # too late to say so; the server cuts the connection, so that the client sees it
            await problems.of_unknown(context)(scope, receive, send_marked)
        finally:
            self._open.dec()
            self._tell(scope, route, status, self._clock.monotonic() - started)

    def _tell(self, scope: Scope, route: routes.Route, status: int, seconds: float) -> None:
        method = scope["method"] if scope["method"] in METHODS else "OTHER"
        self._count.labels(method, route.template, str(status)).inc()
        self._seconds.labels(method, route.template).observe(seconds)
        tell = _log.debug if route.template in PROBES else _log.info
        tell(
            "request", method=method, path=scope["path"], route=route.template, status=status, seconds=round(seconds, 4)
        )


def _path(scope: Scope) -> str:
    """The path inside this application, where it is mounted into another."""
    return str(scope["path"]).removeprefix(scope.get("root_path", "")) or "/"
