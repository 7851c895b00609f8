"""`altnet demo --once` to its end, with a story that is told in no time: the table, the JSON and the exit code."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from altnet.common.errors import Unavailable
from altnet.host import demo
from altnet.host.cli import app
from altnet.host.lab import commands
from altnet.host.lab.story import Outcome
from typer.testing import CliRunner, Result

HELD = Outcome(step="control plane ready", measured="4.20 s", held=True, numbers={"seconds": 4.2})
LOST = Outcome(step="a link dies", measured="900 packets lost", held=False, numbers={"lost": 900})


@dataclass
class Told:
    """What the story says; `ends` is how it ends early."""

    outcomes: tuple[Outcome, ...] = (HELD,)
    ends: Exception | None = None
    said_by_control: str = ""


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Told:
    """A demo whose story builds nothing: it says what the test wants, and its lab is an empty folder."""
    told = Told()

    class Story:
        def __init__(self, lab: Any, *_: object) -> None:
            self.lab = lab

        def tell(self, hears: Callable[[Outcome], None]) -> None:
            if told.said_by_control:
                log = self.lab.files.root / "control" / "altnet.log"
                log.parent.mkdir()
                log.write_text(told.said_by_control)
            for outcome in told.outcomes:
                hears(outcome)
            if told.ends is not None:
                raise told.ends

    monkeypatch.setattr(demo, "Story", Story)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(commands, "require", lambda names: None)
    monkeypatch.setenv("ALTNET_LAB_RUN_DIR", str(tmp_path))
    monkeypatch.setenv("ALTNET_LAB_PREFIX", "nolab")
    monkeypatch.setenv("ALTNET_LAB_API_PORT", "0")
    return told


def once(*more: str) -> Result:
    return CliRunner().invoke(app, ["demo", "--once", *more])


def test_a_story_that_held_ends_with_0_and_a_table_of_its_steps(told: Told, tmp_path: Path) -> None:
    told.outcomes = (HELD, Outcome(step="ping client1 to client2", measured="5 of 5 answered", held=True))

    result = once()

    assert result.exit_code == 0, result.output
    table = result.stdout[result.stdout.index("What was shown") :]
    for outcome in told.outcomes:
        row = next(line for line in table.splitlines() if outcome.step in line)
        assert outcome.measured in row
        assert "yes" in row
    assert "The lab stays up" not in result.output
    assert not (tmp_path / "nolab").exists(), "the lab is removed"


def test_a_step_that_did_not_hold_ends_with_1_and_the_table_names_it(told: Told, tmp_path: Path) -> None:
    told.outcomes = (HELD, LOST)

    result = once()

    assert result.exit_code == 1
    assert "DID NOT HOLD: a link dies: 900 packets lost" in result.stdout
    table = result.stdout[result.stdout.index("What was shown") :]
    assert "NO" in next(line for line in table.splitlines() if LOST.step in line)
    assert "yes" in next(line for line in table.splitlines() if HELD.step in line)
    assert not (tmp_path / "nolab").exists()


def test_a_story_that_ends_early_ends_with_1_says_why_and_shows_the_last_words(told: Told, tmp_path: Path) -> None:
    told.ends = Unavailable("not_in_time", "6 ends of links have no session.", mend="Look at relay2.")
    told.said_by_control = "".join(f"line {number}\n" for number in range(9))

    result = once()

    assert result.exit_code == 1
    assert "The story ended early: 6 ends of links have no session. Look at relay2." in result.stdout
    assert [line for line in result.stdout.splitlines() if line.startswith("control/altnet.log")] == [
        f"control/altnet.log: line {number}" for number in range(4, 9)
    ]
    assert not (tmp_path / "nolab").exists()


@pytest.mark.parametrize(
    ("outcomes", "ends", "code"),
    [
        ((HELD,), None, 0),
        ((HELD, LOST), None, 1),
        ((HELD,), Unavailable("not_in_time", "It took too long."), 1),
    ],
    ids=["held", "did not hold", "ended early"],
)
def test_as_json_it_is_one_object_with_every_step(
    told: Told, outcomes: tuple[Outcome, ...], ends: Exception | None, code: int
) -> None:
    told.outcomes, told.ends = outcomes, ends

    result = once("--json")

    answer = json.loads(result.stdout)
    assert result.exit_code == code
    assert answer["held"] is (code == 0)
    assert [(step["step"], step["measured"], step["held"]) for step in answer["steps"]] == [
        (outcome.step, outcome.measured, outcome.held) for outcome in outcomes
    ]
    assert answer["steps"][0]["numbers"] == HELD.numbers
    assert answer["error"] == (str(ends) if ends else None)


def test_a_demo_has_a_prefix_of_its_own_as_its_refusal_says(told: Told, tmp_path: Path) -> None:
    (tmp_path / "nolab").mkdir()
    (tmp_path / "nolab" / "state.json").write_text("{}")

    refused, other = once(), once("--prefix", "nolab2")

    assert refused.exit_code == 1
    assert "there is a lab nolab" in refused.stderr
    assert "--prefix" in refused.stderr
    assert other.exit_code == 0, other.output
    assert (tmp_path / "nolab").exists(), "what somebody built is left alone"
