"""Every failure is a problem document that says what, where and how to mend it, and nothing of what is inside."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from altnet.common import errors, log
from altnet.common.http.problems import MEDIA_TYPE, Problem
from sqlalchemy.exc import ProgrammingError
from support.toy_api import Toy, make_toy


@pytest.fixture
def toy() -> Toy:
    return make_toy()


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    stream = io.StringIO()
    log.configure(json=True, level="debug", stream=stream)
    yield stream
    root.handlers, root.level = handlers, level


def problem(answer: httpx.Response) -> dict[str, Any]:
    assert answer.headers["content-type"] == MEDIA_TYPE
    found: dict[str, Any] = answer.json()
    Problem.model_validate(found)
    assert found["status"] == answer.status_code
    assert found["type"] == f"urn:altnet:problem:{found['code']}"
    assert found["request_id"] == answer.headers["x-request-id"]
    return found


KINDS: list[tuple[Callable[[], errors.AltnetError], int]] = [
    (lambda: errors.Invalid("x", "d"), 422),
    (lambda: errors.Unauthenticated("x", "d"), 401),
    (lambda: errors.Forbidden("x", "d"), 403),
    (lambda: errors.NotFound("x", "d"), 404),
    (lambda: errors.Conflict("x", "d"), 409),
    (lambda: errors.Stale("x", "d"), 412),
    (lambda: errors.PreconditionRequired("x", "d"), 428),
    (lambda: errors.TooLarge("x", "d"), 413),
    (lambda: errors.Exhausted("x", "d"), 409),
    (lambda: errors.TooMany("x", "d", after=1.2), 429),
    (lambda: errors.Unavailable("x", "d"), 503),
]


@pytest.mark.parametrize(("make", "status"), KINDS, ids=[make().kind for make, _ in KINDS])
async def test_each_kind_of_error_has_its_status_and_keeps_its_code(toy: Toy, make: Any, status: int) -> None:
    toy.raises = make()

    async with toy.client() as client:
        answer = await client.get("/v1/fail")

    assert answer.status_code == status
    found = problem(answer)
    assert (found["code"], found["detail"], found["errors"]) == ("x", "d", [])


async def test_an_error_names_the_field_the_reason_and_the_mend(toy: Toy) -> None:
    async with toy.client() as client:
        answer = await client.post("/v1/peers", json={"name": "taken"}, headers=toy.bearer())

    found = problem(answer)
    assert found["code"] == "peer_name_taken"
    assert found["mend"] == "Choose another."
    assert found["errors"] == [
        {"pointer": "/name", "detail": "There is a peer of this name.", "code": "peer_name_taken", "location": None}
    ]


@pytest.mark.parametrize(
    ("error", "seconds"),
    [(errors.TooMany("slow_down", "d", after=1.2), "2"), (errors.Unavailable("bus_down", "d"), "2")],
)
async def test_a_client_is_told_when_to_come_again(toy: Toy, error: Exception, seconds: str) -> None:
    toy.raises = error

    async with toy.client() as client:
        assert (await client.get("/v1/fail")).headers["retry-after"] == seconds


async def test_a_database_that_is_away_is_a_503_that_does_not_tell_where_it_is(toy: Toy) -> None:
    toy.raises = errors.Unavailable("database_unavailable", "connection to db.internal as altnet_registry refused")

    async with toy.client() as client:
        answer = await client.get("/v1/fail")

    assert answer.status_code == 503
    assert problem(answer)["code"] == "database_unavailable"
    assert "altnet_registry" not in answer.text
    assert answer.headers["retry-after"] == "2"


async def test_validation_faults_point_into_the_body_and_name_the_parameter(toy: Toy) -> None:
    async with toy.client(**toy.bearer()) as client:
        body = await client.post("/v1/peers", json={"name": "x" * 30, "hat": {"size": "big"}, "a/b~c": 1})
        query = await client.get("/v1/peers", params={"limit": 0})
        path = await client.get("/v1/peers/much-too-long")

    assert body.status_code == query.status_code == path.status_code == 422
    found = {(fault["location"], fault["pointer"]): fault["code"] for fault in problem(body)["errors"]}
    assert found == {
        ("body", "/name"): "string_too_long",
        ("body", "/hat/size"): "int_parsing",
        ("body", "/a~1b~0c"): "extra_forbidden",
    }
    assert problem(query)["errors"][0]["pointer"] == "/limit"
    assert problem(query)["errors"][0]["location"] == "query"
    assert problem(path)["errors"][0]["location"] == "path"
    assert problem(body)["code"] == "invalid_request"


async def test_a_refused_value_is_not_repeated(toy: Toy) -> None:
    async with toy.client(**toy.bearer()) as client:
        answer = await client.post("/v1/peers", json={"name": ["s3cret"], "colour": "s3cret", "hat": "s3cret"})

    assert answer.status_code == 422
    assert "s3cret" not in answer.text


@pytest.mark.parametrize("content", [b"{", b'{"name": }', b"\xff\xfe", b"[" * 20_000])
async def test_a_body_that_is_not_json_is_refused(toy: Toy, content: bytes) -> None:
    headers = {"Content-Type": "application/json", **toy.bearer()}
    async with toy.client() as client:
        answer = await client.post("/v1/peers", content=content, headers=headers)

    assert (answer.status_code, problem(answer)["code"]) == (422, "invalid_request")
    assert problem(answer)["errors"][0]["code"] == "json_invalid"


async def test_unknown_paths_and_methods_are_problems_too(toy: Toy) -> None:
    async with toy.client() as client:
        nowhere = await client.get("/v1/nothing")
        method = await client.patch("/v1/peers")

    assert (nowhere.status_code, problem(nowhere)["code"]) == (404, "no_such_path")
    assert (method.status_code, problem(method)["code"]) == (405, "method_not_allowed")
    assert method.headers["allow"] == "GET, POST"


async def test_an_unknown_exception_tells_the_client_nothing_and_the_log_everything(
    toy: Toy, lines: io.StringIO
) -> None:
    toy.raises = RuntimeError("the inside")
    headers = {**toy.bearer(), "X-Request-Id": "my-request-1"}

    async with toy.client() as client:
        answer = await client.post("/v1/peers", json={"name": "body-text"}, headers=headers)

    assert answer.status_code == 500
    assert "the inside" not in answer.text
    assert problem(answer)["request_id"] == "my-request-1"
    told = lines.getvalue()
    assert "RuntimeError: the inside" in told
    assert "my-request-1" in told
    assert "body-text" not in told
    assert headers["Authorization"].removeprefix("Bearer ") not in told


async def test_an_answer_that_does_not_fit_its_schema_leaks_neither_out_nor_into_the_log(
    toy: Toy, lines: io.StringIO
) -> None:
    async with toy.client() as client:
        answer = await client.get("/v1/fail")

    assert answer.status_code == 500
    assert "s3cret" not in answer.text + lines.getvalue()
    assert "does not fit" in lines.getvalue()


async def test_one_error_of_ours_inside_a_task_group_keeps_its_meaning(toy: Toy) -> None:
    toy.raises = ExceptionGroup("tasks", [ExceptionGroup("inner", [errors.NotFound("x", "d")])])
    async with toy.client() as client:
        one = await client.get("/v1/fail")
        toy.raises = ExceptionGroup("tasks", [errors.NotFound("x", "d"), RuntimeError("y")])
        several = await client.get("/v1/fail")

    assert (one.status_code, several.status_code) == (404, 500)


async def test_a_deadline_that_passes_inside_is_a_503(toy: Toy) -> None:
    toy.raises = TimeoutError()

    async with toy.client() as client:
        answer = await client.get("/v1/fail")

    assert (answer.status_code, problem(answer)["code"]) == (503, "timed_out")


async def test_a_nul_character_that_only_postgres_refuses_is_the_clients_fault(toy: Toy) -> None:
    class CharacterNotInRepertoire(Exception):
        sqlstate = "22021"

    class SyntaxFault(Exception):
        sqlstate = "42601"

    async with toy.client() as client:
        toy.raises = ProgrammingError("INSERT", {}, CharacterNotInRepertoire("\\u0000"))
        nul = await client.get("/v1/fail")
        toy.raises = ProgrammingError("INSERT", {}, SyntaxFault("bug"))
        bug = await client.get("/v1/fail")

    assert (nul.status_code, problem(nul)["code"]) == (422, "bad_characters")
    assert bug.status_code == 500
