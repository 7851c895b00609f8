"""The API document, in a form that SDK generators take without complaint (OpenAPI 3.1).

FastAPI's own document has habits that generators stumble over; `clean` mends each of them, and its comments say which.
`merge` makes one document of all services', and `complaints` is the rule book that contract tests apply.

Invariant: the document is a pure function of the routes: the same code gives the same bytes.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from altnet.common.http import problems, sse
from altnet.common.http.routes import can_be_tried
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute, iter_route_contexts

Document = dict[str, Any]

METHODS: Final = ("get", "put", "post", "delete", "patch")
_WRITES: Final = ("POST", "PUT", "PATCH", "DELETE")
_PROBLEM: Final = {"$ref": "#/components/schemas/Problem"}
_SCHEMAS: Final = "#/components/schemas/"
_NEVER: Final = ("HTTPValidationError", "ValidationError")


def install(app: FastAPI) -> None:
    """Make `app.openapi()`, and so `/openapi.json`, give the clean document."""

    def document() -> Document:
        if app.openapi_schema is None:
            raw = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
                servers=app.servers,
            )
            tried = {
                context.endpoint.__name__
                for context in iter_route_contexts(app.routes)
                if isinstance(context.original_route, APIRoute)
                and context.endpoint is not None
                and can_be_tried(context.endpoint)
            }
            app.openapi_schema = clean(raw, tried=tried)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # FastAPI's documented way to extend the document


def dump(document: Document) -> str:
    """The document as text for a file: the same bytes for the same document."""
    return json.dumps(document, indent=2, sort_keys=False, ensure_ascii=False) + "\n"


def clean(raw: Document, *, tried: Collection[str] = ()) -> Document:
    """A mended copy. `tried` are the operations that take `dry_run`. Raises `ValueError` for two of one name."""
    document = copy.deepcopy(raw)
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name in _NEVER:
        schemas.pop(name, None)
    schemas.setdefault("Problem", _problem_schema(schemas))
    seen: set[str] = set()
    for place, operation in operations(document):
        name = operation["operationId"]
        if name in seen:
            raise ValueError(f"two operations are called {name}; the second is {place}")
        seen.add(name)
        if place.startswith("POST ") and operation.get("security"):
            _take_idempotency_key(operation)
        if place.split()[0] in _WRITES and operation.get("security") and name in tried:
            _take_dry_run(operation)
        _mend_responses(operation)
    _require_tags_of_unions(document)
    _rename_schemas(document)
    _size_integers(document)
    document["components"] = {kind: dict(sorted(parts.items())) for kind, parts in document["components"].items()}
    return document


def operations(document: Document) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every operation with its place (`GET /v1/relays`)."""
    for path, item in document.get("paths", {}).items():
        for method in METHODS:
            if method in item:
                yield f"{method.upper()} {path}", item[method]


def merge(documents: Sequence[Document], *, title: str, version: str, description: str) -> Document:
    """One document of several services', whose paths, operations and schemas keep their names.

    What is the same in several (Problem, the security scheme) is there once. Raises `ValueError` where two services
    mean different things by one name.
    """
    merged: Document = {
        "openapi": documents[0]["openapi"],
        "info": {"title": title, "version": version, "description": description},
        "servers": documents[0].get("servers", [{"url": "/"}]),
        "paths": {},
        "components": {},
    }
    names: dict[str, str] = {}
    for document in documents:
        if document["openapi"] != merged["openapi"]:
            raise ValueError(f"{document['info']['title']} is OpenAPI {document['openapi']}, not {merged['openapi']}")
        for place, operation in operations(document):
            name = operation["operationId"]
            if name in names:
                raise ValueError(f"{name} is both {names[name]} and {place}")
            names[name] = place
        for path, item in document.get("paths", {}).items():
            _add(merged["paths"].setdefault(path, {}), item, f"path {path}")
        for kind, parts in document.get("components", {}).items():
            _add(merged["components"].setdefault(kind, {}), parts, f"components/{kind}")
        tags = {tag["name"]: tag for tag in document.get("tags", [])}
        if tags:
            known = {tag["name"]: tag for tag in merged.get("tags", [])}
            _add(known, tags, "tags")
            merged["tags"] = [known[name] for name in sorted(known)]
    merged["paths"] = dict(sorted(merged["paths"].items()))
    merged["components"] = {kind: dict(sorted(parts.items())) for kind, parts in sorted(merged["components"].items())}
    return merged


