"""The registry's API document, and that the API keeps to it whatever is sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import hypothesis
import pytest
import pytest_asyncio
import schemathesis
from altnet.common.http import openapi
from integration.registry.running import RunningRegistry
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance


async def test_the_document_gives_generators_nothing_to_complain_of(registry: RunningRegistry) -> None:
    document = registry.app.openapi()
    assert openapi.complaints(document) == []
    assert document["openapi"].startswith("3.1")


async def test_a_patch_has_no_defaults_that_an_sdk_would_send(registry: RunningRegistry) -> None:
    schemas = registry.app.openapi()["components"]["schemas"]
    patches = {name: schema for name, schema in schemas.items() if name.endswith("Patch")}
    assert len(patches) == 7
    for name, schema in patches.items():
        for field, said in schema["properties"].items():
            assert "default" not in said, f"{name}.{field}"


@pytest_asyncio.fixture
async def operations(registry: RunningRegistry) -> AsyncIterator[list[Any]]:
    """Every operation that answers at once, as schemathesis sees it."""
    relay = await registry.enrol("one")
    assert relay.id
    peering = {"name": "isp", "relay": relay.id, "address": "2001:db8::1", "asn": 65010}
    assert (await registry.api.post("/v1/peerings", json=peering)).status_code == 201
    schema = schemathesis.openapi.from_dict(registry.app.openapi())
    yield [found.ok() for found in schema.get_all_operations() if "stream" not in found.ok().path]


# The registry's own jitter draws from `random` in another thread meanwhile, which hypothesis takes for the strategy's.
@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisDeprecationWarning")
@pytest.mark.timeout(300)
@pytest.mark.slow
async def test_whatever_is_sent_the_answer_is_one_of_the_document(
    registry: RunningRegistry, operations: list[Any]
) -> None:
    """Random requests by the schema, a few per operation: no 500, no status or shape that is not in the document."""
    checks = (not_a_server_error, status_code_conformance, response_schema_conformance)
    loop = asyncio.get_running_loop()

    def send(case: Any) -> Any:
        async def go() -> Any:
            request = case.as_transport_kwargs(base_url="http://registry")
            return await registry.api.request(
                request["method"],
                request["url"],
                params=request.get("params"),
                headers=[
                    (str(name).encode(), str(value).encode("latin-1", "replace"))
                    for name, value in dict(request.get("headers") or {}).items()
                ],
                json=request.get("json"),
                content=request.get("data"),
            )

        return asyncio.run_coroutine_threadsafe(go(), loop).result(timeout=60)

    def fuzz(operation: Any) -> None:
        @hypothesis.settings(
            max_examples=8,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(case=operation.as_strategy())
        def run(case: Any) -> None:
            answer = send(case)
            case.validate_response(answer, checks=list(checks))

        run()

    for operation in operations:
        await asyncio.to_thread(fuzz, operation)
