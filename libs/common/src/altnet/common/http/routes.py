"""Which route a request is for, known before any of its code runs.

The body cap, the labels of metrics and the scope that a token needs all depend on the route, so the frame looks it up
first. The routing itself stays FastAPI's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from fastapi import APIRouter
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.routing import BaseRoute, compile_path

SCOPE_KEY: Final = "altnet.route"

_BODY_LIMIT: Final = "__altnet_body_limit__"
_NO_DRY_RUN: Final = "__altnet_no_dry_run__"
_Endpoint = TypeVar("_Endpoint", bound=Callable[..., Any])


@dataclass(frozen=True, kw_only=True)
class Route:
    """`template` is the path with its parameters named (`/v1/relays/{relay}`); `resource` the route's first tag."""

    template: str
    resource: str | None = None
    body_limit: int | None = None
    dry_run: bool = False


UNMATCHED: Final = Route(template="unmatched")


def operation_id(route: APIRoute) -> str:
    """The function's name: `list_relays`. FastAPI's own would have the path in it."""
    return route.name


def resource(name: str) -> APIRouter:
    """A router for the operations of one resource, which they are tagged with. Its routes are whole as they stand, so
    applications take them as they are (`create_app`)."""
    return APIRouter(tags=[name], generate_unique_id_function=operation_id)


def limit_body(size: int) -> Callable[[_Endpoint], _Endpoint]:
    """Decorator of an endpoint, below the router's own: refuse bodies over `size` bytes there."""

    def mark(endpoint: _Endpoint) -> _Endpoint:
        setattr(endpoint, _BODY_LIMIT, size)
        return endpoint

    return mark


def no_dry_run(endpoint: _Endpoint) -> _Endpoint:
    """Decorator of an endpoint, below the router's own: it does what no rollback undoes, so it cannot be tried."""
    setattr(endpoint, _NO_DRY_RUN, True)
    return endpoint


def can_be_tried(endpoint: Callable[..., Any]) -> bool:
    """Whether a write takes `dry_run`."""
    return not getattr(endpoint, _NO_DRY_RUN, False)


def documented_paths(routes: Sequence[BaseRoute]) -> set[str]:
    """The paths of an application's API document, without the half second that making the document takes."""
    return {
        context.path
        for context in iter_route_contexts(routes)
        if isinstance(context.original_route, APIRoute)
        and context.original_route.include_in_schema
        and context.path is not None
    }


class RouteTable:
    """All routes of an application; `fill` it once they are known."""

    def __init__(self) -> None:
        self._entries: list[tuple[frozenset[str], re.Pattern[str], Route]] = []

    def fill(self, routes: Sequence[BaseRoute]) -> None:
        """Read the routes of an application, those of included routers too."""
        self._entries = [
            (
                frozenset(context.methods or ()),
                compile_path(context.path)[0],
                Route(
                    template=context.path,
                    resource=str(context.tags[0]) if context.tags else None,
                    body_limit=getattr(context.endpoint, _BODY_LIMIT, None),
                    dry_run=context.endpoint is not None and can_be_tried(context.endpoint),
                ),
            )
            for context in iter_route_contexts(routes)
            if isinstance(context.original_route, APIRoute) and context.path is not None
        ]

    def find(self, method: str, path: str) -> Route:
        """The route; `UNMATCHED` where there is none, or none with this method."""
        return next(
            (route for methods, pattern, route in self._entries if method in methods and pattern.match(path)),
            UNMATCHED,
        )

    def methods(self, path: str) -> list[str]:
        """The methods that `path` takes, sorted; for the header `Allow`, which FastAPI fills from one route alone."""
        return sorted({method for methods, pattern, _ in self._entries if pattern.match(path) for method in methods})