def complaints(document: Document) -> list[str]:
    """What a reader or a generator would miss, as sentences; empty for a good document."""
    found = []
    if not document.get("servers"):
        found.append("there are no servers")
    for place, operation in operations(document):
        found += [f"{place} has no {part}" for part in ("summary", "description") if not operation.get(part)]
        if len(operation.get("tags", [])) != 1:
            found.append(f"{place} must have one tag, its resource")
        if not operation["operationId"].isidentifier() or operation["operationId"] != operation["operationId"].lower():
            found.append(f"{place}: {operation['operationId']} is not a snake_case name")
        if not any(status.startswith("4") for status in operation["responses"]):
            found.append(f"{place} names no error")
        found += [f"{place} answers {status} without a shape" for status in _shapeless(operation)]
        if operation.get("security") and not {"401", "403"} <= set(operation["responses"]):
            found.append(f"{place} needs a token and does not name 401 and 403")
    schemas = document.get("components", {}).get("schemas", {})
    found += [f"the schema name {name} is awkward in SDKs" for name in schemas if not name.isalnum()]
    if "itemSchema" in _words(document):
        found.append("itemSchema is no word of OpenAPI 3.1")
    return found


def _shapeless(operation: Mapping[str, Any]) -> list[str]:
    """Statuses of answers that generators can only call unknown; a stream says beside its schema what it carries."""
    return [
        status
        for status, response in operation["responses"].items()
        if any(
            not media.get("schema") and "x-event-schema" not in media for media in response.get("content", {}).values()
        )
    ]


