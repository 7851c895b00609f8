"""What docs/ says about the bus is what the code does, and nothing published is broken unseen.

A difference is not an error to paper over by `make contracts`: within a version changes are additive, so removing or
retyping a field needs a new version beside the old one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from altnet.common.bus import asyncapi
from altnet.common.contracts.envelope import decode_event

DOCS = Path(__file__).parents[2] / "docs"


def test_every_generated_document_is_up_to_date() -> None:
    stale = [name for name, text in asyncapi.files().items() if _read(name) != text]
    assert stale == [], "run `make contracts`, look at the difference, commit it"


def test_no_schema_is_published_for_a_class_that_is_gone() -> None:
    published = {path.relative_to(DOCS).as_posix() for path in (DOCS / "asyncapi" / "schemas").glob("*.json")}
    assert published <= set(asyncapi.files())


def test_every_reference_in_the_asyncapi_document_leads_somewhere() -> None:
    document = asyncapi.document()

    def follow(node: Any) -> None:
        if isinstance(node, dict):
            if isinstance(ref := node.get("$ref"), str):
                place: Any = document
                for step in ref.removeprefix("#/").split("/"):
                    place = place[step]
            for inner in node.values():
                follow(inner)
        elif isinstance(node, list):
            for inner in node:
                follow(inner)

    follow(document)
    names = {cls.kind for cls in asyncapi.published_events()} | {channel.name for channel in asyncapi.CHANNELS}
    assert set(document["channels"]) == names
    assert "registry.relay.registered" in names


def test_every_channel_names_the_parameters_of_its_address() -> None:
    for name, channel in asyncapi.document()["channels"].items():
        assert {part[1:-1] for part in channel["address"].split(".") if part.startswith("{")} == set(
            channel["parameters"]
        ), name


@pytest.mark.parametrize("cls", asyncapi.published_events(), ids=lambda cls: f"{cls.kind}.v{cls.version}")
def test_an_event_ignores_fields_that_it_does_not_know(cls: type[msgspec.Struct]) -> None:
    assert cls.__struct_config__.forbid_unknown_fields is False
    assert cls.__struct_config__.frozen
    assert cls.__doc__


@pytest.mark.parametrize("cls", asyncapi.published_events(), ids=lambda cls: f"{cls.kind}.v{cls.version}")
def test_the_smallest_published_form_of_an_event_still_decodes(cls: Any) -> None:
    # what an older writer sent: the required fields of the golden schema and nothing else
    schema = json.loads(_read(f"asyncapi/schemas/{cls.kind}.v{cls.version}.json") or "{}")
    sample = _sample(schema, schema)
    decode_event(cls.kind, cls.version, msgspec.json.encode(sample | {"of_a_later_version": 1}))


def _read(name: str) -> str | None:
    path = DOCS / name
    return path.read_text() if path.exists() else None


def _sample(schema: dict[str, Any], root: dict[str, Any]) -> Any:
    """The smallest value that a schema allows."""
    if "$ref" in schema:
        return _sample(root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    if "anyOf" in schema:
        return _sample(schema["anyOf"][-1], root)
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            return {name: _sample(schema["properties"][name], root) for name in schema.get("required", [])}
        case "array":
            return []
        case "integer" | "number":
            return schema.get("minimum", 0)
        case "boolean":
            return False
        case "null":
            return None
        case _:
            return "2026-05-01T12:00:00Z" if schema.get("format") == "date-time" else "x"
