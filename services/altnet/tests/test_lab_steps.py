"""How the lab speaks: what lasts has a beginning and an end, with its seconds, and what fails is not called done."""

from __future__ import annotations

import io

import pytest
from altnet.host.lab.steps import Spoken
from rich.console import Console


class Told:
    """A console, and a clock that stands until somebody moves it."""

    def __init__(self, *, terminal: bool = False) -> None:
        self.now = 100.0
        self.out = io.StringIO()
        self.console = Console(file=self.out, force_terminal=terminal, width=120, color_system=None)

    def spoken(self, *, clock: bool = False, quiet_below: float = 0.0) -> Spoken:
        return Spoken(self.console, clock=clock, quiet_below=quiet_below, monotonic=lambda: self.now)

    @property
    def lines(self) -> list[str]:
        return self.out.getvalue().splitlines()


def test_a_step_says_when_it_begins_and_how_long_it_took() -> None:
    told = Told()

    with told.spoken().step("network of 3 hosts"):
        assert told.lines == ["network of 3 hosts …"]
        told.now += 1.5

    assert told.lines == ["network of 3 hosts …", "network of 3 hosts: 1.50 s"]


def test_on_a_terminal_a_step_spins_and_leaves_one_line() -> None:
    told = Told(terminal=True)

    with told.spoken().step("relays link up"):
        told.now += 2.0

    assert "relays link up: 2.00 s" in told.out.getvalue()
    assert told.lines[-1].endswith("relays link up: 2.00 s")


def test_with_a_clock_each_line_has_the_seconds_since_the_beginning() -> None:
    told = Told()
    spoken = told.spoken(clock=True)

    told.now += 12.34
    spoken.say("traffic starts")

    assert told.lines == ["  12.3 s  traffic starts"]


def test_a_step_that_is_over_at_once_may_leave_no_line() -> None:
    told = Told()
    spoken = told.spoken(quiet_below=60.0)

    with spoken.step("quick"):
        told.now += 1.0
    with spoken.step("slow"):
        told.now += 61.0

    assert told.lines == ["slow: 61.00 s"]


def test_a_step_that_fails_is_not_called_done() -> None:
    told = Told()

    with pytest.raises(RuntimeError), told.spoken().step("killing bird"):
        raise RuntimeError("no BIRD runs")

    assert told.lines == ["killing bird …"]


def test_what_is_said_is_not_taken_for_markup() -> None:
    told = Told()

    told.spoken().say("[red]relay1[/red] at [fd42::1]:51820")

    assert told.lines == ["[red]relay1[/red] at [fd42::1]:51820"]
