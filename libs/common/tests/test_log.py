"""Logs: one line an event, with its context, without secrets."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from altnet.common import log
from altnet.common.settings import Secret


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    quiet = {name: logging.getLogger(name).level for name in ("asyncio", "httpx", "httpcore", "nats", "uvicorn.access")}
    yield io.StringIO()
    root.handlers = handlers
    root.setLevel(level)
    for name, old in quiet.items():
        logging.getLogger(name).setLevel(old)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_one_json_object_with_its_logger_level_time_and_fields(stream: io.StringIO) -> None:
    log.configure(json=True, level="info", stream=stream)

    log.get("altnet.test").info("relay joined", relay="rly_1", slots=3)

    (line,) = lines(stream)
    assert line.pop("at").endswith("Z")
    assert line == {"event": "relay joined", "logger": "altnet.test", "level": "info", "relay": "rly_1", "slots": 3}


def test_a_logger_made_before_configure_follows_it(stream: io.StringIO) -> None:
    early = log.get("altnet.early")
    log.configure(json=True, level="warning", stream=stream)

    early.info("not this")
    early.warning("but this")

    assert [line["event"] for line in lines(stream)] == ["but this"]


async def test_bound_fields_reach_tasks_started_inside_and_no_line_after(stream: io.StringIO) -> None:
    log.configure(json=True, level="info", stream=stream)
    logger = log.get("altnet.test")

    async def work() -> None:
        logger.info("inside")

    with log.bound(request_id="req_1", trace_id="abc"):
        await asyncio.create_task(work())
    logger.info("outside")

    inside, outside = lines(stream)
    assert (inside["request_id"], inside["trace_id"]) == ("req_1", "abc")
    assert "request_id" not in outside


@pytest.mark.parametrize(
    "name",
    [
        "seed",
        "token",
        "join_token",
        "private_key",
        "privateKey",
        "db_password",
        "Authorization",
        "psk",
        "preshared_key",
    ],
)
def test_a_field_named_like_a_secret_is_hidden_at_any_depth(stream: io.StringIO, name: str) -> None:
    log.configure(json=True, level="info", stream=stream)

    log.get("altnet.test").info("x", **{name: "s3cret"}, headers={name: "s3cret"}, items=[{name: ["s3cret"]}])

    assert "s3cret" not in stream.getvalue()
    assert lines(stream)[0][name] == log.HIDDEN


def test_names_of_secrets_are_not_secrets(stream: io.StringIO) -> None:
    log.configure(json=True, level="info", stream=stream)

    log.get("altnet.test").info("x", token_id="atk_1", public_key="abc", tokens=3, password=Secret("s3cret"))

    (line,) = lines(stream)
    assert (line["token_id"], line["public_key"], line["tokens"]) == ("atk_1", "abc", 3)


@pytest.mark.parametrize("as_json", [True, False])
def test_a_traceback_is_told_without_the_values_of_variables(stream: io.StringIO, as_json: bool) -> None:
    log.configure(json=as_json, level="info", stream=stream)

    def fail(password: str) -> None:
        raise RuntimeError("it broke")

    try:
        fail("".join(["s3", "cret"]))
    except RuntimeError:
        log.get("altnet.test").exception("failed")

    assert "it broke" in stream.getvalue()
    assert "in fail" in stream.getvalue()
    assert "s3cret" not in stream.getvalue()


def test_other_libraries_speak_in_the_same_form(stream: io.StringIO) -> None:
    log.configure(json=True, level="info", stream=stream)

    with log.bound(service="registry"):
        logging.getLogger("uvicorn.error").warning("started on %s", "::1")

    (line,) = lines(stream)
    assert (line["event"], line["logger"], line["service"]) == ("started on ::1", "uvicorn.error", "registry")


def test_configure_again_replaces_the_first_and_leaves_other_handlers(stream: io.StringIO) -> None:
    other = logging.NullHandler()
    logging.getLogger().addHandler(other)
    first = io.StringIO()
    log.configure(json=True, level="info", stream=first)
    log.configure(json=False, level="debug", stream=stream)

    log.get("altnet.test").debug("hello", relay="rly_1")

    assert first.getvalue() == ""
    assert "hello" in stream.getvalue()
    assert "relay=rly_1" in stream.getvalue()
    assert other in logging.getLogger().handlers


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(ValueError, match="loud"):
        log.configure(json=True, level="loud")
