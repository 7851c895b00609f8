"""`altnet lab` as a user or a script meets it, as far as that needs no root."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from altnet.host.demo import run_demo
from altnet.host.lab.cli import app
from typer.testing import CliRunner

VERBS = (["up"], ["status"], ["exec", "relay1", "--", "true"], ["kill", "relay1"], ["heal"], ["down"],
         ["partition", "relay1", "relay2"], ["impair", "relay1", "relay2", "--cut"], ["shape", "ring"],
         ["drain", "relay1"], ["undrain", "relay1"])  # fmt: skip


@pytest.fixture
def as_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("ALTNET_LAB_RUN_DIR", str(tmp_path))
    monkeypatch.setenv("ALTNET_LAB_PREFIX", "nolab")


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb[0])
def test_without_root_every_verb_says_in_one_line_what_it_needs(
    verb: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    result = CliRunner().invoke(app, verb)

    assert result.exit_code == 1
    assert result.stdout == ""
    assert len(result.stderr.strip().splitlines()) == 1
    assert "needs root" in result.stderr


def test_alone_it_says_without_root_what_it_needs_and_with_root_what_there_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    refused, helped = CliRunner().invoke(app, []), CliRunner().invoke(app, ["--help"])
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    shown = CliRunner().invoke(app, [])

    assert refused.exit_code == 1
    assert refused.stdout == ""
    assert len(refused.stderr.strip().splitlines()) == 1
    assert "needs root" in refused.stderr
    assert helped.exit_code == 0
    assert all("partition" in said.stdout for said in (helped, shown))


def test_an_error_is_json_when_json_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    result = CliRunner().invoke(app, ["status", "--json"])

    assert result.exit_code == 1
    assert json.loads(result.stdout)["error"]["code"] == "needs_root"


@pytest.mark.parametrize(
    "line", [["up", "--relays", "many"], ["no-such-verb"], ["kill"], ["kill", "x", "--process", "y"], ["shape", "star"]]
)
def test_a_wrong_command_line_ends_with_2(line: list[str]) -> None:
    assert CliRunner().invoke(app, line).exit_code == 2


@pytest.mark.usefixtures("as_root")
def test_a_size_that_cannot_be_ends_with_2_and_names_the_field() -> None:
    result = CliRunner().invoke(app, ["up", "--routers", "2", "--json"])

    assert result.exit_code == 2
    assert json.loads(result.stdout)["error"]["field"] == "/routers"


@pytest.mark.usefixtures("as_root")
@pytest.mark.parametrize(("flag", "value"), [("loss", "many"), ("delay", "20")])
def test_an_impairment_that_cannot_be_read_ends_with_2_and_names_the_field(flag: str, value: str) -> None:
    result = CliRunner().invoke(app, ["impair", "relay1", "relay2", f"--{flag}", value, "--json"])

    assert result.exit_code == 2
    assert json.loads(result.stdout)["error"]["field"] == f"/{flag}"


@pytest.mark.usefixtures("as_root")
def test_a_lab_larger_than_the_hosts_limits_is_refused_with_the_line_that_mends_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("altnet.host.lab.tuning.read_sysctl", lambda name: 128)

    result = CliRunner().invoke(app, ["up", "--relays", "60"])

    assert result.exit_code == 2
    assert "sysctl -w " in result.stderr
    assert "--tune-host" in result.stderr


@pytest.mark.usefixtures("as_root")
def test_there_is_no_lab_to_break_or_heal() -> None:
    for verb in VERBS[3:5] + VERBS[6:]:
        result = CliRunner().invoke(app, verb)
        assert (result.exit_code, "there is no lab nolab" in result.stderr) == (1, True)


@pytest.mark.usefixtures("as_root")
def test_the_status_of_no_lab_is_down() -> None:
    result = CliRunner().invoke(app, ["status", "--json"])

    assert result.exit_code == 0
    assert json.loads(result.stdout)["state"] == "down"


def test_a_demo_without_root_says_in_one_line_what_it_needs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    code = run_demo(once=True, json=True)

    said = capsys.readouterr()
    assert code == 1
    assert "needs root" in said.err
    assert len(said.err.splitlines()) == 1
    assert json.loads(said.out)["held"] is False