def _mend_responses(operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    if "422" in responses and "HTTPValidationError" in json.dumps(responses["422"]):
        # FastAPI adds its own form wherever a route takes anything; ours is another.
        responses["422"] = _problem_response(422)
    if operation.get("security"):
        responses.setdefault("401", _problem_response(401))
        responses.setdefault("403", _problem_response(403))
    if "requestBody" in operation:
        responses.setdefault("413", _problem_response(413))
    responses.setdefault("500", _problem_response(500))
    responses.setdefault("503", _problem_response(503))
    for response in responses.values():
        content = response.get("content", {})
        # A model named in `responses=` lands under the route's media type; a problem has its own, and only that.
        if any(media.get("schema") == _PROBLEM for media in content.values()):
            response["content"] = {problems.MEDIA_TYPE: {"schema": _PROBLEM}}
        if sse.MEDIA_TYPE in content:
            content[sse.MEDIA_TYPE] = _stream(content[sse.MEDIA_TYPE])
    operation["responses"] = dict(sorted(responses.items()))


def _take_idempotency_key(operation: dict[str, Any]) -> None:
    """The middleware takes it for every POST with a sender, so no handler declares it."""
    operation.setdefault("parameters", []).append(
        {
            "name": "Idempotency-Key",
            "in": "header",
            "required": False,
            "description": "Any text, best a UUID. The same request with the same key is done once.",
            "schema": {"type": "string", "pattern": "^[!-~]{1,255}$", "title": "Idempotency-Key"},
        }
    )
    for status in (409, 422):
        operation["responses"].setdefault(str(status), _problem_response(status))


def _take_dry_run(operation: dict[str, Any]) -> None:
    """The middleware takes it for every write that a rollback undoes."""
    operation.setdefault("parameters", []).append(
        {
            "name": "dry_run",
            "in": "query",
            "required": False,
            "description": "Answer as ever, with the header `Dry-Run: true`, and change nothing: what the answer"
            " names as made is nowhere.",
            "schema": {"type": "boolean", "default": False, "title": "Dry Run"},
        }
    )
    for status in (409, 422):
        operation["responses"].setdefault(str(status), _problem_response(status))


def _stream(media: Mapping[str, Any]) -> dict[str, Any]:
    """OpenAPI 3.1 cannot say what a stream is made of, so its content may be anything, and the schema of its events'
    data stands beside that."""
    schema = media.get("schema", {})
    if "itemSchema" in media:  # FastAPI's own streams: a word of OpenAPI 3.2, on which generators of 3.1 give up
        schema = media["itemSchema"].get("properties", {}).get("data", {}).get("contentSchema", {})
    mended: dict[str, Any] = {"schema": {}}
    if "$ref" in schema:
        mended["x-event-schema"] = {"$ref": schema["$ref"]}
    return mended


def _problem_response(status: int) -> dict[str, Any]:
    return {"description": problems.TITLES[status], "content": {problems.MEDIA_TYPE: {"schema": _PROBLEM}}}


def _problem_schema(schemas: dict[str, Any]) -> dict[str, Any]:
    schema = problems.Problem.model_json_schema(mode="serialization", ref_template=_SCHEMAS + "{model}")
    for name, part in schema.pop("$defs", {}).items():
        schemas.setdefault(name, part)
    return schema


def _require_tags_of_unions(document: Document) -> None:
    """A tag with a default is optional to pydantic; to a generator that makes the union undecidable."""
    schemas = document["components"]["schemas"]
    for part in _objects(document):
        discriminator = part.get("discriminator")
        if not isinstance(discriminator, dict) or "propertyName" not in discriminator:
            continue
        tag = discriminator["propertyName"]
        for reference in part.get("oneOf", []):
            member = schemas[reference["$ref"].removeprefix(_SCHEMAS)]
            member["properties"][tag].pop("default", None)
            member["required"] = sorted({*member.get("required", []), tag})


def _rename_schemas(document: Document) -> None:
    """Names that SDKs would mangle: a class used both ways is `X-Input` and `X-Output` to FastAPI, and here `XInput`
    and `X`; `Page[Peer]` is `Page_Peer_`, and here what it calls itself (`PeerPage`)."""
    schemas = document["components"]["schemas"]
    renamed: dict[str, str] = {}
    for name, schema in schemas.items():
        stem, dash, way = name.partition("-")
        new = name
        if dash and way in ("Input", "Output"):
            new = stem if way == "Output" else f"{stem}Input"
        if not new.isalnum() and str(schema.get("title", "")).isalnum():
            new = schema["title"]
        if new != name:
            if new in schemas or new in renamed.values():
                raise ValueError(f"the schema {name} would be called {new}, which is taken")
            renamed[name] = new
    document["components"]["schemas"] = {renamed.get(name, name): schema for name, schema in schemas.items()}
    for name, schema in document["components"]["schemas"].items():
        schema["title"] = name  # generators go by the title
    for part in _objects(document):
        reference = part.get("$ref")
        if isinstance(reference, str) and reference.removeprefix(_SCHEMAS) in renamed:
            part["$ref"] = _SCHEMAS + renamed[reference.removeprefix(_SCHEMAS)]
        mapping = part.get("mapping")
        if isinstance(mapping, dict):
            for key, reference in mapping.items():
                if isinstance(reference, str) and reference.removeprefix(_SCHEMAS) in renamed:
                    mapping[key] = _SCHEMAS + renamed[reference.removeprefix(_SCHEMAS)]


def _size_integers(document: Document) -> None:
    """Counters outgrow 32 bits, which is what some generators take an integer for."""
    for part in _objects(document):
        if part.get("type") == "integer":
            part.setdefault("format", "int64")


def _objects(part: Any) -> Iterator[dict[str, Any]]:
    if isinstance(part, dict):
        yield part
        for inner in list(part.values()):
            yield from _objects(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from _objects(inner)


def _words(part: Any) -> Iterator[str]:
    for found in _objects(part):
        yield from found


def _add(into: dict[str, Any], parts: Mapping[str, Any], where: str) -> None:
    for name, part in parts.items():
        if name in into and into[name] != part:
            raise ValueError(f"{where}: {name} means two things")
        into[name] = part
