"""Each list of the API comes in pages and can be filtered, in one form."""

import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGING = {"cursor", "limit"}


def test_every_list_of_the_api_has_pages_and_a_filter() -> None:
    document = json.loads((ROOT / "docs/openapi/altnet.json").read_text())
    lists = 0

    for path, operations in document["paths"].items():
        found = operations.get("get", {}).get("responses", {}).get("200", {}).get("content", {})
        schema = found.get("application/json", {}).get("schema", {})
        assert schema.get("type") != "array", f"{path} answers without pages"
        if schema.get("$ref", "").endswith("Page"):
            asked = {one["name"] for one in operations["get"]["parameters"]}
            assert asked >= PAGING, path
            assert asked - PAGING, f"{path} has no filter"
            lists += 1

    assert lists > 20
