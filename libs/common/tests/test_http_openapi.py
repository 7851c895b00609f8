"""The API document: each habit of FastAPI's that a generator stumbles over is mended, and a real generator agrees."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from altnet.common.http import openapi, sse
from altnet.common.http.routes import operation_id
from fastapi import APIRouter, FastAPI
from fastapi.sse import EventSourceResponse
from support.toy_api import PeerChanged, make_toy

REFERENCE = "#/components/schemas/"


@pytest.fixture(scope="module")
def document() -> openapi.Document:
    found: openapi.Document = make_toy().app.openapi()
    return found


def operation(document: openapi.Document, name: str) -> dict[str, Any]:
    return next(found for _, found in openapi.operations(document) if found["operationId"] == name)


def test_a_problem_has_its_schema_under_its_own_media_type_and_no_other(document: openapi.Document) -> None:
    seen = 0
    for place, found in openapi.operations(document):
        for status, response in found["responses"].items():
            if status >= "400":
                content = response["content"]
                assert content == {"application/problem+json": {"schema": {"$ref": REFERENCE + "Problem"}}}, place
                seen += 1
    assert seen > 30
    assert "409" in operation(document, "create_peer")["responses"]


def test_the_frameworks_own_validation_error_is_nowhere(document: openapi.Document) -> None:
    assert "HTTPValidationError" not in json.dumps(document)
    assert "ValidationError" not in document["components"]["schemas"]
    assert "422" in operation(document, "watch_peer")["responses"]


def test_the_tag_of_a_union_is_required_and_has_no_default(document: openapi.Document) -> None:
    for name, value in (("AddressRecord", "AAAA"), ("TextRecord", "TXT")):
        schema = document["components"]["schemas"][name]
        assert "type" in schema["required"]
        assert "default" not in schema["properties"]["type"]
        assert schema["properties"]["type"]["const"] == value


@pytest.mark.parametrize("native", [False, True])
def test_a_streams_event_schema_stands_beside_its_content(document: openapi.Document, native: bool) -> None:
    if native:  # FastAPI's own streams speak OpenAPI 3.2
        router = APIRouter()

        @router.get("/stream", response_class=EventSourceResponse)
        async def watch_peer() -> Any:
            yield PeerChanged(peer="p", number=1)

        watch_peer.__annotations__["return"] = "AsyncIterable[PeerChanged]"
        app = FastAPI(generate_unique_id_function=operation_id)
        app.include_router(router)
        openapi.install(app)
        document = app.openapi()

    media = operation(document, "watch_peer")["responses"]["200"]["content"][sse.MEDIA_TYPE]

    assert media["schema"] == {}
    assert "itemSchema" not in json.dumps(document)
    if not native:
        assert media["x-event-schema"] == {"$ref": REFERENCE + "PeerChanged"}
        assert "PeerChanged" in document["components"]["schemas"]
    assert document["openapi"].startswith("3.1")


def test_operations_are_named_after_their_functions_and_pages_after_their_items(document: openapi.Document) -> None:
    names = [found["operationId"] for _, found in openapi.operations(document)]

    assert "list_peers" in names
    assert len(set(names)) == len(names)
    assert "PeerPage" in document["components"]["schemas"]
    assert all(re.fullmatch(r"[A-Za-z0-9]+", name) for name in document["components"]["schemas"])
    assert all(len(found["tags"]) == 1 for _, found in openapi.operations(document))


def test_a_schema_that_goes_both_ways_gets_two_usable_names(document: openapi.Document) -> None:
    schemas = document["components"]["schemas"]

    assert "default" in schemas["HatInput"]["properties"]["size"]
    assert schemas["HatInput"].get("required") is None
    assert schemas["Hat"]["required"] == ["size"]
    assert REFERENCE + "HatInput" in json.dumps(schemas["NewPeer"])
    assert f'"{REFERENCE}Hat"' in json.dumps(schemas["Peer"])


def test_security_servers_enums_times_and_integers_are_spelt_out(document: openapi.Document) -> None:
    schemas = document["components"]["schemas"]

    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    assert operation(document, "list_peers")["security"] == [{"bearer": []}]
    assert "security" not in operation(document, "enrol_machine")
    assert document["servers"] == [{"url": "/"}]
    assert schemas["Colour"]["enum"] == ["red", "blue"]
    assert schemas["Peer"]["properties"]["created_at"]["format"] == "date-time"
    assert schemas["Peer"]["properties"]["bytes"]["format"] == "int64"
    assert {"401", "403", "413", "422", "500", "503"} <= set(operation(document, "create_peer")["responses"])
    assert "/livez" not in document["paths"]


def test_the_idempotency_key_is_a_parameter_of_each_post_that_knows_its_sender(document: openapi.Document) -> None:
    def takes_it(name: str) -> bool:
        return any(found["name"] == "Idempotency-Key" for found in operation(document, name).get("parameters", []))

    assert takes_it("create_peer")
    assert not takes_it("enrol_machine")
    assert not takes_it("list_peers")
    assert "409" in operation(document, "create_record")["responses"]


def test_references_lead_somewhere(document: openapi.Document) -> None:
    references = re.findall(r'"\$ref": "#/components/schemas/([^"]+)"', json.dumps(document))
    mappings = re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document))

    assert set(references) | set(mappings) <= set(document["components"]["schemas"])


def test_the_document_is_good_by_our_own_rules_and_the_same_each_time(document: openapi.Document) -> None:
    assert openapi.complaints(document) == []
    assert openapi.dump(document) == openapi.dump(make_toy().app.openapi())


def test_the_rules_find_what_is_missing(document: openapi.Document) -> None:
    bad = copy.deepcopy(document)
    found = operation(bad, "list_peers")
    found.update(tags=[], description="", operationId="ListPeers")
    found["responses"] = {"200": {"content": {"x": {"itemSchema": {}}}}}
    bad["components"]["schemas"]["Page_Peer_"] = {}
    bad["servers"] = []

    complaints = openapi.complaints(bad)
    assert len(complaints) == 9
    assert any(complaint.endswith("answers 200 without a shape") for complaint in complaints)


def test_two_operations_of_one_name_are_refused() -> None:
    app = FastAPI(generate_unique_id_function=operation_id)
    openapi.install(app)

    @app.get("/one")
    async def same() -> None: ...

    app.get("/two")(same)

    with (
        pytest.warns(UserWarning, match="Duplicate Operation ID"),
        pytest.raises(ValueError, match="two operations are called same"),
    ):
        app.openapi()


async def test_the_document_is_served(document: openapi.Document) -> None:
    async with make_toy().client() as client:
        assert (await client.get("/openapi.json")).json() == document
        assert (await client.get("/docs")).status_code == 404


# Merging.


def other_service(*, name: str = "list_zones", path: str = "/v1/zones", schema: str = "Zone") -> openapi.Document:
    document: openapi.Document = copy.deepcopy(make_toy().app.openapi())
    listing = copy.deepcopy(operation(document, "list_peers"))
    listing.update(operationId=name, tags=["zones"])
    document["paths"] = {path: {"get": listing}}
    document["components"]["schemas"][schema] = {"type": "object", "title": "Zone"}
    return document


def test_documents_merge_into_one_with_every_operation_and_shared_schemas_once(document: openapi.Document) -> None:
    merged = openapi.merge([document, other_service()], title="Altnet", version="1", description="All.")

    names = [found["operationId"] for _, found in openapi.operations(merged)]
    assert {"list_peers", "list_zones"} <= set(names)
    assert {"Peer", "Zone", "Problem"} <= set(merged["components"]["schemas"])
    assert merged["info"]["title"] == "Altnet"
    assert openapi.complaints(merged) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "list_peers"}, "list_peers is both"),
        ({"path": "/v1/peers"}, "means two things"),
        ({"schema": "Peer"}, "Peer means two things"),
    ],
)
def test_documents_that_contradict_each_other_are_refused(
    document: openapi.Document, change: dict[str, str], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        openapi.merge([document, other_service(**change)], title="Altnet", version="1", description="All.")


def test_a_real_generator_takes_the_document_without_a_warning(document: openapi.Document, tmp_path: Path) -> None:
    merged = openapi.merge([document, other_service()], title="Altnet", version="1", description="All.")
    (tmp_path / "openapi.json").write_text(openapi.dump(merged))
    (tmp_path / "config.yml").write_text("post_hooks: []\n")

    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("openapi-python-client")),
            *(
                "generate",
                "--path",
                "openapi.json",
                "--config",
                "config.yml",
                "--output-path",
                "sdk",
                "--fail-on-warning",
            ),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "arning" not in done.stdout + done.stderr
    source = next(tmp_path.glob("sdk/*/api/peers/create_peer.py")).read_text()
    assert re.search(r"Peer \| Problem|Problem \| Peer|Union\[.*Problem", source)
    model = next(tmp_path.glob("sdk/*/models/problem.py")).read_text()
    assert "request_id: str" in model
