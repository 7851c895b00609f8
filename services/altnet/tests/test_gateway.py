"""One front for several services: they are ready together, and what one remarks is heard."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace

import httpx
import pytest
import typer
from altnet.host.gateway import Gateway
from altnet.host.operator import watching
from fastapi import FastAPI
from starlette.responses import JSONResponse, Response
from typer.testing import CliRunner

WELL = {"status": "ok", "parts": {"database": "ok"}}
ILL = {"status": "unready", "parts": {"database": "ok", "keys": "not read yet"}}
REMARKED = {**WELL, "remarks": {"keyd dead letters": "2 set aside"}}


def service(answer: Mapping[str, object]) -> FastAPI:
    app = FastAPI()

    @app.get("/readyz", include_in_schema=False)
    async def readyz() -> Response:
        return JSONResponse(answer, status_code=200 if answer["status"] == "ok" else 503)

    return app


async def asked(**answers: Mapping[str, object]) -> httpx.Response:
    gateway = Gateway({name: service(answer) for name, answer in answers.items()})
    async with httpx.AsyncClient(transport=httpx.ASGITransport(gateway), base_url="http://front") as client:
        return await client.get("/readyz")


async def test_the_process_is_ready_only_when_all_of_its_services_are() -> None:
    well, ill = await asked(registry=WELL, keyd=WELL), await asked(registry=WELL, keyd=ILL)

    assert (well.status_code, well.json()) == (200, WELL)
    assert (ill.status_code, ill.json()) == (503, ILL)


async def test_what_one_service_remarks_is_told_and_makes_nobody_unready() -> None:
    answer = await asked(registry=WELL, keyd=REMARKED)

    assert (answer.status_code, answer.json()) == (200, REMARKED)


@pytest.mark.parametrize(("answer", "wrong"), [(WELL, 0), (REMARKED, 1)])
def test_the_doctor_names_what_somebody_has_to_look_at(
    monkeypatch: pytest.MonkeyPatch, answer: Mapping[str, object], wrong: int
) -> None:
    monkeypatch.setattr(httpx, "get", lambda *_of, **_with: httpx.Response(200, json=answer))
    client = SimpleNamespace(get_httpx_client=lambda: SimpleNamespace(base_url="http://front"))
    api = SimpleNamespace(each=lambda *_of: iter(()), client=client)
    monkeypatch.setattr(watching, "api_of", lambda _context: api)
    app = typer.Typer()
    app.command()(watching.doctor)

    whole, health = CliRunner().invoke(app, []), CliRunner().invoke(app, ["--ready", "http://front"])

    assert whole.exit_code == wrong
    assert ("WRONG keyd dead letters: 2 set aside" in whole.stdout) is bool(wrong)
    assert health.exit_code == 0, "a container that can answer is not restarted for it"
