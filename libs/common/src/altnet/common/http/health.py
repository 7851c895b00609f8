"""`/livez`, `/readyz` and `/metrics`: for machines that watch, without authentication and outside the API document.

Alive means that the process answers. Ready means that requests can succeed: each part says `ok` or what is wrong.
Remarks are for a person: what somebody has to look at although requests succeed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from altnet.common import log, metrics
from altnet.common.errors import AltnetError
from altnet.common.http.settings import HttpSettings
from fastapi import APIRouter
from prometheus_client import CollectorRegistry
from starlette.responses import JSONResponse, Response

if TYPE_CHECKING:
    from altnet.common.db.engine import Database

OK: Final = "ok"

Ready = Callable[[], Awaitable[Mapping[str, str]]]
"""Says of each part that requests need `ok`, or what is wrong with it."""

Remarks = Callable[[], Mapping[str, str]]
"""What somebody has to look at, by its name; empty where there is nothing."""

_log = log.get(__name__)


def probes(
    *,
    ready: Ready,
    remarks: Remarks | None = None,
    database: Database | None,
    registry: CollectorRegistry,
    settings: HttpSettings,
) -> APIRouter:
    """The three routes."""
    router = APIRouter(include_in_schema=False)

    async def database_state() -> Mapping[str, str]:
        if database is None:
            return {}
        await database.ping(settings.ready_timeout)
        return {"database": OK}

    @router.get("/livez")
    async def livez() -> dict[str, str]:
        return {"status": OK}

    @router.get("/readyz")
    async def readyz() -> Response:
        told = await asyncio.gather(
            _ask("database", database_state, settings.ready_timeout), _ask("service", ready, settings.ready_timeout)
        )
        parts: dict[str, Any] = {name: state for answer in told for name, state in answer.items()}
        fit = all(state == OK for state in parts.values())
        answer: dict[str, Any] = {"status": OK if fit else "unready", "parts": parts}
        if said := remarks() if remarks is not None else {}:
            answer["remarks"] = dict(said)
        return JSONResponse(answer, status_code=200 if fit else 503)

    @router.get("/metrics")
    async def metrics_text() -> Response:
        return Response(metrics.render(registry), media_type=metrics.CONTENT_TYPE)

    return router


async def _ask(name: str, question: Ready, timeout: float) -> Mapping[str, str]:
    try:
        async with asyncio.timeout(timeout):
            return await question()
    except TimeoutError:
        return {name: f"no answer in {timeout:g} s"}
    except AltnetError as error:
        return {name: error.code}
    except Exception as error:  # noqa: BLE001 - a check that fails is an answer; the log has the rest
        _log.error("a readiness check failed", part=name, exc_info=error)
        return {name: "the check itself failed"}
