"""What the command line makes of a refused request."""

from __future__ import annotations

import ssl
from typing import Any

import msgspec
import pytest
from altnet.common.calls import Answer, problem
from altnet.common.errors import AltnetError, Invalid, Stale
from altnet.host.cli import app, exit_code
from altnet.host.operator.api import Api, Place, error_of
from altnet_sdk.models.problem import Problem
from typer.testing import CliRunner


def refused(status: int, code: str, detail: str, *, pointer: str, location: str | None) -> dict[str, Any]:
    fault = {"pointer": pointer, "detail": detail, "code": code, "location": location}
    kind = f"urn:altnet:problem:{code}"
    own = {"type": kind, "title": "No", "status": status, "detail": detail, "code": code, "request_id": "r-1"}
    return {**own, "mend": "Read it again.", "errors": [fault]}


def by_sdk(document: dict[str, Any]) -> AltnetError:
    return error_of(Problem.from_dict(document))


def by_agent(document: dict[str, Any]) -> AltnetError:
    return problem(Answer(status=document["status"], headers={}, body=msgspec.json.encode(document)))


@pytest.mark.parametrize("read", [by_sdk, by_agent])
def test_a_field_of_the_body_is_named_and_a_header_that_the_program_sent_is_not(read: Any) -> None:
    field = read(refused(409, "name_taken", "It is taken.", pointer="/name", location=None))
    header = read(refused(403, "role_too_low", "Yours is auditor.", pointer="/Authorization", location="header"))

    assert str(field) == "/name: It is taken. Read it again."
    assert str(header) == "Yours is auditor. Read it again."


def test_somebody_elses_change_in_between_is_a_conflict_in_plain_words() -> None:
    error = by_sdk(refused(412, "version_changed", "Somebody changed it.", pointer="/If-Match", location="header"))

    assert isinstance(error, Stale)
    assert str(error) == "Somebody changed it. Read it again."


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (("join-tokens", "create", "--kind", "robot"), "/kind: 'robot' is none of client, relay."),
        (
            ("tokens", "create", "--name", "x", "--role", "king"),
            "/role: 'king' is none of admin, auditor, owner.",
        ),
        (
            ("services", "register", "--name", "x", "--port", "1", "--protocol", "sctp", "--address", "fd00::1"),
            "/protocol: 'sctp' is none of tcp, udp.",
        ),
    ],
    ids=["kind", "role", "protocol"],
)
def test_a_word_that_an_option_does_not_know_is_wrong_use_and_names_those_that_it_knows(
    line: tuple[str, ...], said: str
) -> None:
    result = CliRunner().invoke(app, line, env={"ALTNET_TOKEN": "unused", "ALTNET_API": "http://127.0.0.1:9"})

    assert isinstance(result.exception, Invalid), result.output
    assert (exit_code(result.exception), str(result.exception)) == (2, said)


def test_authorities_are_read_for_https_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    contexts: list[ssl.SSLContext] = []
    read = ssl.create_default_context

    def note(*arguments: Any, **options: Any) -> ssl.SSLContext:
        contexts.append(read(*arguments, **options))
        return contexts[-1]

    monkeypatch.setattr(ssl, "create_default_context", note)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)

    api = Api(Place(url="http://[::1]:8420", token="altt_x"))
    api.client.get_httpx_client()
    api.close()
    assert contexts == []

    api = Api(Place(url="https://registry.example.org", token="altt_x"))
    api.client.get_httpx_client()
    api.close()
    assert [context.verify_mode for context in contexts] == [ssl.CERT_REQUIRED]
