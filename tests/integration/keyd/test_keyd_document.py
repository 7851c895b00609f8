"""keyd's schema is what its code says, and its API keeps to its document whatever is sent."""

from __future__ import annotations

import asyncio
from typing import Any

import hypothesis
import pytest
import schemathesis
from altnet.common.db.migrate import differences
from altnet.common.db.settings import DatabaseSettings
from altnet.common.embedded.postgres import PostgresServer
from altnet.common.http import openapi
from altnet.keyd.tables import Row
from integration.keyd.running import RunningKeyd
from integration.registry.running import RunningRegistry
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance
from support.postgres import owner_dsn


async def test_the_tables_of_the_code_are_those_of_the_migrations(
    keyd_database: DatabaseSettings, postgres_server: PostgresServer
) -> None:
    found = await differences(owner_dsn(postgres_server, keyd_database, "keyd"), "keyd", Row.metadata)
    flat = [item for entry in found for item in (entry if isinstance(entry, list) else [entry])]

    assert [item for item in flat if "column" in item[0] or "table" in item[0] or item[0].startswith("modify")] == []


async def test_the_document_gives_generators_nothing_to_complain_of(keyd: RunningKeyd) -> None:
    document = keyd.app.openapi()

    assert openapi.complaints(document) == []
    assert document["openapi"].startswith("3.1")


@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisDeprecationWarning")
@pytest.mark.slow
async def test_whatever_is_sent_the_answer_is_one_of_the_document(registry: RunningRegistry, keyd: RunningKeyd) -> None:
    checks = (not_a_server_error, status_code_conformance, response_schema_conformance)
    loop = asyncio.get_running_loop()
    schema = schemathesis.openapi.from_dict(keyd.app.openapi())
    operations = [found.ok() for found in schema.get_all_operations()]

    def send(case: Any) -> Any:
        async def go() -> Any:
            request = case.as_transport_kwargs(base_url="http://keyd")
            return await keyd.api.request(
                request["method"],
                request["url"],
                params=request.get("params"),
                headers={name: value for name, value in request["headers"].items() if name.lower() != "authorization"},
                content=request.get("data"),
                json=request.get("json"),
            )

        return asyncio.run_coroutine_threadsafe(go(), loop).result(30)

    def run(operation: Any) -> None:
        @hypothesis.settings(max_examples=10, deadline=None, derandomize=True, database=None)
        @hypothesis.given(operation.as_strategy())
        def each(case: Any) -> None:
            case.validate_response(send(case), checks=checks)

        each()

    for operation in operations:
        await asyncio.to_thread(run, operation)
